// Owners in C++ that give memory back: called, also where they throw, polled, and under pressure.
#include "check.hpp"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

using namespace std::chrono_literals;

static offheap::manager new_manager_with_reserve(std::size_t pages) {
    return offheap::config()
        .page_size(page_bytes)
        .capacity((pages + 2) * page_bytes)
        .spill_reserve(page_bytes)
        .build();
}

// A cache behind its lock, which gives its oldest pages back.
struct cache {
    std::mutex lock;
    std::deque<offheap::segment> pages;
    std::size_t spilled = 0;

    std::size_t reclaimable() {
        std::lock_guard<std::mutex> guard(lock);
        return pages.size() * page_bytes;
    }
    void give_back(std::size_t target_bytes, offheap::spill_reserve &reserve) {
        std::lock_guard<std::mutex> guard(lock);
        CHECK(reserve.available() == page_bytes);
        offheap::segment buffer = reserve.allocate(1);
        THROWS(offheap::out_of_memory, (void)reserve.allocate(1), caught.what()[0] != '\0');
        CHECK(reserve.available() == 0);
        for (std::size_t given = 0; given < target_bytes && !pages.empty(); given += page_bytes) {
            std::memcpy(buffer.data(), pages.front().data(), page_bytes);
            pages.pop_front();
            spilled++;
        }
    }
    void fill(const offheap::owner &owner, std::size_t count) {
        std::lock_guard<std::mutex> guard(lock);
        while (pages.size() < count) {
            pages.push_back(owner.allocate_page());
            std::memset(pages.back().data(), 1, page_bytes);
        }
    }
};

// The calls that never wait are refused while others hold all there is, and ask nobody.
static void never_waits(const offheap::owner &query) {
    THROWS(offheap::out_of_memory, (void)query.try_allocate_page(),
           says(caught.what(), "bytes is free"));
    THROWS(offheap::out_of_memory, (void)query.try_allocate_pages(2),
           caught.status() == OFFHEAP_STATUS_BUDGET);
    THROWS(offheap::out_of_memory, (void)query.try_allocate(1),
           caught.status() == OFFHEAP_STATUS_BUDGET);
    THROWS(offheap::out_of_memory, (void)query.try_reserve_memory(1),
           caught.status() == OFFHEAP_STATUS_BUDGET);
    THROWS(offheap::out_of_memory, (void)query.make_worker().try_allocate_page(),
           caught.status() == OFFHEAP_STATUS_BUDGET);
    CHECK(!query.try_allocate_page(std::nothrow) && !query.try_allocate(1, std::nothrow));
}

static void called() {
    const offheap::manager manager = new_manager_with_reserve(8);
    const offheap::owner caching = manager.register_owner("cache");
    const offheap::owner query = manager.register_owner("query");
    cache cache;
    auto token = std::make_unique<int>(42); // a callable need not be copied
    std::weak_ptr<int> alive;
    {
        auto shared = std::make_shared<int>(1);
        alive = shared;
        caching.set_reclaimer(
            [&cache, shared] { return cache.reclaimable(); },
            [&cache, token = std::move(token)](std::size_t bytes, offheap::spill_reserve &reserve) {
                CHECK(*token == 42);
                cache.give_back(bytes, reserve);
            });
    }
    cache.fill(caching, 8);
    never_waits(query);
    CHECK(cache.spilled == 0);
    CHECK(query.allocate_pages(3).size() == 3);
    cache.fill(caching, 8);
    CHECK(query.acquire(2 * page_bytes, 10min).size() == 2 * page_bytes);
    CHECK(!alive.expired());
    caching.clear_reclaimer();
    CHECK(alive.expired() && cache.spilled >= 5);
    cache.fill(caching, 8);
    THROWS(offheap::out_of_memory, (void)query.allocate_page(),
           says(caught.what(), "held by `cache`: 32768 bytes"));
}

// An owner that holds all there is, and another one that wants some of it.
struct stage {
    offheap::manager manager = new_manager_with_reserve(8);
    offheap::owner caching = manager.register_owner("cache");
    offheap::owner query = manager.register_owner("query");
    std::vector<offheap::segment> pages = caching.allocate_pages(8);
    std::atomic<int> calls{0}, told{0};

    // Is told of an exception, and throws one of its own, which ends here, too.
    auto listener() {
        return [this](std::exception_ptr exception) {
            THROWS(std::runtime_error, std::rethrow_exception(exception),
                   says(caught.what(), "the disk is full"));
            told++;
            throw 42;
        };
    }
};

static void throws_in_the_callback() {
    {
        stage stage;
        stage.caching.set_reclaimer([] { return 8 * page_bytes; },
                                    [&](std::size_t, offheap::spill_reserve &) {
                                        stage.calls++;
                                        throw std::runtime_error("the disk is full");
                                    },
                                    stage.listener());
        // Nothing came of it: the request is refused, and the sentence says who holds the memory.
        THROWS(offheap::out_of_memory, (void)stage.query.allocate_page(),
               says(caught.what(), "held by `cache`: 32768 bytes"));
        CHECK(stage.calls > 0 && stage.told == stage.calls);
    }
    {
        // One that throws after it has given back has given back; without a listener it is silent.
        stage stage;
        stage.caching.set_reclaimer([] { return 8 * page_bytes; },
                                    [&](std::size_t, offheap::spill_reserve &) {
                                        stage.pages.clear();
                                        throw std::runtime_error("the disk is full");
                                    });
        CHECK(stage.query.allocate_pages(8).size() == 8);
        stage.caching.clear_reclaimer(); // which uses the pages
    }
    {
        stage stage;
        stage.caching.set_reclaimer(
            []() -> std::size_t { throw std::runtime_error("the disk is full"); },
            [&](std::size_t, offheap::spill_reserve &) { stage.calls++; }, stage.listener());
        THROWS(offheap::out_of_memory, (void)stage.query.allocate_page(),
               says(caught.what(), "held by `cache`: 32768 bytes"));
        CHECK(stage.told > 0 && stage.calls == 0);
    }
    const auto nothing = [](std::size_t, offheap::spill_reserve &) {};
    THROWS(offheap::call_error, offheap::owner().set_reclaimer([] { return 0u; }, nothing),
           caught.status() == OFFHEAP_STATUS_NULL_ARGUMENT);
}

static void polled() {
    const offheap::manager manager = new_manager_with_reserve(8);
    offheap::owner_options options;
    options.polled_reclaim = true;
    options.priority = -1;
    const offheap::owner scan = manager.register_owner("scan", options);
    const offheap::owner query = manager.register_owner("query");
    CHECK(!scan.begin_answer() && scan.reclaim_requested() == 0);
    std::vector<offheap::segment> pages = scan.allocate_pages(8);
    scan.set_reclaimable(8 * page_bytes);
    std::thread waiter([&] { CHECK(query.acquire_pages(3).size() == 3); });
    while (scan.reclaim_requested() == 0) std::this_thread::yield();
    {
        const std::optional<offheap::answer> answer = scan.begin_answer();
        CHECK(answer && answer->target_bytes() > 0);
        CHECK(answer->reserve().allocate(1).size() == page_bytes);
        const std::size_t target_bytes = answer->target_bytes();
        for (std::size_t given = 0; given < target_bytes; given += page_bytes) pages.pop_back();
    }
    waiter.join();
    CHECK(pages.size() <= 5);
}

// A container and its reclaimer: with the resource for all threads, behind a lock of the program.
static void container_gives_way() {
    const offheap::manager manager = new_manager(32);
    const offheap::owner caching = manager.register_owner("cache");
    const offheap::owner query = manager.register_owner("query");
    offheap::synchronized_memory_resource memory(caching);
    std::mutex lock;
    std::pmr::unordered_map<int, std::pmr::string> entries(&memory);
    caching.set_reclaimer([&] { return caching.used_bytes(); },
                          [&](std::size_t, offheap::spill_reserve &) {
                              const std::unique_lock<std::mutex> guard(lock, std::try_to_lock);
                              if (guard) entries = decltype(entries)(&memory);
                          });
    for (int i = 0; i < 500; i++) entries.emplace(i, std::string(100, 'x'));
    CHECK(caching.used_bytes() > 16 * page_bytes);
    CHECK(query.allocate_pages(30).size() == 30);
    // The query was served as soon as there was enough; this waits for the rest.
    caching.clear_reclaimer();
    CHECK(entries.empty() && caching.used_bytes() <= 2 * page_bytes);
}

// A reclaimer that frees memory of the resource for which memory is asked.
static void no_lock_is_held_while_it_asks() {
    const offheap::manager manager = new_manager(8);
    const offheap::owner holder = manager.register_owner("holder");
    const offheap::owner query = manager.register_owner("query");
    offheap::synchronized_memory_resource memory(query);
    void *small = memory.allocate(16);
    std::vector<offheap::segment> pages = holder.allocate_pages(7);
    holder.set_reclaimer([&] { return 7 * page_bytes; },
                         [&](std::size_t, offheap::spill_reserve &) {
                             if (small != nullptr) memory.deallocate(small, 16);
                             small = nullptr;
                             pages.clear();
                         });
    void *cell = memory.allocate(1000);
    void *block = memory.allocate(4 * page_bytes);
    holder.clear_reclaimer();
    CHECK(small == nullptr && pages.empty());
    memory.deallocate(cell, 1000);
    memory.deallocate(block, 4 * page_bytes);
    CHECK(query.used_bytes() == 0);
}

static void pressure() {
    const offheap::manager manager = new_manager(8);
    const offheap::owner owner = manager.register_owner("owner");
    std::mutex lock;
    std::condition_variable changed;
    offheap::pressure level = offheap::pressure::normal;
    int told = 0;
    offheap::subscription subscription = manager.on_pressure(
        [&](offheap::pressure now) {
            std::lock_guard<std::mutex> guard(lock);
            level = now;
            changed.notify_all();
            throw std::runtime_error("no mail");
        },
        [&](std::exception_ptr) { told++; });
    const std::vector<offheap::segment> pages = owner.allocate_pages(8);
    CHECK(manager.pressure() == offheap::pressure::critical);
    {
        std::unique_lock<std::mutex> guard(lock);
        changed.wait(guard, [&] { return level == offheap::pressure::critical; });
    }
    subscription = offheap::subscription(); // waits for the call that is under way
    CHECK(told > 0 && level > offheap::pressure::high);
}

static void threads() {
    const offheap::manager manager = new_manager_with_reserve(16);
    const offheap::owner caching = manager.register_owner("cache");
    const offheap::owner query = manager.register_owner("query");
    cache cache;
    caching.set_reclaimer([&] { return cache.reclaimable(); },
                          [&](std::size_t bytes, offheap::spill_reserve &reserve) {
                              cache.give_back(bytes, reserve);
                          });
    std::vector<std::thread> all;
    for (int thread = 0; thread < 3; thread++)
        all.emplace_back([&] {
            for (int round = 0; round < 30; round++) {
                offheap::segment block = query.acquire(3 * page_bytes);
                std::memset(block.data(), round, block.size());
                offheap::segment page = std::move(query.acquire_pages(1).front());
                // Released on another thread than the one that allocated it.
                std::thread([moved = std::move(page)]() mutable { moved.release(); }).join();
            }
        });
    for (int round = 0; round < 60; round++) {
        offheap::segment page = caching.allocate_page(std::nothrow);
        std::lock_guard<std::mutex> guard(cache.lock);
        if (page) cache.pages.push_back(std::move(page));
    }
    for (std::thread &one : all) one.join();
    caching.clear_reclaimer();
    cache.pages.clear();
    manager.verify_empty();
    manager.check();
}

int main() {
    on_a_thread([] {
        called();
        throws_in_the_callback();
        polled();
        container_gives_way();
        no_lock_is_held_while_it_asks();
        pressure();
        threads();
    });
    return 0;
}
