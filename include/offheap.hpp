/*
 * offheap for C++17 and later: offheap.h with destructors, exceptions and containers.
 *
 *     offheap::manager manager = offheap::config().capacity(64 << 20).build();
 *     offheap::owner sorter = manager.register_owner("sorter", {1 << 20, 16 << 20});
 *
 *     offheap::segment page = sorter.allocate_page();       // released at the end of the scope
 *     std::memset(page.data(), 42, page.size());
 *
 *     offheap::memory_resource memory(sorter);              // nodes and buffers of the sorter's
 *     std::pmr::vector<int> numbers(&memory);
 *
 * It is a header alone, over the C library: link that as for C. offheap.h says what the calls do,
 * wait for and cost; this file says what C++ adds.
 *
 * OWNERSHIP. A value of manager, owner, worker, segment, reservation, subscription, config or
 * answer holds one handle and frees it in its destructor. Values move and do not copy. The order of
 * their ends is free: a segment keeps its owner alive inside the library, and an owner its manager.
 * A value that was moved from, or is empty, may be destroyed, assigned and asked whether it is
 * empty. Its other calls throw `call_error` with OFFHEAP_STATUS_NULL_ARGUMENT. `get` lends the
 * handle to calls of C, `detach` hands it over, and the constructor from a handle takes one.
 * Destructors throw nothing: they fail only if the handle was freed behind the value's back, which
 * the library refuses without harm.
 *
 * ERRORS. A call that fails throws, and has changed nothing. Every exception is an
 * `offheap::error`, which has the sentence of the library (`what`) and the status. Each is a
 * std::exception, too:
 *
 *     std::exception
 *     |-- std::runtime_error
 *     |   `-- offheap::call_error       the arguments, the configuration or the system are at fault
 *     `-- std::bad_alloc
 *         `-- offheap::out_of_memory    memory was refused; has the numbers of the refusal
 *
 * `error` itself does not derive from std::exception, because then an out_of_memory would have two
 * of them, and `catch (const std::exception &)` would miss it. So catch `offheap::out_of_memory` to
 * spill, `offheap::error` for all of the library, and std::exception for all there is. Overloads
 * with std::nothrow return an empty value instead. Where the process allocator has no memory for an
 * exception or a vector, that is a plain std::bad_alloc.
 *
 * THREADS. As in C: an owner and a manager may be used by all threads at once. A config, a worker,
 * a reservation, an answer and a segment's bytes are for one thread at a time. To move or end a
 * value while another thread uses the same value is a race, as with every C++ object. A
 * `memory_resource` is for one thread at a time; `synchronized_memory_resource` is for all.
 *
 * CALLBACKS. What the library calls, it calls on threads of its own, with nothing locked. An
 * exception ends in the callback: it does not reach the library. `on_exception` is told of it.
 */

#ifndef OFFHEAP_HPP
#define OFFHEAP_HPP

#include <offheap.h>

#if (defined(_MSVC_LANG) ? _MSVC_LANG : __cplusplus) < 201703L
#error "offheap.hpp needs C++17; offheap.h works with C++11"
#endif

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#if __has_include(<version>)
#include <version>
#endif
#ifdef __cpp_lib_span
#include <span>
#endif
#if __has_include(<memory_resource>)
#include <memory_resource>
#endif

namespace offheap {

/// The limit of an owner that may hold all there is.
inline constexpr std::size_t no_limit = OFFHEAP_NO_LIMIT;

// The choices of a configuration; offheap.h says what they mean.

enum class core_dumps : std::uint32_t {
    include = OFFHEAP_CORE_DUMPS_INCLUDE,
    exclude = OFFHEAP_CORE_DUMPS_EXCLUDE,
};
enum class huge_pages : std::uint32_t {
    transparent = OFFHEAP_HUGE_PAGES_TRANSPARENT,
    never = OFFHEAP_HUGE_PAGES_NEVER,
    huge_tlb = OFFHEAP_HUGE_PAGES_HUGE_TLB,
};
enum class mode : std::uint32_t {
    off_heap = OFFHEAP_MODE_OFF_HEAP,
    heap = OFFHEAP_MODE_HEAP,
};
enum class policy : std::uint32_t {
    greedy = OFFHEAP_POLICY_GREEDY,
    fair_share = OFFHEAP_POLICY_FAIR_SHARE,
};
enum class populate : std::uint32_t {
    lazy = OFFHEAP_POPULATE_LAZY,
    eager = OFFHEAP_POPULATE_EAGER,
    background = OFFHEAP_POPULATE_BACKGROUND,
};
enum class strategy : std::uint32_t {
    smallest_fit = OFFHEAP_STRATEGY_SMALLEST_FIT,
    largest_fit = OFFHEAP_STRATEGY_LARGEST_FIT,
};
enum class zero_policy : std::uint32_t {
    never = OFFHEAP_ZERO_POLICY_NEVER,
    on_allocate = OFFHEAP_ZERO_POLICY_ON_ALLOCATE,
    on_release = OFFHEAP_ZERO_POLICY_ON_RELEASE,
};
/// How short memory is. In order: a higher level is more pressure.
enum class pressure : std::uint32_t {
    normal = OFFHEAP_PRESSURE_NORMAL,
    elevated = OFFHEAP_PRESSURE_ELEVATED,
    high = OFFHEAP_PRESSURE_HIGH,
    critical = OFFHEAP_PRESSURE_CRITICAL,
};

// ---------------------------------------------------------------------------------------------
// Errors
// ---------------------------------------------------------------------------------------------

/// What every exception of this file is, beside a std::exception.
class error {
public:
    /// The sentence of the library: what was wanted, what stood against it, which owners hold most.
    virtual const char *what() const noexcept = 0;

    /// Why the call failed.
    offheap_status status() const noexcept { return status_; }

    /// The name of the status in offheap.h.
    const char *status_name() const noexcept { return offheap_status_name(status_); }

protected:
    explicit error(offheap_status status) noexcept : status_(status) {}
    error(const error &) = default;
    error &operator=(const error &) = default;
    virtual ~error() = default;

private:
    offheap_status status_;
};

/// A call that failed for another reason than memory.
class call_error : public std::runtime_error, public error {
public:
    call_error(offheap_status status, const std::string &sentence)
        : std::runtime_error(sentence), error(status) {}

    const char *what() const noexcept override { return std::runtime_error::what(); }
};

/// Memory was refused: a limit, the budget, or a wait that ended without it.
class out_of_memory : public std::bad_alloc, public error {
public:
    /// `numbers` may be null.
    out_of_memory(offheap_status status, std::string sentence, const offheap_refusal_info *numbers)
        : error(status), told_(std::make_shared<told>()) {
        told_->sentence = std::move(sentence);
        if (numbers != nullptr) told_->numbers = *numbers;
    }

    const char *what() const noexcept override { return told_->sentence.c_str(); }

    /// The numbers of the refusal, valid as long as the exception. Null where there are none: a
    /// refusal by the reserve of a reclaim has a sentence alone.
    const offheap_refusal_info *numbers() const noexcept {
        return told_->numbers ? &*told_->numbers : nullptr;
    }

private:
    struct told {
        std::string sentence;
        std::optional<offheap_refusal_info> numbers;
    };
    // Shared, so that a copy of the exception throws nothing.
    std::shared_ptr<told> told_;
};

namespace detail {

inline bool is_refusal(offheap_status status) noexcept {
    switch (status) {
    case OFFHEAP_STATUS_BUDGET:
    case OFFHEAP_STATUS_OWNER_LIMIT:
    case OFFHEAP_STATUS_CAPACITY:
    case OFFHEAP_STATUS_FRAGMENTED:
    case OFFHEAP_STATUS_PROCESS_ALLOCATOR:
    case OFFHEAP_STATUS_PARENT_LIMIT:
    case OFFHEAP_STATUS_OTHERS_WAIT:
    case OFFHEAP_STATUS_TIMED_OUT:
    case OFFHEAP_STATUS_DEADLOCK:
        return true;
    default:
        return false;
    }
}

/// Throws what belongs to the call that failed last on this thread.
[[noreturn]] inline void fail(offheap_status status) {
    // The sentence first: where there are no numbers, asking for them is a failure of its own.
    std::string sentence = offheap_last_error_message();
    if (!is_refusal(status)) throw call_error(status, sentence);
    offheap_refusal_info numbers{};
    numbers.size = sizeof numbers;
    const bool has_numbers = offheap_last_refusal(&numbers) == OFFHEAP_STATUS_OK;
    throw out_of_memory(status, std::move(sentence), has_numbers ? &numbers : nullptr);
}

inline void check(offheap_status status) {
    if (status != OFFHEAP_STATUS_OK) fail(status);
}

/// A timeout as the library takes it: rounded up, none if negative, no end if it is that long.
template <class Rep, class Period>
std::uint64_t milliseconds(std::chrono::duration<Rep, Period> timeout) noexcept {
    using wide = std::chrono::duration<long double, std::milli>;
    const long double count = wide(timeout).count();
    if (!(count > 0)) return 0;
    if (timeout == std::chrono::duration<Rep, Period>::max()) return OFFHEAP_FOR_EVER;
    if (count >= 18446744073709551615.0L) return OFFHEAP_FOR_EVER;
    const auto whole = static_cast<std::uint64_t>(count);
    return static_cast<long double>(whole) < count ? whole + 1 : whole;
}

/// One handle and its end.
template <class Raw, offheap_status (*free_raw)(Raw *)>
class handle {
public:
    handle() noexcept = default;
    explicit handle(Raw *raw) noexcept : raw_(raw) {}
    handle(handle &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
    handle &operator=(handle &&other) noexcept {
        // Also right for itself: then it is empty while the old handle, null, is freed.
        reset(std::exchange(other.raw_, nullptr));
        return *this;
    }
    ~handle() { reset(); }

    /// Whether there is something: not one that was moved from.
    explicit operator bool() const noexcept { return raw_ != nullptr; }

    /// The handle for calls of C. It stays this value's.
    Raw *get() const noexcept { return raw_; }

    /// The handle, which is the caller's from now on. This value is empty afterwards.
    [[nodiscard]] Raw *detach() noexcept { return std::exchange(raw_, nullptr); }

    /// Frees the handle now and takes `raw` instead, which may be null.
    void reset(Raw *raw = nullptr) noexcept { (void)free_raw(std::exchange(raw_, raw)); }

private:
    Raw *raw_ = nullptr;
};

} // namespace detail

// ---------------------------------------------------------------------------------------------
// Memory
// ---------------------------------------------------------------------------------------------

/// A page or a block. It is released in the destructor, on any thread. `std::span<std::byte>` and
/// everything else that takes a contiguous range of bytes can be made of it.
///
/// A segment of a spill reserve ends with the reclaim at the latest: after that its bytes are not
/// touched.
class segment {
public:
    /// Empty: no bytes.
    segment() noexcept = default;

    /// Takes a handle over. Throws call_error if it is none of a segment, and then takes nothing.
    explicit segment(offheap_segment *raw) {
        if (raw == nullptr) return;
        void *address = nullptr;
        detail::check(offheap_segment_range(raw, &address, &bytes_));
        begin_ = static_cast<std::byte *>(address);
        raw_.reset(raw);
    }
    segment(segment &&other) noexcept
        : raw_(std::move(other.raw_)), begin_(std::exchange(other.begin_, nullptr)),
          bytes_(std::exchange(other.bytes_, 0)) {}
    segment &operator=(segment &&other) noexcept {
        raw_ = std::move(other.raw_);
        begin_ = std::exchange(other.begin_, nullptr);
        bytes_ = std::exchange(other.bytes_, 0);
        return *this;
    }

    /// The first byte, aligned to 4096 bytes; null if it is empty.
    std::byte *data() noexcept { return begin_; }
    const std::byte *data() const noexcept { return begin_; }
    /// The size in bytes: whole pages.
    std::size_t size() const noexcept { return bytes_; }
    bool empty() const noexcept { return bytes_ == 0; }
    std::byte *begin() noexcept { return begin_; }
    std::byte *end() noexcept { return begin_ + bytes_; }
    const std::byte *begin() const noexcept { return begin_; }
    const std::byte *end() const noexcept { return begin_ + bytes_; }

#ifdef __cpp_lib_span
    std::span<std::byte> bytes() noexcept { return {begin_, bytes_}; }
    std::span<const std::byte> bytes() const noexcept { return {begin_, bytes_}; }

    /// The bytes as values of `T`, as many as fit. The values are what the bytes say: write them
    /// before they are read, unless the manager zeroes.
    template <class T>
    std::span<T> as() noexcept {
        static_assert(std::is_trivially_copyable_v<T>, "bytes have no constructors");
        static_assert(alignof(T) <= 4096, "a segment is aligned to 4096 bytes");
        return {reinterpret_cast<T *>(begin_), bytes_ / sizeof(T)};
    }
#endif

    explicit operator bool() const noexcept { return static_cast<bool>(raw_); }
    offheap_segment *get() const noexcept { return raw_.get(); }

    /// The handle, which the caller releases from now on. This value is empty afterwards.
    [[nodiscard]] offheap_segment *detach() noexcept {
        begin_ = nullptr;
        bytes_ = 0;
        return raw_.detach();
    }

    /// Gives the memory back now. This value is empty afterwards.
    void release() noexcept { *this = segment(); }

private:
    detail::handle<offheap_segment, offheap_release> raw_;
    std::byte *begin_ = nullptr;
    std::size_t bytes_ = 0;
};

/// Gives many segments back at once, which is cheaper than one by one. The vector is empty after.
inline void release_all(std::vector<segment> &segments) {
    std::vector<offheap_segment *> raw;
    raw.reserve(segments.size());
    for (segment &one : segments) raw.push_back(one.detach());
    segments.clear();
    if (offheap_release_many(raw.data(), raw.size()) == OFFHEAP_STATUS_OK) return;
    // One of them was released behind our back; the others go one by one.
    for (offheap_segment *one : raw) (void)offheap_release(one);
}

/// Bytes of the budget for memory that is held elsewhere. They return in the destructor.
class reservation : public detail::handle<offheap_reservation, offheap_reservation_free> {
public:
    using handle::handle;

    std::size_t size() const {
        std::size_t bytes = 0;
        detail::check(offheap_reservation_size(get(), &bytes));
        return bytes;
    }

    /// Reserves more. Throws out_of_memory, and is then as before.
    void grow(std::size_t bytes) { detail::check(offheap_reservation_grow(get(), bytes)); }

    /// Gives bytes back, or all there are if that is less; returns how many.
    std::size_t release(std::size_t bytes) {
        std::size_t released = 0;
        detail::check(offheap_reservation_release(get(), bytes, &released));
        return released;
    }
};

/// Memory to spill through, lent for one reclaim or one answer. Its segments end with that.
class spill_reserve {
public:
    explicit spill_reserve(offheap_spill_reserve *raw) noexcept : raw_(raw) {}
    spill_reserve(const spill_reserve &) = delete;
    spill_reserve &operator=(const spill_reserve &) = delete;

    /// A block of the reserve. Throws out_of_memory beyond its size, and if the manager has none.
    segment allocate(std::size_t bytes) {
        offheap_segment *raw = nullptr;
        detail::check(offheap_spill_reserve_allocate(raw_, bytes, &raw));
        return segment(raw);
    }

    /// The bytes that are left.
    std::size_t available() const {
        std::size_t bytes = 0;
        detail::check(offheap_spill_reserve_available(raw_, &bytes));
        return bytes;
    }

private:
    offheap_spill_reserve *raw_;
};

/// The answer of an owner that polls. It ends in its destructor, on the thread where it began.
class answer : public detail::handle<offheap_spill_reserve, offheap_owner_answer_end> {
public:
    answer(std::size_t target_bytes, offheap_spill_reserve *raw) noexcept
        : handle(raw), target_bytes_(target_bytes) {}

    /// What is asked for, in bytes.
    std::size_t target_bytes() const noexcept { return target_bytes_; }
    spill_reserve reserve() const noexcept { return spill_reserve(get()); }

private:
    std::size_t target_bytes_;
};

/// One thread's fast path to the pages of an owner. For one thread at a time.
class worker : public detail::handle<offheap_worker, offheap_worker_free> {
public:
    using handle::handle;

    segment allocate_page() {
        offheap_segment *raw = nullptr;
        detail::check(offheap_worker_allocate_page(get(), &raw));
        return segment(raw);
    }
    /// Never waits, as owner::try_allocate_page.
    segment try_allocate_page() {
        offheap_segment *raw = nullptr;
        detail::check(offheap_worker_try_allocate_page(get(), &raw));
        return segment(raw);
    }

    /// Gives a segment back: to the pages that the worker keeps at hand if it is one of its owner.
    void release(segment released) noexcept {
        offheap_segment *raw = released.detach();
        if (offheap_worker_release(get(), raw) != OFFHEAP_STATUS_OK) (void)offheap_release(raw);
    }
};

// ---------------------------------------------------------------------------------------------
// Owners and managers
// ---------------------------------------------------------------------------------------------

/// How an owner is registered.
struct owner_options {
    /// The bytes that it can always have, which are promised to no other owner.
    std::size_t minimum_bytes = 0;
    /// The most bytes it may hold.
    std::size_t limit_bytes = no_limit;
    /// Owners of the lowest priority are asked first when others need memory. By default it is the
    /// priority of the owner above, or 0.
    std::optional<std::int32_t> priority = std::nullopt;
    /// Whether it is asked by a number that it reads (`reclaim_requested`).
    bool polled_reclaim = false;
    /// Whether it is asked for requests of its own, too.
    bool self_reclaim = false;
};

namespace detail {

inline offheap_owner_options raw_options(const owner_options &options) noexcept {
    offheap_owner_options raw{};
    raw.size = sizeof raw;
    raw.minimum_bytes = options.minimum_bytes;
    raw.limit_bytes = options.limit_bytes;
    raw.priority = options.priority.value_or(0);
    if (options.priority) raw.flags += OFFHEAP_OWNER_HAS_PRIORITY;
    if (options.polled_reclaim) raw.flags += OFFHEAP_OWNER_POLLED_RECLAIM;
    if (options.self_reclaim) raw.flags += OFFHEAP_OWNER_SELF_RECLAIM;
    return raw;
}

using on_exception = std::function<void(std::exception_ptr)>;

/// Calls something, and keeps its exception from the library.
template <class Result, class Call>
Result kept_in(const on_exception &told, Result otherwise, Call &&call) noexcept {
    try {
        return std::forward<Call>(call)();
    } catch (...) {
        try {
            if (told) told(std::current_exception());
        } catch (...) {
            // There is nobody else to tell.
        }
    }
    return otherwise;
}

/// What an owner calls when others need its memory: the context that the library keeps.
template <class Reclaimable, class Reclaim>
struct reclaimer {
    Reclaimable reclaimable;
    Reclaim reclaim;
    on_exception told;

    static std::size_t call_reclaimable(void *context) noexcept {
        auto &self = *static_cast<reclaimer *>(context);
        return kept_in(self.told, std::size_t{0},
                       [&] { return static_cast<std::size_t>(self.reclaimable()); });
    }
    static void call_reclaim(void *context, std::size_t target_bytes,
                             offheap_spill_reserve *raw) noexcept {
        auto &self = *static_cast<reclaimer *>(context);
        (void)kept_in(self.told, 0, [&] {
            spill_reserve reserve(raw);
            self.reclaim(target_bytes, reserve);
            return 0;
        });
    }
    static void end(void *context) noexcept { delete static_cast<reclaimer *>(context); }
};

/// What a manager calls with a new level of the pressure.
template <class Call>
struct listener {
    Call call;
    on_exception told;

    static void call_with(void *context, std::uint32_t level) noexcept {
        auto &self = *static_cast<listener *>(context);
        (void)kept_in(self.told, 0, [&] {
            self.call(static_cast<pressure>(level));
            return 0;
        });
    }
    static void end(void *context) noexcept { delete static_cast<listener *>(context); }
};

} // namespace detail

/// A holder of memory: an operator, a task, a query. All threads may use it at once.
///
/// What it holds stays valid, and counts, after the owner's value is gone, until it is released.
class owner : public detail::handle<offheap_owner, offheap_owner_free> {
public:
    using handle::handle;

    /// Registers an owner below this one: what it holds counts here as well.
    owner register_child(const std::string &name, const owner_options &options = {}) const {
        const offheap_owner_options raw = detail::raw_options(options);
        offheap_owner *child = nullptr;
        detail::check(offheap_owner_register_child_with(get(), name.c_str(), &raw, &child));
        return owner(child);
    }

    // Allocating. What does not fit waits while owners that were asked give memory back, for the
    // reclaim timeout of the manager at most. The calls that begin with `try_` take what is free:
    // they never wait, and ask nobody. All of them throw out_of_memory, the latter too.

    segment allocate_page() const {
        offheap_segment *raw = nullptr;
        detail::check(offheap_allocate_page(get(), &raw));
        return segment(raw);
    }
    /// Empty where memory is refused, or the owner is.
    [[nodiscard]] segment allocate_page(std::nothrow_t) const noexcept {
        offheap_segment *raw = nullptr;
        return offheap_allocate_page(get(), &raw) == OFFHEAP_STATUS_OK ? segment(raw) : segment();
    }

    segment try_allocate_page() const {
        offheap_segment *raw = nullptr;
        detail::check(offheap_try_allocate_page(get(), &raw));
        return segment(raw);
    }
    /// Empty where memory is refused, or the owner is.
    [[nodiscard]] segment try_allocate_page(std::nothrow_t) const noexcept {
        offheap_segment *raw = nullptr;
        return offheap_try_allocate_page(get(), &raw) == OFFHEAP_STATUS_OK ? segment(raw)
                                                                           : segment();
    }

    /// All of `count` pages, or none.
    std::vector<segment> allocate_pages(std::size_t count) const {
        return many(count, [&](offheap_segment **out, std::size_t *made) {
            *made = count;
            return offheap_allocate_pages(get(), count, out);
        });
    }
    std::vector<segment> try_allocate_pages(std::size_t count) const {
        return many(count, [&](offheap_segment **out, std::size_t *made) {
            *made = count;
            return offheap_try_allocate_pages(get(), count, out);
        });
    }

    /// One block, rounded up to pages.
    segment allocate(std::size_t bytes) const {
        offheap_segment *raw = nullptr;
        detail::check(offheap_allocate(get(), bytes, &raw));
        return segment(raw);
    }
    /// Empty where memory is refused, or the owner or the size is.
    [[nodiscard]] segment allocate(std::size_t bytes, std::nothrow_t) const noexcept {
        offheap_segment *raw = nullptr;
        return offheap_allocate(get(), bytes, &raw) == OFFHEAP_STATUS_OK ? segment(raw) : segment();
    }
    segment try_allocate(std::size_t bytes) const {
        offheap_segment *raw = nullptr;
        detail::check(offheap_try_allocate(get(), bytes, &raw));
        return segment(raw);
    }
    /// Empty where memory is refused, or the owner or the size is.
    [[nodiscard]] segment try_allocate(std::size_t bytes, std::nothrow_t) const noexcept {
        offheap_segment *raw = nullptr;
        return offheap_try_allocate(get(), bytes, &raw) == OFFHEAP_STATUS_OK ? segment(raw)
                                                                             : segment();
    }

    /// One block of at least a page and at most `bytes`, rounded up to pages; its size says how
    /// much it is.
    segment allocate_up_to(std::size_t bytes) const {
        offheap_segment *raw = nullptr;
        detail::check(offheap_allocate_up_to(get(), bytes, &raw));
        return segment(raw);
    }

    /// `bytes`, rounded up to pages, in as many blocks as it takes: all or none.
    std::vector<segment> allocate_scattered(std::size_t bytes) const {
        // A page has 4096 bytes at least, so there are never more blocks than this.
        const std::size_t most = bytes / 4096 + 1;
        return many(most, [&](offheap_segment **out, std::size_t *made) {
            return offheap_allocate_scattered(get(), bytes, out, most, made);
        });
    }

    /// Reserves bytes of the budget for memory that is held elsewhere: accounting only.
    reservation reserve_memory(std::size_t bytes) const {
        offheap_reservation *raw = nullptr;
        detail::check(offheap_reserve_memory(get(), bytes, &raw));
        return reservation(raw);
    }
    reservation try_reserve_memory(std::size_t bytes) const {
        offheap_reservation *raw = nullptr;
        detail::check(offheap_try_reserve_memory(get(), bytes, &raw));
        return reservation(raw);
    }

    // Waiting in line for what others give back, first come, first served. Without a timeout there
    // is no end; a timeout is rounded up to milliseconds. Throws out_of_memory with
    // OFFHEAP_STATUS_TIMED_OUT or _DEADLOCK, or at once for what can never be granted.

    std::vector<segment> acquire_pages(std::size_t count) const {
        return acquire_pages_for(count, OFFHEAP_FOR_EVER);
    }
    template <class Rep, class Period>
    std::vector<segment> acquire_pages(std::size_t count,
                                       std::chrono::duration<Rep, Period> timeout) const {
        return acquire_pages_for(count, detail::milliseconds(timeout));
    }

    segment acquire(std::size_t bytes) const { return acquire_for(bytes, OFFHEAP_FOR_EVER); }
    template <class Rep, class Period>
    segment acquire(std::size_t bytes, std::chrono::duration<Rep, Period> timeout) const {
        return acquire_for(bytes, detail::milliseconds(timeout));
    }

    reservation acquire_memory(std::size_t bytes) const {
        return acquire_memory_for(bytes, OFFHEAP_FOR_EVER);
    }
    template <class Rep, class Period>
    reservation acquire_memory(std::size_t bytes,
                               std::chrono::duration<Rep, Period> timeout) const {
        return acquire_memory_for(bytes, detail::milliseconds(timeout));
    }

    /// A worker: the fast path to pages for one thread.
    worker make_worker() const {
        offheap_worker *raw = nullptr;
        detail::check(offheap_worker_new(get(), &raw));
        return worker(raw);
    }

    /// Has `reclaim` called when others need memory that the owner has above its minimum, and
    /// `reclaimable` to know how many bytes to expect. In place of a reclaimer that was set before.
    ///
    /// They are called on threads of the library's, one at a time for an owner. That ends when
    /// clear_reclaimer or the end of the owner has returned: what they refer to lives that long.
    /// `reclaim` gives memory back by releasing it. An exception of `reclaimable` counts as 0
    /// bytes, and one of `reclaim` as its end. `on_exception`, if there is one, is told of both.
    /// The callables are destroyed on whatever thread the last call ends.
    ///
    /// A thread that waits for this may hold a lock of the program. So where the program allocates
    /// with a lock held, `reclaim` takes that lock with try_lock.
    template <class Reclaimable, class Reclaim>
    void set_reclaimer(Reclaimable &&reclaimable, Reclaim &&reclaim,
                       std::function<void(std::exception_ptr)> on_exception = nullptr) const {
        using context_type =
            detail::reclaimer<std::decay_t<Reclaimable>, std::decay_t<Reclaim>>;
        std::unique_ptr<context_type> context(new context_type{
            std::forward<Reclaimable>(reclaimable), std::forward<Reclaim>(reclaim),
            std::move(on_exception)});
        detail::check(offheap_owner_set_reclaimer(get(), context_type::call_reclaimable,
                                                  context_type::call_reclaim, context.get(),
                                                  context_type::end));
        (void)context.release(); // the library's from now on
    }

    /// Takes the reclaimer off. Waits for a call that is under way, but not within one.
    void clear_reclaimer() const { detail::check(offheap_owner_clear_reclaimer(get())); }

    /// For an owner with `polled_reclaim`: the bytes that others ask for; 0 if nobody does.
    std::size_t reclaim_requested() const {
        std::size_t bytes = 0;
        detail::check(offheap_owner_reclaim_requested(get(), &bytes));
        return bytes;
    }

    /// For an owner with `polled_reclaim`: how many bytes it could give back if it were asked.
    void set_reclaimable(std::size_t bytes) const {
        detail::check(offheap_owner_set_reclaimable(get(), bytes));
    }

    /// For an owner with `polled_reclaim`: begins to answer, if there is something to answer. The
    /// answer ends on this thread.
    std::optional<answer> begin_answer() const {
        std::size_t target_bytes = 0;
        offheap_spill_reserve *raw = nullptr;
        detail::check(offheap_owner_answer_begin(get(), &target_bytes, &raw));
        if (raw == nullptr) return std::nullopt;
        return answer(target_bytes, raw);
    }

    offheap_owner_stats stats() const {
        offheap_owner_stats stats{};
        stats.size = sizeof stats;
        detail::check(offheap_owner_get_stats(get(), &stats));
        return stats;
    }
    /// The bytes that it and the owners below it hold.
    std::size_t used_bytes() const { return stats().used_bytes; }

private:
    /// Segments from a call that fills an array of handles.
    template <class Call>
    static std::vector<segment> many(std::size_t most, Call &&call) {
        std::size_t made = 0;
        std::vector<offheap_segment *> raw;
        std::vector<segment> segments;
        if (most > std::min(raw.max_size(), segments.max_size()))
            throw out_of_memory(OFFHEAP_STATUS_CAPACITY,
                                std::to_string(most) + " segments are more than a vector holds",
                                nullptr);
        raw.resize(most);
        segments.reserve(most);
        detail::check(call(raw.data(), &made));
        for (std::size_t i = 0; i < made; i++) segments.emplace_back(raw[i]);
        return segments;
    }

    std::vector<segment> acquire_pages_for(std::size_t count, std::uint64_t milliseconds) const {
        return many(count, [&](offheap_segment **out, std::size_t *made) {
            *made = count;
            return offheap_acquire_pages(get(), count, milliseconds, out);
        });
    }
    segment acquire_for(std::size_t bytes, std::uint64_t milliseconds) const {
        offheap_segment *raw = nullptr;
        detail::check(offheap_acquire(get(), bytes, milliseconds, &raw));
        return segment(raw);
    }
    reservation acquire_memory_for(std::size_t bytes, std::uint64_t milliseconds) const {
        offheap_reservation *raw = nullptr;
        detail::check(offheap_acquire_memory(get(), bytes, milliseconds, &raw));
        return reservation(raw);
    }
};

/// A subscription of a function to the pressure. It ends in its destructor, which waits for a call that is
/// under way, but not within one.
class subscription : public detail::handle<offheap_subscription, offheap_subscription_free> {
public:
    using handle::handle;
};

/// A memory manager: one budget. All threads may use it at once. The manager itself, with its
/// region, lives until its last owner, worker, reservation and segment are gone, too.
class manager : public detail::handle<offheap_manager, offheap_manager_free> {
public:
    using handle::handle;

    /// Registers an owner. The name is for messages and need not be unique.
    owner register_owner(const std::string &name, const owner_options &options = {}) const {
        const offheap_owner_options raw = detail::raw_options(options);
        offheap_owner *made = nullptr;
        detail::check(offheap_owner_register_with(get(), name.c_str(), &raw, &made));
        return owner(made);
    }

    /// The manager in numbers. Asks the kernel what is resident: for reports, not for decisions.
    offheap_manager_stats stats() const {
        offheap_manager_stats stats{};
        stats.size = sizeof stats;
        detail::check(offheap_manager_get_stats(get(), &stats));
        return stats;
    }

    /// The owners that hold memory, a line for each, the largest holder first.
    std::string holders() const {
        std::string text;
        std::size_t length = 0;
        detail::check(offheap_manager_holders(get(), nullptr, 0, &length));
        // What others take meanwhile can make it longer.
        while (length > text.size()) {
            text.resize(length);
            detail::check(offheap_manager_holders(get(), text.data(), text.size() + 1, &length));
        }
        text.resize(length);
        return text;
    }

    /// Throws call_error with OFFHEAP_STATUS_LEAK if an owner holds memory; the sentence says which.
    void verify_empty() const { detail::check(offheap_manager_verify_empty(get())); }

    /// Refuses every request from now on. Throws call_error with OFFHEAP_STATUS_LEAK if an owner
    /// still holds memory; it is shut down all the same.
    void shutdown() const { detail::check(offheap_manager_shutdown(get())); }

    /// Gives free resident memory back to the system until at most `idle_bytes` of it are left;
    /// returns how many bytes that were.
    std::size_t trim(std::size_t idle_bytes = 0) const {
        std::size_t bytes = 0;
        detail::check(offheap_manager_trim(get(), idle_bytes, &bytes));
        return bytes;
    }

    /// Throws call_error with OFFHEAP_STATUS_INCONSISTENT if the manager does not agree with
    /// itself. For tests, in a quiet moment.
    void check() const { detail::check(offheap_manager_check(get())); }

    /// How short memory is. Cheap enough to ask before every large request.
    offheap::pressure pressure() const {
        std::uint32_t level = 0;
        detail::check(offheap_manager_pressure(get(), &level));
        return static_cast<offheap::pressure>(level);
    }

    /// Has `call` called with every new level, until the subscription ends: on a thread of the
    /// library's, one call after the other. For exceptions, see owner::set_reclaimer.
    template <class Call>
    [[nodiscard]] subscription
    on_pressure(Call &&call,
                std::function<void(std::exception_ptr)> on_exception = nullptr) const {
        using context_type = detail::listener<std::decay_t<Call>>;
        std::unique_ptr<context_type> context(
            new context_type{std::forward<Call>(call), std::move(on_exception)});
        offheap_subscription *raw = nullptr;
        detail::check(offheap_manager_on_pressure(get(), context_type::call_with, context.get(),
                                                  context_type::end, &raw));
        (void)context.release(); // the library's from now on
        return subscription(raw);
    }
};

/// The configuration of a manager. Only the capacity has no default. The numbers are checked when
/// the manager is built; offheap.h says what each means. For one thread at a time.
class config : public detail::handle<offheap_config, offheap_config_free> {
public:
    config() : handle(make()) {}
    using handle::handle;

    config &capacity(std::size_t bytes) {
        return set(offheap_config_set_capacity(get(), bytes));
    }
    config &fraction_of_available(double fraction) {
        return set(offheap_config_set_fraction_of_available(get(), fraction));
    }
    config &page_size(std::size_t bytes) {
        return set(offheap_config_set_page_size(get(), bytes));
    }
    config &mode(offheap::mode mode) {
        return set(offheap_config_set_mode(get(), static_cast<std::uint32_t>(mode)));
    }
    config &strategy(offheap::strategy strategy) {
        return set(offheap_config_set_strategy(get(), static_cast<std::uint32_t>(strategy)));
    }
    config &zero_policy(offheap::zero_policy policy) {
        return set(offheap_config_set_zero_policy(get(), static_cast<std::uint32_t>(policy)));
    }
    config &address_space_factor(std::uint32_t factor) {
        return set(offheap_config_set_address_space_factor(get(), factor));
    }
    config &huge_pages(offheap::huge_pages pages) {
        return set(offheap_config_set_huge_pages(get(), static_cast<std::uint32_t>(pages)));
    }
    config &populate(offheap::populate populate) {
        return set(offheap_config_set_populate(get(), static_cast<std::uint32_t>(populate)));
    }
    config &populate_threads(std::uint32_t threads) {
        return set(offheap_config_set_populate_threads(get(), threads));
    }
    config &core_dumps(offheap::core_dumps dumps) {
        return set(offheap_config_set_core_dumps(get(), static_cast<std::uint32_t>(dumps)));
    }
    config &depot_pages(std::size_t pages) {
        return set(offheap_config_set_depot_pages(get(), pages));
    }
    config &idle_keep() { return set(offheap_config_set_idle_keep(get())); }
    config &idle_return_on_release(std::size_t above_bytes, std::size_t down_to_bytes) {
        return set(
            offheap_config_set_idle_return_on_release(get(), above_bytes, down_to_bytes));
    }
    template <class Rep, class Period>
    config &idle_return_in_background(std::size_t above_bytes, std::size_t down_to_bytes,
                                      std::chrono::duration<Rep, Period> pause) {
        return set(offheap_config_set_idle_return_in_background(
            get(), above_bytes, down_to_bytes, detail::milliseconds(pause)));
    }
    config &policy(offheap::policy policy) {
        return set(offheap_config_set_policy(get(), static_cast<std::uint32_t>(policy)));
    }
    config &spill_reserve(std::size_t bytes) {
        return set(offheap_config_set_spill_reserve(get(), bytes));
    }
    template <class Rep, class Period>
    config &reclaim_timeout(std::chrono::duration<Rep, Period> timeout) {
        return set(offheap_config_set_reclaim_timeout(get(), detail::milliseconds(timeout)));
    }
    template <class Rep, class Period>
    config &deadlock_timeout(std::chrono::duration<Rep, Period> timeout) {
        return set(offheap_config_set_deadlock_timeout(get(), detail::milliseconds(timeout)));
    }
    config &pressure_thresholds(double elevated, double high, double critical) {
        return set(offheap_config_set_pressure_thresholds(get(), elevated, high, critical));
    }

    /// Builds a manager. The configuration stays, for more of the same. Throws call_error with
    /// OFFHEAP_STATUS_CONFIG or OFFHEAP_STATUS_SYSTEM.
    manager build() const {
        offheap_manager *made = nullptr;
        detail::check(offheap_manager_new(get(), &made));
        return manager(made);
    }

private:
    static offheap_config *make() {
        offheap_config *made = nullptr;
        detail::check(offheap_config_new(&made));
        return made;
    }
    config &set(offheap_status status) {
        detail::check(status);
        return *this;
    }
};

// ---------------------------------------------------------------------------------------------
// Containers
// ---------------------------------------------------------------------------------------------

#ifdef __cpp_lib_memory_resource

/// A std::pmr::memory_resource over an owner: containers whose memory counts, and is limited.
///
/// What is small, up to half a page, is pooled. A page is cut into cells of one size, and goes back
/// to the owner when its last cell does. What is larger is a block of its own, rounded up to pages.
/// So once the containers are gone, the owner holds nothing for them. From 32 bytes on, a cell is
/// at most about half larger than what was asked for. Each size of cell in use holds a page at
/// least, so that for few small nodes small pages suit better (config::page_size).
///
/// Every alignment is honoured; above 4096 bytes it takes as many bytes more.
///
/// Throws out_of_memory, which is a std::bad_alloc and has the sentence, where a page or a block is
/// refused. Before that, others are asked to give memory back, as by owner::allocate_page. The
/// books about pages and blocks, about a hundred bytes for each, come from the process allocator.
///
/// The owner has to outlast the resource, and the resource its containers. The destructor and
/// `release` give all memory back, whether or not it was deallocated. Two resources are equal if
/// they are the same one.
///
/// `memory_resource` is for one thread at a time. `synchronized_memory_resource` may be used by all
/// threads at once: it has a lock, which it does not hold while it asks the owner for memory. So a
/// reclaimer may free memory of the same resource. A lock of the program's around the container is
/// another matter: see owner::set_reclaimer.
template <class Lock>
class basic_memory_resource : public std::pmr::memory_resource {
public:
    explicit basic_memory_resource(const owner &held_by) noexcept : owner_(held_by.get()) {}
    basic_memory_resource(const basic_memory_resource &) = delete;
    basic_memory_resource &operator=(const basic_memory_resource &) = delete;

    /// Gives all memory back. What was allocated of it is not touched any more.
    void release() noexcept {
        std::lock_guard<Lock> guard(lock_);
        slabs_.clear();
        blocks_.clear();
        std::fill(with_room_.begin(), with_room_.end(), nullptr);
    }

protected:
    void *do_allocate(std::size_t bytes, std::size_t alignment) override {
        std::size_t cell_class = 0;
        {
            std::lock_guard<Lock> guard(lock_);
            if (page_bytes_ != 0) {
                cell_class = class_of(bytes, alignment);
                slab *first = cell_class == is_block ? nullptr : with_room_[cell_class];
                if (first != nullptr) return take(*first);
            }
        }
        if (cell_class == is_block) return allocate_block(bytes, alignment);
        segment page = allocate_page();
        std::unique_lock<Lock> guard(lock_);
        learn(page.size());
        cell_class = class_of(bytes, alignment);
        if (cell_class == is_block) {
            guard.unlock();
            page.release();
            return allocate_block(bytes, alignment);
        }
        return take(add(std::move(page), cell_class));
    }

    void do_deallocate(void *address, std::size_t bytes, std::size_t alignment) override {
        // They end after the lock, which is not held while memory goes back.
        typename slabs::node_type page;
        typename blocks::node_type block;
        std::lock_guard<Lock> guard(lock_);
        if (class_of(bytes, alignment) == is_block) {
            block = blocks_.extract(address);
            return;
        }
        slab &from = slab_of(address);
        put(from, address);
        if (from.used != 0) return;
        unlink(from);
        page = slabs_.extract(window_of(from.page.data()));
    }

    bool do_is_equal(const std::pmr::memory_resource &other) const noexcept override {
        return this == &other;
    }

private:
    /// A page that is cut into cells. It stays where it is while it is in the table.
    struct slab {
        segment page;
        std::size_t cell_class;
        /// The cells that were given back, each with a pointer to the next.
        void *free = nullptr;
        /// How many cells are used, and how many ever were.
        std::size_t used = 0, begun = 0;
        /// Its neighbours in the list of those that have room.
        slab *before = nullptr, *after = nullptr;

        slab(segment &&held, std::size_t held_class)
            : page(std::move(held)), cell_class(held_class) {}
    };
    /// By the window in which the page begins: addresses over the size of a page.
    using slabs = std::unordered_map<std::uintptr_t, slab>;
    using blocks = std::unordered_map<void *, segment>;

    /// What is no cell.
    static constexpr std::size_t is_block = SIZE_MAX;
    static constexpr std::size_t cell_bytes_min = 16;
    static constexpr std::size_t segment_alignment = 4096;

    static constexpr std::size_t lowest_bit(std::size_t number) noexcept {
        return number & (~number + 1);
    }

    /// The size of a page, which the first one tells, and the sizes of cells that go with it. They
    /// grow in steps of 16 to 128, then four to each power of two up to a quarter of a page. The
    /// last ones are a third and a half of a page.
    void learn(std::size_t page_bytes) {
        if (page_bytes_ != 0) return;
        std::vector<std::size_t> sizes;
        for (std::size_t size = cell_bytes_min; size <= page_bytes / 4;) {
            sizes.push_back(size);
            // A quarter of the power of two below.
            std::size_t power = 128;
            while (power * 2 <= size) power *= 2;
            size += size < 128 ? cell_bytes_min : power / 4;
        }
        sizes.push_back(page_bytes / 3 / cell_bytes_min * cell_bytes_min);
        sizes.push_back(page_bytes / 2);
        with_room_.assign(sizes.size(), nullptr);
        cell_bytes_ = std::move(sizes);
        page_bytes_ = page_bytes;
    }

    /// The class of a request. The same for its allocation and its deallocation.
    std::size_t class_of(std::size_t bytes, std::size_t alignment) const noexcept {
        if (bytes > cell_bytes_.back() || alignment > segment_alignment) return is_block;
        auto size = std::lower_bound(cell_bytes_.begin(), cell_bytes_.end(),
                                     std::max(bytes, alignment));
        // Cells follow each other from the first byte, so each is aligned as its size is.
        while (size != cell_bytes_.end() && lowest_bit(*size) < alignment) ++size;
        if (size == cell_bytes_.end()) return is_block;
        return static_cast<std::size_t>(size - cell_bytes_.begin());
    }

    segment allocate_page() const {
        offheap_segment *raw = nullptr;
        detail::check(offheap_allocate_page(owner_, &raw));
        return segment(raw);
    }

    void *allocate_block(std::size_t bytes, std::size_t alignment) {
        std::size_t wanted = bytes;
        if (alignment > segment_alignment)
            wanted = bytes > SIZE_MAX - alignment ? SIZE_MAX : bytes + alignment;
        offheap_segment *raw = nullptr;
        detail::check(offheap_allocate(owner_, std::max(wanted, std::size_t{1}), &raw));
        segment block(raw);
        void *address = block.data();
        std::size_t space = block.size();
        std::align(alignment, bytes, address, space);
        std::lock_guard<Lock> guard(lock_);
        blocks_.emplace(address, std::move(block));
        return address;
    }

    std::uintptr_t window_of(const void *address) const noexcept {
        return reinterpret_cast<std::uintptr_t>(address) / page_bytes_;
    }

    /// The slab that a cell is in. A page need not be aligned to its size: then it begins in the
    /// window of the address or in the one before. No two begin in the same one.
    slab &slab_of(void *address) noexcept {
        const std::uintptr_t window = window_of(address);
        auto found = slabs_.find(window);
        if (found == slabs_.end() ||
            std::less<const void *>()(address, found->second.page.data()))
            found = slabs_.find(window - 1);
        return found->second;
    }

    slab &add(segment page, std::size_t cell_class) {
        const std::uintptr_t window = window_of(page.data());
        slab &added = slabs_.try_emplace(window, std::move(page), cell_class).first->second;
        link(added);
        return added;
    }

    void *take(slab &from) noexcept {
        void *cell = from.free;
        if (cell != nullptr) {
            from.free = *static_cast<void **>(cell);
        } else {
            cell = from.page.data() + from.begun++ * cell_bytes_[from.cell_class];
        }
        from.used++;
        if (!has_room(from)) unlink(from);
        return cell;
    }

    void put(slab &to, void *cell) noexcept {
        if (!has_room(to)) link(to);
        to.free = ::new (cell) void *(to.free);
        to.used--;
    }

    bool has_room(const slab &one) const noexcept {
        return one.free != nullptr || one.begun < page_bytes_ / cell_bytes_[one.cell_class];
    }

    void link(slab &one) noexcept {
        slab *&first = with_room_[one.cell_class];
        one.before = nullptr;
        one.after = first;
        if (first != nullptr) first->before = &one;
        first = &one;
    }

    void unlink(slab &one) noexcept {
        if (one.before != nullptr) {
            one.before->after = one.after;
        } else {
            with_room_[one.cell_class] = one.after;
        }
        if (one.after != nullptr) one.after->before = one.before;
    }

    offheap_owner *owner_;
    Lock lock_;
    std::size_t page_bytes_ = 0;
    /// The sizes of the classes, smallest first, and the slabs of each that have room.
    std::vector<std::size_t> cell_bytes_;
    std::vector<slab *> with_room_;
    slabs slabs_;
    blocks blocks_;
};

namespace detail {

struct no_lock {
    void lock() noexcept {}
    void unlock() noexcept {}
};

} // namespace detail

/// For one thread at a time.
using memory_resource = basic_memory_resource<detail::no_lock>;
/// For all threads at once.
using synchronized_memory_resource = basic_memory_resource<std::mutex>;

#endif // __cpp_lib_memory_resource

} // namespace offheap

#endif // OFFHEAP_HPP
