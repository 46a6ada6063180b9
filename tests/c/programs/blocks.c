/* Blocks under both strategies: which hole they take, and what a strategy finds of a large wish. */
#include "check.h"

#define PAGE_BYTES ((size_t)4 << 10)
#define PAGES 64

static offheap_manager *new_manager(uint32_t strategy) {
    offheap_config *config;
    offheap_manager *manager;
    EXPECT(OK, offheap_config_new(&config));
    EXPECT(OK, offheap_config_set_capacity(config, PAGES * PAGE_BYTES));
    EXPECT(OK, offheap_config_set_page_size(config, PAGE_BYTES));
    EXPECT(OK, offheap_config_set_strategy(config, strategy));
    EXPECT(OK, offheap_config_set_address_space_factor(config, 1));
    EXPECT(OK, offheap_config_set_huge_pages(config, OFFHEAP_HUGE_PAGES_NEVER));
    EXPECT(OK, offheap_config_set_depot_pages(config, 0));
    EXPECT(OK, offheap_manager_new(config, &manager));
    EXPECT(OK, offheap_config_free(config));
    return manager;
}

static offheap_segment *block(offheap_owner *owner, size_t pages) {
    offheap_segment *segment;
    EXPECT(OK, offheap_allocate(owner, pages * PAGE_BYTES - 1, &segment));
    return segment;
}

static char *address(offheap_segment *segment) {
    void *address;
    EXPECT(OK, offheap_segment_address(segment, &address));
    return address;
}

static size_t pages_of(offheap_segment *segment) {
    size_t bytes;
    EXPECT(OK, offheap_segment_size(segment, &bytes));
    return bytes / PAGE_BYTES;
}

/* Holes of 20 and of 4 pages, and of nothing else. */
struct holes {
    offheap_segment *held[2];
    char *large, *small;
};

static struct holes make_holes(offheap_owner *owner) {
    struct holes holes;
    offheap_segment *large = block(owner, 20);
    holes.held[0] = block(owner, 10);
    offheap_segment *small = block(owner, 4);
    holes.held[1] = block(owner, PAGES - 34);
    holes.large = address(large);
    holes.small = address(small);
    EXPECT(OK, offheap_release(large));
    EXPECT(OK, offheap_release(small));
    return holes;
}

static void try_strategy(uint32_t strategy) {
    offheap_manager *manager = new_manager(strategy);
    offheap_owner *owner;
    int smallest = strategy == OFFHEAP_STRATEGY_SMALLEST_FIT;
    EXPECT(OK, offheap_owner_register(manager, "join", 0, OFFHEAP_NO_LIMIT, &owner));
    struct holes holes = make_holes(owner);

    offheap_segment *three = block(owner, 3);
    CHECK(address(three) == (smallest ? holes.small : holes.large));
    memset(address(three), 1, 3 * PAGE_BYTES);
    EXPECT(OK, offheap_release(three));

    /* More than any hole, but not more than is free. */
    offheap_segment *none = NULL;
    EXPECT(FRAGMENTED, offheap_allocate(owner, 21 * PAGE_BYTES, &none));
    CHECK(none == NULL && SAYS("the largest free block has 81920 bytes"));
    offheap_refusal_info refusal = {.size = sizeof refusal};
    EXPECT(OK, offheap_last_refusal(&refusal));
    CHECK(refusal.largest_free_block_bytes == 20 * PAGE_BYTES);
    CHECK(refusal.available_bytes == 24 * PAGE_BYTES);

    offheap_segment *some;
    EXPECT(OK, offheap_allocate_up_to(owner, 24 * PAGE_BYTES, &some));
    CHECK(address(some) == holes.large && pages_of(some) == 20);
    EXPECT(OK, offheap_release(some));

    /* All that is free, in two blocks. */
    offheap_segment *many[24];
    size_t count = 77;
    EXPECT(BUFFER_TOO_SMALL, offheap_allocate_scattered(owner, 24 * PAGE_BYTES, many, 1, &count));
    CHECK(count == 77);
    EXPECT(OK, offheap_allocate_scattered(owner, 24 * PAGE_BYTES, many, 24, &count));
    CHECK(count == 2 && pages_of(many[0]) + pages_of(many[1]) == 24);
    EXPECT(OK, offheap_release_many(many, count));

    EXPECT(NO_BYTES, offheap_allocate(owner, 0, &none));
    EXPECT(CAPACITY, offheap_allocate(owner, (PAGES + 1) * PAGE_BYTES, &none));
    EXPECT(OK, offheap_manager_check(manager));
    EXPECT(OK, offheap_release_many(holes.held, 2));
    EXPECT(OK, offheap_manager_verify_empty(manager));

    /* What was touched can go back to the system. */
    size_t given_back;
    EXPECT(OK, offheap_manager_trim(manager, 0, &given_back));
    CHECK(given_back >= 3 * PAGE_BYTES);
    EXPECT(OK, offheap_owner_free(owner));
    EXPECT(OK, offheap_manager_free(manager));
}

int main(void) {
    try_strategy(OFFHEAP_STRATEGY_SMALLEST_FIT);
    try_strategy(OFFHEAP_STRATEGY_LARGEST_FIT);
    return 0;
}
