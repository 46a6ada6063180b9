// The header in C++: a page behind a destructor.
#include "check.h"

struct Page {
    offheap_segment *segment = nullptr;
    explicit Page(offheap_owner *owner) { EXPECT(OK, offheap_allocate_page(owner, &segment)); }
    Page(const Page &) = delete;
    Page &operator=(const Page &) = delete;
    ~Page() { EXPECT(OK, offheap_release(segment)); }
};

int main() {
    offheap_config *config = nullptr;
    offheap_manager *manager = nullptr;
    offheap_owner *owner = nullptr;
    EXPECT(OK, offheap_config_new(&config));
    EXPECT(OK, offheap_config_set_capacity(config, 1 << 20));
    EXPECT(OK, offheap_config_set_mode(config, OFFHEAP_MODE_HEAP));
    EXPECT(OK, offheap_manager_new(config, &manager));
    EXPECT(OK, offheap_owner_register(manager, "c++", 0, OFFHEAP_NO_LIMIT, &owner));
    {
        const Page page(owner);
        EXPECT(LEAK, offheap_manager_verify_empty(manager));
        CHECK(SAYS("32768 bytes have not been released; held by `c++`: 32768 bytes"));
    }
    EXPECT(OK, offheap_manager_verify_empty(manager));
    EXPECT(OK, offheap_owner_free(owner));
    EXPECT(OK, offheap_manager_free(manager));
    EXPECT(OK, offheap_config_free(config));
    return 0;
}
