/**
 * Looking at a journal from outside: walk all of its segments, give out each entry and each thing that is not as it
 * should be. Takes no lock and changes nothing, so it works on a copy, on a damaged journal, and beside the process
 * that writes (then it sees what was written when it got there).
 *
 * What it calls damage is what wm_journal_open() refuses; but where recovery stops at the first place, this goes on
 * behind it as far as frames can be read. A torn tail, which opening cuts, is told as a note.
 *
 * What the folder alone cannot show: that the oldest segments were taken away (they are retired in the ordinary course,
 * too), or the newest ones together with the one prepared behind them. The state's and the trails' cursors know.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_JOURNAL_INSPECT_H
#define WAYMARK_JOURNAL_INSPECT_H

#include "waymark/journal.h"

/** A segment, told when it has been walked. */
struct wm_journal_segment {
    const char *name;           /* of the file */
    uint64_t ordinal;
    uint64_t file_bytes;
    bool readable;              /* the header is good, and what follows is set from it */
    uint8_t id[WM_JOURNAL_ID_BYTES];
    uint32_t version;
    uint32_t incompat_flags;
    uint32_t compat_flags;
    uint32_t salt;
    uint64_t synced_seq;        /* durable when the header was written */
    struct wm_wall_ns created;
    uint64_t first_seq;         /* 0: no entry */
    uint64_t last_seq;
    uint64_t entries;
    uint64_t marks;
    uint64_t used_bytes;        /* up to the end of the last frame; 0 when not readable */
};

struct wm_journal_finding {
    bool damage;                /* false: a note, such as a torn tail */
    const char *name;           /* of the segment's file */
    uint64_t offset;            /* in it */
    uint64_t seq;               /* the first entry concerned; 0: not known */
    const char *what;
};

struct wm_journal_inspection {
    const char *dir;
    const struct wm_io *io;
    void *arg;
    /* each may be NULL */
    void (*segment)(void *arg, const struct wm_journal_segment *s);
    /** In order; views are valid during the call. @return false: enough, stop here */
    bool (*entry)(void *arg, const struct wm_entry *e);
    void (*finding)(void *arg, const struct wm_journal_finding *f);
};

struct wm_journal_summary {
    uint8_t id[WM_JOURNAL_ID_BYTES]; /* the one that most segments have */
    uint64_t segments;
    uint64_t bytes;                  /* of their files */
    uint64_t first_seq;              /* of the entries that could be read; 0: none */
    uint64_t last_seq;
    uint64_t entries;
    uint64_t damages;
    uint64_t notes;
    bool spare;                      /* a retired file waits for reuse */
    bool unfinished;                 /* one that was being made */
};

/**
 * @param out  set on WM_OK, also when the journal is damaged: see its `damages`
 * @return WM_OK; WM_E_NOT_FOUND (no folder, or no segment in it); WM_E_UNSUPPORTED (a newer version wrote it);
 *         WM_E_IO, WM_E_DENIED, WM_E_NOMEM, WM_E_LIMIT: it could not be looked at
 */
enum wm_status wm_journal_inspect(const struct wm_journal_inspection *o, struct wm_journal_summary *out,
                                  struct wm_err *err) WM_MUST_CHECK;

#endif
