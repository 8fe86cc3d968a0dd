/* The sequence numbers of one chain, followed from file to file in the order in which digests list them. */
#include "verify_int.h"

#include <stdlib.h>

#include "waymark/banned.h"

static void sequence_gap(struct verify *v, const struct verify_object *o, uint64_t first, uint64_t last)
{
    struct verify_sequence *q = &v->sequence;
    struct verify_gap *gaps = verify_more(q->gaps, q->n_gaps, &q->cap_gaps, sizeof *gaps);
    v->settled.clean = false;
    if (!gaps) {
        verify_no_memory(v, "gaps of sequence numbers");
        return;
    }
    q->gaps = gaps;
    q->gaps[q->n_gaps++] = (struct verify_gap){o, {first, last}};
}

static void sequence_missed(struct verify *v, const struct verify_numbers *n)
{
    struct verify_sequence *q = &v->sequence;
    for (unsigned i = 0; i < n->n_missed; i++) {
        struct verify_range *missed = verify_more(q->missed, q->n_missed, &q->cap_missed, sizeof *missed);
        v->settled.clean = false; /* the next run must read it again */
        if (!missed) {
            verify_no_memory(v, "ranges that were left out");
            return;
        }
        q->missed = missed;
        q->missed[q->n_missed++] = n->missed[i];
    }
}

void verify_sequence_jump(struct verify *v, enum verify_jump jump)
{
    if (jump != VERIFY_JUMP_NOT)
        v->sequence.sure = false;
    if (jump == VERIFY_JUMP_ANY)
        v->sequence.known = false;
}

static void sequence_unnumbered(struct verify *v, const struct verify_object *o, const char *text)
{
    verify_say(v, false, "unnumbered", o->key, "%s", text);
    v->settled.clean = false;
    v->sequence.sure = false;
}

void verify_sequence_file(struct verify *v, const struct verify_object *o, const struct verify_numbers *n)
{
    struct verify_sequence *q = &v->sequence;
    sequence_missed(v, n);
    if (n->records == 0)
        return;
    if (n->numbered == 0) {
        if (q->numbered)
            sequence_unnumbered(v, o, "its records have no sequence numbers, though older ones of this chain have");
        return;
    }
    q->numbered = true;
    if (n->numbered < n->records) {
        sequence_unnumbered(v, o, "some of its records have no sequence number");
        q->last = q->known && q->last > n->highest ? q->last : n->highest;
        q->known = true;
        return;
    }
    uint64_t last = q->known ? q->last : n->first - 1;
    if (n->first <= last || n->order_number) { /* what is missing may stand elsewhere */
        bool begins = n->first <= last;
        verify_say(v, false, "order", o->key, "its records are not in order: sequence number %llu follows %llu",
                   (unsigned long long)(begins ? n->first : n->order_number),
                   (unsigned long long)(begins ? last : n->order_after));
        v->settled.clean = false;
    } else {
        if (q->sure && n->first > last + 1)
            sequence_gap(v, o, last + 1, n->first - 1);
        for (unsigned i = 0; i < n->n_gaps; i++)
            sequence_gap(v, o, n->gaps[i].first, n->gaps[i].last);
    }
    v->settled.first = v->settled.first ? v->settled.first : n->first;
    v->settled.last = n->highest > last ? n->highest : last;
    q->last = v->settled.last;
    q->known = q->sure = true;
}

static int sequence_compare_ranges(const void *left, const void *right)
{
    const struct verify_range *a = left, *b = right;
    return (a->first > b->first) - (a->first < b->first);
}

/* Is every number of it in some range? They are in the order of their first numbers. */
static bool sequence_explained(const struct verify_sequence *q, struct verify_range gap)
{
    for (size_t i = 0; i < q->n_missed && q->missed[i].first <= gap.first; i++) {
        if (q->missed[i].last >= gap.last)
            return true;
        if (q->missed[i].last >= gap.first)
            gap.first = q->missed[i].last + 1;
    }
    return false;
}

void verify_sequence_end(struct verify *v)
{
    struct verify_sequence *q = &v->sequence;
    if (q->n_missed)
        qsort(q->missed, q->n_missed, sizeof *q->missed, sequence_compare_ranges);
    for (size_t i = 0; i < q->n_gaps; i++) {
        const struct verify_gap *g = &q->gaps[i];
        unsigned long long first = g->range.first, last = g->range.last;
        if (sequence_explained(q, g->range))
            verify_say(v, true, "explained", g->object->key,
                       "lacks sequence numbers %llu to %llu, which the trail says were left out", first, last);
        else
            verify_say(v, false, "gap", g->object->key, "lacks sequence numbers %llu to %llu", first, last);
    }
    free(q->gaps);
    free(q->missed);
    *q = (struct verify_sequence){0};
}
