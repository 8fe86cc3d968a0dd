/*
 * malloc(), calloc() and realloc() of all that is linked in, so that the n-th fails: link with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc. Libraries keep their own. With FAULT_REALLOCARRAY (and
 * -Wl,--wrap=reallocarray) that too, which tests/support/sim_disk.c takes its memory by. For the one source of a program.
 */
#ifndef WAYMARK_TESTS_FAULT_MALLOC_H
#define WAYMARK_TESTS_FAULT_MALLOC_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static atomic_uint allocations, fail_at; /* 0: none */
static atomic_bool sticky, hit;
static bool one_thread; /* only the allocations of `the_thread` count: servers of a test go on */
static pthread_t the_thread;

static inline bool trip(void)
{
    unsigned at = atomic_load(&fail_at);
    if (at == 0 || (one_thread && !pthread_equal(pthread_self(), the_thread)))
        return false;
    unsigned n = atomic_fetch_add(&allocations, 1) + 1;
    if (n != at && !(n > at && atomic_load(&sticky)))
        return false;
    atomic_store(&hit, true);
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t n)
{
    return trip() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return trip() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    return trip() ? NULL : __real_realloc(p, n);
}

#ifdef FAULT_REALLOCARRAY
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
    return trip() ? NULL : __real_reallocarray(p, n, size);
}
#endif

static inline void arm(unsigned n, bool from_then_on)
{
    atomic_store(&fail_at, 0);
    atomic_store(&allocations, 0);
    atomic_store(&hit, false);
    atomic_store(&sticky, from_then_on);
    atomic_store(&fail_at, n);
}

/* @return was it hit? A run that was not has shown how many there are. */
static inline bool disarm(const char *what)
{
    atomic_store(&fail_at, 0);
    if (!atomic_load(&hit))
        print_message("%s: %u allocations\n", what, atomic_load(&allocations));
    return atomic_load(&hit);
}

#endif
