/* The only file of delivery that includes sqlite3.h. */
#include "ledger.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <unistd.h>

#include "waymark/banned.h"

/* "Wtrl"; PRAGMA application_id tells this file from any other SQLite file. */
#define LEDGER_APPLICATION_ID 0x5774726c
#define LEDGER_VERSION 4
/* Another process that is just ending gives the file back soon. */
#define LEDGER_BUSY_MS 2000

#define LEDGER_SCHEMA                                                                                               \
    "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), trail TEXT NOT NULL, account_id TEXT NOT NULL,"     \
    " region TEXT NOT NULL, journal_id TEXT NOT NULL, cursor_seq INTEGER NOT NULL, before_records INTEGER NOT NULL," \
    " delivered_records INTEGER NOT NULL DEFAULT 0, filtered_records INTEGER NOT NULL DEFAULT 0,"                    \
    " missed_records INTEGER NOT NULL DEFAULT 0, planned_files INTEGER NOT NULL DEFAULT 0,"                          \
    " delivered_files INTEGER NOT NULL DEFAULT 0, digested_files INTEGER NOT NULL DEFAULT 0,"                        \
    " digested_records INTEGER NOT NULL DEFAULT 0,"                                                                  \
    " sealed_digests INTEGER NOT NULL DEFAULT 0, started_s INTEGER NOT NULL, planned_s INTEGER NOT NULL DEFAULT 0,"  \
    " latest_delivery_s INTEGER NOT NULL DEFAULT 0, latest_digest_s INTEGER NOT NULL DEFAULT 0,"                     \
    " digest_start_s INTEGER NOT NULL, previous_bucket TEXT, previous_key TEXT, previous_hash TEXT,"                 \
    " previous_signature TEXT, owner_id TEXT NOT NULL, host TEXT NOT NULL, logging INTEGER,"                         \
    " CHECK (before_records + delivered_records + filtered_records + missed_records = cursor_seq)) STRICT;"          \
    "CREATE TABLE file_plan (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, records INTEGER NOT NULL,"    \
    " filtered INTEGER NOT NULL, number INTEGER NOT NULL, delivered_s INTEGER NOT NULL,"                             \
    " late_before INTEGER NOT NULL, key TEXT NOT NULL, hash TEXT NOT NULL, newest TEXT NOT NULL,"                    \
    " oldest TEXT NOT NULL, codec TEXT NOT NULL, level INTEGER NOT NULL, logging INTEGER NOT NULL,"                  \
    " CHECK (records > 0 AND records + filtered = last_seq - first_seq + 1)) STRICT;"                                \
    "CREATE TABLE digest_plan (one INTEGER PRIMARY KEY CHECK (one = 1), end_s INTEGER NOT NULL,"                     \
    " last_file_id INTEGER NOT NULL, n_files INTEGER NOT NULL, bucket TEXT NOT NULL, key TEXT NOT NULL,"              \
    " hash TEXT NOT NULL, signature TEXT NOT NULL, codec TEXT NOT NULL, level INTEGER NOT NULL,"                     \
    " document BLOB NOT NULL) STRICT;"                                                                               \
    /* AUTOINCREMENT: an id is never given twice, also after the rows before it have left. */                       \
    "CREATE TABLE files (id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, key TEXT NOT NULL UNIQUE,"      \
    " hash TEXT NOT NULL, newest TEXT NOT NULL, oldest TEXT NOT NULL, records INTEGER NOT NULL,"                     \
    " first_seq INTEGER NOT NULL, last_seq INTEGER NOT NULL, delivered_s INTEGER NOT NULL) STRICT;"                  \
    "CREATE TABLE untold (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, stopped_before INTEGER NOT NULL,"  \
    " stopped_behind INTEGER NOT NULL, told_seq INTEGER) STRICT;"                                                       \
    "PRAGMA application_id = 1467249260;"                                                                            \
    "PRAGMA user_version = 4;"
/* Version 2 knew no trail that was stopped. Ended by ledger_end(). */
#define LEDGER_FROM_2                                                                                               \
    "BEGIN IMMEDIATE;"                                                                                              \
    "ALTER TABLE head ADD COLUMN logging INTEGER;"                                                                  \
    "UPDATE head SET logging = 1;"                                                                                  \
    "ALTER TABLE file_plan ADD COLUMN logging INTEGER NOT NULL DEFAULT 1;"                                          \
    "ALTER TABLE untold ADD COLUMN stopped_before INTEGER NOT NULL DEFAULT 0;"                                      \
    "ALTER TABLE untold ADD COLUMN stopped_behind INTEGER NOT NULL DEFAULT 0;"                                      \
    "PRAGMA user_version = 3;"
/* Version 3 forgot what was missed when it was told, and not when that was delivered. */
#define LEDGER_FROM_3                                                                                               \
    "BEGIN IMMEDIATE;"                                                                                              \
    "ALTER TABLE untold ADD COLUMN told_seq INTEGER;"                                                               \
    "PRAGMA user_version = 4;"

static_assert(LEDGER_APPLICATION_ID == 1467249260, "the pragma's number");

struct wm_ledger {
    sqlite3 *db;
    char *path;
    struct wm_ledger_head head;
    uint64_t planned_seq;
    bool planned_logging;
};

/* ---- SQLite ---- */

static enum wm_status ledger_fail(const struct wm_ledger *l, struct wm_err *err)
{
    int code = sqlite3_errcode(l->db) & 0xff;
    enum wm_status status = code == SQLITE_FULL                              ? WM_E_FULL
                            : code == SQLITE_NOMEM                           ? WM_E_NOMEM
                            : code == SQLITE_CORRUPT || code == SQLITE_NOTADB || code == SQLITE_CONSTRAINT
                                ? WM_E_CORRUPT
                            : code == SQLITE_BUSY || code == SQLITE_LOCKED   ? WM_E_EXISTS
                            : code == SQLITE_PERM || code == SQLITE_READONLY || code == SQLITE_AUTH
                                ? WM_E_DENIED
                                : WM_E_IO;
    const char *why = status == WM_E_EXISTS         ? "another process has it open"
                      : code == SQLITE_CONSTRAINT ? "its counts would not add up"
                                                  : sqlite3_errmsg(l->db);
    int sys_errno = sqlite3_system_errno(l->db);
    (void)wm_fail(err, status, "ledger %s: %s", l->path, why);
    if (err) {
        err->sys_errno = sys_errno;
        err->retryable = status == WM_E_FULL || status == WM_E_NOMEM || status == WM_E_IO || status == WM_E_DENIED;
    }
    return status;
}

/* One statement with its parameters, bound by position; ledger_step() ends it. */
static enum wm_status ledger_prepare(struct wm_ledger *l, const char *sql, sqlite3_stmt **out, struct wm_err *err)
{
    if (sqlite3_prepare_v2(l->db, sql, -1, out, NULL) != SQLITE_OK)
        return ledger_fail(l, err);
    return WM_OK;
}

static void bind_u64(sqlite3_stmt *st, int at, uint64_t n)
{
    WM_ASSERT(n <= INT64_MAX);
    int rc = sqlite3_bind_int64(st, at, (int64_t)n);
    WM_ASSERT(rc == SQLITE_OK); /* only a wrong position fails */
}

static void bind_i64(sqlite3_stmt *st, int at, int64_t n)
{
    int rc = sqlite3_bind_int64(st, at, n);
    WM_ASSERT(rc == SQLITE_OK);
}

/* Static: the text outlives the statement in every use here, so nothing is copied and nothing can fail. */
static void bind_view(sqlite3_stmt *st, int at, struct wm_view v)
{
    int rc = sqlite3_bind_text64(st, at, v.ptr ? v.ptr : "", v.len, SQLITE_STATIC, SQLITE_UTF8);
    WM_ASSERT(rc == SQLITE_OK);
}

static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
    bind_view(st, at, wm_view_of(text));
}

/* Run a statement that gives no rows, and release it. */
static enum wm_status ledger_run(struct wm_ledger *l, sqlite3_stmt *st, struct wm_err *err)
{
    int rc;
    do
        rc = sqlite3_step(st);
    while (rc == SQLITE_ROW); /* pragmas answer */
    enum wm_status status = rc == SQLITE_DONE ? WM_OK : ledger_fail(l, err);
    (void)sqlite3_finalize(st); /* repeats the step's error */
    return status;
}

static enum wm_status ledger_exec(struct wm_ledger *l, const char *sql, struct wm_err *err)
{
    return sqlite3_exec(l->db, sql, NULL, NULL, NULL) == SQLITE_OK ? WM_OK : ledger_fail(l, err);
}

/* End a transaction: commit when all went well, else undo. */
static enum wm_status ledger_end(struct wm_ledger *l, enum wm_status status, struct wm_err *err)
{
    if (status == WM_OK)
        status = ledger_exec(l, "COMMIT", err);
    if (status != WM_OK && !sqlite3_get_autocommit(l->db))
        (void)sqlite3_exec(l->db, "ROLLBACK", NULL, NULL, NULL); /* the first failure is the one to tell */
    return status;
}

static struct wm_view column_view(sqlite3_stmt *st, int at)
{
    const void *bytes = sqlite3_column_blob(st, at); /* before _bytes(), which needs its conversion */
    return (struct wm_view){bytes, (size_t)sqlite3_column_bytes(st, at)};
}

/* A text that we wrote ourselves; false when it is longer than we ever write. */
static bool column_copy(sqlite3_stmt *st, int at, char *out, size_t out_bytes)
{
    return wm_view_copy(column_view(st, at), out, out_bytes);
}

static enum wm_status ledger_corrupt(const struct wm_ledger *l, struct wm_err *err, const char *table)
{
    return wm_fail(err, WM_E_CORRUPT, "ledger %s: table %s does not hold what was written", l->path, table);
}

/* ---- open ---- */

/* The one number that a query gives. */
static enum wm_status ledger_number(struct wm_ledger *l, const char *sql, int64_t *out, struct wm_err *err)
{
    sqlite3_stmt *st = NULL;
    enum wm_status status = ledger_prepare(l, sql, &st, err);
    if (status != WM_OK)
        return status;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW)
        *out = sqlite3_column_int64(st, 0);
    else
        status = rc == SQLITE_DONE ? ledger_corrupt(l, err, "head") : ledger_fail(l, err);
    (void)sqlite3_finalize(st); /* repeats the step's error */
    return status;
}

#define LEDGER_ID_BYTES (2 * WM_JOURNAL_ID_BYTES + 1)

static void journal_id_text(const struct wm_ledger_identity *who, char out[LEDGER_ID_BYTES])
{
    wm_hex(who->journal_id, WM_JOURNAL_ID_BYTES, out);
    out[LEDGER_ID_BYTES - 1] = '\0';
}

static enum wm_status ledger_make(struct wm_ledger *l, const struct wm_ledger_identity *who, uint64_t first_cursor_seq,
                                  int64_t now_s, struct wm_err *err)
{
    sqlite3_stmt *st = NULL;
    enum wm_status status = ledger_exec(l, "BEGIN IMMEDIATE", err);
    if (status != WM_OK)
        return status;
    status = ledger_exec(l, LEDGER_SCHEMA, err);
    if (status == WM_OK)
        status = ledger_prepare(l, "INSERT INTO head (one, trail, account_id, region, journal_id, cursor_seq,"
                                   " before_records, started_s, digest_start_s, owner_id, host)"
                                   " VALUES (1, ?1, ?2, ?3, ?4, ?5, ?5, ?6, ?6, ?7, ?8)", &st, err);
    if (status == WM_OK) {
        char id[LEDGER_ID_BYTES], owner_id[WM_UUID_BYTES], host[WM_LEDGER_HOST_BYTES] = "";
        journal_id_text(who, id);
        wm_uuid(owner_id);
        if (gethostname(host, sizeof host - 1) != 0 || !wm_view_is_utf8(wm_view_of(host)))
            host[0] = '\0'; /* it is for people only */
        bind_text(st, 7, owner_id);
        bind_text(st, 8, host);
        bind_view(st, 1, who->trail);
        bind_view(st, 2, who->account_id);
        bind_view(st, 3, who->region);
        bind_text(st, 4, id);
        bind_u64(st, 5, first_cursor_seq);
        bind_i64(st, 6, now_s);
        status = ledger_run(l, st, err);
    }
    return ledger_end(l, status, err);
}

static enum wm_status ledger_load_head(struct wm_ledger *l, const struct wm_ledger_identity *who, struct wm_err *err)
{
    struct wm_ledger_head h = {0};
    char id[LEDGER_ID_BYTES];
    sqlite3_stmt *st = NULL;
    enum wm_status status = ledger_prepare(
        l, "SELECT trail, account_id, region, journal_id, cursor_seq, before_records, delivered_records,"
           " filtered_records, missed_records, planned_files, delivered_files, digested_files, digested_records,"
           " sealed_digests, started_s, planned_s, latest_delivery_s, latest_digest_s, digest_start_s,"
           " previous_bucket, previous_key, previous_hash, previous_signature, owner_id, host, logging FROM head", &st, err);
    if (status != WM_OK)
        return status;
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW) {
        status = rc == SQLITE_DONE ? ledger_corrupt(l, err, "head") : ledger_fail(l, err);
        goto out;
    }
    if (!wm_view_eq(column_view(st, 0), who->trail) || !wm_view_eq(column_view(st, 1), who->account_id) ||
        !wm_view_eq(column_view(st, 2), who->region)) {
        status = wm_fail(err, WM_E_INVALID, "ledger %s belongs to trail %.*s of account %.*s in %.*s", l->path,
                         WM_ARG(column_view(st, 0)), WM_ARG(column_view(st, 1)), WM_ARG(column_view(st, 2)));
        goto out;
    }
    journal_id_text(who, id);
    if (!wm_view_eq_str(column_view(st, 3), id)) {
        status = wm_fail(err, WM_E_CORRUPT, "ledger %s has followed journal %.*s, this is journal %s: they do not belong "
                         "together", l->path, WM_ARG(column_view(st, 3)), id);
        goto out;
    }
    uint64_t *const counts[] = {&h.cursor_seq,       &h.before_records,  &h.delivered_records, &h.filtered_records,
                                &h.missed_records,   &h.planned_files,   &h.delivered_files,   &h.digested_files,
                                &h.digested_records, &h.sealed_digests};
    int64_t *const times[] = {&h.started_s, &h.planned_s, &h.latest_delivery_s, &h.latest_digest_s, &h.digest_start_s};
    int at = 4;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        *counts[i] = (uint64_t)sqlite3_column_int64(st, at++);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        *times[i] = sqlite3_column_int64(st, at++);
    h.has_previous = sqlite3_column_type(st, at) != SQLITE_NULL;
    if (h.has_previous && (!column_copy(st, at, h.previous_bucket, sizeof h.previous_bucket) ||
                           !column_copy(st, at + 1, h.previous_key, sizeof h.previous_key) ||
                           !column_copy(st, at + 2, h.previous_hash, sizeof h.previous_hash) ||
                           !column_copy(st, at + 3, h.previous_signature, sizeof h.previous_signature))) {
        status = ledger_corrupt(l, err, "head");
        goto out;
    }
    if (!column_copy(st, at + 4, h.owner_id, sizeof h.owner_id) || !column_copy(st, at + 5, h.host, sizeof h.host)) {
        status = ledger_corrupt(l, err, "head");
        goto out;
    }
    h.logging_known = sqlite3_column_type(st, at + 6) != SQLITE_NULL;
    h.logging = sqlite3_column_int(st, at + 6) != 0;
    l->head = h;
out:
    (void)sqlite3_finalize(st); /* repeats the step's error */
    return status;
}

/* Do the books balance? What a constraint ensures as well is looked at here for whoever wrote without it. */
static enum wm_status ledger_audit(struct wm_ledger *l, struct wm_err *err)
{
    const struct wm_ledger_head *h = &l->head;
    int64_t wrong = 0, files = 0, records = 0, planned_seq = 0, planned_logging = 0;
    uint64_t counted = h->before_records + h->delivered_records + h->filtered_records + h->missed_records;
    if (counted != h->cursor_seq)
        return wm_fail(err, WM_E_CORRUPT, "ledger %s has counted %llu entries and is at entry %llu: %llu before it began, "
                       "%llu delivered, %llu filtered, %llu missed", l->path, (unsigned long long)counted,
                       (unsigned long long)h->cursor_seq, (unsigned long long)h->before_records,
                       (unsigned long long)h->delivered_records, (unsigned long long)h->filtered_records,
                       (unsigned long long)h->missed_records);
    enum wm_status status = ledger_number(l, "SELECT count(*) FROM files", &files, err);
    if (status == WM_OK)
        status = ledger_number(l, "SELECT coalesce(sum(records), 0) FROM files", &records, err);
    if (status == WM_OK)
        status = ledger_number(l, "SELECT coalesce(max(last_seq), 0) FROM file_plan", &planned_seq, err);
    if (status == WM_OK)
        status = ledger_number(l, "SELECT coalesce((SELECT logging FROM file_plan ORDER BY last_seq DESC LIMIT 1), logging, 1)"
                                  " FROM head", &planned_logging, err);
    if (status == WM_OK) /* the first plan begins behind the cursor, each other behind the one before it */
        status = ledger_number(l, "SELECT count(*) FROM file_plan AS p, head WHERE records + filtered <>"
                                  " last_seq - first_seq + 1 OR first_seq - 1 <> coalesce((SELECT max(last_seq) FROM"
                                  " file_plan WHERE last_seq < p.last_seq), cursor_seq)", &wrong, err);
    if (status != WM_OK)
        return status;
    if (h->digested_files + (uint64_t)files != h->delivered_files ||
        h->digested_records + (uint64_t)records != h->delivered_records)
        return wm_fail(err, WM_E_CORRUPT, "ledger %s has %llu delivered files with %llu records, but %llu with %llu in "
                       "digests and %lld with %lld to come", l->path, (unsigned long long)h->delivered_files,
                       (unsigned long long)h->delivered_records, (unsigned long long)h->digested_files,
                       (unsigned long long)h->digested_records, (long long)files, (long long)records);
    if (wrong)
        return wm_fail(err, WM_E_CORRUPT, "ledger %s has a planned file that does not follow what is before it", l->path);
    l->planned_seq = planned_seq ? (uint64_t)planned_seq : h->cursor_seq;
    l->planned_logging = planned_logging != 0;
    return WM_OK;
}

enum wm_status wm_ledger_open(const char *path, const struct wm_ledger_identity *who, uint64_t first_cursor_seq,
                              int64_t now_s, struct wm_ledger **out, struct wm_err *err)
{
    struct wm_ledger *l = calloc(1, sizeof *l);
    if (!l || !(l->path = wm_view_dup(wm_view_of(path)))) {
        free(l);
        return wm_fail(err, WM_E_NOMEM, "no memory for a ledger");
    }
    enum wm_status status;
    int64_t application = 0, version = 0;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &l->db, flags, NULL) != SQLITE_OK) {
        status = l->db ? ledger_fail(l, err) : wm_fail(err, WM_E_NOMEM, "no memory for a ledger");
        goto out;
    }
    (void)sqlite3_extended_result_codes(l->db, 1); /* cannot fail on an open handle */
    (void)sqlite3_busy_timeout(l->db, LEDGER_BUSY_MS);
    /* Exclusive: two daemons on one ledger would deliver everything twice. FULL: each commit is synced. */
    status = ledger_exec(l, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                            "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
                            "BEGIN IMMEDIATE; COMMIT;", err);
    if (status == WM_OK)
        status = ledger_number(l, "PRAGMA application_id", &application, err);
    if (status == WM_OK)
        status = ledger_number(l, "PRAGMA user_version", &version, err);
    if (status != WM_OK)
        goto out;
    if (application == 0 && version == 0) {
        int64_t tables = 0;
        status = ledger_number(l, "SELECT count(*) FROM sqlite_schema", &tables, err);
        if (status == WM_OK && tables != 0)
            status = wm_fail(err, WM_E_INVALID, "%s is another program's SQLite file", path);
        if (status == WM_OK)
            status = ledger_make(l, who, first_cursor_seq, now_s, err);
    } else if (application != LEDGER_APPLICATION_ID) {
        status = wm_fail(err, WM_E_INVALID, "%s is another program's SQLite file", path);
    } else if (version == 2 || version == 3) {
        if (version == 2)
            status = ledger_end(l, ledger_exec(l, LEDGER_FROM_2, err), err);
        if (status == WM_OK)
            status = ledger_end(l, ledger_exec(l, LEDGER_FROM_3, err), err);
    } else if (version != LEDGER_VERSION) {
        status = wm_fail(err, WM_E_UNSUPPORTED, "ledger %s has version %lld, this program knows %d", path,
                         (long long)version, LEDGER_VERSION);
    }
    if (status == WM_OK)
        status = ledger_load_head(l, who, err);
    if (status == WM_OK)
        status = ledger_audit(l, err);
out:
    if (status != WM_OK) {
        wm_ledger_close(l);
        return status;
    }
    *out = l;
    return WM_OK;
}

void wm_ledger_close(struct wm_ledger *l)
{
    if (!l)
        return;
    (void)sqlite3_close(l->db); /* no statement is open, and everything is committed */
    free(l->path);
    free(l);
}

const struct wm_ledger_head *wm_ledger_head(const struct wm_ledger *l)
{
    return &l->head;
}

/* ---- files ---- */

/* Run one statement that changes something and whose parameters are numbers. */
static enum wm_status ledger_apply(struct wm_ledger *l, const char *sql, const uint64_t *params, int n,
                                   struct wm_err *err)
{
    sqlite3_stmt *st = NULL;
    enum wm_status status = ledger_prepare(l, sql, &st, err);
    if (status != WM_OK)
        return status;
    for (int i = 0; i < n; i++)
        bind_u64(st, i + 1, params[i]);
    return ledger_run(l, st, err);
}

enum wm_status wm_ledger_begin(struct wm_ledger *l, bool logging, struct wm_err *err)
{
    WM_ASSERT(!l->head.logging_known && l->planned_seq == l->head.cursor_seq);
    enum wm_status status = ledger_apply(l, "UPDATE head SET logging = ?1", (uint64_t[]){logging}, 1, err);
    if (status == WM_OK) {
        l->head.logging = l->planned_logging = logging;
        l->head.logging_known = true;
    }
    return status;
}

enum wm_status wm_ledger_skip(struct wm_ledger *l, uint64_t seq, uint64_t filtered, struct wm_err *err)
{
    WM_ASSERT(l->planned_seq == l->head.cursor_seq && seq > l->head.cursor_seq);
    enum wm_status status =
        ledger_apply(l, "UPDATE head SET cursor_seq = ?1, filtered_records = filtered_records + ?2",
                     (uint64_t[]){seq, filtered}, 2, err);
    if (status == WM_OK) {
        l->head.cursor_seq = l->planned_seq = seq;
        l->head.filtered_records += filtered;
    }
    return status;
}

uint64_t wm_ledger_planned_seq(const struct wm_ledger *l)
{
    return l->planned_seq;
}

bool wm_ledger_planned_logging(const struct wm_ledger *l)
{
    return l->planned_logging;
}

static enum wm_status ledger_insert_plan(struct wm_ledger *l, const struct wm_ledger_file_plan *p, struct wm_err *err)
{
    sqlite3_stmt *st = NULL;
    enum wm_status status =
        ledger_prepare(l, "INSERT INTO file_plan (first_seq, last_seq, records, filtered, number, delivered_s, key, hash,"
                          " newest, oldest, codec, level, late_before, logging)"
                          " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                       &st, err);
    if (status != WM_OK)
        return status;
    bind_u64(st, 1, p->first_seq);
    bind_u64(st, 2, p->last_seq);
    bind_u64(st, 3, p->records);
    bind_u64(st, 4, p->filtered);
    bind_u64(st, 5, p->number);
    bind_i64(st, 6, p->delivered_s);
    bind_text(st, 7, p->key);
    bind_text(st, 8, p->hash);
    bind_text(st, 9, p->newest);
    bind_text(st, 10, p->oldest);
    bind_text(st, 11, p->codec);
    bind_i64(st, 12, p->level);
    bind_i64(st, 13, p->late_before.ns);
    bind_u64(st, 14, p->logging);
    return ledger_run(l, st, err);
}

enum wm_status wm_ledger_plan_file(struct wm_ledger *l, const struct wm_ledger_file_plan *p, struct wm_err *err)
{
    sqlite3_stmt *st = NULL;
    WM_ASSERT(p->first_seq == l->planned_seq + 1 && p->last_seq >= p->first_seq && p->number == l->head.planned_files);
    enum wm_status status = ledger_exec(l, "BEGIN IMMEDIATE", err);
    if (status != WM_OK)
        return status;
    status = ledger_insert_plan(l, p, err);
    if (status == WM_OK)
        status = ledger_prepare(l, "UPDATE head SET planned_s = ?1, planned_files = planned_files + 1", &st, err);
    if (status == WM_OK) {
        bind_i64(st, 1, p->delivered_s);
        status = ledger_run(l, st, err);
    }
    status = ledger_end(l, status, err);
    if (status == WM_OK) {
        l->head.planned_s = p->delivered_s;
        l->head.planned_files++;
        l->planned_seq = p->last_seq;
        l->planned_logging = p->logging;
    }
    return status;
}

enum wm_status wm_ledger_file_plan(struct wm_ledger *l, uint64_t after_seq, struct wm_ledger_file_plan *out,
                                   struct wm_err *err)
{
    struct wm_ledger_file_plan p = {0};
    sqlite3_stmt *st = NULL;
    enum wm_status status = ledger_prepare(l, "SELECT first_seq, last_seq, records, filtered, number, delivered_s, level,"
                                              " key, hash, newest, oldest, codec, late_before, logging FROM file_plan WHERE last_seq > ?1"
                                              " ORDER BY first_seq LIMIT 1", &st, err);
    if (status != WM_OK)
        return status;
    bind_u64(st, 1, after_seq);
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW) {
        status = rc == SQLITE_DONE ? wm_fail(err, WM_E_NOT_FOUND, "no file is planned") : ledger_fail(l, err);
        goto out;
    }
    p.first_seq = (uint64_t)sqlite3_column_int64(st, 0);
    p.last_seq = (uint64_t)sqlite3_column_int64(st, 1);
    p.records = (uint64_t)sqlite3_column_int64(st, 2);
    p.filtered = (uint64_t)sqlite3_column_int64(st, 3);
    p.number = (uint64_t)sqlite3_column_int64(st, 4);
    p.delivered_s = sqlite3_column_int64(st, 5);
    p.level = sqlite3_column_int(st, 6);
    p.late_before.ns = sqlite3_column_int64(st, 12);
    p.logging = sqlite3_column_int(st, 13) != 0;
    if (!column_copy(st, 7, p.key, sizeof p.key) || !column_copy(st, 8, p.hash, sizeof p.hash) ||
        !column_copy(st, 9, p.newest, sizeof p.newest) || !column_copy(st, 10, p.oldest, sizeof p.oldest) ||
        !column_copy(st, 11, p.codec, sizeof p.codec)) {
        status = ledger_corrupt(l, err, "file_plan");
        goto out;
    }
    *out = p;
out:
    (void)sqlite3_finalize(st); /* repeats the step's error */
    return status;
}

enum wm_status wm_ledger_delivered(struct wm_ledger *l, struct wm_view bucket, int64_t now_s, struct wm_err *err)
{
    struct wm_ledger_file_plan p;
    sqlite3_stmt *st = NULL;
    enum wm_status status = wm_ledger_file_plan(l, 0, &p, err);
    if (status != WM_OK)
        return status;
    status = ledger_exec(l, "BEGIN IMMEDIATE", err);
    if (status != WM_OK)
        return status;
    status = ledger_prepare(l, "INSERT INTO files (bucket, key, hash, newest, oldest, records, first_seq, last_seq,"
                               " delivered_s) SELECT ?1, key, hash, newest, oldest, records, first_seq, last_seq,"
                               " delivered_s FROM file_plan WHERE first_seq = ?2", &st, err);
    if (status == WM_OK) {
        bind_view(st, 1, bucket);
        bind_u64(st, 2, p.first_seq);
        status = ledger_run(l, st, err);
    }
    if (status == WM_OK)
        status = ledger_apply(l, "DELETE FROM file_plan WHERE first_seq = ?1", &p.first_seq, 1, err);
    if (status == WM_OK)
        status = ledger_prepare(l, "UPDATE head SET cursor_seq = ?1, delivered_records = delivered_records + ?2,"
                                   " filtered_records = filtered_records + ?3, delivered_files = delivered_files + 1,"
                                   " latest_delivery_s = ?4, logging = ?5", &st, err);
    if (status == WM_OK) {
        bind_u64(st, 1, p.last_seq);
        bind_u64(st, 2, p.records);
        bind_u64(st, 3, p.filtered);
        bind_i64(st, 4, now_s);
        bind_u64(st, 5, p.logging);
        status = ledger_run(l, st, err);
    }
    if (status == WM_OK) /* where they were told of is in the bucket */
        status = ledger_apply(l, "DELETE FROM untold WHERE told_seq <= ?1", &p.last_seq, 1, err);
    status = ledger_end(l, status, err);
    if (status == WM_OK) {
        l->head.cursor_seq = p.last_seq;
        l->head.logging = p.logging;
        l->head.delivered_records += p.records;
        l->head.filtered_records += p.filtered;
        l->head.delivered_files++;
        l->head.latest_delivery_s = now_s;
    }
    return status;
}

/* ---- what was missed ---- */

enum wm_status wm_ledger_missed(struct wm_ledger *l, uint64_t seq, const struct wm_ledger_file_plan *instead,
                                bool logging, struct wm_err *err)
{
    uint64_t first_seq = l->head.cursor_seq + 1, missed = seq - l->head.cursor_seq;
    bool planned = l->planned_seq > l->head.cursor_seq;
    WM_ASSERT(seq >= first_seq && (!instead || (planned && instead->first_seq == seq + 1)));
    enum wm_status status = ledger_exec(l, "BEGIN IMMEDIATE", err);
    if (status != WM_OK)
        return status;
    status = ledger_apply(l, "DELETE FROM file_plan WHERE first_seq = ?1", &first_seq, 1, err);
    if (status == WM_OK && instead)
        status = ledger_insert_plan(l, instead, err);
    if (status == WM_OK)
        status = ledger_apply(l, "UPDATE head SET cursor_seq = ?1, missed_records = missed_records + ?2, logging = ?3",
                              (uint64_t[]){seq, missed, logging}, 3, err);
    if (status == WM_OK) /* what was told, and is not delivered, may be among them */
        status = ledger_exec(l, "UPDATE untold SET told_seq = NULL", err);
    if (status == WM_OK)
        status = ledger_apply(l, "INSERT INTO untold VALUES (?1, ?2, ?3, ?4, NULL)",
                              (uint64_t[]){first_seq, seq, !l->head.logging, !logging}, 4, err);
    status = ledger_end(l, status, err);
    if (status == WM_OK) {
        l->head.cursor_seq = seq;
        l->head.missed_records += missed;
        l->head.logging = logging;
        if (l->planned_seq <= seq) {
            l->planned_seq = seq;
            l->planned_logging = logging;
        }
    }
    return status;
}

enum wm_status wm_ledger_untold(struct wm_ledger *l, struct wm_ledger_range *out, struct wm_err *err)
{
    struct wm_ledger_range r = {0};
    sqlite3_stmt *st = NULL;
    enum wm_status status = ledger_prepare(l, "SELECT first_seq, last_seq, stopped_before, stopped_behind FROM untold"
                                              " WHERE told_seq IS NULL ORDER BY first_seq", &st, err);
    if (status != WM_OK)
        return status;
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
        if (r.first_seq && (uint64_t)sqlite3_column_int64(st, 0) != r.last_seq + 1)
            break;
        if (!r.first_seq) {
            r.first_seq = (uint64_t)sqlite3_column_int64(st, 0);
            r.stopped_before = sqlite3_column_int(st, 2) != 0;
        }
        r.last_seq = (uint64_t)sqlite3_column_int64(st, 1);
        r.stopped_behind = sqlite3_column_int(st, 3) != 0;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        status = ledger_fail(l, err);
    (void)sqlite3_finalize(st); /* repeats the step's error */
    if (status == WM_OK && !r.first_seq)
        status = wm_fail(err, WM_E_NOT_FOUND, "nothing was missed that has not been told");
    if (status == WM_OK)
        *out = r;
    return status;
}

enum wm_status wm_ledger_told(struct wm_ledger *l, uint64_t last_seq, uint64_t told_seq, struct wm_err *err)
{
    return ledger_apply(l, "UPDATE untold SET told_seq = ?2 WHERE last_seq <= ?1 AND told_seq IS NULL",
                        (uint64_t[]){last_seq, told_seq}, 2, err);
}

/* ---- digests ---- */

/* How many files are planned up to end_s, or, when those are more than max_files, up to which earlier second. */
static enum wm_status ledger_window(struct wm_ledger *l, int64_t *io_end_s, uint64_t max_files, uint64_t *out_n,
                                    struct wm_err *err)
{
    sqlite3_stmt *st = NULL;
    int64_t end_s = *io_end_s;
    /* delivered_s never falls from one id to the next (trail.c), so the order of ids is the order of time. */
    enum wm_status status = ledger_prepare(l, "SELECT delivered_s FROM files WHERE delivered_s <= ?1 ORDER BY id"
                                              " LIMIT 1 OFFSET ?2", &st, err);
    if (status != WM_OK)
        return status;
    bind_i64(st, 1, end_s);
    bind_u64(st, 2, max_files);
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW && sqlite3_column_int64(st, 0) - 1 > l->head.digest_start_s)
        end_s = sqlite3_column_int64(st, 0) - 1;
    else if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        status = ledger_fail(l, err);
    (void)sqlite3_finalize(st); /* repeats the step's error */
    if (status != WM_OK)
        return status;

    status = ledger_prepare(l, "SELECT count(*) FROM files WHERE delivered_s <= ?1", &st, err);
    if (status != WM_OK)
        return status;
    bind_i64(st, 1, end_s);
    if (sqlite3_step(st) == SQLITE_ROW) {
        *out_n = (uint64_t)sqlite3_column_int64(st, 0);
        *io_end_s = end_s;
    } else {
        status = ledger_fail(l, err);
    }
    (void)sqlite3_finalize(st); /* repeats the step's error */
    return status;
}

enum wm_status wm_ledger_files(struct wm_ledger *l, int64_t *io_end_s, uint64_t max_files, struct wm_arena *a,
                               struct wm_digest_file **out, size_t *out_n, uint64_t *out_last_id, struct wm_err *err)
{
    sqlite3_stmt *st = NULL;
    struct wm_digest_file *files = NULL;
    uint64_t total = 0, n = 0, last_id = 0;
    int64_t end_s = *io_end_s;
    enum wm_status status = ledger_window(l, &end_s, max_files, &total, err);
    if (status != WM_OK)
        return status;
    if (total && !(files = wm_arena_alloc(a, total * sizeof *files)))
        return wm_fail(err, WM_E_NOMEM, "no memory for the %llu files of a digest", (unsigned long long)total);
    status = ledger_prepare(l, "SELECT id, bucket, key, hash, newest, oldest FROM files WHERE delivered_s <= ?1"
                               " ORDER BY id", &st, err);
    if (status != WM_OK)
        return status;
    bind_i64(st, 1, end_s);
    int rc;
    while ((rc = sqlite3_step(st)) == SQLITE_ROW && n < total) {
        last_id = (uint64_t)sqlite3_column_int64(st, 0);
        files[n++] = (struct wm_digest_file){
            .bucket = wm_arena_copy(a, column_view(st, 1)),
            .key = wm_arena_copy(a, column_view(st, 2)),
            .hash_hex = wm_arena_copy(a, column_view(st, 3)),
            .newest = wm_arena_copy(a, column_view(st, 4)),
            .oldest = wm_arena_copy(a, column_view(st, 5)),
        };
    }
    if (rc != SQLITE_DONE)
        status = ledger_fail(l, err);
    else if (wm_arena_status(a) != WM_OK)
        status = wm_fail(err, wm_arena_status(a), "no memory for the %llu files of a digest",
                         (unsigned long long)total);
    (void)sqlite3_finalize(st); /* repeats the step's error */
    if (status != WM_OK)
        return status;
    *io_end_s = end_s;
    *out = files;
    *out_n = n;
    *out_last_id = last_id;
    return WM_OK;
}

enum wm_status wm_ledger_plan_digest(struct wm_ledger *l, const struct wm_ledger_digest_plan *p, struct wm_err *err)
{
    sqlite3_stmt *st = NULL;
    WM_ASSERT(p->end_s > l->head.digest_start_s);
    enum wm_status status =
        ledger_prepare(l, "INSERT INTO digest_plan VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)", &st, err);
    if (status != WM_OK)
        return status;
    bind_i64(st, 1, p->end_s);
    bind_u64(st, 2, p->last_file_id);
    bind_u64(st, 3, p->n_files);
    bind_text(st, 4, p->bucket);
    bind_text(st, 5, p->key);
    bind_text(st, 6, p->hash);
    bind_text(st, 7, p->signature);
    bind_text(st, 8, p->codec);
    bind_i64(st, 9, p->level);
    int rc = sqlite3_bind_blob64(st, 10, p->document.ptr, p->document.len, SQLITE_STATIC);
    WM_ASSERT(rc == SQLITE_OK);
    return ledger_run(l, st, err);
}

enum wm_status wm_ledger_digest_plan(struct wm_ledger *l, struct wm_arena *a, struct wm_ledger_digest_plan *out,
                                     struct wm_err *err)
{
    struct wm_ledger_digest_plan p = {0};
    sqlite3_stmt *st = NULL;
    enum wm_status status = ledger_prepare(l, "SELECT end_s, last_file_id, n_files, key, hash, signature, codec, level,"
                                              " document, bucket FROM digest_plan", &st, err);
    if (status != WM_OK)
        return status;
    int rc = sqlite3_step(st);
    if (rc != SQLITE_ROW) {
        status = rc == SQLITE_DONE ? wm_fail(err, WM_E_NOT_FOUND, "no digest is planned") : ledger_fail(l, err);
        goto out;
    }
    p.end_s = sqlite3_column_int64(st, 0);
    p.last_file_id = (uint64_t)sqlite3_column_int64(st, 1);
    p.n_files = (uint64_t)sqlite3_column_int64(st, 2);
    p.level = sqlite3_column_int(st, 7);
    p.document = wm_arena_copy(a, column_view(st, 8));
    if (!column_copy(st, 3, p.key, sizeof p.key) || !column_copy(st, 4, p.hash, sizeof p.hash) ||
        !column_copy(st, 5, p.signature, sizeof p.signature) || !column_copy(st, 6, p.codec, sizeof p.codec) ||
        !column_copy(st, 9, p.bucket, sizeof p.bucket)) {
        status = ledger_corrupt(l, err, "digest_plan");
        goto out;
    }
    status = wm_arena_status(a);
    if (status != WM_OK)
        status = wm_fail(err, status, "no memory for a digest of %d bytes", sqlite3_column_bytes(st, 8));
    else
        *out = p;
out:
    (void)sqlite3_finalize(st); /* repeats the step's error */
    return status;
}

enum wm_status wm_ledger_drop_digest_plan(struct wm_ledger *l, struct wm_err *err)
{
    return ledger_exec(l, "DELETE FROM digest_plan", err);
}

enum wm_status wm_ledger_sealed(struct wm_ledger *l, int64_t now_s, struct wm_err *err)
{
    struct wm_ledger_head h = l->head;
    sqlite3_stmt *st = NULL;
    enum wm_status status = ledger_prepare(l, "SELECT end_s, n_files, bucket, key, hash, signature, (SELECT"
                                              " coalesce(sum(records), 0) FROM files WHERE id <= last_file_id)"
                                              " FROM digest_plan", &st, err);
    if (status != WM_OK)
        return status;
    int rc = sqlite3_step(st);
    if (rc == SQLITE_ROW) {
        h.digest_start_s = sqlite3_column_int64(st, 0);
        h.digested_files += (uint64_t)sqlite3_column_int64(st, 1);
        h.digested_records += (uint64_t)sqlite3_column_int64(st, 6);
        h.sealed_digests++;
        h.latest_digest_s = now_s;
        h.has_previous = true;
        if (!column_copy(st, 2, h.previous_bucket, sizeof h.previous_bucket) ||
            !column_copy(st, 3, h.previous_key, sizeof h.previous_key) ||
            !column_copy(st, 4, h.previous_hash, sizeof h.previous_hash) ||
            !column_copy(st, 5, h.previous_signature, sizeof h.previous_signature))
            status = ledger_corrupt(l, err, "digest_plan");
    } else {
        status = rc == SQLITE_DONE ? wm_fail(err, WM_E_NOT_FOUND, "no digest is planned") : ledger_fail(l, err);
    }
    (void)sqlite3_finalize(st); /* repeats the step's error */
    if (status == WM_OK)
        status = ledger_exec(l, "BEGIN IMMEDIATE", err);
    if (status != WM_OK)
        return status;
    status = ledger_exec(l, "DELETE FROM files WHERE id <= (SELECT last_file_id FROM digest_plan)", err);
    if (status == WM_OK)
        status = ledger_prepare(l, "UPDATE head SET digest_start_s = ?1, digested_files = ?2, sealed_digests = ?3,"
                                   " latest_digest_s = ?4, previous_bucket = ?5, previous_key = ?6, previous_hash = ?7,"
                                   " previous_signature = ?8, digested_records = ?9", &st, err);
    if (status == WM_OK) {
        bind_i64(st, 1, h.digest_start_s);
        bind_u64(st, 2, h.digested_files);
        bind_u64(st, 3, h.sealed_digests);
        bind_i64(st, 4, h.latest_digest_s);
        bind_text(st, 5, h.previous_bucket);
        bind_text(st, 6, h.previous_key);
        bind_text(st, 7, h.previous_hash);
        bind_text(st, 8, h.previous_signature);
        bind_u64(st, 9, h.digested_records);
        status = ledger_run(l, st, err);
    }
    if (status == WM_OK)
        status = ledger_exec(l, "DELETE FROM digest_plan", err);
    status = ledger_end(l, status, err);
    if (status == WM_OK)
        l->head = h;
    return status;
}
