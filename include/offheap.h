/*
 * offheap: managed memory for data engines. One budget, handed out as pages and blocks to owners.
 *
 *     offheap_status sort(offheap_manager *manager) {
 *         offheap_owner *owner;
 *         offheap_segment *page;
 *         void *address;
 *         size_t bytes;
 *         offheap_status status =
 *             offheap_owner_register(manager, "sorter", 1 << 20, 16 << 20, &owner);
 *         if (status != OFFHEAP_STATUS_OK) return status;
 *         status = offheap_allocate_page(owner, &page);
 *         if (status == OFFHEAP_STATUS_OK) {
 *             status = offheap_segment_range(page, &address, &bytes);
 *             if (status == OFFHEAP_STATUS_OK) memset(address, 42, bytes);
 *             offheap_release(page);
 *         } else {
 *             puts(offheap_last_error_message());
 *         }
 *         offheap_owner_free(owner);
 *         return status;
 *     }
 *
 * A manager is built from a configuration: offheap_config_new, offheap_config_set_capacity,
 * offheap_manager_new. For C++ there is offheap.hpp, with destructors, exceptions and containers.
 *
 * RESULTS. A call returns a status and writes its results through pointers named out_..., which it
 * leaves untouched if it fails. A call that fails has changed nothing, unless it says otherwise.
 * offheap_last_error_message() says why it failed, for the thread that made it. A pointer of the
 * caller is NULL, which is refused, or good for what the call reads or writes through it. Where a
 * dropped status loses memory or hides a failure, the compiler warns (OFFHEAP_MUST_USE). Calls that
 * give something back are without: they fail only for a handle that is not good, and harm nothing
 * then.
 *
 * HANDLES. offheap_config, _manager, _owner, _segment, _reservation, _worker, _spill_reserve and
 * _subscription are handles. They look like pointers, so that a compiler tells them apart, but
 * point nowhere. No two ever have the same value. Every call looks its handles up. One that was
 * released or freed before is refused with OFFHEAP_STATUS_STALE_HANDLE. One that was never given
 * out, or is of another kind, is refused with OFFHEAP_STATUS_FOREIGN_HANDLE. NULL is refused with
 * OFFHEAP_STATUS_NULL_ARGUMENT, but to free or release NULL is fine. So a double release does no
 * harm, also if other threads hold the memory by now. What no library can see is an access to the
 * memory itself after its release. Handles can be guessed: they guard against mistakes, not against
 * an enemy in the same process.
 *
 * OWNERSHIP. The caller that got a handle frees or releases it, once: a segment with
 * offheap_release, offheap_release_many or offheap_worker_release, the others with their
 * offheap_..._free. The order is up to the caller. An owner keeps its manager until it is gone,
 * too. In the same way a segment, a reservation and a worker keep their owner. Strings, arrays and
 * records of the caller are copied. A spill reserve ends by itself, with what was allocated of it.
 *
 * THREADS. All calls may be made from any thread, and any thread may release what any other
 * allocated. Calls with a configuration, a reservation or a worker are for one thread at a time: a
 * second one is refused with OFFHEAP_STATUS_BUSY. A handle may be freed while other threads use it:
 * calls that are under way go on, and the last of them drops the value.
 *
 * WAITING. The comment of a call says what it may wait for, and how long at most. There are three
 * ways to ask for memory. The offheap_try_... calls never wait and ask nobody. The
 * offheap_allocate_... calls and those that reserve memory wait only if it does not fit, while
 * owners that were asked give some back. That takes the reclaim timeout at most, which is 5 seconds
 * by default (offheap_config_set_reclaim_timeout). The offheap_acquire_... calls wait in line, as
 * long as they are told to. All other calls wait for no memory; those that end a callback wait for
 * it.
 *
 * WHEN MEMORY RUNS OUT. Owners that can give memory back are asked before a request is refused.
 * They are called (offheap_owner_set_reclaimer), or look for themselves at their safe points
 * (offheap_owner_reclaim_requested).
 *
 * CALLBACKS. The library calls on threads of its own, which a runtime may have to be told about. It
 * has nothing locked meanwhile, so a callback may call everything here. It does not end by an
 * exception or a longjmp. What ends callbacks waits for one that is under way, unless it is called
 * within a callback itself. So its caller has nothing locked that the callback takes.
 *
 * PROCESSES. A child of fork has none of the library's threads, and perhaps a lock that no thread
 * opens any more. Until it calls exec or _exit it may use the memory that was held, of which it has
 * a copy. It calls nothing here: it could wait for ever. Neither does a signal handler. A thread is
 * not cancelled or ended by others within a call, and the library stays loaded while a manager
 * lives. Where the process allocator has no more memory for what the library keeps to itself, the
 * process ends.
 *
 * WHAT IT COSTS. A call looks its handles up in a table, without a lock. For an owner that takes
 * two atomic steps on a word that few threads share, and for a segment one when it is released. So
 * a page that comes and goes takes three atomic steps, and about 300 instructions, more than in
 * Rust. offheap_segment_range only reads, in about 60 instructions. A thread keeps up to 64 spare
 * handles of segments, so that it takes a lock at most once in 32 of them. offheap_allocate_pages
 * and offheap_release_many look the owner up, and go to the budget, once for all pages. The tables
 * take up to twice 48 bytes for each segment that is held, at the most there ever were, and do not
 * shrink.
 *
 * Enumerations are passed as uint32_t, so that a value that the library does not know is refused.
 *
 * This file is generated from src/ffi by the package offheap-c-tests.
 */

#ifndef OFFHEAP_H
#define OFFHEAP_H

#include <stddef.h>
#include <stdint.h>

/**
 * The version of this header. offheap_version() is that of the library that runs.
 */
#define OFFHEAP_VERSION "0.1.0"
#define OFFHEAP_VERSION_MAJOR 0
#define OFFHEAP_VERSION_MINOR 1
#define OFFHEAP_VERSION_PATCH 0

/**
 * A call whose status has to be looked at: the compiler warns where it is dropped. Empty where the
 * compiler has no such warning. A program can define it as empty before it includes this file.
 */
#ifndef OFFHEAP_MUST_USE
#if (defined(__cplusplus) && __cplusplus >= 201703L) || \
    (defined(__STDC_VERSION__) && __STDC_VERSION__ >= 202311L)
#define OFFHEAP_MUST_USE [[nodiscard]]
#elif defined(__GNUC__)
#define OFFHEAP_MUST_USE __attribute__((warn_unused_result))
#else
#define OFFHEAP_MUST_USE
#endif
#endif
/**
 * A number that is not known.
 */
#define OFFHEAP_UNKNOWN SIZE_MAX

/**
 * The limit of an owner that may hold all there is.
 */
#define OFFHEAP_NO_LIMIT SIZE_MAX

/**
 * A time to wait that has no end.
 */
#define OFFHEAP_FOR_EVER UINT64_MAX

/**
 * The version of the ABI. It changes when something is removed or gets another meaning, which
 * comes with another name of the shared library, and not when something is added.
 */
#define OFFHEAP_ABI_VERSION 0

/**
 * With this flag the priority counts; otherwise it is that of the owner above, or 0.
 */
#define OFFHEAP_OWNER_HAS_PRIORITY 1

/**
 * With this flag the owner is asked to give memory back by a number, which it reads with
 * offheap_owner_reclaim_requested.
 */
#define OFFHEAP_OWNER_POLLED_RECLAIM 2

/**
 * With this flag the owner is asked also for requests of its own.
 */
#define OFFHEAP_OWNER_SELF_RECLAIM 4

/**
 * What a call came to.
 *
 * The numbers are part of the ABI: none is ever given another meaning. A later version may add
 * some, so treat a status that you do not know as a failure.
 */
enum offheap_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It succeeded.
   */
  OFFHEAP_STATUS_OK = 0,
  /**
   * An argument that must not be NULL is NULL.
   */
  OFFHEAP_STATUS_NULL_ARGUMENT = 1,
  /**
   * An argument has a value that it cannot have.
   */
  OFFHEAP_STATUS_INVALID_ARGUMENT = 2,
  /**
   * The handle was released or freed before.
   */
  OFFHEAP_STATUS_STALE_HANDLE = 3,
  /**
   * The handle was never given out, or is one of something else.
   */
  OFFHEAP_STATUS_FOREIGN_HANDLE = 4,
  /**
   * Another call uses the handle, which is for one at a time.
   */
  OFFHEAP_STATUS_BUSY = 5,
  /**
   * There is no room for the result in what the caller provides for it.
   */
  OFFHEAP_STATUS_BUFFER_TOO_SMALL = 6,
  /**
   * There are as many handles of that kind as there can be.
   */
  OFFHEAP_STATUS_TOO_MANY_HANDLES = 7,
  /**
   * The budget does not have that much left.
   */
  OFFHEAP_STATUS_BUDGET = 20,
  /**
   * The owner would pass its limit.
   */
  OFFHEAP_STATUS_OWNER_LIMIT = 21,
  /**
   * More than the manager could ever give, were everything free.
   */
  OFFHEAP_STATUS_CAPACITY = 22,
  /**
   * That much is free, but not in one piece.
   */
  OFFHEAP_STATUS_FRAGMENTED = 23,
  /**
   * A block of no bytes was asked for.
   */
  OFFHEAP_STATUS_NO_BYTES = 24,
  /**
   * The process allocator has no more memory.
   */
  OFFHEAP_STATUS_PROCESS_ALLOCATOR = 25,
  /**
   * The manager has been shut down.
   */
  OFFHEAP_STATUS_SHUT_DOWN = 26,
  /**
   * An owner above it would pass its limit.
   */
  OFFHEAP_STATUS_PARENT_LIMIT = 27,
  /**
   * Others wait in line for what is free, and were first.
   */
  OFFHEAP_STATUS_OTHERS_WAIT = 28,
  /**
   * It waited in line as long as it was to.
   */
  OFFHEAP_STATUS_TIMED_OUT = 29,
  /**
   * Every owner that holds memory waits for more, and this request came last.
   */
  OFFHEAP_STATUS_DEADLOCK = 30,
  /**
   * The minimum of an owner is above its limit.
   */
  OFFHEAP_STATUS_MINIMUM_ABOVE_LIMIT = 40,
  /**
   * The minimum of an owner is above what is left of the budget.
   */
  OFFHEAP_STATUS_MINIMUM_UNAVAILABLE = 41,
  /**
   * Memory is still held although none should be.
   */
  OFFHEAP_STATUS_LEAK = 42,
  /**
   * The tree of owners would have too many levels.
   */
  OFFHEAP_STATUS_TOO_DEEP = 43,
  /**
   * No manager can be built from the configuration.
   */
  OFFHEAP_STATUS_CONFIG = 60,
  /**
   * The operating system refused the region, its huge pages or a thread.
   */
  OFFHEAP_STATUS_SYSTEM = 61,
  /**
   * The manager does not agree with itself: a fault in the library, or its memory was
   * written to.
   */
  OFFHEAP_STATUS_INCONSISTENT = 98,
  /**
   * A fault in the library. What the call was about may be half done.
   */
  OFFHEAP_STATUS_PANIC = 99,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum offheap_status offheap_status;
#else
typedef int32_t offheap_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whether core dumps contain the region.
 */
enum offheap_core_dumps
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * They do. The default.
   */
  OFFHEAP_CORE_DUMPS_INCLUDE = 0,
  /**
   * They do not, where the system can leave it out.
   */
  OFFHEAP_CORE_DUMPS_EXCLUDE = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum offheap_core_dumps offheap_core_dumps;
#else
typedef uint32_t offheap_core_dumps;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Which huge pages the region is made of.
 */
enum offheap_huge_pages
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Those that the system makes where it can. The default.
   */
  OFFHEAP_HUGE_PAGES_TRANSPARENT = 0,
  /**
   * None: resident bytes grow by 4 KiB at a time.
   */
  OFFHEAP_HUGE_PAGES_NEVER = 1,
  /**
   * Those that the system sets aside (vm.nr_hugepages). The manager cannot be built without.
   */
  OFFHEAP_HUGE_PAGES_HUGE_TLB = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum offheap_huge_pages offheap_huge_pages;
#else
typedef uint32_t offheap_huge_pages;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Where memory comes from.
 */
enum offheap_mode
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * One region, mapped when the manager is built. The default.
   */
  OFFHEAP_MODE_OFF_HEAP = 0,
  /**
   * The process allocator, page by page as it is asked for.
   */
  OFFHEAP_MODE_HEAP = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum offheap_mode offheap_mode;
#else
typedef uint32_t offheap_mode;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How owners share when there is not enough for all. Minimums and limits hold whatever the policy.
 */
enum offheap_policy
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * First come, first served: others are asked for all they hold above their minimums. The
   * default.
   */
  OFFHEAP_POLICY_GREEDY = 0,
  /**
   * Equal shares for all owners that hold memory or wait for some. One that holds more is asked
   * for the rest.
   */
  OFFHEAP_POLICY_FAIR_SHARE = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum offheap_policy offheap_policy;
#else
typedef uint32_t offheap_policy;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * When the region becomes resident.
 */
enum offheap_populate
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * As pages are first touched. The default.
   */
  OFFHEAP_POPULATE_LAZY = 0,
  /**
   * All of the capacity, before the manager is built.
   */
  OFFHEAP_POPULATE_EAGER = 1,
  /**
   * All of the capacity, by threads of the manager that it does not wait for.
   */
  OFFHEAP_POPULATE_BACKGROUND = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum offheap_populate offheap_populate;
#else
typedef uint32_t offheap_populate;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How short memory is. A level is left only well below where it is reached, so that it does not
 * flicker.
 */
enum offheap_pressure
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * There is plenty.
   */
  OFFHEAP_PRESSURE_NORMAL = 0,
  /**
   * From 70 % of the capacity on, by default: it is time to trim caches.
   */
  OFFHEAP_PRESSURE_ELEVATED = 1,
  /**
   * From 85 % on, by default: it is time to take on nothing new.
   */
  OFFHEAP_PRESSURE_HIGH = 2,
  /**
   * From 95 % on, by default, or a request waits: it is time to give back.
   */
  OFFHEAP_PRESSURE_CRITICAL = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum offheap_pressure offheap_pressure;
#else
typedef uint32_t offheap_pressure;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Which hole a block takes.
 */
enum offheap_strategy
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The smallest that fits, so that large ones stay whole. The default.
   */
  OFFHEAP_STRATEGY_SMALLEST_FIT = 0,
  /**
   * The largest there is, so that what remains of it is large as well.
   */
  OFFHEAP_STRATEGY_LARGEST_FIT = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum offheap_strategy offheap_strategy;
#else
typedef uint32_t offheap_strategy;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * When pages are overwritten with zeros.
 */
enum offheap_zero_policy
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Never: a page may show what its last holder wrote. The default.
   */
  OFFHEAP_ZERO_POLICY_NEVER = 0,
  /**
   * Before a page is handed out, unless it is known to be zero.
   */
  OFFHEAP_ZERO_POLICY_ON_ALLOCATE = 1,
  /**
   * When a page is released.
   */
  OFFHEAP_ZERO_POLICY_ON_RELEASE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum offheap_zero_policy offheap_zero_policy;
#else
typedef uint32_t offheap_zero_policy;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The configuration of a manager. For one thread at a time.
 */
typedef struct offheap_config offheap_config;

/**
 * A memory manager.
 */
typedef struct offheap_manager offheap_manager;

/**
 * A holder of memory: an operator, a task, a query.
 */
typedef struct offheap_owner offheap_owner;

/**
 * Bytes of the budget for memory that is held elsewhere. For one thread at a time.
 */
typedef struct offheap_reservation offheap_reservation;

/**
 * A page or a block that is held by the caller.
 */
typedef struct offheap_segment offheap_segment;

/**
 * Memory to spill through, for an owner that gives memory back. It ends with that by itself.
 */
typedef struct offheap_spill_reserve offheap_spill_reserve;

/**
 * A subscription of a function to the pressure.
 */
typedef struct offheap_subscription offheap_subscription;

/**
 * One thread's fast path to the pages of an owner. For one thread at a time.
 */
typedef struct offheap_worker offheap_worker;

/**
 * The numbers of a refused request for memory. Set `size` before the call, as for a manager.
 */
typedef struct {
  /**
   * The size of the record in bytes.
   */
  size_t size;
  /**
   * The bytes that were wanted; rounded up to pages if the capacity holds that many.
   */
  size_t requested_bytes;
  /**
   * The bytes that the owner could have had.
   */
  size_t available_bytes;
  /**
   * The bytes that the owner held.
   */
  size_t owner_used_bytes;
  /**
   * The owner's limit in bytes.
   */
  size_t owner_limit_bytes;
  /**
   * The manager's capacity in bytes.
   */
  size_t capacity_bytes;
  /**
   * The bytes of the largest free block, where that was the reason; otherwise OFFHEAP_UNKNOWN.
   */
  size_t largest_free_block_bytes;
} offheap_refusal_info;

/**
 * A manager in numbers, at one moment. Numbers that change while they are read need not agree.
 *
 * Set `size` to the size of the record before the call; afterwards it says how much of the record
 * the library knows.
 */
typedef struct {
  /**
   * The size of the record in bytes.
   */
  size_t size;
  /**
   * The capacity in bytes.
   */
  size_t capacity_bytes;
  /**
   * The size of a page in bytes.
   */
  size_t page_bytes;
  /**
   * The pages that the capacity holds.
   */
  size_t total_pages;
  /**
   * The bytes that owners hold, are promised, or keep at hand as free pages.
   */
  size_t reserved_bytes;
  /**
   * The bytes of free pages at hand. A request that needs them gets them.
   */
  size_t cached_bytes;
  /**
   * The bytes that are neither held nor promised.
   */
  size_t available_bytes;
  /**
   * The most bytes that owners ever held, were promised, or kept at hand.
   */
  size_t peak_reserved_bytes;
  /**
   * The bytes of the region that the kernel counts as resident; OFFHEAP_UNKNOWN in heap mode and
   * where the system does not tell.
   */
  size_t resident_bytes;
  /**
   * The size in bytes of the largest block that an owner without a limit or a minimum could
   * allocate.
   */
  size_t largest_free_block_bytes;
  /**
   * The address space of the region in bytes; 0 in heap mode.
   */
  size_t mapped_bytes;
  /**
   * The bytes that may be resident, as far as is known without asking the kernel.
   */
  size_t touched_bytes;
  /**
   * Of these, the bytes that are free: what a trim would give back.
   */
  size_t idle_bytes;
  /**
   * The number of owners.
   */
  size_t owners;
  /**
   * How many blocks took spare address space because they fitted no hole.
   */
  uint64_t exchanges;
  /**
   * The bytes that were given back to the system while the region stayed mapped.
   */
  uint64_t given_back_bytes;
  /**
   * The bytes that owners hold.
   */
  size_t used_bytes;
  /**
   * The requests that wait in line.
   */
  size_t waiting_requests;
  /**
   * How often owners were asked to give memory back.
   */
  uint64_t reclaims;
  /**
   * The bytes that they gave back then, as their accounts say.
   */
  uint64_t reclaimed_bytes;
} offheap_manager_stats;

/**
 * How an owner is registered. Set `size` to the size of the record, and the limit. What is
 * 0 of the rest is the default.
 */
typedef struct {
  /**
   * The size of the record in bytes.
   */
  size_t size;
  /**
   * The bytes that it can always have, which are promised to no other owner.
   */
  size_t minimum_bytes;
  /**
   * The most bytes it may hold; OFFHEAP_NO_LIMIT for all there is.
   */
  size_t limit_bytes;
  /**
   * Owners of the lowest priority are asked first when others need memory. It counts with
   * OFFHEAP_OWNER_HAS_PRIORITY.
   */
  int32_t priority;
  /**
   * The flags that are wanted, added up: OFFHEAP_OWNER_HAS_PRIORITY,
   * OFFHEAP_OWNER_POLLED_RECLAIM, OFFHEAP_OWNER_SELF_RECLAIM.
   */
  uint32_t flags;
} offheap_owner_options;

/**
 * An owner in numbers, at one moment. Set `size` before the call, as for a manager.
 */
typedef struct {
  /**
   * The size of the record in bytes.
   */
  size_t size;
  /**
   * The bytes that it and the owners below it hold, as pages, blocks and reservations.
   */
  size_t used_bytes;
  /**
   * The bytes it could take now.
   */
  size_t available_bytes;
  /**
   * The bytes it is guaranteed.
   */
  size_t minimum_bytes;
  /**
   * The most bytes it may hold.
   */
  size_t limit_bytes;
} offheap_owner_stats;

/**
 * Says how many bytes an owner could give back now, about. The owner that can give the most is
 * asked first.
 */
typedef size_t (*offheap_reclaimable_fn)(void *context);

/**
 * Gives about `target_bytes` of an owner back, or more, or less, by releasing segments and
 * reservations. What was given back shows by itself. The reserve is memory to spill through; its
 * handle ends when the function returns.
 */
typedef void (*offheap_reclaim_fn)(void *context,
                                   size_t target_bytes,
                                   offheap_spill_reserve *reserve);

/**
 * Frees a context: called once, on whatever thread, when no other function gets it any more.
 */
typedef void (*offheap_free_fn)(void *context);

/**
 * Is told a new level of the pressure: an offheap_pressure.
 */
typedef void (*offheap_pressure_fn)(void *context, uint32_t pressure);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the ABI of the library that runs; OFFHEAP_ABI_VERSION is that of the header.
 */
uint32_t offheap_abi_version(void);

/**
 * The version of the library that runs, as a text.
 */
const char *offheap_version(void);

/**
 * The name of a status in this header, or "unknown" if the library has no such status.
 */
const char *offheap_status_name(int32_t status);

/**
 * A sentence about the last call that failed on this thread. It says what was wanted, which number
 * or rule stood against it, and which owners hold the most. Empty if none failed; a call that
 * succeeds leaves it as it is. It is valid until the next call that fails on this thread, and
 * until the thread ends.
 */
const char *offheap_last_error_message(void);

/**
 * The numbers of the last call that failed on this thread, if that was a request for memory that
 * was refused. Otherwise it fails with OFFHEAP_STATUS_INVALID_ARGUMENT, and what failed before is
 * forgotten.
 */
OFFHEAP_MUST_USE
offheap_status offheap_last_refusal(offheap_refusal_info *out_refusal);

/**
 * Makes a configuration with the defaults; only the capacity has none.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_new(offheap_config **out_config);

/**
 * Frees a configuration. Managers that were built from it stay. NULL is fine.
 */
offheap_status offheap_config_free(offheap_config *config);

/**
 * The budget in bytes. What remains beyond the last whole page can be reserved, not allocated.
 * The numbers are checked when the manager is built.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_capacity(offheap_config *config, size_t bytes);

/**
 * The budget as a fraction of the memory that is available: what the container allows, or else
 * what the machine has. It takes the place of a capacity, and is above 0 and at most 1.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_fraction_of_available(offheap_config *config, double fraction);

/**
 * The size of a page in bytes: a power of two from 4 KiB to 1 MiB; 32 KiB by default.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_page_size(offheap_config *config, size_t bytes);

/**
 * Where memory comes from: an offheap_mode.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_mode(offheap_config *config, uint32_t mode);

/**
 * Which hole a block takes: an offheap_strategy.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_strategy(offheap_config *config, uint32_t strategy);

/**
 * When pages are overwritten with zeros: an offheap_zero_policy.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_zero_policy(offheap_config *config, uint32_t policy);

/**
 * How much address space the region takes, as a multiple of the capacity: 4 by default, 1 for none
 * to spare. Never more than the capacity is resident.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_address_space_factor(offheap_config *config, uint32_t factor);

/**
 * Which huge pages the region is made of: an offheap_huge_pages.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_huge_pages(offheap_config *config, uint32_t huge_pages);

/**
 * When the region becomes resident: an offheap_populate.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_populate(offheap_config *config, uint32_t populate);

/**
 * How many threads populate the region: from 1 to 64. Other numbers are taken as the nearest of
 * these.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_populate_threads(offheap_config *config, uint32_t threads);

/**
 * Whether core dumps contain the region: an offheap_core_dumps.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_core_dumps(offheap_config *config, uint32_t core_dumps);

/**
 * The most free pages that each owner keeps at hand for its next allocation of a page.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_depot_pages(offheap_config *config, size_t pages);

/**
 * Keeps memory that is free and still resident for the next request. The default.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_idle_keep(offheap_config *config);

/**
 * Has the calls that release memory return free resident memory to the system: down to
 * `down_to_bytes`, once there are more than `above_bytes`.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_idle_return_on_release(offheap_config *config,
                                                         size_t above_bytes,
                                                         size_t down_to_bytes);

/**
 * Has a thread of the manager return free resident memory to the system, as
 * offheap_config_set_idle_return_on_release. It looks after every pause of that many milliseconds.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_idle_return_in_background(offheap_config *config,
                                                            size_t above_bytes,
                                                            size_t down_to_bytes,
                                                            uint64_t pause_milliseconds);

/**
 * How owners share when there is not enough for all: an offheap_policy.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_policy(offheap_config *config, uint32_t policy);

/**
 * Bytes that are set aside, for each of two reclaims at a time. Only an owner that gives memory
 * back may use them, within its reclaim. So it does not fail for want of the pages that it spills
 * through.
 *
 * At least a page, and with a page to spare of the capacity; 0 by default, for none. With a
 * reserve, no more than two owners are called to give memory back at a time.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_spill_reserve(offheap_config *config, size_t bytes);

/**
 * How long an offheap_allocate_... call or a reservation waits while owners that were asked give
 * memory back: 5000 milliseconds by default. It is the bound for all of them together. An owner
 * that was asked is waited for as long, and others are asked beside it after a quarter of this
 * time.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_reclaim_timeout(offheap_config *config, uint64_t milliseconds);

/**
 * How long requests that wait for each other do so: 1000 milliseconds by default. Then the last of
 * them to come is refused with OFFHEAP_STATUS_DEADLOCK. An owner whose threads take longer than
 * this without a change, while one of them waits, is better registered as several.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_deadlock_timeout(offheap_config *config, uint64_t milliseconds);

/**
 * Where the levels of the pressure above normal begin, as shares of the capacity: 0.7, 0.85 and
 * 0.95 by default. Each is above 0, at most 1, and not below the one before.
 */
OFFHEAP_MUST_USE
offheap_status offheap_config_set_pressure_thresholds(offheap_config *config,
                                                      double elevated,
                                                      double high,
                                                      double critical);

/**
 * Builds a manager, which maps its region unless it is in heap mode. The configuration stays the
 * caller's: for more of the same, or to be freed.
 *
 * With OFFHEAP_POPULATE_EAGER it returns when all of the capacity is resident.
 */
OFFHEAP_MUST_USE
offheap_status offheap_manager_new(offheap_config *config, offheap_manager **out_manager);

/**
 * Frees the handle of a manager. The manager itself, with its region, lives until its last owner,
 * worker, reservation and segment are gone too. NULL is fine.
 */
offheap_status offheap_manager_free(offheap_manager *manager);

/**
 * The manager in numbers. It looks at every chunk of 64 pages, and asks the kernel what is
 * resident: it is for reports, not for decisions.
 */
OFFHEAP_MUST_USE
offheap_status offheap_manager_get_stats(offheap_manager *manager,
                                         offheap_manager_stats *out_stats);

/**
 * The owners that hold memory, as a text with a line for each, the largest holder first. A line is
 * "`query/sort`: 65536 bytes (minimum 0, limit 1048576, reclaimable 0)". The text is empty if none
 * does.
 *
 * Writes as much as fits into `capacity` bytes, with a terminator, and says how long the whole
 * text is without it. With a capacity of 0, the buffer may be NULL.
 */
OFFHEAP_MUST_USE
offheap_status offheap_manager_holders(offheap_manager *manager,
                                       char *buffer,
                                       size_t capacity,
                                       size_t *out_length);

/**
 * Checks that no owner holds memory: no page, no block and no reservation. OFFHEAP_STATUS_LEAK if
 * one does; the message says which.
 */
OFFHEAP_MUST_USE
offheap_status offheap_manager_verify_empty(offheap_manager *manager);

/**
 * Refuses every allocation, reservation and registration from now on, and those that wait. What is
 * out stays valid and goes back as usual. OFFHEAP_STATUS_LEAK if an owner still holds memory; the
 * manager is shut down all the same.
 */
OFFHEAP_MUST_USE
offheap_status offheap_manager_shutdown(offheap_manager *manager);

/**
 * Gives free resident memory back to the system until at most `idle_bytes` of what is left may be
 * resident; says how many bytes that were.
 */
OFFHEAP_MUST_USE
offheap_status offheap_manager_trim(offheap_manager *manager,
                                    size_t idle_bytes,
                                    size_t *out_given_back_bytes);

/**
 * Checks the manager against itself, for tests and soaks. It wants a quiet moment: while memory
 * comes and goes, parts of a change can be under way. OFFHEAP_STATUS_INCONSISTENT if something
 * does not agree; the message says what.
 */
OFFHEAP_MUST_USE
offheap_status offheap_manager_check(offheap_manager *manager);

/**
 * Registers an owner. It can always have `minimum` bytes, which are promised to no other owner. It
 * never has more than `limit` bytes; OFFHEAP_NO_LIMIT is for all there is. The name is copied. It
 * is for messages and need not be unique. In these it is on one line: control characters, slashes
 * and the like are escaped, and it is cut to 255 bytes.
 */
OFFHEAP_MUST_USE
offheap_status offheap_owner_register(offheap_manager *manager,
                                      const char *name,
                                      size_t minimum,
                                      size_t limit,
                                      offheap_owner **out_owner);

/**
 * Registers an owner below another one. What it holds, or is promised, counts there as well, and
 * is never more than the limit there. It keeps the owner above it.
 */
OFFHEAP_MUST_USE
offheap_status offheap_owner_register_child(offheap_owner *owner,
                                            const char *name,
                                            size_t minimum,
                                            size_t limit,
                                            offheap_owner **out_owner);

/**
 * Registers an owner with options.
 */
OFFHEAP_MUST_USE
offheap_status offheap_owner_register_with(offheap_manager *manager,
                                           const char *name,
                                           const offheap_owner_options *options,
                                           offheap_owner **out_owner);

/**
 * Registers an owner with options below another one.
 */
OFFHEAP_MUST_USE
offheap_status offheap_owner_register_child_with(offheap_owner *owner,
                                                 const char *name,
                                                 const offheap_owner_options *options,
                                                 offheap_owner **out_owner);

/**
 * Frees the handle of an owner. What it holds stays valid, and counts, until it is released; its
 * minimum is kept as long. NULL is fine.
 *
 * Its reclaimer is taken off first, as by offheap_owner_clear_reclaimer. So it may wait for a call
 * that is under way, for as long as that takes.
 */
offheap_status offheap_owner_free(offheap_owner *owner);

/**
 * The owner in numbers.
 */
OFFHEAP_MUST_USE
offheap_status offheap_owner_get_stats(offheap_owner *owner, offheap_owner_stats *out_stats);

/**
 * Allocates one page. If it fits the limits, it succeeds.
 *
 * If it does not fit, it waits while owners that are asked give memory back. That takes the
 * reclaim timeout of the manager at most, however many owners there are. Where none can be asked,
 * it does not wait.
 */
OFFHEAP_MUST_USE
offheap_status offheap_allocate_page(offheap_owner *owner, offheap_segment **out_segment);

/**
 * Allocates one page of what is free. Never waits for memory, and asks nobody to give some back.
 */
OFFHEAP_MUST_USE
offheap_status offheap_try_allocate_page(offheap_owner *owner, offheap_segment **out_segment);

/**
 * Allocates `count` pages, all or none, and writes their handles to an array of that many. If they
 * fit the limits, it succeeds. Cheaper than one by one.
 *
 * It may wait for the reclaim timeout, as offheap_allocate_page.
 */
OFFHEAP_MUST_USE
offheap_status offheap_allocate_pages(offheap_owner *owner,
                                      size_t count,
                                      offheap_segment **out_segments);

/**
 * Allocates `count` pages of what is free, all or none, as offheap_allocate_pages. Never waits for
 * memory, and asks nobody to give some back.
 */
OFFHEAP_MUST_USE
offheap_status offheap_try_allocate_pages(offheap_owner *owner,
                                          size_t count,
                                          offheap_segment **out_segments);

/**
 * Allocates one block of contiguous memory, rounded up to pages. It comes from the hole that the
 * manager's strategy picks, or from spare address space if there is no hole.
 *
 * It may wait for the reclaim timeout, as offheap_allocate_page. It waits for bytes, not for a
 * hole: it can still be refused with OFFHEAP_STATUS_FRAGMENTED.
 */
OFFHEAP_MUST_USE
offheap_status offheap_allocate(offheap_owner *owner, size_t bytes, offheap_segment **out_segment);

/**
 * Allocates one block of what is free, as offheap_allocate. Never waits for memory, and asks
 * nobody to give some back.
 */
OFFHEAP_MUST_USE
offheap_status offheap_try_allocate(offheap_owner *owner,
                                    size_t bytes,
                                    offheap_segment **out_segment);

/**
 * Allocates one block of at least a page and at most `bytes`, rounded up to pages: what the limits
 * and the strategy find. Its size says how much that is.
 *
 * If there is not even one page, it may wait for the reclaim timeout, as offheap_allocate_page.
 */
OFFHEAP_MUST_USE
offheap_status offheap_allocate_up_to(offheap_owner *owner,
                                      size_t bytes,
                                      offheap_segment **out_segment);

/**
 * Allocates `bytes`, rounded up to pages, in as many blocks as it takes, all or none, and says how
 * many these are. If they fit the limits, it succeeds.
 *
 * `capacity` is how many handles the array has room for. As many as there are pages are always
 * enough. With less the call can be refused with OFFHEAP_STATUS_BUFFER_TOO_SMALL.
 *
 * It may wait for the reclaim timeout, as offheap_allocate_page.
 */
OFFHEAP_MUST_USE
offheap_status offheap_allocate_scattered(offheap_owner *owner,
                                          size_t bytes,
                                          offheap_segment **out_segments,
                                          size_t capacity,
                                          size_t *out_count);

/**
 * The address of a segment's first byte. It is aligned to 4096 bytes, and good until the segment
 * is released: afterwards the memory belongs to another owner.
 */
OFFHEAP_MUST_USE
offheap_status offheap_segment_address(offheap_segment *segment, void **out_address);

/**
 * The size of a segment in bytes: a number of whole pages.
 */
OFFHEAP_MUST_USE
offheap_status offheap_segment_size(offheap_segment *segment, size_t *out_bytes);

/**
 * The address of a segment's first byte and its size in bytes: offheap_segment_address and
 * offheap_segment_size in one call, which looks the handle up once.
 */
OFFHEAP_MUST_USE
offheap_status offheap_segment_range(offheap_segment *segment,
                                     void **out_address,
                                     size_t *out_bytes);

/**
 * Gives a segment back to where it came from, on any thread. NULL is fine. A segment that was
 * released before is refused with OFFHEAP_STATUS_STALE_HANDLE. That is so, too, if its memory is
 * in other hands by now, which stay untouched.
 */
offheap_status offheap_release(offheap_segment *segment);

/**
 * Gives many segments back, all or none. It is cheaper than one by one, where neighbours follow
 * each other. They may be of several owners and managers. NULLs among them are fine.
 *
 * If one of them was released before, or is in the array twice, none is released. While the call
 * finds that out, other calls with these segments can be refused as stale.
 */
offheap_status offheap_release_many(offheap_segment *const *segments, size_t count);

/**
 * Makes a worker of an owner: the fast path to pages for one thread, which keeps some at hand.
 * They are not lost to others: a request that would be refused gets them first. A worker keeps its
 * owner.
 *
 * It may be handed to another thread, but two calls at a time are refused with
 * OFFHEAP_STATUS_BUSY.
 */
OFFHEAP_MUST_USE
offheap_status offheap_worker_new(offheap_owner *owner, offheap_worker **out_worker);

/**
 * Allocates a page, as offheap_allocate_page, and may wait as that does.
 */
OFFHEAP_MUST_USE
offheap_status offheap_worker_allocate_page(offheap_worker *worker, offheap_segment **out_segment);

/**
 * Allocates a page of what is free, as offheap_try_allocate_page. Never waits for memory.
 */
OFFHEAP_MUST_USE
offheap_status offheap_worker_try_allocate_page(offheap_worker *worker,
                                                offheap_segment **out_segment);

/**
 * Gives a segment back. A page of the worker's owner goes to the pages that the worker keeps at
 * hand, anything else to where it came from. NULL is fine for the segment.
 */
offheap_status offheap_worker_release(offheap_worker *worker, offheap_segment *segment);

/**
 * Frees a worker. The pages that it keeps at hand go back. NULL is fine.
 */
offheap_status offheap_worker_free(offheap_worker *worker);

/**
 * Reserves bytes of the budget for memory that is held elsewhere: accounting only. A reservation
 * keeps its owner. Two calls at a time with one reservation are refused with OFFHEAP_STATUS_BUSY.
 *
 * It may wait for the reclaim timeout, as offheap_allocate_page.
 */
OFFHEAP_MUST_USE
offheap_status offheap_reserve_memory(offheap_owner *owner,
                                      size_t bytes,
                                      offheap_reservation **out_reservation);

/**
 * Reserves bytes of what is free, as offheap_reserve_memory. Never waits for memory, and asks
 * nobody to give some back.
 */
OFFHEAP_MUST_USE
offheap_status offheap_try_reserve_memory(offheap_owner *owner,
                                          size_t bytes,
                                          offheap_reservation **out_reservation);

/**
 * Reserves more bytes. If it is refused, the reservation is as before. It may wait for the reclaim
 * timeout, as offheap_allocate_page.
 */
OFFHEAP_MUST_USE
offheap_status offheap_reservation_grow(offheap_reservation *reservation, size_t bytes);

/**
 * Gives bytes back, or all there are if that is less; says how many.
 */
OFFHEAP_MUST_USE
offheap_status offheap_reservation_release(offheap_reservation *reservation,
                                           size_t bytes,
                                           size_t *out_released_bytes);

/**
 * The bytes of a reservation.
 */
OFFHEAP_MUST_USE
offheap_status offheap_reservation_size(offheap_reservation *reservation, size_t *out_bytes);

/**
 * Gives all bytes of a reservation back and frees it. NULL is fine.
 */
offheap_status offheap_reservation_free(offheap_reservation *reservation);

/**
 * As offheap_allocate_pages, but waits in line for what others give back, first come, first
 * served. Owners that can give memory back are asked meanwhile.
 *
 * It waits for `timeout_milliseconds` at most; OFFHEAP_FOR_EVER is for no end. With a timeout of 0
 * it takes what there is, and waits for nobody.
 *
 * - OFFHEAP_STATUS_TIMED_OUT: the time is up.
 * - OFFHEAP_STATUS_DEADLOCK: every owner that holds memory waits for more, and this call came
 *   last.
 * - OFFHEAP_STATUS_SHUT_DOWN: the manager was shut down meanwhile.
 *
 * What could never be granted is refused at once. So is what does not fit within a function that
 * the library calls to get memory back. Handles may be freed meanwhile: the call goes on.
 */
OFFHEAP_MUST_USE
offheap_status offheap_acquire_pages(offheap_owner *owner,
                                     size_t count,
                                     uint64_t timeout_milliseconds,
                                     offheap_segment **out_segments);

/**
 * As offheap_allocate, but waits for `timeout_milliseconds` at most, as offheap_acquire_pages. It
 * waits for bytes, not for a hole: it can still be refused with OFFHEAP_STATUS_FRAGMENTED.
 */
OFFHEAP_MUST_USE
offheap_status offheap_acquire(offheap_owner *owner,
                               size_t bytes,
                               uint64_t timeout_milliseconds,
                               offheap_segment **out_segment);

/**
 * As offheap_reserve_memory, but waits for `timeout_milliseconds` at most, as
 * offheap_acquire_pages.
 */
OFFHEAP_MUST_USE
offheap_status offheap_acquire_memory(offheap_owner *owner,
                                      size_t bytes,
                                      uint64_t timeout_milliseconds,
                                      offheap_reservation **out_reservation);

/**
 * Has `reclaim` called when others need memory that the owner has above its minimum, before they
 * are refused it. `reclaimable` says what to expect. It takes the place of polling, and of a
 * reclaimer that was set before, which is taken off as by offheap_owner_clear_reclaimer.
 *
 * The functions are called on threads of the library's. A runtime may have to be told about these:
 * a JVM attaches them. No two run at once for the same owner. The library has nothing locked
 * meanwhile, so they may call everything in this header.
 *
 * Within them no owner is asked for memory, and no call waits for it. A request that does not fit
 * is refused, and the reserve is there for that. They do not end by an exception or a longjmp. One
 * that does not return within the reclaim timeout is no longer waited for, and not called again
 * before it has returned.
 *
 * The library uses the context until it calls `free_context` with it, which may be NULL. That
 * happens once, when the reclaimer was taken off and no call is under way, on any thread. If this
 * call fails, nothing gets the context, and it stays the caller's.
 *
 * It waits for a call of the reclaimer before it, for as long as that takes.
 */
OFFHEAP_MUST_USE
offheap_status offheap_owner_set_reclaimer(offheap_owner *owner,
                                           offheap_reclaimable_fn reclaimable,
                                           offheap_reclaim_fn reclaim,
                                           void *context,
                                           offheap_free_fn free_context);

/**
 * Takes the reclaimer of an owner off, if it has one: it is not called any more. Waits for a call
 * that is under way, for as long as that takes. So once this has returned none is, none begins,
 * and the context was freed. The caller has nothing locked that such a call takes.
 *
 * Within any function that the library calls, this does not wait, since others could wait for that
 * function. No call begins any more then, and the context is freed when the one that is under way
 * ends.
 */
offheap_status offheap_owner_clear_reclaimer(offheap_owner *owner);

/**
 * The bytes that others ask an owner to give back; 0 if none do. It is for an owner that was
 * registered with OFFHEAP_OWNER_POLLED_RECLAIM. The owner looks here at its safe points, and
 * answers, or just releases memory, which is noticed, too. Requests with a timeout wait for it;
 * others are refused at once.
 */
OFFHEAP_MUST_USE
offheap_status offheap_owner_reclaim_requested(offheap_owner *owner, size_t *out_bytes);

/**
 * Says how many bytes an owner could give back if it were asked. Without it that is all it uses.
 * For an owner with OFFHEAP_OWNER_POLLED_RECLAIM; with others it changes nothing.
 */
offheap_status offheap_owner_set_reclaimable(offheap_owner *owner, size_t bytes);

/**
 * Answers what others ask of an owner: says how many bytes that is, and hands out memory to spill
 * through. The answer ends with offheap_owner_answer_end, on the same thread, and with the thread
 * at the latest.
 *
 * Until then the owner is at work on it and is not asked again. On this thread it and the owners
 * below it do not wait for memory: what does not fit is refused.
 *
 * If none ask, or all of the spill reserve is in use just now, there is nothing to answer. Then
 * both results are 0, and nothing is to be ended. It never waits.
 */
OFFHEAP_MUST_USE
offheap_status offheap_owner_answer_begin(offheap_owner *owner,
                                          size_t *out_target_bytes,
                                          offheap_spill_reserve **out_reserve);

/**
 * Ends an answer, and its reserve. NULL is fine.
 */
offheap_status offheap_owner_answer_end(offheap_spill_reserve *reserve);

/**
 * Allocates a block of the spill reserve, rounded up to pages. It is released as any other segment
 * is, on any thread. What is still out at the end of the reclaim is taken back then, and its
 * handle is stale.
 *
 * Refused beyond the size of the reserve, and if the manager has none. It never waits.
 */
OFFHEAP_MUST_USE
offheap_status offheap_spill_reserve_allocate(offheap_spill_reserve *reserve,
                                              size_t bytes,
                                              offheap_segment **out_segment);

/**
 * The bytes that are left of a spill reserve.
 */
OFFHEAP_MUST_USE
offheap_status offheap_spill_reserve_available(offheap_spill_reserve *reserve, size_t *out_bytes);

/**
 * How short memory is: an offheap_pressure. Cheap enough to ask before every large request.
 */
OFFHEAP_MUST_USE
offheap_status offheap_manager_pressure(offheap_manager *manager, uint32_t *out_pressure);

/**
 * Has `on_pressure` called with every new level, until the subscription is freed. A level that
 * lasts for a moment only may be passed over. A subscription does not keep its manager.
 *
 * It is called on a thread of the library's, one call after the other, with nothing locked. So it
 * may call everything in this header. The rules are those of offheap_owner_set_reclaimer, also for
 * the context.
 */
OFFHEAP_MUST_USE
offheap_status offheap_manager_on_pressure(offheap_manager *manager,
                                           offheap_pressure_fn on_pressure,
                                           void *context,
                                           offheap_free_fn free_context,
                                           offheap_subscription **out_subscription);

/**
 * Ends a subscription, whether or not its manager still lives. NULL is fine.
 *
 * Waits for a call that is under way, for as long as that takes. Within a function that the
 * library calls it does not wait, as offheap_owner_clear_reclaimer.
 */
offheap_status offheap_subscription_free(offheap_subscription *subscription);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* OFFHEAP_H */
