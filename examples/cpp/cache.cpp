// A cache in C++ that gives way: a standard container over an owner, which hands its memory back
// when a query needs it, and refusals as exceptions that say who holds what.
//
//     c++ -std=c++17 cache.cpp $(pkg-config --cflags --libs offheap) -o cache && ./cache

#include <offheap.hpp>

#include <cstdio>
#include <string>

using namespace std::chrono_literals;

// Texts by number. Its nodes and strings live in pages of its owner, and count there.
class cache {
public:
    explicit cache(const offheap::manager &manager)
        : owner_(manager.register_owner("cache")), memory_(owner_), texts_(&memory_) {
        owner_.set_reclaimer([this] { return owner_.used_bytes(); },
                             [this](std::size_t, offheap::spill_reserve &) { give_way(); });
    }
    // No call of the reclaimer is under way after this, so the rest may end.
    ~cache() { owner_.clear_reclaimer(); }

    // Keeps a text, if there is memory for it: a cache does not press others.
    bool keep(int number, const std::string &text) {
        std::lock_guard<std::mutex> guard(lock_);
        try {
            return texts_.emplace(number, text).second;
        } catch (const offheap::out_of_memory &refused) {
            std::printf("not kept: %s\n", refused.what());
            return false;
        }
    }

    std::size_t used_bytes() const { return owner_.used_bytes(); }
    int times_given_way() {
        std::lock_guard<std::mutex> guard(lock_);
        return times_;
    }

private:
    void give_way() {
        // This thread belongs to the library. One that allocates for the cache may hold the lock
        // and wait for us, so we do not wait for it.
        std::unique_lock<std::mutex> guard(lock_, std::try_to_lock);
        if (!guard) return;
        texts_.clear();
        times_++;
    }

    offheap::owner owner_;
    offheap::synchronized_memory_resource memory_;
    std::mutex lock_;
    std::pmr::unordered_map<int, std::pmr::string> texts_;
    int times_ = 0;
};

int main() {
    const offheap::manager manager =
        offheap::config().page_size(4096).capacity(1 << 20).reclaim_timeout(1s).build();
    const offheap::owner query = manager.register_owner("query");
    {
        cache texts(manager);
        int kept = 0;
        while (texts.keep(kept, std::string(200, 'x'))) kept++;
        const std::size_t before = texts.used_bytes();
        std::printf("the cache keeps %d texts in %zu bytes\n", kept, before);

        // The query needs three quarters of the budget: the cache is asked, and gives way.
        offheap::segment block = query.acquire(768 << 10, 10s);
        std::fill(block.begin(), block.end(), std::byte{1});
        const int times = texts.times_given_way();
        std::printf("the query has %zu bytes, the cache %zu\n", block.size(), texts.used_bytes());
        if (kept < 1000 || times == 0 || texts.used_bytes() >= before) return 1;

        // More than there can be is refused at once, with the numbers.
        try {
            (void)query.allocate(2 << 20);
            return 1;
        } catch (const offheap::error &refused) {
            std::printf("%s: %s\n", refused.status_name(), refused.what());
        }
    }
    manager.verify_empty(); // throws, with the names, if somebody still held memory
    return 0;
}
