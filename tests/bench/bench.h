/* What the benches share: clocks and medians. For the one source of a program. */
#ifndef WAYMARK_TESTS_BENCH_H
#define WAYMARK_TESTS_BENCH_H

#include <stdlib.h>
#include <time.h>

static inline double now_s(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* Sorts v. */
static inline double median(double *v, unsigned n)
{
    qsort(v, n, sizeof *v, by_value);
    return v[n / 2];
}

#endif
