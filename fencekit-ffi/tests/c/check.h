/* What the test programs share: a check that says where it failed. */

#ifndef CHECK_H
#define CHECK_H

#include <fencekit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        checks++;                                                                                                      \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                                   \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define GIVES(expected, expression)                                                                                    \
    do {                                                                                                               \
        fencekit_result gave_ = (expression);                                                                           \
        checks++;                                                                                                      \
        if (gave_ != (expected)) {                                                                                      \
            fprintf(stderr, "%s:%d: %s gave %lu, not %lu\n", __FILE__, __LINE__, #expression, (unsigned long)gave_,     \
                    (unsigned long)(expected));                                                                        \
            exit(1);                                                                                                   \
        }                                                                                                              \
    } while (0)

#define OK(expression) GIVES(FENCEKIT_RESULT_OK, expression)

#endif
