/**
 * What the text of a trail file says about its records: how many there are, and the sequence numbers with which ours
 * end. One pass at some gigabytes a second, since it goes over everything that is verified.
 *
 * It does not check that the text is JSON: its hash has been compared. Text that is none gives some numbers.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_DELIVERY_VERIFY_RECORDS_H
#define WAYMARK_DELIVERY_VERIFY_RECORDS_H

#include "waymark/buf.h"

/* The last member of each record of ours (batch.h). */
#define VERIFY_SEQUENCE_MEMBER "waymarkSequence"
/* What other readers of JSON hold exactly (RFC 8259 section 6: 2^53). */
#define VERIFY_MAX_SEQUENCE UINT64_C(9007199254740991)
#define VERIFY_MAX_RANGES 16u
/* A trail misses its planned files one by one, and may tell of each: WM_TRAIL_MAX_UPLOADS + 1, and what is between. */
#define VERIFY_MAX_MISSED 64u

struct verify_range {
    uint64_t first, last;
};

/* What the trail says that it left out; and was it stopped before the first, and behind the last of them? */
struct verify_missed {
    struct verify_range range;
    bool stopped_before, stopped_behind;
};

struct verify_numbers {
    uint64_t records;       /* objects in the array Records */
    uint64_t numbered;      /* of these, with a sequence number */
    uint64_t first, highest; /* 0 when there are none */
    uint64_t order_number, order_after; /* the first number that is not above all before it, and the highest of those; or 0 */
    unsigned n_gaps;        /* at most VERIFY_MAX_RANGES; more are not kept */
    struct verify_range gaps[VERIFY_MAX_RANGES];
    unsigned n_missed;      /* what AwsServiceEvents named RecordsMissed say; at most VERIFY_MAX_MISSED */
    struct verify_missed missed[VERIFY_MAX_MISSED];
    bool begins_started;    /* the first record is of a StartLogging of the trail that was carried out */
    bool ends_stopped;      /* the last one is of such a StopLogging */
};

/** The place of a scan, so that the caller can hash a piece while it is in the cache. */
struct verify_scan {
    struct wm_view text;
    struct wm_view trail;   /* whose RecordsMissed, StartLogging and StopLogging count */
    size_t at;              /* how much was scanned */
    uint64_t in_string;     /* all ones within a string */
    uint64_t escaped;       /* 1 when the next byte is escaped */
    uint64_t after_quote;   /* 1 when the byte before was a quote */
    int depth;
    size_t record;          /* where the current record begins */
    size_t candidate;       /* where the last string stands that is one of these names; 0: none */
    enum wm_status status;  /* WM_E_NOMEM when the numbers are not to be used for want of memory */
    struct verify_numbers n;
};

/** @param trail  whose RecordsMissed, StartLogging and StopLogging count */
void verify_scan_init(struct verify_scan *s, struct wm_view text, struct wm_view trail);
/** Scan up to `len`, rounded down to a multiple of 64 unless it is all. */
void verify_scan_to(struct verify_scan *s, size_t len);

#endif
