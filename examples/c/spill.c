/* Spilling in C: numbers are collected in pages, and go to a file when memory is refused because
 * another owner has it. In the end the file has them all, and all memory is back.
 *
 *     cc spill.c $(pkg-config --cflags --libs offheap) -o spill && ./spill
 */
#include <offheap.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES ((size_t)4096)
#define PAGES 64
#define NUMBERS 200000u

/* Ends the program where a call fails that has to succeed. */
static void must(offheap_status status) {
    if (status == OFFHEAP_STATUS_OK) return;
    fprintf(stderr, "%s: %s\n", offheap_status_name(status), offheap_last_error_message());
    exit(1);
}

static offheap_manager *new_manager(void) {
    offheap_config *config;
    offheap_manager *manager;
    must(offheap_config_new(&config));
    must(offheap_config_set_page_size(config, PAGE_BYTES));
    must(offheap_config_set_capacity(config, PAGES * PAGE_BYTES));
    must(offheap_manager_new(config, &manager));
    offheap_config_free(config);
    return manager;
}

/* Writes what the pages hold to the file, and gives the pages back. */
static void spill(FILE *file, offheap_segment **pages, size_t count) {
    for (size_t i = 0; i < count; i++) {
        void *address;
        size_t bytes;
        must(offheap_segment_range(pages[i], &address, &bytes));
        if (file == NULL || fwrite(address, 1, bytes, file) != bytes) exit(1);
    }
    must(offheap_release_many(pages, count));
}

int main(void) {
    offheap_manager *manager = new_manager();
    offheap_owner *sums, *join;
    offheap_segment *table, *pages[PAGES], *none = NULL;
    FILE *file = tmpfile();
    size_t count = 0, spills = 0, bytes = 0;
    unsigned *values = NULL, value;
    unsigned long long expected = 0, found = 0;
    void *address;

    /* A block: contiguous memory of any size, here half of the budget, for a hash table. */
    must(offheap_owner_register(manager, "query/join", 0, OFFHEAP_NO_LIMIT, &join));
    must(offheap_allocate(join, PAGES / 2 * PAGE_BYTES, &table));
    must(offheap_segment_range(table, &address, &bytes));
    memset(address, 0, bytes);
    printf("the join holds a block of %zu bytes\n", bytes);

    /* Pages: the sums take one after the other, until one is refused; then they spill. */
    must(offheap_owner_register(manager, "query/sums", 4 * PAGE_BYTES, OFFHEAP_NO_LIMIT, &sums));
    for (unsigned number = 0; number < NUMBERS; number++) {
        size_t place = number % (PAGE_BYTES / sizeof value);
        if (place == 0) {
            offheap_status status = offheap_allocate_page(sums, &pages[count]);
            if (status == OFFHEAP_STATUS_BUDGET) {
                if (spills++ == 0) printf("refused: %s\n", offheap_last_error_message());
                spill(file, pages, count);
                count = 0;
                status = offheap_allocate_page(sums, &pages[count]);
            }
            must(status);
            must(offheap_segment_range(pages[count++], &address, &bytes));
            values = memset(address, 0, bytes);
        }
        values[place] = number;
        expected += number;
    }
    spill(file, pages, count);

    /* What was spilled is all there; what was released before is refused, without harm. */
    rewind(file);
    while (fread(&value, sizeof value, 1, file) == 1) found += value;
    fclose(file);
    printf("spilled %zu times; the sum is %llu\n", spills, found);
    if (found != expected || spills == 0) return 1;
    if (offheap_release(pages[0]) != OFFHEAP_STATUS_STALE_HANDLE) return 1;

    must(offheap_release(table));
    must(offheap_manager_verify_empty(manager));
    must(offheap_manager_shutdown(manager));
    if (offheap_allocate_page(sums, &none) != OFFHEAP_STATUS_SHUT_DOWN) return 1;
    offheap_owner_free(sums);
    offheap_owner_free(join);
    offheap_manager_free(manager);
    return 0;
}
