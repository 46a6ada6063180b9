/* What the programs check with: the first thing that is not as it should be ends the program. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <offheap.h>

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #condition,    \
                    offheap_last_error_message());                                         \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

#define EXPECT(name, call)                                                                 \
    do {                                                                                   \
        offheap_status status_ = (call);                                                   \
        if (status_ != OFFHEAP_STATUS_##name) {                                            \
            fprintf(stderr, "%s:%d: %s is %s: %s\n", __FILE__, __LINE__, #call,            \
                    offheap_status_name(status_), offheap_last_error_message());           \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

#define SAYS(text) (strstr(offheap_last_error_message(), (text)) != NULL)

#endif
