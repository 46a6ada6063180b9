/* Threads: pages that others release, the same handles released by all of them at once, an owner
 * that is freed while it is in use, and messages of a thread's own. */
#include "check.h"

#include <pthread.h>

#define THREADS 4
#define ROUNDS 200
#define PAGES 32

static offheap_manager *manager;
static offheap_owner *owner;
static offheap_segment *pages[PAGES];
static pthread_barrier_t together;

/* Each releases all pages, in an order of its own; returns how many of them it was who did. */
static void *release_all(void *argument) {
    size_t thread = (size_t)argument, released = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&together);
        if (thread == 0) {
            EXPECT(OK, offheap_manager_verify_empty(manager));
            EXPECT(OK, offheap_allocate_pages(owner, PAGES, pages));
        }
        pthread_barrier_wait(&together);
        for (size_t i = 0; i < PAGES; i++) {
            offheap_status status = offheap_release(pages[(i * (2 * thread + 1)) % PAGES]);
            CHECK(status == OFFHEAP_STATUS_OK || status == OFFHEAP_STATUS_STALE_HANDLE);
            released += status == OFFHEAP_STATUS_OK;
        }
    }
    return (void *)released;
}

/* Allocates and releases until the owner is freed by one of them. */
static void *use_until_freed(void *argument) {
    offheap_segment *page;
    offheap_status status = OFFHEAP_STATUS_OK;
    pthread_barrier_wait(&together);
    for (size_t i = 0; status == OFFHEAP_STATUS_OK; i++) {
        status = offheap_allocate_page(owner, &page);
        if (status == OFFHEAP_STATUS_OK) EXPECT(OK, offheap_release(page));
        if (argument != NULL && i == 100) EXPECT(OK, offheap_owner_free(owner));
    }
    CHECK(status == OFFHEAP_STATUS_STALE_HANDLE && SAYS("was released or freed before"));
    return NULL;
}

static size_t run(void *(*work)(void *), size_t argument_of_first) {
    pthread_t threads[THREADS];
    size_t sum = 0;
    for (size_t i = 0; i < THREADS; i++) {
        size_t argument = argument_of_first == 0 ? i : (i == 0 ? argument_of_first : 0);
        CHECK(pthread_create(&threads[i], NULL, work, (void *)argument) == 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        void *result;
        CHECK(pthread_join(threads[i], &result) == 0);
        sum += (size_t)result;
    }
    return sum;
}

int main(void) {
    offheap_config *config;
    EXPECT(OK, offheap_config_new(&config));
    EXPECT(OK, offheap_config_set_capacity(config, (size_t)1 << 20));
    EXPECT(OK, offheap_manager_new(config, &manager));
    EXPECT(OK, offheap_config_free(config));
    EXPECT(OK, offheap_owner_register(manager, "threads", 0, OFFHEAP_NO_LIMIT, &owner));
    CHECK(pthread_barrier_init(&together, NULL, THREADS) == 0);

    /* Every page was released by one of them, once. */
    CHECK(run(release_all, 0) == ROUNDS * PAGES);
    run(use_until_freed, 1);
    CHECK(strcmp(offheap_last_error_message(), "") == 0);

    EXPECT(OK, offheap_manager_verify_empty(manager));
    EXPECT(OK, offheap_manager_check(manager));
    EXPECT(OK, offheap_manager_free(manager));
    CHECK(pthread_barrier_destroy(&together) == 0);
    return 0;
}
