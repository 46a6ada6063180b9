// Containers over an owner: what they hold counts, is limited, and goes back in full.
#include "check.hpp"

#include <array>
#include <atomic>
#include <list>
#include <map>
#include <random>

static offheap::manager manager_with(offheap::mode mode, std::size_t bytes_of_page) {
    return offheap::config().mode(mode).page_size(bytes_of_page).capacity(16 << 20).build();
}

static bool is_aligned(const void *address, std::size_t alignment) {
    return reinterpret_cast<std::uintptr_t>(address) % alignment == 0;
}

static void containers(const offheap::manager &manager) {
    const offheap::owner owner = manager.register_owner("query");
    offheap::memory_resource memory(owner);
    CHECK(owner.used_bytes() == 0);
    {
        std::pmr::vector<std::pmr::string> words(&memory);
        for (int i = 0; i < 2000; i++)
            words.emplace_back("a word that is too long to lie in the string itself " +
                               std::to_string(i));
        std::pmr::unordered_map<int, std::pmr::string> map(&memory);
        for (int i = 0; i < 2000; i++) map.emplace(i, words[static_cast<std::size_t>(i)]);
        std::pmr::map<int, int> tree(&memory);
        for (int i = 0; i < 2000; i++) tree[i * 7919 % 2003] = i;
        CHECK(owner.used_bytes() > 2 * 2000 * 50);
        CHECK(map.at(1234) == words[1234] && map.at(1999).get_allocator().resource() == &memory);
        CHECK(tree.size() == 2000 && tree.at(7919 % 2003) == 1);
        for (int i = 0; i < 2000; i += 2) map.erase(i);
        for (int i = 0; i < 2000; i += 2) map.emplace(i, words[0]);
        CHECK(map.size() == 2000 && map.at(2) == words[0] && map.at(3) == words[3]);
    }
    // Though the resource is still there.
    CHECK(owner.used_bytes() == 0);
    CHECK(memory.is_equal(memory) && !memory.is_equal(offheap::memory_resource(owner)));
}

static void small_nodes_share_pages() {
    const offheap::manager manager = manager_with(offheap::mode::off_heap, 32768);
    const offheap::owner owner = manager.register_owner("list");
    offheap::memory_resource memory(owner);
    std::pmr::list<std::uint64_t> nodes(&memory); // 24 bytes each, in cells of 32
    for (std::uint64_t i = 0; i < 1024; i++) nodes.push_back(i);
    CHECK(owner.used_bytes() == 32768);
    nodes.push_back(1024);
    CHECK(owner.used_bytes() == 2 * 32768);
    nodes.pop_back();
    CHECK(owner.used_bytes() == 32768);
    std::uint64_t next = 0;
    for (const std::uint64_t node : nodes) CHECK(node == next++);
    nodes.clear();
    CHECK(owner.used_bytes() == 0);
}

// Requests of every size and alignment, none of which overlap, in any order.
static void any_request(const offheap::manager &manager) {
    struct held {
        unsigned char *at;
        std::size_t bytes, alignment;
        unsigned char pattern;
    };
    const offheap::owner owner = manager.register_owner("requests");
    offheap::memory_resource memory(owner);
    std::mt19937 random(42);
    std::vector<held> all;
    const auto give_back = [&](std::size_t index) {
        const held one = all[index];
        for (std::size_t i = 0; i < one.bytes; i += i < 64 ? 1 : 61)
            CHECK(one.at[i] == one.pattern);
        CHECK(one.bytes == 0 || one.at[one.bytes - 1] == one.pattern);
        memory.deallocate(one.at, one.bytes, one.alignment);
        all[index] = all.back();
        all.pop_back();
    };
    for (int step = 0; step < 3000; step++) {
        if (all.size() > 150 || (!all.empty() && random() % 3 == 0)) {
            give_back(random() % all.size());
            continue;
        }
        const std::size_t bytes = random() % (std::size_t{1} << (random() % 17));
        const std::size_t alignment = std::size_t{1} << (random() % 14);
        const auto pattern = static_cast<unsigned char>(random());
        void *at = memory.allocate(bytes, alignment);
        CHECK(is_aligned(at, alignment));
        std::memset(at, pattern, bytes);
        all.push_back({static_cast<unsigned char *>(at), bytes, alignment, pattern});
    }
    while (!all.empty()) give_back(all.size() - 1);
    CHECK(owner.used_bytes() == 0);
    manager.check();
}

struct alignas(256) line {
    unsigned char bytes[256];
};

static void over_aligned() {
    const offheap::manager manager = manager_with(offheap::mode::off_heap, page_bytes);
    const offheap::owner owner = manager.register_owner("lines");
    offheap::memory_resource memory(owner);
    {
        std::pmr::vector<line> lines(3, &memory);
        std::pmr::list<line> nodes(9, &memory);
        CHECK(is_aligned(lines.data(), 256));
        for (const line &one : nodes) CHECK(is_aligned(&one, 256));
        // More than a page is aligned to.
        void *huge = memory.allocate(100, 1 << 20);
        CHECK(is_aligned(huge, 1 << 20) && owner.used_bytes() >= (1 << 20) + page_bytes);
        std::memset(huge, 1, 100);
        memory.deallocate(huge, 100, 1 << 20);
    }
    CHECK(owner.used_bytes() == 0);
}

static void limits() {
    const offheap::manager manager = new_manager(16);
    const offheap::owner owner = manager.register_owner("query", {0, 4 * page_bytes});
    offheap::memory_resource memory(owner);
    std::pmr::list<int> nodes(&memory);
    THROWS(offheap::out_of_memory, for (;;) nodes.push_back(1),
           caught.status() == OFFHEAP_STATUS_OWNER_LIMIT &&
               says(caught.what(), "for owner `query`") && says(caught.what(), "limit of 16384"));
    CHECK(nodes.size() == 4 * page_bytes / 32 && owner.used_bytes() == 4 * page_bytes);
    THROWS(std::bad_alloc, nodes.push_back(1), says(caught.what(), "for owner `query`"));
    nodes.pop_back();
    nodes.push_back(2); // there is a cell
    nodes.clear();
    std::pmr::vector<char> bytes(4 * page_bytes, 'x', &memory);
    THROWS(offheap::out_of_memory, bytes.push_back('y'), caught.numbers() != nullptr);
    CHECK(bytes.size() == 4 * page_bytes && bytes.back() == 'x');
    bytes = std::pmr::vector<char>(&memory);
    const volatile std::size_t too_much = SIZE_MAX - 10; // a compiler that knew it would warn
    THROWS(offheap::out_of_memory, (void)memory.allocate(too_much, 1 << 13),
           caught.status() == OFFHEAP_STATUS_CAPACITY);
    CHECK(owner.used_bytes() == 0);
}

static void ends_with_what_is_out() {
    const offheap::manager manager = new_manager(16);
    const offheap::owner owner = manager.register_owner("arena");
    {
        offheap::memory_resource memory(owner);
        for (const std::size_t bytes : {1u, 100u, 1000u, 5000u}) (void)memory.allocate(bytes);
        CHECK(owner.used_bytes() == 5 * page_bytes);
        memory.release();
        CHECK(owner.used_bytes() == 0);
        void *again = memory.allocate(100);
        std::memset(again, 1, 100);
        CHECK(owner.used_bytes() == page_bytes);
    }
    CHECK(owner.used_bytes() == 0);
}

static void all_threads() {
    const offheap::manager manager = new_manager(256);
    const offheap::owner owner = manager.register_owner("threads");
    offheap::synchronized_memory_resource memory(owner);
    std::vector<std::thread> threads;
    std::mutex lock;
    std::pmr::list<std::pmr::string> shared(&memory);
    for (int thread = 0; thread < 4; thread++)
        threads.emplace_back([&, thread] {
            std::pmr::map<int, std::pmr::string> own(&memory);
            for (int i = 0; i < 300; i++) {
                own.emplace(i, std::string(static_cast<std::size_t>(i + thread), 'a'));
                if (i % 3 == 0) own.erase(i / 2);
                std::lock_guard<std::mutex> guard(lock);
                // What one thread allocated, another one frees.
                shared.emplace_back(64, static_cast<char>('a' + thread));
                if (shared.size() > 10) shared.pop_front();
            }
            for (const auto &[i, text] : own)
                CHECK(text.size() == static_cast<std::size_t>(i + thread));
        });
    for (std::thread &thread : threads) thread.join();
    threads.clear();
    // Cells of one size, as fast as it goes: no two threads ever get the same.
    std::atomic<int> ready{0};
    for (int thread = 0; thread < 4; thread++)
        threads.emplace_back([&] {
            ready++;
            while (ready < 4) std::this_thread::yield();
            const std::thread::id self = std::this_thread::get_id();
            std::array<std::thread::id *, 10> cells{};
            for (int round = 0; round < 1000; round++) {
                for (auto &cell : cells)
                    cell = ::new (memory.allocate(48, 8)) std::thread::id(self);
                for (auto *cell : cells) {
                    CHECK(*cell == self);
                    memory.deallocate(cell, 48, 8);
                }
            }
        });
    for (std::thread &thread : threads) thread.join();
    for (const auto &text : shared) CHECK(text.size() == 64 && text[0] == text[63]);
    shared.clear();
    CHECK(owner.used_bytes() == 0);
    manager.check();
}

int main() {
    on_a_thread([] {
        for (const auto mode : {offheap::mode::off_heap, offheap::mode::heap})
            for (const std::size_t bytes : {4096u, 32768u}) {
                const offheap::manager manager = manager_with(mode, bytes);
                containers(manager);
                any_request(manager);
                manager.verify_empty();
            }
        small_nodes_share_pages();
        over_aligned();
        limits();
        ends_with_what_is_out();
        all_threads();
    });
    return 0;
}
