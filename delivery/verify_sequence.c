/* The sequence numbers of one chain, followed from file to file in the order in which digests list them. */
#include "verify_int.h"

#include <stdlib.h>

#include "waymark/banned.h"

/* @param started  the record behind it started the trail */
static void sequence_gap(struct verify *v, const struct verify_object *o, uint64_t first, uint64_t last, bool started)
{
    struct verify_sequence *q = &v->sequence;
    struct verify_gap *gaps = verify_more(q->gaps, q->n_gaps, &q->cap_gaps, sizeof *gaps);
    v->settled.clean = false;
    if (!gaps) {
        verify_no_memory(v, "gaps of sequence numbers");
        return;
    }
    q->gaps = gaps;
    q->gaps[q->n_gaps++] = (struct verify_gap){o, {first, last}, q->stopped, started};
}

static void sequence_missed(struct verify *v, const struct verify_numbers *n)
{
    struct verify_sequence *q = &v->sequence;
    for (unsigned i = 0; i < n->n_missed; i++) {
        struct verify_missed *missed = verify_more(q->missed, q->n_missed, &q->cap_missed, sizeof *missed);
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
        bool before = q->sure && n->first > last + 1;
        if (before)
            sequence_gap(v, o, last + 1, n->first - 1, n->begins_started);
        q->stopped = false; /* a stop ends a file */
        for (unsigned i = 0; i < n->n_gaps && i + before < VERIFY_MAX_RANGES; i++)
            sequence_gap(v, o, n->gaps[i].first, n->gaps[i].last, false);
    }
    v->settled.first = v->settled.first ? v->settled.first : n->first;
    v->settled.last = n->highest > last ? n->highest : last;
    q->last = v->settled.last;
    q->known = q->sure = true;
    q->stopped = n->ends_stopped;
    if (q->stopped || n->begins_started)
        v->settled.clean = false; /* the next run may meet the gap beside it, and needs it to know this again */
}

static int sequence_compare_ranges(const void *left, const void *right)
{
    const struct verify_missed *a = left, *b = right;
    if (a->range.first != b->range.first)
        return a->range.first > b->range.first ? 1 : -1;
    if (a->range.last != b->range.last)
        return a->range.last > b->range.last ? 1 : -1;
    if (a->stopped_before != b->stopped_before)
        return a->stopped_before ? 1 : -1;
    return (int)a->stopped_behind - (int)b->stopped_behind;
}

/*
 * Is every number of it in some range, or in a time when the trail was stopped? Such a time has the stop before it and the
 * start behind it, be it that one of these is itself in a range, which says so then. Ranges are in the order of their
 * numbers, so that what two of them contradict each other in is judged in one way.
 */
static bool sequence_explained(const struct verify_sequence *q, const struct verify_gap *gap)
{
    uint64_t at = gap->range.first; /* explained up to there */
    bool stopped = gap->stopped_before;
    for (size_t i = 0; i < q->n_missed && at <= gap->range.last && q->missed[i].range.first <= gap->range.last; i++) {
        const struct verify_missed *m = &q->missed[i];
        if (m->range.last < at)
            continue;
        if (m->range.first > at && !(stopped && m->stopped_before))
            return false;
        at = m->range.last + 1;
        stopped = m->stopped_behind;
    }
    return at > gap->range.last || (stopped && gap->started_behind);
}

void verify_sequence_end(struct verify *v)
{
    struct verify_sequence *q = &v->sequence;
    if (q->n_missed)
        qsort(q->missed, q->n_missed, sizeof *q->missed, sequence_compare_ranges);
    for (size_t i = 0; i < q->n_gaps; i++) {
        const struct verify_gap *g = &q->gaps[i];
        unsigned long long first = g->range.first, last = g->range.last;
        if (sequence_explained(q, g))
            verify_say(v, true, "explained", g->object->key,
                       "lacks sequence numbers %llu to %llu, which the trail says were left out", first, last);
        else
            verify_say(v, false, "gap", g->object->key, "lacks sequence numbers %llu to %llu", first, last);
    }
    free(q->gaps);
    free(q->missed);
    *q = (struct verify_sequence){0};
}
