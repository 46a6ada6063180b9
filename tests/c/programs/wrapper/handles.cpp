// Handles: destructors in any order, values that were moved from, and the bytes of a segment.
#include "check.hpp"

#include <array>
#include <numeric>

static_assert(!std::is_copy_constructible_v<offheap::manager>);
static_assert(!std::is_copy_assignable_v<offheap::owner>);
static_assert(!std::is_copy_constructible_v<offheap::segment>);
static_assert(!std::is_copy_constructible_v<offheap::reservation>);
static_assert(std::is_nothrow_move_constructible_v<offheap::segment>);
static_assert(std::is_nothrow_move_assignable_v<offheap::worker>);
static_assert(std::is_nothrow_move_constructible_v<offheap::answer>);
static_assert(!std::is_convertible_v<offheap_segment *, offheap::segment>);

static void versions() {
    const std::string version = std::to_string(OFFHEAP_VERSION_MAJOR) + "." +
                                std::to_string(OFFHEAP_VERSION_MINOR) + "." +
                                std::to_string(OFFHEAP_VERSION_PATCH);
    CHECK(version == OFFHEAP_VERSION && version == offheap_version());
}

static void scopes() {
    const offheap::manager manager = new_manager(8);
    const offheap::owner sorter = manager.register_owner("sorter", {page_bytes, 4 * page_bytes});
    CHECK(sorter.stats().minimum_bytes == page_bytes);
    CHECK(sorter.stats().limit_bytes == 4 * page_bytes);
    {
        const offheap::segment page = sorter.allocate_page();
        const offheap::reservation bytes = sorter.reserve_memory(100);
        CHECK(sorter.used_bytes() == page_bytes + 100);
        THROWS(offheap::error, manager.verify_empty(), caught.status() == OFFHEAP_STATUS_LEAK);
        CHECK(says(manager.holders().c_str(), "`sorter`: 4196 bytes"));
    }
    CHECK(sorter.used_bytes() == 0 && manager.holders().empty());
    manager.verify_empty();
}

static void any_order() {
    offheap::segment last;
    {
        const offheap::manager manager = new_manager(8);
        offheap::owner query = manager.register_owner("query");
        offheap::owner join = query.register_child("join", {0, 2 * page_bytes, 7});
        last = join.allocate_page();
        CHECK(query.used_bytes() == page_bytes && join.stats().limit_bytes == 2 * page_bytes);
        query = offheap::owner();
        join.reset();
        CHECK(!query && !join);
        THROWS(offheap::call_error, manager.verify_empty(), says(caught.what(), "`query/join`"));
    }
    // Manager and owners are gone, their region is not.
    std::memset(last.data(), 42, last.size());
    CHECK(last.size() == page_bytes && last.data()[page_bytes - 1] == std::byte{42});
}

static void moved_from() {
    offheap::manager manager = new_manager(8);
    offheap::owner owner = manager.register_owner("owner");
    offheap::segment page = owner.allocate_page();
    std::byte *const address = page.data();

    offheap::segment other = std::move(page);
    CHECK(!page && page.data() == nullptr && page.empty() && page.begin() == page.end());
    CHECK(other && other.data() == address && other.size() == page_bytes);
    page = std::move(other);
    offheap::segment &itself = page;
    page = std::move(itself);
    CHECK(page.data() == address && owner.used_bytes() == page_bytes);
    page = owner.allocate_page(); // and the page before goes back
    CHECK(owner.used_bytes() == page_bytes);
    page.release();
    page.release();
    CHECK(!page && owner.used_bytes() == 0);

    const offheap::owner moved = std::move(owner);
    THROWS(offheap::call_error, (void)owner.allocate_page(),
           caught.status() == OFFHEAP_STATUS_NULL_ARGUMENT && says(caught.what(), "`owner`"));
    CHECK(!owner.allocate_page(std::nothrow) && moved.allocate_page(std::nothrow));
    owner.reset();
    const offheap::manager gone = std::move(manager);
    THROWS(offheap::call_error, (void)manager.stats(),
           caught.status() == OFFHEAP_STATUS_NULL_ARGUMENT);
    CHECK(gone.stats().page_bytes == page_bytes);
}

static void to_c_and_back() {
    const offheap::manager manager = new_manager(8);
    const offheap::owner owner = manager.register_owner("owner");
    offheap::segment page = owner.allocate_page();
    std::byte *const address = page.data();
    offheap_segment *raw = page.detach();
    CHECK(!page && page.data() == nullptr && owner.used_bytes() == page_bytes);
    void *same = nullptr;
    std::size_t bytes = 0;
    CHECK(offheap_segment_range(raw, &same, &bytes) == OFFHEAP_STATUS_OK);
    CHECK(same == address && bytes == page_bytes);
    CHECK(offheap_segment_range(raw, nullptr, &bytes) == OFFHEAP_STATUS_NULL_ARGUMENT);
    CHECK(offheap_segment_range(raw, &same, nullptr) == OFFHEAP_STATUS_NULL_ARGUMENT);
    page = offheap::segment(raw);
    CHECK(page.get() == raw && page.data() == address);
    // Released behind its back: the library knows, and nothing is harmed.
    CHECK(offheap_release(page.get()) == OFFHEAP_STATUS_OK && owner.used_bytes() == 0);
    THROWS(offheap::call_error, offheap::segment(page.get()),
           caught.status() == OFFHEAP_STATUS_STALE_HANDLE &&
               caught.status_name() == std::string("OFFHEAP_STATUS_STALE_HANDLE"));
}

static void bytes_of_a_segment() {
    const offheap::manager manager = new_manager(8);
    const offheap::owner owner = manager.register_owner("owner");
    offheap::segment block = owner.allocate(3 * page_bytes - 1);
    CHECK(block.size() == 3 * page_bytes);
    CHECK(reinterpret_cast<std::uintptr_t>(block.data()) % 4096 == 0);
    std::fill(block.begin(), block.end(), std::byte{7});
    CHECK(std::count(block.begin(), block.end(), std::byte{7}) == 3 * page_bytes);
#ifdef __cpp_lib_span
    const std::span<std::uint64_t> numbers = block.as<std::uint64_t>();
    CHECK(numbers.size() == 3 * page_bytes / 8);
    std::iota(numbers.begin(), numbers.end(), std::uint64_t{1});
    const offheap::segment moved = std::move(block);
    const std::span<const std::byte> bytes = moved.bytes();
    std::uint64_t last = 0;
    std::memcpy(&last, bytes.last(8).data(), 8);
    CHECK(last == numbers.size() && numbers[0] == 1);
    const std::span<const std::byte> whole(moved); // a segment is a contiguous range
    CHECK(whole.data() == bytes.data() && whole.size() == bytes.size());
    CHECK(block.bytes().empty());
#elif __cplusplus >= 202002L
#error "C++20 has std::span"
#endif
}

static void many() {
    const offheap::manager manager = new_manager(8);
    const offheap::owner owner = manager.register_owner("owner");
    std::vector<offheap::segment> pages = owner.allocate_pages(8);
    CHECK(pages.size() == 8 && owner.used_bytes() == 8 * page_bytes);
    CHECK(!owner.allocate(1, std::nothrow));
    offheap::release_all(pages);
    CHECK(pages.empty() && owner.used_bytes() == 0);
    CHECK(owner.allocate_pages(0).empty());
    std::size_t total = 0;
    for (const offheap::segment &block : owner.allocate_scattered(5 * page_bytes))
        total += block.size();
    CHECK(total == 5 * page_bytes);
    CHECK(owner.allocate_up_to(100 * page_bytes).size() == 8 * page_bytes);

    offheap::worker worker = owner.make_worker();
    offheap::segment page = worker.allocate_page();
    CHECK(owner.used_bytes() == page_bytes);
    worker.release(std::move(page));
    CHECK(!page && owner.used_bytes() == 0);
    offheap::worker other = std::move(worker);
    worker.release(other.allocate_page()); // one that is empty gives it back all the same
    CHECK(owner.used_bytes() == 0);

    offheap::reservation bytes = owner.reserve_memory(1000);
    bytes.grow(500);
    CHECK(bytes.size() == 1500 && bytes.release(200) == 200 && bytes.release(9000) == 1300);
    manager.check();
    CHECK(manager.trim() <= manager.stats().given_back_bytes);
}

int main() {
    on_a_thread([] {
        versions();
        scopes();
        any_order();
        moved_from();
        to_c_and_back();
        bytes_of_a_segment();
        many();
    });
    return 0;
}
