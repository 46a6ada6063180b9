// What the programs for offheap.hpp check with: the first thing that is not so ends the program.
#ifndef CHECK_HPP
#define CHECK_HPP

#include <offheap.hpp>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#define CHECK(...)                                                                          \
    do {                                                                                    \
        if (!(__VA_ARGS__)) {                                                               \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #__VA_ARGS__);  \
            std::exit(1);                                                                   \
        }                                                                                   \
    } while (0)

// That the statement throws, and what it throws: `caught` is the exception for what follows.
#define THROWS(type, statement, ...)                                                        \
    do {                                                                                    \
        bool threw_ = false;                                                                \
        try {                                                                               \
            statement;                                                                      \
        } catch (const type &caught) {                                                      \
            threw_ = true;                                                                  \
            if (!(__VA_ARGS__)) {                                                           \
                std::fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__,        \
                             #__VA_ARGS__, caught.what());                                  \
                std::exit(1);                                                               \
            }                                                                               \
        }                                                                                   \
        CHECK(threw_ && #statement);                                                        \
    } while (0)

inline bool says(const char *sentence, const std::string &text) {
    return std::strstr(sentence, text.c_str()) != nullptr;
}

constexpr std::size_t page_bytes = 4096;

inline offheap::manager new_manager(std::size_t pages) {
    return offheap::config().page_size(page_bytes).capacity(pages * page_bytes).build();
}

// Runs tests on a thread that ends: what the library knows about a thread goes with it.
template <class Tests>
void on_a_thread(Tests &&tests) {
    std::thread(std::forward<Tests>(tests)).join();
}

#endif
