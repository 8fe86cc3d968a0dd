/**
 * Inside of the journal: the layout of its bytes, its segments and locks. For journal*.c and their tests only.
 * What the bytes mean stands at the head of journal.c.
 */
#ifndef WAYMARK_JOURNAL_INT_H
#define WAYMARK_JOURNAL_INT_H

#include <assert.h>
#include <stdatomic.h>

#include "waymark/journal.h"
#include "waymark/sync.h"

/* ---- layout: offsets of the fields, all little-endian ---- */

#define SEGMENT_MAGIC "WMJRNL\r\n" /* the line end shows a transfer that changed bytes, as PNG's does */
#define SEGMENT_VERSION 1u
#define SEGMENT_HEADER_BYTES 4096u
#define SEGMENT_MIN_BYTES (64u * 1024u)
#define SEGMENT_MAX_BYTES (1024u * 1024u * 1024u)
#define JOURNAL_ID_BYTES 16

enum segment_field {
    SEG_MAGIC = 0,         /* 8 bytes */
    SEG_VERSION = 8,       /* u32 */
    SEG_CRC = 12,          /* u32: CRC-32 of the header with this field 0 */
    SEG_HEADER_LEN = 16,   /* u32: where the first frame starts */
    SEG_INCOMPAT = 20,     /* u32: bits that a reader must know, else refuse */
    SEG_COMPAT = 24,       /* u32: bits that a reader may skip */
    SEG_SALT = 28,         /* u32: random, not 0; new each time the file is used */
    SEG_ID = 32,           /* 16 bytes: which journal */
    SEG_ORDINAL = 48,      /* u64: from 1, without gaps; also the file's name */
    SEG_LEN = 56,          /* u64: size of the file */
    SEG_SYNCED = 64,       /* u64: all entries up to this one were durable when the header was written */
    SEG_CREATED = 72,      /* i64: wall time in ns */
    SEG_END = 80,          /* zero from here to the first frame */
};
static_assert(SEG_ID + JOURNAL_ID_BYTES == SEG_ORDINAL && SEG_END <= SEGMENT_HEADER_BYTES, "segment header");

enum frame_field {
    FRAME_SALT = 0,        /* u32: the segment's */
    FRAME_CRC = 4,         /* u32: CRC-32, started with the salt, of all that follows this field */
    FRAME_LEN = 8,         /* u32: header, body and padding; a multiple of 8 */
    FRAME_HEADER_LEN = 12, /* u16: where the body starts; a multiple of 8 */
    FRAME_KIND = 14,       /* u8: enum frame_kind */
    FRAME_INCOMPAT = 15,   /* u8: bits that a reader must know, else refuse */
    FRAME_SEQ = 16,        /* u64 */
    FRAME_SYNCED = 24,     /* u64: all entries up to this one were durable when the frame was written */
    FRAME_TIME = 32,       /* i64: eventTime, wall time in ns */
    FRAME_FLAGS = 40,      /* u16: enum wm_entry_flag */
    FRAME_N_CHANGES = 42,  /* u16 */
    FRAME_RECORD_LEN = 44, /* u32 */
    FRAME_CHANGES_LEN = 48, /* u32 */
    FRAME_SOURCE_LEN = 52, /* u16 */
    FRAME_NAME_LEN = 54,   /* u16 */
    FRAME_PRINCIPAL_LEN = 56, /* u16 */
    FRAME_COMPAT = 58,     /* u16: bits that a reader may skip */
    FRAME_ZERO = 60,       /* u32: zero */
    FRAME_HEADER_BYTES = 64,
};
static_assert(FRAME_ZERO + 4 == FRAME_HEADER_BYTES && FRAME_HEADER_BYTES % 8 == 0, "frame header");

enum change_field {
    CHANGE_KIND_LEN = 0, /* u16 */
    CHANGE_ID_LEN = 2,   /* u16 */
    CHANGE_DOC_LEN = 4,  /* u32: 0 removes the document */
    CHANGE_HEADER_BYTES = 8,
};

enum frame_kind {
    FRAME_ENTRY = 1,
    FRAME_MARK = 2,             /* no body; says by FRAME_SYNCED that everything up to FRAME_SEQ is durable */
    FRAME_FIRST_OPTIONAL = 128, /* kinds from here on are skipped by a reader that does not know them */
};

#define TAIL_MAGIC "WMTAIL\r\n"
#define TAIL_VERSION 1u

enum tail_field {
    TAIL_MAGIC_AT = 0,     /* 8 bytes */
    TAIL_VERSION_AT = 8,   /* u32 */
    TAIL_CRC = 12,         /* u32: CRC-32 of the file with this field 0 */
    TAIL_SALT = 16,        /* u32: the segment's */
    TAIL_ZERO = 20,        /* u32: zero */
    TAIL_ORDINAL = 24,     /* u64: the segment's */
    TAIL_OFFSET = 32,      /* u64: in the segment */
    TAIL_LEN = 40,         /* u64 */
    TAIL_ID = 48,          /* 16 bytes: which journal */
    TAIL_HEADER_BYTES = 64,
};
static_assert(TAIL_ID + JOURNAL_ID_BYTES == TAIL_HEADER_BYTES, "tail header");

/* Numbers fit a signed 64-bit integer, as followers' databases have it. At a million entries a second it lasts 292,000
 * years; a frame with a higher one was never written by us. */
#define JOURNAL_MAX_SEQ ((uint64_t)INT64_MAX)
#define JOURNAL_MAX_ROUTE_BYTES 255u
/* A user's ARN has a path of 512 characters and a name of 64 (IAM User Guide, "IAM and AWS STS quotas"). */
#define JOURNAL_MAX_PRINCIPAL_BYTES 1024u
#define JOURNAL_MAX_KIND_BYTES 255u
#define JOURNAL_MAX_ID_BYTES 1024u

/* ---- frames (journal_frame.c) ---- */

enum frame_result {
    FRAME_OK,
    FRAME_SHORT, /* more bytes are needed to tell */
    FRAME_BAD,   /* no frame of this segment */
};

/** Bytes of the frame for an entry. @return WM_E_LIMIT: a part is too large */
enum wm_status wm_frame_size(const struct wm_entry *e, size_t *out_len, struct wm_err *err) WM_MUST_CHECK;
/** Write it, all but what wm_frame_seal() adds. */
void wm_frame_encode(uint8_t *p, size_t len, const struct wm_entry *e, uint64_t seq);
void wm_frame_encode_mark(uint8_t p[FRAME_HEADER_BYTES], uint64_t seq, struct wm_wall_ns time);
/** Salt, claim and checksum: known only when the frame is written to its segment. @return the frame's length */
size_t wm_frame_seal(uint8_t *p, uint32_t salt, uint64_t synced_seq);
/**
 * Is there a whole frame at p?
 * @param avail  bytes at p
 * @param room   bytes from p to the segment's end
 * @param out_len  FRAME_OK: its length; FRAME_SHORT: how many bytes are needed
 */
enum frame_result wm_frame_check(const uint8_t *p, size_t avail, uint64_t room, uint32_t salt, size_t *out_len);
/** Take a checked frame of kind FRAME_ENTRY apart. @return WM_E_CORRUPT: the lengths in it contradict each other */
enum wm_status wm_frame_decode(const uint8_t *p, struct wm_entry *out, struct wm_change changes[WM_MAX_CHANGES]) WM_MUST_CHECK;
/** May this build read a checked frame? @return WM_E_UNSUPPORTED */
enum wm_status wm_frame_known(const uint8_t *p) WM_MUST_CHECK;

/* ---- names and headers of segments (journal_frame.c) ---- */

/** A segment's header, taken apart. */
struct wm_segment_header {
    uint8_t id[JOURNAL_ID_BYTES];
    uint32_t version;
    uint32_t incompat;
    uint32_t compat;
    uint32_t salt;
    uint64_t ordinal;
    uint64_t bytes;
    uint64_t synced_seq;
    struct wm_wall_ns created;
};

/** Is it the name of a segment, in the one spelling that we write? */
bool wm_segment_name(const char *name, uint64_t *out_ordinal);
/**
 * Check a header against the file it stands in and take it apart.
 * @param len       bytes of the file that are in h, at most a header's
 * @param ordinal   as in the file's name
 * @param out       as far as it could be read, also on WM_E_UNSUPPORTED
 * @param out_what  on WM_E_CORRUPT: what is wrong
 * @return WM_OK; WM_E_CORRUPT; WM_E_UNSUPPORTED (a newer version, or a flag that must be known)
 */
enum wm_status wm_segment_header_decode(uint8_t h[SEGMENT_HEADER_BYTES], size_t len, uint64_t ordinal,
                                        uint64_t file_bytes, struct wm_segment_header *out,
                                        const char **out_what) WM_MUST_CHECK;

/* ---- segments (journal_segment.c) ---- */

/** A segment that has, or will have, entries. Fields not marked otherwise are under journal.mu. */
struct wm_segment {
    struct wm_segment *newer;
    uint64_t ordinal;   /* constant */
    uint64_t bytes;     /* constant */
    uint64_t synced_seq; /* constant: the header's claim */
    uint32_t salt;      /* constant */
    uint64_t first_seq; /* 0: no entry yet */
    bool retiring;      /* the preparer is about to take the file away */
    int fd;             /* for writing, -1 when closed; the preparer's until handed over, then the committing thread's */
};

#define SEGMENT_PATH_BYTES (WM_MAX_PATH_BYTES + 32)
void wm_segment_path(const struct wm_journal *j, uint64_t ordinal, char out[SEGMENT_PATH_BYTES]);
/** Make, zero-fill (or take the spare), write the header, give the name: all durable on WM_OK. @thread preparer, open */
enum wm_status wm_segment_prepare(struct wm_journal *j, uint64_t ordinal, uint64_t synced_seq, struct wm_segment **out,
                                  struct wm_err *err) WM_MUST_CHECK;
/** Take the file out of the journal, durably: it becomes the spare, or is removed. @thread preparer, open */
enum wm_status wm_segment_retire(struct wm_journal *j, const struct wm_segment *seg, struct wm_err *err) WM_MUST_CHECK;
void wm_segment_free(struct wm_journal *j, struct wm_segment *seg); /* closes it; NULL allowed */
/** Zeros from the begin to `bytes`, synced in steps. @return WM_E_END: the journal is being closed */
enum wm_status wm_segment_fill(struct wm_journal *j, int fd, uint64_t bytes, const char *path,
                               struct wm_err *err) WM_MUST_CHECK;
/** The thread that prepares the next segment and retires old ones. */
void *wm_preparer_run(void *journal);

/* ---- space on the disk (journal_space.c). @thread preparer, open ---- */

/** May a new file take so much? @return WM_E_FULL: it would come too near to the disk's end */
enum wm_status wm_space_check(struct wm_journal *j, uint64_t bytes, struct wm_err *err) WM_MUST_CHECK;
/** The disk is full: let the followers have what was kept for them. */
void wm_ballast_give_up(struct wm_journal *j);
/** See to it that the ballast is there. @return false: there is no room for it at present */
bool wm_ballast_keep(struct wm_journal *j) WM_MUST_CHECK;
/** At opening, when a file of that name was found; gives it up when the disk is nearly full. */
void wm_ballast_found(struct wm_journal *j);

/* ---- reading through a window (journal_frame.c) ---- */

#define WINDOW_BYTES (256u * 1024u)

/** A copy of the last batch, kept while recovery writes that batch once more in its place (journal_tail.c). */
struct wm_tail {
    uint64_t ordinal; /* of the segment; 0: there is no copy */
    uint64_t offset;  /* in it */
    uint32_t salt;
    size_t len;
    uint8_t *data;    /* of the whole file; the copy stands behind its header */
};

struct wm_window {
    const struct wm_io *io;
    int fd;
    uint64_t file_bytes; /* nothing is read beyond */
    const struct wm_tail *tail; /* seen in place of what the file holds there; NULL: none */
    uint8_t *data;
    size_t cap;
    uint64_t offset; /* of data[0] in the file */
    size_t len;
};

void wm_window_init(struct wm_window *w, const struct wm_io *io);
void wm_window_done(struct wm_window *w); /* does not close fd */
void wm_window_set(struct wm_window *w, int fd, uint64_t file_bytes);
/** Behind wm_window_set(): let the copy be seen if it is of this segment. */
void wm_window_show(struct wm_window *w, const struct wm_tail *t, uint64_t ordinal, uint32_t salt);
/** Bytes at offset, at least `need` unless the file ends before. @param out_len what is there, at least min(need, rest) */
enum wm_status wm_window_get(struct wm_window *w, uint64_t offset, size_t need, const uint8_t **out, size_t *out_len,
                             struct wm_err *err) WM_MUST_CHECK;
/** The whole frame at offset. @return WM_E_NOT_FOUND: there is none of this salt */
enum wm_status wm_window_frame(struct wm_window *w, uint64_t offset, uint32_t salt, const uint8_t **out, size_t *out_len,
                               struct wm_err *err) WM_MUST_CHECK;
/**
 * The first whole frame at or behind *offset, at any multiple of 8; moves *offset there.
 * @param out_torn_end  may be NULL; raised to the end of what begins as a frame of this salt and is none
 * @return WM_E_NOT_FOUND: none up to the end of the file
 */
enum wm_status wm_window_find(struct wm_window *w, uint64_t *offset, uint32_t salt, const uint8_t **out, size_t *out_len,
                              uint64_t *out_torn_end, struct wm_err *err) WM_MUST_CHECK;

/* ---- the copy of the last batch (journal_tail.c) ---- */

/** @return WM_OK, also when there is none, or none that is whole; WM_E_IO, WM_E_NOMEM … */
enum wm_status wm_tail_load(const struct wm_io *io, const char *dir, struct wm_tail *out, struct wm_err *err) WM_MUST_CHECK;
/** Keep these bytes of a segment, as the window shows them; durable on WM_OK. */
enum wm_status wm_tail_save(const struct wm_journal *j, const struct wm_segment *seg, struct wm_window *w, uint64_t from,
                            uint64_t to, struct wm_err *err) WM_MUST_CHECK;
/** Is it a copy of this segment, in this use of its file? */
bool wm_tail_fits(const struct wm_tail *t, uint64_t ordinal, uint32_t salt, uint64_t file_bytes);
void wm_tail_remove(const struct wm_journal *j);
void wm_tail_done(struct wm_tail *t);

/* ---- recovery (journal_recover.c) ---- */

/** Read all segments, decide where the journal ends, mend the tail; fills in the journal's list and positions. */
enum wm_status wm_journal_recover(struct wm_journal *j, struct wm_journal_recovery *rec, struct wm_err *err) WM_MUST_CHECK;

/* ---- the journal ---- */

#define JOURNAL_MAGIC_NUMBER 0x4a52u
/* Appended and not yet committed. A turn of 256 ordinary calls has 350 KB; twice this is held while one batch is
 * written and the next gathers, which keeps the process far below the 64 MiB that it may take. */
#define JOURNAL_MAX_PENDING_BYTES (16u * 1024u * 1024u)
/* From here on calls commit what waits before they append more: entries of a few large calls of one turn are 16 MiB, and the
 * half is room for what other loops append meanwhile. */
#define JOURNAL_BULKY_BYTES (JOURNAL_MAX_PENDING_BYTES / 2)
/* A batch buffer larger than this is given back after use: one call with large documents must not cost for ever. */
#define JOURNAL_KEEP_PENDING_BYTES (1024u * 1024u)
/* Segments that one batch may touch. More than 2 happen only with tiny segments or giant entries. */
#define JOURNAL_MAX_PARTS 64u
#define JOURNAL_MAX_FOLLOWERS 128u
/* How long a call waits for a segment that is being prepared, before it takes what the append says: 100 times 100 ms. */
#define JOURNAL_PREPARE_WAITS 100
#define JOURNAL_PREPARE_WAIT_MS 100
/* The room in the tail below which calls wait for the next segment: what may be appended before a commit, so that none that
 * came while there was more meets the end; a quarter of a segment at most. */
#define JOURNAL_AWAIT_BYTES JOURNAL_MAX_PENDING_BYTES
/* The tail's end that only the service's own entries may use while there is no next segment: 60 of them, of 1 KiB, are one
 * for each trail. An eighth of a segment at most. */
#define JOURNAL_KEPT_BYTES (64u * 1024u)
/* A preparation that failed is tried again after this long, and when a cursor moves. */
#define JOURNAL_PREPARE_RETRY_MS 1000

struct wm_batch_part {
    struct wm_segment *segment;
    uint64_t file_offset; /* where in the segment */
    size_t from;          /* where in the buffer */
    uint64_t last_seq;
};

/** Entries that wait for the next write, encoded. */
struct wm_pending {
    uint8_t *data;
    size_t len;
    size_t cap;
    struct wm_batch_part parts[JOURNAL_MAX_PARTS];
    size_t n_parts;
};

enum prepare_state {
    PREPARE_DONE,    /* next is there */
    PREPARE_WORKING, /* the preparer is, or will be, at it */
    PREPARE_REFUSED, /* it could not: prepare_err */
};

struct wm_cursor {
    char name[WM_JOURNAL_FOLLOWER_BYTES];
    uint64_t seq;
    uint64_t paused_upto; /* 0: not paused. Else the last entry known lost when it was given up */
    bool pausable;
    bool resumed;         /* its pause has ended, and that is not recorded yet */
};

struct wm_journal {
    unsigned magic;
    /* constant after open */
    const struct wm_io *io;
    const struct wm_clock *clock;
    char *dir;
    uint64_t segment_bytes;
    uint64_t max_bytes;
    uint64_t ballast_bytes;
    uint64_t known_seq;
    uint8_t id[JOURNAL_ID_BYTES];
    int lock_fd;
    pthread_t preparer;
    bool preparer_runs;

    /* written under mu, read anywhere */
    _Atomic uint64_t durable;
    atomic_bool failed;
    atomic_bool stopping;
    atomic_bool cramped; /* little room in the tail, and the next segment is being made */
    atomic_bool bulky;   /* JOURNAL_BULKY_BYTES wait for a commit */

    struct wm_mutex mu;
    /* ---- under mu ---- */
    struct wm_cond committed;    /* a batch is done */
    struct wm_cond prepare_wake; /* to the preparer: there may be work */
    struct wm_cond prepare_done; /* from the preparer: it has finished or refused */
    struct wm_segment *oldest;
    struct wm_segment *tail;     /* where the next entry goes */
    struct wm_segment *next;     /* prepared, empty; NULL while it is being made */
    uint64_t tail_offset;        /* where in the tail the next entry goes */
    uint64_t next_seq;
    struct wm_pending batches[2];
    struct wm_pending *pending;  /* one of them; the other is being written when `writing` */
    bool writing;
    unsigned waiters;            /* threads in wm_journal_commit() behind the one that writes */
    struct wm_err failure;       /* set once, with failed */
    enum prepare_state prepare_state;
    struct wm_err prepare_err;
    bool refusing;               /* an append found no next segment, and none has been made since */
    struct wm_err refusal;       /* what it was told */
    bool touched;                /* an append was tried: all followers are registered, segments may be retired */
    struct wm_cursor cursors[JOURNAL_MAX_FOLLOWERS];
    size_t n_cursors;
    uint64_t appended;
    uint64_t commits;

    /* ---- the committing thread's, handed on under mu ---- */
    struct wm_segment *write_segment;
    uint64_t write_offset;       /* end of what is durable in it */

    /* ---- the preparer's ---- */
    bool spare;                  /* a file of segment_bytes waits under the name "spare" */
    atomic_bool ballast;         /* "ballast" is there, with its full size; tests look at it */
};

/** Final: nothing is accepted any more. The first failure is the one that is told. */
void wm_journal_fail_locked(struct wm_journal *j, const struct wm_err *err) WM_REQUIRES(j->mu);
/** Say anew whether calls should wait, after tail, next or prepare_state has changed. */
void wm_journal_note_room_locked(struct wm_journal *j) WM_REQUIRES(j->mu);
/** Is the oldest segment passed by all cursors that count? */
bool wm_journal_retirable_locked(struct wm_journal *j) WM_REQUIRES(j->mu);
/** The segment that holds an entry which is or will be durable; NULL when retired. */
struct wm_segment *wm_journal_find_locked(struct wm_journal *j, uint64_t seq) WM_REQUIRES(j->mu);

#endif
