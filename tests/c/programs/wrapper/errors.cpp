// Exceptions: which one, what it says, with which numbers, and by what it can be caught.
#include "check.hpp"

using namespace std::chrono_literals;

static_assert(std::is_base_of_v<std::bad_alloc, offheap::out_of_memory>);
static_assert(std::is_base_of_v<offheap::error, offheap::out_of_memory>);
static_assert(std::is_base_of_v<std::runtime_error, offheap::call_error>);
static_assert(std::is_base_of_v<offheap::error, offheap::call_error>);
static_assert(std::is_nothrow_copy_constructible_v<offheap::out_of_memory>);
static_assert(std::is_nothrow_copy_constructible_v<offheap::call_error>);
// Otherwise `catch (const std::exception &)` would miss it.
static_assert(std::is_convertible_v<offheap::out_of_memory *, std::exception *>);
static_assert(std::is_convertible_v<offheap::call_error *, std::exception *>);

static void refusals() {
    const offheap::manager manager = new_manager(10);
    const offheap::owner query = manager.register_owner("query");
    const offheap::owner sort = query.register_child("sort", {0, 4 * page_bytes});
    const offheap::owner join = query.register_child("join");
    const std::vector<offheap::segment> held = sort.allocate_pages(4);

    THROWS(offheap::out_of_memory, (void)sort.allocate_page(),
           caught.status() == OFFHEAP_STATUS_OWNER_LIMIT &&
               says(caught.what(), "it holds 16384 bytes of its limit of 16384 bytes") &&
               caught.numbers() != nullptr && caught.numbers()->requested_bytes == page_bytes &&
               caught.numbers()->available_bytes == 0 &&
               caught.numbers()->owner_limit_bytes == 4 * page_bytes);
    // The path of who holds the most.
    THROWS(offheap::error, (void)join.allocate_pages(7),
           caught.status() == OFFHEAP_STATUS_BUDGET &&
               says(caught.what(), "cannot allocate 28672 bytes for owner `query/join`") &&
               says(caught.what(), "only 24576 of 40960 bytes are free") &&
               says(caught.what(), "held by `query/sort`: 16384 bytes"));
    THROWS(std::bad_alloc, (void)join.allocate(7 * page_bytes),
           says(caught.what(), "held by `query/sort`"));
    THROWS(std::exception, (void)join.reserve_memory(7 * page_bytes),
           says(caught.what(), "held by `query/sort`"));
    THROWS(offheap::out_of_memory, (void)join.allocate(11 * page_bytes),
           caught.status() == OFFHEAP_STATUS_CAPACITY);
    THROWS(offheap::out_of_memory, (void)join.allocate_pages(SIZE_MAX),
           caught.status() == OFFHEAP_STATUS_CAPACITY && caught.numbers() == nullptr);

    // A copy outlives the failures that follow, and says the same.
    const auto copy = [&]() -> std::optional<offheap::out_of_memory> {
        try {
            (void)sort.allocate_page();
        } catch (const offheap::out_of_memory &caught) {
            return caught;
        }
        return std::nullopt;
    }();
    THROWS(offheap::error, (void)join.allocate(11 * page_bytes), caught.what() != nullptr);
    CHECK(copy && says(copy->what(), "`query/sort`"));
    CHECK(copy->numbers()->owner_used_bytes == 4 * page_bytes);

    offheap::reservation bytes = sort.register_child("run").reserve_memory(0);
    THROWS(offheap::out_of_memory, bytes.grow(1), caught.status() == OFFHEAP_STATUS_PARENT_LIMIT);
    CHECK(bytes.size() == 0);
}

static void mistakes() {
    THROWS(offheap::call_error, (void)offheap::config().build(),
           caught.status() == OFFHEAP_STATUS_CONFIG &&
               says(caught.what(), "no capacity was set, in bytes or as a fraction of what is available"));
    THROWS(std::runtime_error, offheap::config().mode(static_cast<offheap::mode>(2)),
           says(caught.what(), "`mode` is 2"));
    const offheap::manager manager = new_manager(10);
    THROWS(offheap::call_error, (void)manager.register_owner("no", {2, 1}),
           caught.status() == OFFHEAP_STATUS_MINIMUM_ABOVE_LIMIT);
    const offheap::owner owner = manager.register_owner("owner");
    THROWS(offheap::call_error, (void)owner.allocate(0),
           caught.status() == OFFHEAP_STATUS_NO_BYTES);
    manager.shutdown();
    THROWS(offheap::call_error, (void)owner.allocate_page(),
           caught.status() == OFFHEAP_STATUS_SHUT_DOWN);
}

static void choices() {
    const offheap::manager manager = offheap::config()
                                         .capacity(1 << 20)
                                         .page_size(8192)
                                         .mode(offheap::mode::heap)
                                         .strategy(offheap::strategy::largest_fit)
                                         .zero_policy(offheap::zero_policy::on_allocate)
                                         .address_space_factor(2)
                                         .huge_pages(offheap::huge_pages::never)
                                         .populate(offheap::populate::lazy)
                                         .populate_threads(2)
                                         .core_dumps(offheap::core_dumps::exclude)
                                         .depot_pages(4)
                                         .idle_return_on_release(1 << 19, 1 << 18)
                                         .idle_return_in_background(1 << 19, 1 << 18, 1h)
                                         .idle_keep()
                                         .policy(offheap::policy::fair_share)
                                         .spill_reserve(8192)
                                         .reclaim_timeout(20ms)
                                         .deadlock_timeout(1s)
                                         .pressure_thresholds(0.5, 0.6, 0.7)
                                         .build();
    CHECK(manager.stats().page_bytes == 8192);
    const offheap::segment page = manager.register_owner("owner").allocate_page();
    CHECK(std::count(page.begin(), page.end(), std::byte{0}) == 8192);
    CHECK(manager.pressure() == offheap::pressure::normal);
}

static void waits() {
    const offheap::manager manager = new_manager(4);
    const offheap::owner holder = manager.register_owner("holder");
    const offheap::owner other = manager.register_owner("other");
    std::vector<offheap::segment> held = holder.acquire_pages(4);
    THROWS(offheap::out_of_memory, (void)other.acquire_pages(1, 1ms),
           caught.status() == OFFHEAP_STATUS_TIMED_OUT && says(caught.what(), "`holder`"));
    THROWS(offheap::out_of_memory, (void)other.acquire(page_bytes, 900us),
           caught.status() == OFFHEAP_STATUS_TIMED_OUT);
    THROWS(offheap::out_of_memory, (void)other.acquire_memory(page_bytes, -5s),
           caught.status() != OFFHEAP_STATUS_TIMED_OUT || caught.what()[0] != 0);
    held.clear();
    CHECK(other.acquire_pages(2, std::chrono::hours::max()).size() == 2);
    CHECK(other.acquire(100, std::chrono::duration<double>(0.001)).size() == page_bytes);
    CHECK(other.acquire_memory(100).size() == 100 && other.acquire(1));

    using offheap::detail::milliseconds;
    CHECK(milliseconds(0s) == 0 && milliseconds(-1ns) == 0 && milliseconds(1ns) == 1);
    CHECK(milliseconds(1ms) == 1 && milliseconds(1001us) == 2 && milliseconds(2min) == 120000);
    CHECK(milliseconds(std::chrono::nanoseconds::max()) == OFFHEAP_FOR_EVER);
    CHECK(milliseconds(std::chrono::hours::max()) == OFFHEAP_FOR_EVER);
    CHECK(milliseconds(std::chrono::duration<double>(1e30)) == OFFHEAP_FOR_EVER);
    CHECK(milliseconds(std::chrono::duration<double>(-1e30)) == 0);
}

int main() {
    on_a_thread([] {
        refusals();
        mistakes();
        choices();
        waits();
    });
    return 0;
}
