/**
 * The journal: entries in one order, durable when a commit has covered them. The format stands at the head of
 * journal.c.
 *
 * An entry holds an audit record (finished JSON), the changes of state that the call made, and a header with what
 * followers choose by. Both become durable together or not at all.
 *
 *     wm_journal_open(&options, &journal, &err);              recovers: cuts a torn tail, reports damage
 *     wm_journal_append(journal, &entry, &seq, &err);         any thread; in memory, in order
 *     wm_journal_commit(journal, seq, &err);                  one write and one fdatasync for all that waited
 *     wm_journal_close(journal);
 *
 * A failed write or sync is final: the journal refuses whatever follows with WM_E_FAILED, and opening it again
 * recovers to the durable prefix.
 *
 * Followers read with a `struct wm_journal_reader` up to what is durable, keep their own cursor durable, and tell the
 * journal how far they are by wm_journal_set_cursor(); a segment that every cursor has passed is reused or removed.
 */
#ifndef WAYMARK_JOURNAL_H
#define WAYMARK_JOURNAL_H

#include "waymark/bounds.h"
#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/io.h"
#include "waymark/status.h"

struct wm_journal;
struct wm_journal_reader;

#define WM_JOURNAL_ID_BYTES 16

/** Flags of an entry, for followers to choose by. */
enum wm_entry_flag {
    WM_ENTRY_READ_ONLY = 1 << 0, /* the operation cannot change state */
    WM_ENTRY_REFUSED = 1 << 1,   /* the record has an errorCode */
    WM_ENTRY_SERVICE = 1 << 2,   /* what the service itself does; it may use the room that is kept for that */
};

/** A change of one document of the state. */
struct wm_change {
    struct wm_view kind;     /* such as "mediapackage.channel"; 1 to 255 bytes */
    struct wm_view id;       /* 1 to 1,024 bytes */
    struct wm_view document; /* JSON; the empty view removes the document */
};

/** An entry, to append or as read. */
struct wm_entry {
    uint64_t seq;                 /* from 1, without gaps; set by the journal */
    struct wm_wall_ns time;       /* eventTime */
    uint16_t flags;               /* enum wm_entry_flag */
    struct wm_view event_source;  /* at most 255 bytes, as the name */
    struct wm_view event_name;
    struct wm_view principal;     /* ARN, or the claimed access key id; at most 1,024 bytes; may be empty */
    struct wm_view record;        /* finished JSON, 1 to WM_MAX_RECORD_BYTES: there is no change without a record */
    const struct wm_change *changes;
    size_t n_changes;             /* at most WM_MAX_CHANGES */
};

struct wm_journal_options {
    const char *dir;          /* made when absent */
    const struct wm_io *io;
    const struct wm_clock *clock;
    uint64_t segment_bytes;   /* size of a segment, 64 KiB to 1 GiB in steps of 4 KiB; an entry that does not fit starts
                                 the next one. Below 2 MiB the largest entries fit into no segment */
    uint64_t max_bytes;       /* of all segments together, at least two; an append that would need more is refused.
                                 0: no limit */
    uint64_t ballast_bytes;   /* kept on the disk beside the segments for what followers must write to move on, and given
                                 up when the disk is full. Up to 1 GiB; 0: none */
    uint64_t known_seq;       /* a follower has seen this entry: a journal that ends before has lost some. 0: none */
};

/** What recovery found; also for the log line at start. Set on WM_OK and WM_E_CORRUPT. */
struct wm_journal_recovery {
    uint64_t first_seq;      /* oldest entry kept, or next_seq when there is none */
    uint64_t next_seq;       /* the number that the next entry gets */
    uint64_t cut_bytes;      /* a torn tail that was cut, 0 if none */
    uint64_t damaged_seq;    /* first sequence number lost to damage before the tail, 0 if none */
    char damaged_path[512];  /* where, "" if nothing is damaged; cut when it is longer */
};

/**
 * Open or create the journal and recover it.
 * @return WM_OK; WM_E_CORRUPT (durable entries are damaged or missing: *err names segment and sequence number; nothing
 *         was changed); WM_E_UNSUPPORTED (written by a newer version); WM_E_EXISTS (another process has it open);
 *         WM_E_INVALID (options); WM_E_IO, WM_E_FULL, WM_E_DENIED, WM_E_NOMEM
 * @thread any
 */
enum wm_status wm_journal_open(const struct wm_journal_options *o, struct wm_journal **out,
                               struct wm_journal_recovery *out_recovery, struct wm_err *err) WM_MUST_CHECK;

/** Close; what was appended and not committed is lost. Readers must be closed before. NULL allowed. */
void wm_journal_close(struct wm_journal *j);

/**
 * Append an entry in memory; durable once wm_journal_commit() has covered its sequence number.
 * @param out_seq  its number; set only on WM_OK
 * It waits for nothing, so it may be called under a lock that others wait for. The last 64 KiB of the current segment (an
 * eighth of a small one) are for entries with WM_ENTRY_SERVICE until the next segment is there.
 * @return WM_OK; WM_E_LIMIT (a part, or the whole for a segment, is too large); WM_E_INVALID (no record);
 *         WM_E_FULL (max_bytes or the disk is full: no effect, succeeds again when followers have moved on or space has
 *         returned; or the next segment is not ready, see wm_journal_await_room(); or 16 MiB wait for a commit);
 *         WM_E_IO, WM_E_DENIED (the next segment cannot be made: no effect, tried again each second);
 *         WM_E_FAILED (an earlier write failed); WM_E_NOMEM
 * @thread any   @locks takes journal.mu
 */
enum wm_status wm_journal_append(struct wm_journal *j, const struct wm_entry *e, uint64_t *out_seq,
                                 struct wm_err *err) WM_MUST_CHECK;

/**
 * Call it before each append, and before the lock under which that is done. Nearly always it returns at once. When the
 * current segment is nearly full and the next is still being made, because the disk is slow, it waits for that, for 10 s at
 * most, and makes durable meanwhile what has been appended. So it does when much waits for a commit. It does not wait when
 * there is no room: the append tells.
 * @thread any that holds no lock   @locks takes journal.mu
 */
void wm_journal_await_room(struct wm_journal *j);

/** Is the next segment ready, so that appends go on? @thread any   @locks takes journal.mu */
bool wm_journal_has_room(struct wm_journal *j);

/** The highest number that an append was given, durable or not; 0 when none. @thread any   @locks takes journal.mu */
uint64_t wm_journal_appended(struct wm_journal *j);

/**
 * Return when every entry up to seq is durable. Whoever arrives first writes and syncs for all; the others wait.
 * @return WM_OK; WM_E_FAILED (*err says what failed, the first time and ever after)
 * @thread any, not a follower   @locks takes journal.mu, none while writing
 */
enum wm_status wm_journal_commit(struct wm_journal *j, uint64_t seq, struct wm_err *err) WM_MUST_CHECK;
/**
 * Wait for the commit that another thread has under way, since a commit would wait for it too; what is appended
 * meanwhile, or on return, is in the next one.
 * @return false: there was none
 * @thread any, not a follower   @locks takes journal.mu
 */
bool wm_journal_await_commit(struct wm_journal *j);

/** The journal's identity: made with it, in each of its segments. @thread any */
void wm_journal_id(const struct wm_journal *j, uint8_t out_id[WM_JOURNAL_ID_BYTES]);
/** Highest durable sequence number, 0 when empty. @thread any */
uint64_t wm_journal_durable(struct wm_journal *j);
/**
 * True once a write or sync has failed, also one of the thread that prepares segments, which nobody waits for.
 * @param out_why  what failed; set only on true, NULL allowed
 * @thread any   @locks takes journal.mu once it has failed
 */
bool wm_journal_failed(struct wm_journal *j, struct wm_err *out_why);

/**
 * Declare a follower's progress: it needs nothing up to and including seq, and that is durable on its side. Register
 * each follower before the first append (seq 0 if it has seen nothing): nothing is retired before that append, and
 * nothing as long as no follower is registered. A name never registered holds nothing back. Going back is ignored.
 *
 * A follower may be paused: the journal keeps nothing for it. That is so when it was given up (see wm_journal_notice()),
 * and when it registers with a cursor from before the oldest entry kept, as a paused one does after a restart. The pause
 * ends with the call that says that it needs nothing that is gone: seq is first_seq - 1 of wm_journal_stats() or more, and
 * behind what it was given up for. Where entries are retired meanwhile the pause goes on, and first_seq has moved.
 * @return WM_OK; WM_E_CORRUPT (seq is above what is durable: the journal has lost entries that the follower has seen);
 *         WM_E_LIMIT (too many followers, or a name of 192 bytes or more)
 * @thread any   @locks takes journal.mu
 */
enum wm_status wm_journal_set_cursor(struct wm_journal *j, const char *follower, uint64_t seq) WM_MUST_CHECK;

/** The journal may go on without this follower, which is registered, when it is full. @thread any   @locks takes journal.mu */
void wm_journal_allow_pause(struct wm_journal *j, const char *follower);

#define WM_JOURNAL_FOLLOWER_BYTES 192
struct wm_journal_follower {
    uint64_t cursor;
    bool paused;
};
/** False when there is none of that name. @thread any   @locks takes journal.mu */
bool wm_journal_find_follower(struct wm_journal *j, const char *name, struct wm_journal_follower *out);

/** Something about a follower that is to be recorded, and told when it is. */
struct wm_journal_notice {
    bool pause;            /* it is to be given up; else its pause has ended */
    char follower[WM_JOURNAL_FOLLOWER_BYTES];
    uint64_t first_seq;    /* pause: the first and the last entry that it loses, as far as is known now: more may follow. */
    uint64_t last_seq;     /* Else: the first that is kept for it again, and 0 */
    struct wm_err why;     /* pause: why the next segment cannot be made */
};
/**
 * Is there such a thing? A follower is to be given up when there is no room for the next segment, and the oldest one is
 * held by none but followers that may be paused; they come one after the other.
 * @thread any   @locks takes journal.mu
 */
bool wm_journal_notice(struct wm_journal *j, struct wm_journal_notice *out);
/** That is recorded now, durably. Only with this is the follower given up. @thread any   @locks takes journal.mu */
void wm_journal_noticed(struct wm_journal *j, const struct wm_journal_notice *n);

struct wm_journal_stats {
    uint64_t appended;       /* entries since open */
    uint64_t commits;        /* fdatasync calls since open */
    uint64_t last_seq;       /* of the newest entry, durable or not */
    uint64_t durable_seq;
    uint64_t first_seq;      /* oldest entry kept */
    uint64_t segments;       /* with the one prepared ahead */
    uint64_t bytes;          /* of these on disk */
    uint64_t max_bytes;      /* 0: no limit */
};
void wm_journal_stats(struct wm_journal *j, struct wm_journal_stats *out);
/**
 * True from the moment when an append was refused for want of a segment until there is one, also when nobody appends
 * meanwhile.
 * @param out_why  as the append was told; set only on true, NULL allowed
 * @thread any   @locks takes journal.mu
 */
bool wm_journal_refuses(struct wm_journal *j, struct wm_err *out_why);

/**
 * Read from the entry after `after_seq` on. Reads only what is durable.
 * A reader holds nothing back: that is what its owner's cursor is for.
 * @return WM_OK; WM_E_NOT_FOUND (retired already); WM_E_CORRUPT (after_seq is above what is durable, or the file is gone); WM_E_IO; WM_E_NOMEM
 * @thread the follower's; one reader belongs to one thread
 */
enum wm_status wm_journal_reader_open(struct wm_journal *j, uint64_t after_seq, struct wm_journal_reader **out,
                                      struct wm_err *err) WM_MUST_CHECK;
void wm_journal_reader_close(struct wm_journal_reader *r); /* NULL allowed */

/**
 * The next entry. Its views are valid until the next call with the same reader.
 * @return WM_OK; WM_E_END (nothing more is durable yet); WM_E_NOT_FOUND (retired: the reader's owner has no cursor,
 *         or is paused);
 *         WM_E_CORRUPT; WM_E_UNSUPPORTED; WM_E_IO; WM_E_NOMEM
 */
enum wm_status wm_journal_reader_next(struct wm_journal_reader *r, struct wm_entry *out,
                                      struct wm_err *err) WM_MUST_CHECK;

#endif
