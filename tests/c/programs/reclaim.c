/* An owner with a reclaim callback, one that polls, and those who wait for what these give back.
 * It compiles as C and as C++. */
#include "check.h"

#include <pthread.h>
#include <sched.h>

#define PAGE_BYTES ((size_t)4 << 10)
#define PAGES 16
#define THREADS 3
#define ROUNDS 50

/* What an owner holds, behind its lock. */
typedef struct {
    pthread_mutex_t lock;
    offheap_owner *owner;
    offheap_segment *pages[PAGES];
    size_t count, spills, spilled_bytes, ends;
    int is_over;
    /* Of the last reclaim. */
    offheap_spill_reserve *reserve;
    offheap_segment *left_over;
} operator_state;

static void start(operator_state *state) {
    memset(state, 0, sizeof *state);
    CHECK(pthread_mutex_init(&state->lock, NULL) == 0);
}

static void lock(operator_state *state) { CHECK(pthread_mutex_lock(&state->lock) == 0); }

static void unlock(operator_state *state) { CHECK(pthread_mutex_unlock(&state->lock) == 0); }

/* A capacity of PAGES pages, and a spill reserve of one. */
static offheap_manager *new_manager(uint32_t policy) {
    offheap_config *config;
    offheap_manager *manager;
    EXPECT(OK, offheap_config_new(&config));
    EXPECT(OK, offheap_config_set_page_size(config, PAGE_BYTES));
    EXPECT(OK, offheap_config_set_capacity(config, (PAGES + 2) * PAGE_BYTES));
    EXPECT(OK, offheap_config_set_spill_reserve(config, PAGES * PAGE_BYTES));
    EXPECT(CONFIG, offheap_manager_new(config, &manager));
    EXPECT(OK, offheap_config_set_spill_reserve(config, PAGE_BYTES));
    EXPECT(INVALID_ARGUMENT, offheap_config_set_policy(config, 2));
    EXPECT(OK, offheap_config_set_policy(config, policy));
    EXPECT(OK, offheap_config_set_reclaim_timeout(config, UINT64_MAX));
    EXPECT(OK, offheap_config_set_deadlock_timeout(config, UINT64_MAX));
    EXPECT(OK, offheap_config_set_pressure_thresholds(config, 0.9, 0.8, 1.0));
    EXPECT(CONFIG, offheap_manager_new(config, &manager));
    CHECK(SAYS("0.9"));
    EXPECT(OK, offheap_config_set_pressure_thresholds(config, 0.5, 1.0, 1.0));
    EXPECT(OK, offheap_manager_new(config, &manager));
    EXPECT(OK, offheap_config_free(config));
    return manager;
}

static offheap_owner *new_owner(offheap_manager *manager, const char *name, uint32_t flags) {
    offheap_owner_options options;
    offheap_owner *owner;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.limit_bytes = OFFHEAP_NO_LIMIT;
    options.priority = -1;
    options.flags = flags;
    EXPECT(OK, offheap_owner_register_with(manager, name, &options, &owner));
    return owner;
}

/* Writes pages to nowhere through a page of the reserve, and gives them back; with the lock. */
static void spill(operator_state *state, size_t target_bytes, offheap_spill_reserve *reserve) {
    offheap_segment *buffer, *none = NULL;
    void *from, *to;
    size_t bytes, given_bytes = 0;
    EXPECT(OK, offheap_spill_reserve_available(reserve, &bytes));
    CHECK(bytes == PAGE_BYTES);
    EXPECT(OK, offheap_spill_reserve_allocate(reserve, 1, &buffer));
    CHECK(offheap_spill_reserve_allocate(reserve, 1, &none) != OFFHEAP_STATUS_OK && none == NULL);
    EXPECT(OK, offheap_segment_address(buffer, &to));
    while (state->count > 0 && given_bytes < target_bytes) {
        offheap_segment *page = state->pages[--state->count];
        EXPECT(OK, offheap_segment_address(page, &from));
        memcpy(to, from, PAGE_BYTES);
        EXPECT(OK, offheap_release(page));
        given_bytes += PAGE_BYTES;
    }
    /* Every other time it is left to the library to take the buffer back. */
    if (state->spills % 2 == 1) EXPECT(OK, offheap_release(buffer));
    state->spills++;
    state->spilled_bytes += given_bytes;
    state->reserve = reserve;
    state->left_over = buffer;
}

static void is_stale(operator_state *state) {
    size_t bytes = 42;
    void *address;
    offheap_segment *none = NULL;
    EXPECT(STALE_HANDLE, offheap_spill_reserve_allocate(state->reserve, 1, &none));
    EXPECT(STALE_HANDLE, offheap_spill_reserve_available(state->reserve, &bytes));
    EXPECT(STALE_HANDLE, offheap_owner_answer_end(state->reserve));
    EXPECT(STALE_HANDLE, offheap_segment_address(state->left_over, &address));
    EXPECT(STALE_HANDLE, offheap_release(state->left_over));
    CHECK(bytes == 42 && none == NULL);
}

/* Takes all that is free, page by page: the one who is asked for it afterwards. */
static void take_all(operator_state *state) {
    void *address;
    while (state->count < PAGES &&
           offheap_acquire_pages(state->owner, 1, 0, &state->pages[state->count]) ==
               OFFHEAP_STATUS_OK) {
        EXPECT(OK, offheap_segment_address(state->pages[state->count], &address));
        memset(address, 1, PAGE_BYTES);
        state->count++;
    }
}

static void release_rest(operator_state *state) {
    EXPECT(OK, offheap_release_many(state->pages, state->count));
    state->count = 0;
}

/* Waits for pages again and again. */
static void *want(void *context) {
    offheap_owner *owner = (offheap_owner *)context;
    for (size_t round = 0; round < ROUNDS; round++) {
        offheap_segment *pages[3], *block;
        offheap_reservation *bytes;
        EXPECT(OK, offheap_acquire_pages(owner, 3, OFFHEAP_FOR_EVER, pages));
        EXPECT(OK, offheap_release_many(pages, 3));
        EXPECT(OK, offheap_acquire(owner, PAGE_BYTES, OFFHEAP_FOR_EVER, &block));
        EXPECT(OK, offheap_release(block));
        EXPECT(OK, offheap_acquire_memory(owner, 5000, OFFHEAP_FOR_EVER, &bytes));
        EXPECT(OK, offheap_reservation_free(bytes));
    }
    return NULL;
}

static void start_threads(pthread_t *threads, void *(*work)(void *), void *context) {
    for (size_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, work, context) == 0);
}

static void join(pthread_t *threads) {
    for (size_t i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
}

static size_t reclaimable(void *context) {
    operator_state *state = (operator_state *)context;
    lock(state);
    size_t bytes = state->count * PAGE_BYTES;
    CHECK(!state->is_over);
    unlock(state);
    return bytes;
}

static void reclaim(void *context, size_t target_bytes, offheap_spill_reserve *reserve) {
    operator_state *state = (operator_state *)context;
    offheap_segment *pages[PAGES + 1] = {NULL};
    /* What does not fit is refused at once, whatever the timeout. */
    CHECK(offheap_acquire_pages(state->owner, PAGES, OFFHEAP_FOR_EVER, pages) !=
          OFFHEAP_STATUS_OK);
    CHECK(pages[0] == NULL);
    EXPECT(INVALID_ARGUMENT, offheap_owner_answer_end(reserve));
    lock(state);
    CHECK(!state->is_over && target_bytes > 0);
    spill(state, target_bytes, reserve);
    unlock(state);
}

static void end(void *context) {
    operator_state *state = (operator_state *)context;
    lock(state);
    state->is_over = 1;
    state->ends++;
    unlock(state);
}

/* What the calls that never wait are refused while the cache has all there is. */
static void never_waits(offheap_owner *query) {
    offheap_segment *pages[2] = {NULL, NULL};
    offheap_reservation *bytes = NULL;
    offheap_worker *worker;
    EXPECT(BUDGET, offheap_try_allocate_page(query, pages));
    CHECK(SAYS("bytes is free"));
    EXPECT(BUDGET, offheap_try_allocate_pages(query, 2, pages));
    EXPECT(BUDGET, offheap_try_allocate(query, 1, pages));
    EXPECT(BUDGET, offheap_try_reserve_memory(query, 1, &bytes));
    EXPECT(OK, offheap_worker_new(query, &worker));
    EXPECT(BUDGET, offheap_worker_try_allocate_page(worker, pages));
    EXPECT(OK, offheap_worker_free(worker));
    CHECK(pages[0] == NULL && pages[1] == NULL && bytes == NULL);
}

/* The cache is asked while others want its pages, and takes them back when it can. */
static void called(void) {
    offheap_manager *manager = new_manager(OFFHEAP_POLICY_GREEDY);
    offheap_owner *cache = new_owner(manager, "cache", OFFHEAP_OWNER_HAS_PRIORITY);
    offheap_owner *query = new_owner(manager, "query", 0);
    offheap_segment *pages[PAGES];
    operator_state state;
    pthread_t threads[THREADS];
    start(&state);
    state.owner = cache;
    EXPECT(NULL_ARGUMENT, offheap_owner_set_reclaimer(cache, NULL, reclaim, &state, end));
    EXPECT(NULL_ARGUMENT, offheap_owner_set_reclaimer(cache, reclaimable, NULL, &state, end));
    EXPECT(NULL_ARGUMENT, offheap_owner_set_reclaimer(NULL, reclaimable, reclaim, &state, end));
    EXPECT(OK, offheap_owner_clear_reclaimer(cache));
    EXPECT(OK, offheap_owner_set_reclaimer(cache, reclaimable, reclaim, &state, end));

    /* A call that never waits asks nobody; the others wait for those that are asked. */
    lock(&state);
    take_all(&state);
    CHECK(state.count == PAGES);
    unlock(&state);
    never_waits(query);
    lock(&state);
    CHECK(state.spills == 0 && state.count == PAGES);
    unlock(&state);
    EXPECT(OK, offheap_allocate_pages(query, PAGES, pages));
    EXPECT(OK, offheap_release_many(pages, PAGES));
    lock(&state);
    CHECK(state.spills > 0 && state.spilled_bytes == PAGES * PAGE_BYTES && state.ends == 0);
    unlock(&state);

    start_threads(threads, want, query);
    for (size_t round = 0; round < ROUNDS; round++) {
        lock(&state);
        take_all(&state);
        unlock(&state);
        sched_yield();
    }
    join(threads);
    lock(&state);
    take_all(&state);
    CHECK(state.count == PAGES);
    unlock(&state);
    EXPECT(OK, offheap_acquire_pages(query, 1, OFFHEAP_FOR_EVER, pages));
    EXPECT(OK, offheap_release(pages[0]));

    /* Once this has returned nothing calls, and the context is the caller's again. */
    EXPECT(OK, offheap_owner_clear_reclaimer(cache));
    CHECK(state.ends == 1);
    is_stale(&state);
    size_t spills = state.spills;
    take_all(&state);
    CHECK(offheap_allocate_pages(query, 2, pages) == OFFHEAP_STATUS_BUDGET);
    EXPECT(TIMED_OUT, offheap_acquire_pages(query, 2, 1, pages));
    CHECK(state.spills == spills && state.count == PAGES);
    release_rest(&state);
    EXPECT(OK, offheap_owner_free(cache));
    EXPECT(OK, offheap_owner_free(query));
    EXPECT(OK, offheap_manager_verify_empty(manager));
    EXPECT(OK, offheap_manager_check(manager));
    EXPECT(OK, offheap_manager_free(manager));
    CHECK(pthread_mutex_destroy(&state.lock) == 0);
}

static void reclaim_and_leave(void *context, size_t target_bytes, offheap_spill_reserve *reserve) {
    operator_state *state = (operator_state *)context;
    reclaim(context, target_bytes, reserve);
    /* From within it does not wait for itself; the context stays until this returns. */
    EXPECT(OK, offheap_owner_clear_reclaimer(state->owner));
    EXPECT(OK, offheap_owner_free(state->owner));
    CHECK(state->ends == 0);
}

static void cleared_from_within(void) {
    offheap_manager *manager = new_manager(OFFHEAP_POLICY_FAIR_SHARE);
    offheap_owner *query = new_owner(manager, "query", 0);
    offheap_segment *page;
    operator_state first, state;
    start(&first);
    start(&state);
    state.owner = new_owner(manager, "cache", OFFHEAP_OWNER_SELF_RECLAIM);
    EXPECT(OK, offheap_owner_set_reclaimer(state.owner, reclaimable, reclaim, &first, end));
    EXPECT(OK, offheap_owner_set_reclaimer(state.owner, reclaimable, reclaim_and_leave, &state,
                                           end));
    CHECK(first.ends == 1);
    take_all(&state);
    EXPECT(OK, offheap_allocate_page(query, &page));
    for (int ended = 0; !ended; sched_yield()) {
        lock(&state);
        ended = state.ends > 0;
        unlock(&state);
    }
    CHECK(state.ends == 1 && state.spills == 1);
    EXPECT(STALE_HANDLE, offheap_owner_free(state.owner));
    release_rest(&state);
    EXPECT(OK, offheap_release(page));
    EXPECT(OK, offheap_owner_free(query));
    EXPECT(OK, offheap_manager_verify_empty(manager));
    EXPECT(OK, offheap_manager_free(manager));
}

/* Looks again and again, and answers, until it is told that nobody wants anything any more. */
static void *poll(void *context) {
    operator_state *state = (operator_state *)context;
    for (int is_over = 0; !is_over; sched_yield()) {
        size_t asked_bytes, target_bytes = 42;
        offheap_spill_reserve *reserve = NULL;
        lock(state);
        is_over = state->is_over;
        if (!is_over && state->count == 0) take_all(state);
        EXPECT(OK, offheap_owner_set_reclaimable(state->owner, state->count * PAGE_BYTES));
        EXPECT(OK, offheap_owner_reclaim_requested(state->owner, &asked_bytes));
        EXPECT(OK, offheap_owner_answer_begin(state->owner, &target_bytes, &reserve));
        CHECK((reserve != NULL) == (target_bytes > 0));
        if (reserve != NULL) spill(state, target_bytes, reserve);
        EXPECT(OK, offheap_owner_answer_end(reserve));
        unlock(state);
    }
    return NULL;
}

static void polled(void) {
    offheap_manager *manager = new_manager(OFFHEAP_POLICY_FAIR_SHARE);
    offheap_owner *query = new_owner(manager, "query", 0);
    offheap_owner *cache = new_owner(manager, "cache", OFFHEAP_OWNER_POLLED_RECLAIM);
    operator_state state;
    pthread_t poller, threads[THREADS];
    size_t bytes = 42;
    start(&state);
    state.owner = cache;
    EXPECT(OK, offheap_owner_reclaim_requested(cache, &bytes));
    CHECK(bytes == 0);
    take_all(&state);
    CHECK(state.count == PAGES);
    CHECK(pthread_create(&poller, NULL, poll, &state) == 0);
    start_threads(threads, want, query);
    join(threads);
    lock(&state);
    state.is_over = 1;
    unlock(&state);
    CHECK(pthread_join(poller, NULL) == 0);
    CHECK(state.spills > 0);
    is_stale(&state);
    release_rest(&state);
    EXPECT(OK, offheap_owner_free(cache));
    EXPECT(OK, offheap_owner_free(query));
    EXPECT(OK, offheap_manager_verify_empty(manager));
    EXPECT(OK, offheap_manager_check(manager));
    EXPECT(OK, offheap_manager_free(manager));
}

static void *wait_for_all(void *context) {
    offheap_owner *owner = (offheap_owner *)context;
    offheap_segment *pages[PAGES] = {NULL};
    offheap_status status = offheap_acquire_pages(owner, PAGES, OFFHEAP_FOR_EVER, pages);
    CHECK((pages[0] != NULL) == (status == OFFHEAP_STATUS_OK));
    if (status == OFFHEAP_STATUS_OK) EXPECT(OK, offheap_release_many(pages, PAGES));
    return (void *)(intptr_t)status;
}

/* Starts threads that wait; returns when one of them does. */
static void start_waiting(pthread_t *threads, offheap_manager *manager, offheap_owner *owner) {
    uint32_t pressure = OFFHEAP_PRESSURE_NORMAL;
    start_threads(threads, wait_for_all, owner);
    while (pressure != OFFHEAP_PRESSURE_CRITICAL) {
        sched_yield();
        EXPECT(OK, offheap_manager_pressure(manager, &pressure));
    }
}

static void all_end_with(pthread_t *threads, offheap_status expected) {
    for (size_t i = 0; i < THREADS; i++) {
        void *status;
        CHECK(pthread_join(threads[i], &status) == 0);
        CHECK((intptr_t)status == (intptr_t)expected);
    }
}

/* A thread that waits gets an answer, whatever others do meanwhile. */
static void waits_end(void) {
    offheap_manager *manager = new_manager(OFFHEAP_POLICY_GREEDY);
    offheap_owner *holder = new_owner(manager, "holder", 0), *query;
    offheap_segment *page, *pages[PAGES + 3];
    pthread_t threads[THREADS];
    EXPECT(OK, offheap_allocate(holder, 1, &page));
    query = new_owner(manager, "query", 0);
    EXPECT(TIMED_OUT, offheap_acquire_pages(query, PAGES, 0, pages));
    CHECK(SAYS("`holder`"));
    EXPECT(CAPACITY, offheap_acquire_pages(query, PAGES + 3, OFFHEAP_FOR_EVER, pages));
    EXPECT(NO_BYTES, offheap_acquire(query, 0, OFFHEAP_FOR_EVER, &page));
    EXPECT(NULL_ARGUMENT, offheap_acquire_pages(query, 1, 0, NULL));
    EXPECT(OK, offheap_acquire_pages(query, 0, 0, NULL));

    /* The handle goes, those who wait by it do not. */
    start_waiting(threads, manager, query);
    EXPECT(OK, offheap_owner_free(query));
    EXPECT(OK, offheap_release(page));
    for (size_t i = 0; i < THREADS; i++) {
        void *status;
        CHECK(pthread_join(threads[i], &status) == 0);
        CHECK((intptr_t)status == (intptr_t)OFFHEAP_STATUS_OK ||
              (intptr_t)status == (intptr_t)OFFHEAP_STATUS_STALE_HANDLE);
    }

    EXPECT(OK, offheap_allocate(holder, 1, &page));
    query = new_owner(manager, "query", 0);
    start_waiting(threads, manager, query);
    EXPECT(LEAK, offheap_manager_shutdown(manager));
    EXPECT(OK, offheap_manager_free(manager));
    all_end_with(threads, OFFHEAP_STATUS_SHUT_DOWN);
    EXPECT(OK, offheap_owner_free(query));
    EXPECT(OK, offheap_owner_free(holder));
    EXPECT(OK, offheap_release(page));
}

static void options(void) {
    offheap_manager *manager = new_manager(OFFHEAP_POLICY_GREEDY);
    struct {
        offheap_owner_options known;
        size_t later;
    } options;
    offheap_owner *owner = NULL, *child;
    offheap_owner_stats stats;
    memset(&options, 0, sizeof options);
    EXPECT(INVALID_ARGUMENT, offheap_owner_register_with(manager, "x", &options.known, &owner));
    CHECK(SAYS("`options` has a size of 0 bytes"));
    options.known.size = sizeof options;
    options.known.minimum_bytes = 2 * PAGE_BYTES;
    options.known.limit_bytes = 4 * PAGE_BYTES;
    options.later = 1;
    EXPECT(INVALID_ARGUMENT, offheap_owner_register_with(manager, "x", &options.known, &owner));
    CHECK(SAYS("`options` has something at byte 32"));
    options.later = 0;
    options.known.flags = 8;
    EXPECT(INVALID_ARGUMENT, offheap_owner_register_with(manager, "x", &options.known, &owner));
    CHECK(SAYS("`flags` is 0x8") && owner == NULL);
    options.known.flags = 0;
    EXPECT(NULL_ARGUMENT, offheap_owner_register_with(manager, "x", NULL, &owner));
    EXPECT(OK, offheap_owner_register_with(manager, "x", &options.known, &owner));
    options.known.minimum_bytes = PAGE_BYTES;
    EXPECT(OK, offheap_owner_register_child_with(owner, "y", &options.known, &child));
    stats.size = sizeof stats;
    EXPECT(OK, offheap_owner_get_stats(child, &stats));
    CHECK(stats.minimum_bytes == PAGE_BYTES && stats.limit_bytes == 4 * PAGE_BYTES);
    EXPECT(OK, offheap_owner_free(child));
    EXPECT(STALE_HANDLE, offheap_owner_register_child_with(child, "y", &options.known, &child));
    EXPECT(OK, offheap_owner_free(owner));
    EXPECT(STALE_HANDLE, offheap_owner_clear_reclaimer(owner));
    EXPECT(OK, offheap_manager_free(manager));
}

/* A level, told on a thread of the library's. */
typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t told;
    uint32_t level;
    int ends;
} listener;

static void tell(void *context, uint32_t pressure) {
    listener *state = (listener *)context;
    CHECK(pthread_mutex_lock(&state->lock) == 0);
    state->level = pressure;
    CHECK(pthread_cond_signal(&state->told) == 0);
    CHECK(pthread_mutex_unlock(&state->lock) == 0);
}

static void stop_telling(void *context) { ((listener *)context)->ends++; }

static void await_level(listener *state, uint32_t level) {
    CHECK(pthread_mutex_lock(&state->lock) == 0);
    while (state->level != level) CHECK(pthread_cond_wait(&state->told, &state->lock) == 0);
    CHECK(pthread_mutex_unlock(&state->lock) == 0);
}

static void pressure(void) {
    offheap_manager *manager = new_manager(OFFHEAP_POLICY_GREEDY);
    offheap_owner *owner = new_owner(manager, "owner", 0);
    offheap_subscription *subscription = NULL;
    offheap_segment *pages[PAGES];
    listener state;
    uint32_t level = 42;
    memset(&state, 0, sizeof state);
    CHECK(pthread_mutex_init(&state.lock, NULL) == 0 && pthread_cond_init(&state.told, NULL) == 0);
    EXPECT(NULL_ARGUMENT,
           offheap_manager_on_pressure(manager, NULL, &state, stop_telling, &subscription));
    EXPECT(NULL_ARGUMENT, offheap_manager_on_pressure(manager, tell, &state, stop_telling, NULL));
    CHECK(subscription == NULL && state.ends == 0);
    EXPECT(OK, offheap_manager_on_pressure(manager, tell, &state, stop_telling, &subscription));
    EXPECT(OK, offheap_manager_pressure(manager, &level));
    CHECK(level == OFFHEAP_PRESSURE_NORMAL);
    EXPECT(OK, offheap_allocate_pages(owner, PAGES / 2, pages));
    await_level(&state, OFFHEAP_PRESSURE_ELEVATED);
    EXPECT(OK, offheap_allocate_pages(owner, PAGES / 2, &pages[PAGES / 2]));
    await_level(&state, OFFHEAP_PRESSURE_CRITICAL);
    EXPECT(OK, offheap_release_many(pages, PAGES));
    await_level(&state, OFFHEAP_PRESSURE_NORMAL);
    EXPECT(OK, offheap_subscription_free(subscription));
    CHECK(state.ends == 1);
    EXPECT(STALE_HANDLE, offheap_subscription_free(subscription));
    EXPECT(OK, offheap_subscription_free(NULL));

    /* It does not keep its manager, and can be freed after it. */
    EXPECT(OK, offheap_manager_on_pressure(manager, tell, &state, stop_telling, &subscription));
    EXPECT(OK, offheap_owner_free(owner));
    EXPECT(OK, offheap_manager_free(manager));
    EXPECT(OK, offheap_subscription_free(subscription));
    CHECK(state.ends == 2);
}

static void *run(void *unused) {
    options();
    called();
    cleared_from_within();
    polled();
    waits_end();
    pressure();
    return unused;
}

/* On a thread that ends: what the library knows about a thread goes with it. */
int main(void) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
