/* Pages: a budget of 64 of them is had in full, and comes back in full. */
#include "check.h"

#define PAGES 64
#define PAGE_BYTES ((size_t)32 << 10)

static void fill(offheap_segment *page, int byte) {
    void *address, *same = NULL;
    size_t bytes, as_many = 0;
    EXPECT(OK, offheap_segment_address(page, &address));
    EXPECT(OK, offheap_segment_size(page, &bytes));
    CHECK(bytes == PAGE_BYTES && (uintptr_t)address % 4096 == 0);
    EXPECT(OK, offheap_segment_range(page, &same, &as_many));
    CHECK(same == address && as_many == bytes);
    memset(address, byte, bytes);
}

static void expect_filled(offheap_segment *page, int byte) {
    void *address;
    EXPECT(OK, offheap_segment_address(page, &address));
    for (size_t i = 0; i < PAGE_BYTES; i++) CHECK(((unsigned char *)address)[i] == byte);
}

int main(void) {
    offheap_config *config;
    offheap_manager *manager;
    offheap_owner *owner;
    offheap_worker *worker;
    offheap_segment *pages[PAGES], *one_more = NULL;

    CHECK(offheap_abi_version() == OFFHEAP_ABI_VERSION);
    CHECK(strcmp(offheap_version(), OFFHEAP_VERSION) == 0);
    EXPECT(OK, offheap_config_new(&config));
    EXPECT(OK, offheap_config_set_capacity(config, PAGES * PAGE_BYTES));
    EXPECT(OK, offheap_config_set_zero_policy(config, OFFHEAP_ZERO_POLICY_ON_RELEASE));
    EXPECT(OK, offheap_manager_new(config, &manager));
    EXPECT(OK, offheap_config_free(config));
    EXPECT(OK, offheap_owner_register(manager, "scan", 0, OFFHEAP_NO_LIMIT, &owner));

    /* One by one, then many at once: all there are. */
    for (int i = 0; i < 10; i++) EXPECT(OK, offheap_allocate_page(owner, &pages[i]));
    EXPECT(OK, offheap_allocate_pages(owner, PAGES - 10, &pages[10]));
    for (int i = 0; i < PAGES; i++) fill(pages[i], i);
    EXPECT(BUDGET, offheap_allocate_page(owner, &one_more));
    CHECK(one_more == NULL && SAYS("held by `scan`: 2097152 bytes"));
    for (int i = 0; i < PAGES; i++) expect_filled(pages[i], i);

    offheap_manager_stats stats = {.size = sizeof stats};
    EXPECT(OK, offheap_manager_get_stats(manager, &stats));
    CHECK(stats.size == sizeof stats && stats.total_pages == PAGES && stats.available_bytes == 0);

    EXPECT(OK, offheap_release(pages[0]));
    EXPECT(STALE_HANDLE, offheap_release(pages[0]));
    void *address = pages;
    size_t bytes = 77;
    EXPECT(STALE_HANDLE, offheap_segment_range(pages[0], &address, &bytes));
    EXPECT(NULL_ARGUMENT, offheap_segment_range(pages[1], NULL, &bytes));
    EXPECT(NULL_ARGUMENT, offheap_segment_range(pages[1], &address, NULL));
    CHECK(address == pages && bytes == 77);
    EXPECT(OK, offheap_release_many(&pages[1], PAGES - 1));
    EXPECT(OK, offheap_manager_verify_empty(manager));

    /* The same by a worker; nothing of the last holder shows. */
    EXPECT(OK, offheap_worker_new(owner, &worker));
    for (int i = 0; i < PAGES; i++) {
        EXPECT(OK, offheap_worker_allocate_page(worker, &pages[i]));
        expect_filled(pages[i], 0);
        fill(pages[i], 255);
    }
    EXPECT(BUDGET, offheap_worker_allocate_page(worker, &one_more));
    for (int i = 0; i < PAGES; i++) EXPECT(OK, offheap_worker_release(worker, pages[i]));
    EXPECT(STALE_HANDLE, offheap_worker_release(worker, pages[7]));
    EXPECT(OK, offheap_worker_free(worker));

    EXPECT(OK, offheap_manager_shutdown(manager));
    EXPECT(SHUT_DOWN, offheap_allocate_page(owner, &one_more));
    EXPECT(OK, offheap_owner_free(owner));
    EXPECT(OK, offheap_manager_free(manager));
    return 0;
}
