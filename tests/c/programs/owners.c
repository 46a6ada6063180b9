/* Owners with limits and minimums, what they are refused, and handles that are not good. */
#include "check.h"

#define PAGE_BYTES ((size_t)32 << 10)

static offheap_manager *new_manager(size_t pages) {
    offheap_config *config;
    offheap_manager *manager;
    EXPECT(OK, offheap_config_new(&config));
    EXPECT(CONFIG, offheap_manager_new(config, &manager));
    CHECK(SAYS("no capacity was set, in bytes or as a fraction of what is available"));
    EXPECT(OK, offheap_config_set_fraction_of_available(config, 1.5));
    EXPECT(CONFIG, offheap_manager_new(config, &manager));
    CHECK(SAYS("1.5"));
    EXPECT(OK, offheap_config_set_capacity(config, pages * PAGE_BYTES));
    EXPECT(INVALID_ARGUMENT, offheap_config_set_mode(config, 2));
    CHECK(SAYS("`mode` is 2, and not from 0 to 1"));
    EXPECT(OK, offheap_manager_new(config, &manager));
    EXPECT(OK, offheap_config_free(config));
    EXPECT(STALE_HANDLE, offheap_config_set_capacity(config, 1));
    EXPECT(STALE_HANDLE, offheap_config_free(config));
    return manager;
}

static void limits(void) {
    offheap_manager *manager = new_manager(10);
    offheap_owner *sorter, *join, *none = NULL;
    offheap_segment *pages[10], *one = NULL;
    offheap_reservation *reservation, *no_reservation = NULL;

    EXPECT(OK, offheap_owner_register(manager, "sorter", 2 * PAGE_BYTES, 4 * PAGE_BYTES, &sorter));
    EXPECT(MINIMUM_ABOVE_LIMIT, offheap_owner_register(manager, "no", 2, 1, &none));
    EXPECT(MINIMUM_UNAVAILABLE,
           offheap_owner_register(manager, "no", 9 * PAGE_BYTES, OFFHEAP_NO_LIMIT, &none));
    CHECK(none == NULL && SAYS("only 262144 bytes are left"));
    EXPECT(OK, offheap_owner_register(manager, "join", 0, OFFHEAP_NO_LIMIT, &join));

    /* The join gets all but what is promised to the sorter, which gets it in the end. */
    EXPECT(OK, offheap_allocate_pages(join, 8, pages));
    EXPECT(BUDGET, offheap_allocate_page(join, &one));
    CHECK(one == NULL && SAYS("cannot allocate 32768 bytes for owner `join`: nothing of 327680"));
    CHECK(SAYS("held by `join`: 262144 bytes"));
    EXPECT(OK, offheap_allocate_pages(sorter, 2, &pages[8]));
    EXPECT(OK, offheap_release_many(pages, 8));

    EXPECT(OK, offheap_reserve_memory(sorter, PAGE_BYTES, &reservation));
    EXPECT(OWNER_LIMIT, offheap_reserve_memory(sorter, PAGE_BYTES + 1, &no_reservation));
    CHECK(no_reservation == NULL && SAYS("it holds 98304 bytes of its limit of 131072 bytes"));
    offheap_refusal_info refusal = {.size = sizeof refusal};
    EXPECT(OK, offheap_last_refusal(&refusal));
    CHECK(refusal.requested_bytes == PAGE_BYTES + 1 && refusal.available_bytes == PAGE_BYTES);
    CHECK(refusal.owner_used_bytes == 3 * PAGE_BYTES);
    CHECK(refusal.largest_free_block_bytes == OFFHEAP_UNKNOWN);

    size_t bytes = 0;
    EXPECT(OK, offheap_reservation_grow(reservation, PAGE_BYTES));
    EXPECT(OWNER_LIMIT, offheap_reservation_grow(reservation, 1));
    EXPECT(OK, offheap_reservation_release(reservation, 100, &bytes));
    CHECK(bytes == 100);
    EXPECT(OK, offheap_reservation_size(reservation, &bytes));
    CHECK(bytes == 2 * PAGE_BYTES - 100);

    char text[200], cut[10];
    EXPECT(OK, offheap_manager_holders(manager, text, sizeof text, &bytes));
    CHECK(strcmp(text, "`sorter`: 130972 bytes "
                        "(minimum 65536, limit 131072, reclaimable 0)\n") == 0);
    CHECK(bytes == strlen(text));
    EXPECT(OK, offheap_manager_holders(manager, cut, sizeof cut, &bytes));
    CHECK(strcmp(cut, "`sorter`:") == 0 && bytes == strlen(text));
    EXPECT(OK, offheap_manager_holders(manager, NULL, 0, &bytes));

    offheap_owner_stats stats = {.size = sizeof stats};
    EXPECT(OK, offheap_owner_get_stats(sorter, &stats));
    CHECK(stats.used_bytes == 130972 && stats.available_bytes == 100);
    stats.size = sizeof stats - 1;
    EXPECT(INVALID_ARGUMENT, offheap_owner_get_stats(sorter, &stats));

    /* The handles of a manager and of an owner go first; what they stand for stays. */
    EXPECT(LEAK, offheap_manager_shutdown(manager));
    CHECK(SAYS("held by `sorter`"));
    EXPECT(OK, offheap_manager_free(manager));
    EXPECT(OK, offheap_owner_free(sorter));
    EXPECT(OK, offheap_reservation_free(reservation));
    EXPECT(STALE_HANDLE, offheap_reservation_free(reservation));
    EXPECT(OK, offheap_release_many(&pages[8], 2));
    EXPECT(OK, offheap_owner_free(join));
}

/* The calls that never wait take what is free, and are refused as the others are. */
static void without_waiting(void) {
    offheap_manager *manager = new_manager(10);
    offheap_owner *owner;
    offheap_segment *page, *pages[3], *block, *none = NULL;
    offheap_reservation *reservation, *no_reservation = NULL;
    offheap_worker *worker;
    void *address;
    size_t bytes;
    EXPECT(OK, offheap_owner_register(manager, "owner", 0, 8 * PAGE_BYTES, &owner));
    EXPECT(OK, offheap_try_allocate_page(owner, &page));
    EXPECT(OK, offheap_try_allocate_pages(owner, 3, pages));
    EXPECT(OK, offheap_try_allocate(owner, 2 * PAGE_BYTES - 1, &block));
    EXPECT(OK, offheap_segment_range(block, &address, &bytes));
    CHECK(bytes == 2 * PAGE_BYTES);
    memset(address, 1, bytes);
    EXPECT(OK, offheap_try_reserve_memory(owner, PAGE_BYTES, &reservation));
    EXPECT(OK, offheap_reservation_size(reservation, &bytes));
    CHECK(bytes == PAGE_BYTES);

    EXPECT(OWNER_LIMIT, offheap_try_allocate_pages(owner, 2, &none));
    EXPECT(CAPACITY, offheap_try_allocate(owner, 11 * PAGE_BYTES, &none));
    EXPECT(NO_BYTES, offheap_try_allocate(owner, 0, &none));
    EXPECT(OK, offheap_worker_new(owner, &worker));
    EXPECT(OK, offheap_worker_try_allocate_page(worker, &none));
    EXPECT(OK, offheap_worker_release(worker, none));
    none = NULL;
    EXPECT(OWNER_LIMIT, offheap_try_reserve_memory(owner, PAGE_BYTES + 1, &no_reservation));
    /* What the worker keeps at hand is free. */
    EXPECT(OK, offheap_reservation_grow(reservation, PAGE_BYTES));
    EXPECT(OWNER_LIMIT, offheap_try_allocate_page(owner, &none));
    CHECK(SAYS("it holds 262144 bytes of its limit of 262144 bytes"));
    EXPECT(OWNER_LIMIT, offheap_worker_try_allocate_page(worker, &none));
    EXPECT(NULL_ARGUMENT, offheap_try_allocate_page(owner, NULL));
    EXPECT(NULL_ARGUMENT, offheap_try_allocate_pages(owner, 1, NULL));
    EXPECT(NULL_ARGUMENT, offheap_try_allocate(NULL, 1, &none));
    EXPECT(NULL_ARGUMENT, offheap_try_reserve_memory(owner, 1, NULL));
    EXPECT(NULL_ARGUMENT, offheap_worker_try_allocate_page(NULL, &none));
    CHECK(none == NULL && no_reservation == NULL);

    EXPECT(OK, offheap_release(page));
    EXPECT(OK, offheap_release_many(pages, 3));
    EXPECT(OK, offheap_release(block));
    EXPECT(OK, offheap_reservation_free(reservation));
    EXPECT(OK, offheap_worker_free(worker));
    EXPECT(OK, offheap_owner_free(owner));
    EXPECT(STALE_HANDLE, offheap_try_allocate_page(owner, &none));
    EXPECT(OK, offheap_manager_verify_empty(manager));
    EXPECT(OK, offheap_manager_free(manager));
}

static void tree(void) {
    offheap_manager *manager = new_manager(10);
    offheap_owner *query, *sort, *join;
    offheap_segment *pages[4], *one = NULL;
    EXPECT(OK, offheap_owner_register(manager, "query", 0, 4 * PAGE_BYTES, &query));
    EXPECT(OK, offheap_owner_register_child(query, "sort", PAGE_BYTES, OFFHEAP_NO_LIMIT, &sort));
    EXPECT(OK, offheap_owner_register_child(query, "join", 0, OFFHEAP_NO_LIMIT, &join));
    EXPECT(OK, offheap_allocate_pages(join, 3, pages));
    EXPECT(PARENT_LIMIT, offheap_allocate_page(join, &one));
    CHECK(one == NULL && SAYS("for owner `query/join`"));
    EXPECT(OK, offheap_allocate_page(sort, &pages[3]));
    offheap_owner_stats stats = {.size = sizeof stats};
    EXPECT(OK, offheap_owner_get_stats(query, &stats));
    CHECK(stats.used_bytes == 4 * PAGE_BYTES);
    EXPECT(OK, offheap_release_many(pages, 4));
    EXPECT(OK, offheap_owner_free(query));
    EXPECT(STALE_HANDLE, offheap_owner_register_child(query, "late", 0, 0, &query));
    EXPECT(OK, offheap_owner_free(sort));
    EXPECT(OK, offheap_owner_free(join));
    EXPECT(OK, offheap_manager_free(manager));
}

static void bad_handles(void) {
    offheap_manager *manager = new_manager(10);
    offheap_owner *owner;
    offheap_segment *pages[4], *page;
    void *address = &address;
    EXPECT(OK, offheap_owner_register(manager, "owner", 0, OFFHEAP_NO_LIMIT, &owner));

    /* Twice, also when the page is in other hands by then. */
    EXPECT(OK, offheap_allocate_page(owner, &pages[0]));
    EXPECT(OK, offheap_release(pages[0]));
    EXPECT(OK, offheap_allocate_page(owner, &pages[1]));
    CHECK(pages[0] != pages[1]);
    EXPECT(STALE_HANDLE, offheap_release(pages[0]));
    CHECK(SAYS("was released or freed before"));
    EXPECT(STALE_HANDLE, offheap_segment_address(pages[0], &address));
    CHECK(address == &address);
    EXPECT(OK, offheap_segment_address(pages[1], &address));

    /* All or none: one that is stale, one that is there twice, and NULLs. */
    EXPECT(OK, offheap_allocate_pages(owner, 2, &pages[2]));
    offheap_segment *stale[4] = {pages[1], NULL, pages[2], pages[0]};
    EXPECT(STALE_HANDLE, offheap_release_many(stale, 4));
    CHECK(SAYS("at position 3"));
    offheap_segment *twice[4] = {pages[1], NULL, pages[2], pages[1]};
    EXPECT(STALE_HANDLE, offheap_release_many(twice, 4));
    EXPECT(OK, offheap_segment_address(pages[1], &address));
    EXPECT(OK, offheap_segment_address(pages[2], &address));
    offheap_segment *good[4] = {pages[1], NULL, pages[2], pages[3]};
    EXPECT(OK, offheap_release_many(good, 4));
    EXPECT(OK, offheap_manager_verify_empty(manager));

    /* Numbers that are no handles, and handles of something else. */
    EXPECT(FOREIGN_HANDLE, offheap_release((offheap_segment *)(void *)&page));
    EXPECT(FOREIGN_HANDLE, offheap_release((offheap_segment *)(void *)owner));
    CHECK(SAYS("is of the kind owner, not segment"));
    EXPECT(FOREIGN_HANDLE, offheap_owner_free((offheap_owner *)(void *)manager));
    EXPECT(FOREIGN_HANDLE, offheap_manager_free((offheap_manager *)UINTPTR_MAX));

    /* NULL is refused, but to free it is fine. */
    EXPECT(NULL_ARGUMENT, offheap_allocate_page(NULL, &page));
    CHECK(SAYS("`owner` is NULL"));
    EXPECT(NULL_ARGUMENT, offheap_allocate_page(owner, NULL));
    CHECK(SAYS("`out_segment` is NULL"));
    EXPECT(NULL_ARGUMENT, offheap_allocate_pages(owner, 1, NULL));
    EXPECT(NULL_ARGUMENT, offheap_owner_register(manager, NULL, 0, 0, &owner));
    EXPECT(NULL_ARGUMENT, offheap_manager_new(NULL, &manager));
    EXPECT(NULL_ARGUMENT, offheap_manager_get_stats(manager, NULL));
    EXPECT(NULL_ARGUMENT, offheap_release_many(NULL, 1));
    EXPECT(OK, offheap_release_many(NULL, 0));
    EXPECT(OK, offheap_allocate_pages(owner, 0, NULL));
    EXPECT(OK, offheap_release(NULL));
    EXPECT(OK, offheap_owner_free(NULL));
    EXPECT(OK, offheap_manager_free(NULL));
    EXPECT(OK, offheap_config_free(NULL));
    EXPECT(OK, offheap_worker_free(NULL));
    EXPECT(OK, offheap_reservation_free(NULL));

    EXPECT(OK, offheap_owner_free(owner));
    EXPECT(STALE_HANDLE, offheap_allocate_page(owner, &page));
    EXPECT(STALE_HANDLE, offheap_owner_free(owner));
    EXPECT(OK, offheap_manager_free(manager));
    EXPECT(STALE_HANDLE, offheap_manager_verify_empty(manager));
}

int main(void) {
    CHECK(strcmp(offheap_last_error_message(), "") == 0);
    CHECK(strcmp(offheap_status_name(OFFHEAP_STATUS_LEAK), "OFFHEAP_STATUS_LEAK") == 0);
    CHECK(strcmp(offheap_status_name(12345), "unknown") == 0);
    limits();
    without_waiting();
    tree();
    bad_handles();
    return 0;
}
