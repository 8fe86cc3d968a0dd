/**
 * The face of the recorder: the journal, the state behind it and the status board, opened and closed as one.
 *
 * One call, on an http thread:
 *
 *     wm_state_lock(r->state);
 *     … the handler reads the state and decides on changes …
 *     wm_recorder_submit(r, &entry, &seq, &err);       journal and memory, in one step
 *     wm_state_unlock(r->state);
 *     … the rest of the loop's turn …
 *     wm_recorder_commit(r, highest_seq, &err);        then the replies may leave
 */
#ifndef WAYMARK_RECORDER_H
#define WAYMARK_RECORDER_H

#include "waymark/board.h"
#include "waymark/journal.h"
#include "waymark/state.h"
#include "waymark/status.h"
#include "waymark/trail_logging.h"

struct wm_recorder {
    struct wm_journal *journal;
    struct wm_state *state;
    struct wm_board *board;
};

struct wm_recorder_options {
    const char *data_dir;      /* journal/ and state.db below it */
    const struct wm_io *io;
    const struct wm_clock *clock;
    uint64_t segment_bytes;
    uint64_t max_journal_bytes;
    uint64_t ballast_bytes;    /* as in journal.h */
    int64_t fold_window_ms;    /* see wm_recorder_fold(); 0: each refused call has its record */
    struct wm_view account_id; /* for the records of what the service itself does; copied */
    struct wm_view region;
};

/** Open everything, recover, bring the state up to the journal's end, and start the state's follower thread. */
enum wm_status wm_recorder_open(const struct wm_recorder_options *o, struct wm_recorder **out,
                                struct wm_err *err) WM_MUST_CHECK;
/** Stop the follower after it has caught up, and close. NULL allowed. */
void wm_recorder_close(struct wm_recorder *r);

/**
 * Append the entry and apply its changes to memory; both or neither.
 * @return as wm_journal_append()
 * @locks state held, if the entry has changes
 */
enum wm_status wm_recorder_submit(struct wm_recorder *r, const struct wm_entry *e, uint64_t *out_seq,
                                  struct wm_err *err) WM_MUST_CHECK;
/** As wm_journal_commit(). */
enum wm_status wm_recorder_commit(struct wm_recorder *r, uint64_t seq, struct wm_err *err) WM_MUST_CHECK;

/**
 * A call could not be recorded, because of what wm_recorder_submit() returned (not WM_E_FAILED: a failed journal takes
 * no event either). They are counted, and told as one event, CallsUnrecorded, when the journal takes entries again, or when
 * the recorder is closed; what was counted before a kill is lost.
 * @param answered  it was a read, and was answered all the same; else it was refused
 * @thread any   @locks takes one of its own
 */
void wm_recorder_unrecorded(struct wm_recorder *r, const struct wm_err *why, bool answered);

/** A call that was refused before it ran, as far as folding looks at it. */
struct wm_refused_call {
    struct wm_view source;       /* as in its record */
    struct wm_view network;      /* what stands for one source: few bytes, compared */
    struct wm_view principal;    /* ARN of a caller who was proven; else the access key that was claimed; may be empty */
    bool proven;
    struct wm_view event_source;
    struct wm_view event_name;
    struct wm_view error_code;
};

/**
 * Folding, where the settings want it: of a flood of refused calls of one source, the first of each kind has a record of
 * its own, as ever, and opens a window; what follows within the window is only counted, and one event, RefusedCallsFolded,
 * says at the end how many, and of what. The kind of a call is its errorCode, and for callers who were proven also who
 * called what: so it is always recorded whole once in a window that somebody we know was refused something. Who was not
 * proven can claim any name and ask for anything, so that must not make a call another kind.
 *
 *     if (wm_recorder_fold(r, &call))              counted: answer it without a record, once what is appended is durable
 *         …
 *     … record it like any other; and when its entry stands in the journal:
 *     wm_recorder_fold_begin(r, &call);
 *
 * The windows are in memory: at most WM_FOLD_SOURCES sources have one at a time, calls of others are recorded whole; and
 * a kill or a power cut loses the counts of the windows that are open (a stop does not). The follower's thread ends them,
 * within 200 ms of their time; later while the journal takes no entries, when they just grow.
 * @thread any   @locks takes one of its own
 */
bool wm_recorder_fold(struct wm_recorder *r, const struct wm_refused_call *c);
void wm_recorder_fold_begin(struct wm_recorder *r, const struct wm_refused_call *c);
#define WM_FOLD_SOURCES 256u

/** Calls folded since the start: those that events have told of durably, and those of open windows. */
struct wm_fold_counts {
    uint64_t told;
    uint64_t pending;
};
struct wm_fold_counts wm_recorder_fold_counts(struct wm_recorder *r);
/**
 * End all windows now: no call is folded any more until one is recorded again. So that trails which are about to stop
 * deliver the events; wm_recorder_close() does it as well.
 * @thread any that holds no lock, as wm_recorder_event()
 */
void wm_recorder_fold_end(struct wm_recorder *r);

/** Who acts, and where from, in the records of what the service itself does. */
#define WM_RECORDER_SOURCE "waymark.amazonaws.com"

/**
 * Record what the service itself has done, or is about to do, that belongs into the trail: an event of CloudTrail's type
 * AwsServiceEvent (User Guide, "AWS service events"), whose source is Waymark. Durable on WM_OK, so that what must not
 * happen unrecorded is done behind this call.
 *
 * The recorder itself records:
 *   FollowerPaused    {follower, firstSequence, lastSequence, reason}: before the journal goes on without a follower; it
 *                     loses these entries, and those that are retired until it has resumed
 *   FollowerResumed   {follower, firstSequence}: from this entry on nothing is retired any more that it has not read. Not
 *                     recorded where a restart ended the pause before anything was retired: then nothing was lost. What a
 *                     trail has lost, in truth, it records itself (RecordsMissed)
 *   AuditLockChanged  {locked, before}, RecordingChanged {recording, before}: at a start, that a setting is another than at
 *                     the one before (audit.locked, journal.enabled); recorded also when nothing is from then on
 *   CallsUnrecorded   {firstTime, lastTime, refusedCalls, answeredReads, reason}: calls of that time which have no record
 *   RefusedCallsFolded  {sourceIPAddress, firstTime, lastTime, foldedCalls, recordedCalls, errorCodes, callers, operations}:
 *                     refused calls of one source, see wm_recorder_fold(); the three lists count the folded ones, each
 *                     for itself. recordedCalls is how many of that window have a record of their own
 *
 * @param event_name  a noun and what has become of it: "FollowerPaused"
 * @param details     a JSON object: serviceEventDetails
 * @return as wm_journal_append() and wm_journal_commit(), whose failures the log is told of
 * @thread any that holds no lock, for it waits on the disk; a follower too, which then writes what others wait for
 * @locks takes journal.mu
 */
enum wm_status wm_recorder_event(struct wm_recorder *r, const char *event_name, struct wm_view details,
                                 struct wm_err *err) WM_MUST_CHECK;
/** As wm_recorder_event(), with a change of the state: both or neither. @locks takes state, then journal.mu */
enum wm_status wm_recorder_event_change(struct wm_recorder *r, const char *event_name, struct wm_view details,
                                        const struct wm_change *change, struct wm_err *err) WM_MUST_CHECK;
/**
 * As wm_recorder_event(), of what only this trail's own readers need: not while it is stopped, when it would not get there.
 * @return also WM_E_UNAVAILABLE: the trail is stopped   @locks takes state, then journal.mu
 */
enum wm_status wm_recorder_event_of_trail(struct wm_recorder *r, struct wm_view trail, const char *event_name,
                                          struct wm_view details, struct wm_err *err) WM_MUST_CHECK;

/**
 * Is the trail logging behind entry *out_seq, which is durable, and no entry behind it is in what the state says?
 * @thread any that holds no lock, for it waits on the disk   @locks takes state, then journal.mu
 */
enum wm_status wm_recorder_logging(struct wm_recorder *r, struct wm_view trail, struct wm_trail_logging *out,
                                   uint64_t *out_seq, struct wm_err *err) WM_MUST_CHECK;

#endif
