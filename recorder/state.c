/*
 * The state. In memory: per kind a skip list (Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees", 1990)
 * ordered by id. It is chosen over a tree or an array because an insertion needs nothing but its own node: all memory
 * is set aside by wm_state_reserve(), and wm_state_apply() only links, swaps and unlinks.
 *
 * The copy: one SQLite file in WAL mode.
 *
 *     document(kind, id, document, seq)   seq: the entry that wrote it last
 *     cursor(name = 'state', seq, …)      every entry up to here is in `document`, and in one of the counts behind it;
 *                                         journal_id: of which journal, in hex; NULL until wm_state_bind()
 *
 * Documents and cursor change in one transaction, so nothing is applied twice or left out; of the changes of a document
 * within it, only the last is written (state_latest.h). synchronous=FULL: the journal
 * retires entries on the word of the cursor, so the cursor must be durable when it is told; with NORMAL a power cut
 * could undo a transaction whose entries are gone already. The follower commits a few times a second, not per call.
 */
#include "waymark/state.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "recorder/state_latest.h"
#include "waymark/hash.h"

#include "waymark/banned.h"

#define STATE_MAX_LEVEL 20 /* fits a million documents of a kind, 1 in 2 per level */
#define STATE_SCHEMA_VERSION 3
#define STATE_APPLICATION_ID 0x574d5354 /* "WMST" */

struct node {
    struct wm_view id;       /* behind next[] in the same allocation */
    struct wm_view document; /* of its own */
    unsigned levels;
    struct node *next[];
};

struct kind {
    char *name;
    size_t name_len;
    size_t count;
    _Atomic uint64_t changes; /* of its documents since the start; written under mu, read by whoever watches */
    unsigned levels;
    struct node *head[STATE_MAX_LEVEL];
};

struct wm_state {
    struct wm_mutex mu;
    /* ---- under mu ---- */
    struct kind *kinds[WM_MAX_STATE_KINDS];
    size_t n_kinds;
    uint64_t bytes;                        /* of all ids and documents */
    uint64_t random;
    struct node *reserved[WM_MAX_CHANGES]; /* for the change of the same place; NULL for a removal */
    size_t n_reserved;
    /* ---- the follower's ---- */
    sqlite3 *db;
    sqlite3_stmt *put, *remove, *move, *begin, *commit, *rollback;
    struct wm_state_counts stored; /* its seq: the cursor in the copy */
    struct wm_latest latest;       /* of the transaction under way */
    struct wm_mutex counts_mu;
    struct wm_state_counts shown;  /* under counts_mu: `stored`, for others to read */
};

/* ---- memory ---- */

static uint64_t next_random_locked(struct wm_state *s) WM_REQUIRES(s->mu)
{
    /* xorshift64 (Marsaglia 2003): levels need no more */
    uint64_t x = s->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    s->random = x;
    return x;
}

static struct kind *find_kind_locked(struct wm_state *s, struct wm_view name) WM_REQUIRES(s->mu)
{
    for (size_t i = 0; i < s->n_kinds; i++)
        if (s->kinds[i]->name_len == name.len && memcmp(s->kinds[i]->name, name.ptr, name.len) == 0)
            return s->kinds[i];
    return NULL;
}

/* links[l]: the pointer on level l that leads to the first node whose id is >= id. @return that node, or NULL */
static struct node *seek(struct kind *k, struct wm_view id, struct node **links[STATE_MAX_LEVEL])
{
    struct node **row = k->head;
    for (unsigned l = k->levels; l-- > 0;) {
        while (row[l] && wm_view_cmp(row[l]->id, id) < 0)
            row = row[l]->next;
        if (links)
            links[l] = &row[l];
    }
    return k->levels ? row[0] : NULL;
}

static struct node *find_node(struct kind *k, struct wm_view id)
{
    struct node *n = k ? seek(k, id, NULL) : NULL;
    return n && wm_view_eq(n->id, id) ? n : NULL;
}

static void free_document(struct wm_view document)
{
    free((void *)(uintptr_t)document.ptr); /* the view is const for readers; the memory is ours */
}

static void free_node(struct node *n)
{
    if (!n)
        return;
    free_document(n->document);
    free(n);
}

static struct node *new_node_locked(struct wm_state *s, struct wm_view id, struct wm_view document) WM_REQUIRES(s->mu)
{
    unsigned levels = 1;
    for (uint64_t bits = next_random_locked(s); (bits & 1) && levels < STATE_MAX_LEVEL; bits >>= 1)
        levels++;
    size_t links = levels * sizeof(struct node *);
    struct node *n = malloc(sizeof *n + links + id.len);
    if (!n)
        return NULL;
    char *id_copy = (char *)n + sizeof *n + links;
    memcpy(id_copy, id.ptr, id.len);
    n->id = (struct wm_view){id_copy, id.len};
    n->document = (struct wm_view){wm_view_dup(document), document.len};
    n->levels = levels;
    memset(n->next, 0, links);
    if (!n->document.ptr) {
        free(n);
        return NULL;
    }
    return n;
}

static void clear_reserved_locked(struct wm_state *s) WM_REQUIRES(s->mu)
{
    for (size_t i = 0; i < s->n_reserved; i++)
        free_node(s->reserved[i]);
    s->n_reserved = 0;
}

static enum wm_status make_kind_locked(struct wm_state *s, struct wm_view name, struct wm_err *err) WM_REQUIRES(s->mu)
{
    if (find_kind_locked(s, name))
        return WM_OK;
    if (s->n_kinds == WM_MAX_STATE_KINDS)
        return wm_fail(err, WM_E_LIMIT, "more than %u kinds of documents", WM_MAX_STATE_KINDS);
    struct kind *k = calloc(1, sizeof *k);
    char *copy = wm_view_dup(name);
    if (!k || !copy) {
        free(k);
        free(copy);
        return wm_fail(err, WM_E_NOMEM, "no memory for a kind of documents");
    }
    k->name = copy;
    k->name_len = name.len;
    s->kinds[s->n_kinds++] = k;
    return WM_OK;
}

enum wm_status wm_state_reserve(struct wm_state *s, const struct wm_change *changes, size_t n, struct wm_err *err)
{
    wm_mutex_assert_held(&s->mu);
    clear_reserved_locked(s); /* of a call whose entry was refused */
    if (n > WM_MAX_CHANGES)
        return wm_fail(err, WM_E_LIMIT, "%zu changes are more than %u", n, WM_MAX_CHANGES);
    uint64_t more = 0;
    for (size_t i = 0; i < n; i++) {
        struct node *node = NULL;
        if (changes[i].document.len != 0) {
            enum wm_status status = make_kind_locked(s, changes[i].kind, err);
            if (status != WM_OK)
                return status;
            node = new_node_locked(s, changes[i].id, changes[i].document);
            if (!node)
                return wm_fail(err, WM_E_NOMEM, "no memory for a document of %zu bytes", changes[i].document.len);
            more += changes[i].id.len + changes[i].document.len;
        }
        s->reserved[s->n_reserved++] = node;
        if (more > WM_MAX_STATE_BYTES - s->bytes)
            return wm_fail(err, WM_E_LIMIT, "the documents of all services reach %llu bytes",
                           (unsigned long long)WM_MAX_STATE_BYTES);
    }
    return WM_OK;
}

static void insert_node(struct kind *k, struct node *n)
{
    struct node **links[STATE_MAX_LEVEL];
    while (k->levels < n->levels)
        k->head[k->levels++] = NULL;
    (void)seek(k, n->id, links); /* fills in all levels of k */
    for (unsigned l = 0; l < n->levels; l++) {
        n->next[l] = *links[l];
        *links[l] = n;
    }
    k->count++;
}

static void unlink_node(struct kind *k, struct node *n)
{
    struct node **links[STATE_MAX_LEVEL];
    (void)seek(k, n->id, links); /* leads to n on each of its levels */
    for (unsigned l = 0; l < n->levels; l++)
        *links[l] = n->next[l];
    k->count--;
}

void wm_state_apply(struct wm_state *s, const struct wm_change *changes, size_t n)
{
    wm_mutex_assert_held(&s->mu);
    WM_ASSERT(n == s->n_reserved);
    for (size_t i = 0; i < n; i++) {
        struct kind *k = find_kind_locked(s, changes[i].kind);
        struct node *have = find_node(k, changes[i].id), *want = s->reserved[i];
        WM_ASSERT(!want == (changes[i].document.len == 0));
        s->reserved[i] = NULL;
        if (k)
            atomic_store_explicit(&k->changes, atomic_load_explicit(&k->changes, memory_order_relaxed) + 1,
                                  memory_order_release);
        if (have)
            s->bytes -= have->id.len + have->document.len;
        if (!want) {
            if (have) {
                unlink_node(k, have);
                free_node(have);
            }
            continue;
        }
        WM_ASSERT(wm_view_eq(want->id, changes[i].id) && want->document.len == changes[i].document.len);
        s->bytes += want->id.len + want->document.len;
        if (have) {
            struct wm_view old = have->document;
            have->document = want->document;
            want->document = old;
            free_node(want);
        } else {
            insert_node(k, want);
        }
    }
    s->n_reserved = 0;
}

void wm_state_lock(struct wm_state *s) WM_NO_ANALYSIS /* handed over to the caller */
{
    wm_mutex_lock(&s->mu);
}

void wm_state_unlock(struct wm_state *s) WM_NO_ANALYSIS
{
    wm_mutex_unlock(&s->mu);
}

bool wm_state_get(struct wm_state *s, struct wm_view kind, struct wm_view id, struct wm_view *out)
{
    wm_mutex_assert_held(&s->mu);
    const struct node *n = find_node(find_kind_locked(s, kind), id);
    if (!n)
        return false;
    *out = n->document;
    return true;
}

enum wm_status wm_state_watch(struct wm_state *s, struct wm_view kind, const _Atomic uint64_t **out, struct wm_err *err)
{
    wm_mutex_lock(&s->mu);
    enum wm_status status = make_kind_locked(s, kind, err);
    if (status == WM_OK)
        *out = &find_kind_locked(s, kind)->changes;
    wm_mutex_unlock(&s->mu);
    return status;
}

size_t wm_state_count(struct wm_state *s, struct wm_view kind)
{
    wm_mutex_assert_held(&s->mu);
    const struct kind *k = find_kind_locked(s, kind);
    return k ? k->count : 0;
}

void wm_state_each(struct wm_state *s, struct wm_view kind, struct wm_view after,
                   bool (*each)(void *arg, struct wm_view id, struct wm_view document), void *arg)
{
    wm_mutex_assert_held(&s->mu);
    struct kind *k = find_kind_locked(s, kind);
    const struct node *n = k ? seek(k, after, NULL) : NULL;
    if (n && after.len != 0 && wm_view_eq(n->id, after))
        n = n->next[0];
    while (n && each(arg, n->id, n->document))
        n = n->next[0];
}

/* ---- the copy ---- */

static enum wm_status fail_sql(struct wm_state *s, struct wm_err *err, const char *doing)
{
    int code = s->db ? sqlite3_errcode(s->db) : SQLITE_NOMEM;
    const char *text = s->db ? sqlite3_errmsg(s->db) : "out of memory";
    switch (code & 0xff) {
    case SQLITE_FULL:
        return wm_fail(err, WM_E_FULL, "cannot %s: %s", doing, text);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return wm_fail(err, WM_E_CORRUPT, "cannot %s: %s", doing, text);
    case SQLITE_NOMEM:
        return wm_fail(err, WM_E_NOMEM, "cannot %s: %s", doing, text);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return wm_fail(err, WM_E_DENIED, "cannot %s: %s", doing, text);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return wm_fail(err, WM_E_EXISTS, "cannot %s: another process holds it", doing);
    default:
        return wm_fail(err, WM_E_IO, "cannot %s: %s", doing, text);
    }
}

static enum wm_status exec(struct wm_state *s, const char *sql, struct wm_err *err)
{
    if (sqlite3_exec(s->db, sql, NULL, NULL, NULL) != SQLITE_OK)
        return fail_sql(s, err, "set up the state's copy");
    return WM_OK;
}

static enum wm_status prepare(struct wm_state *s, const char *sql, sqlite3_stmt **out, struct wm_err *err)
{
    if (sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL) != SQLITE_OK)
        return fail_sql(s, err, "prepare a statement on the state's copy");
    return WM_OK;
}

/* A number that a statement gives; 0 when it gives none. */
static enum wm_status query_number(struct wm_state *s, const char *sql, int64_t *out, struct wm_err *err)
{
    sqlite3_stmt *q = NULL;
    enum wm_status status = prepare(s, sql, &q, err);
    if (status != WM_OK)
        return status;
    int rc = sqlite3_step(q);
    *out = rc == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0;
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        status = fail_sql(s, err, "read the state's copy");
    (void)sqlite3_finalize(q); /* reports rc once more */
    return status;
}

/* Made by us, so that it is private from the first moment (SQLite gives its side files the same mode), and so that its
 * name is durable before the journal retires anything on its word. */
static enum wm_status make_file(const char *path, struct wm_err *err)
{
    int fd = wm_io_posix.open(wm_io_posix.ctx, path, O_RDWR | O_CREAT, 0600);
    if (fd < 0)
        return wm_fail_errno(err, -fd, "cannot open %s", path);
    (void)wm_io_posix.close(wm_io_posix.ctx, fd); /* nothing was written */
    char *copy = wm_view_dup(wm_view_of(path));
    if (!copy)
        return wm_fail(err, WM_E_NOMEM, "no memory to open the state");
    int rc = wm_io_posix.sync_dir(wm_io_posix.ctx, dirname(copy));
    free(copy);
    return rc < 0 ? wm_fail_errno(err, -rc, "cannot sync the folder of %s", path) : WM_OK;
}

static enum wm_status set_up(struct wm_state *s, const char *path, struct wm_err *err)
{
    enum wm_status status = make_file(path, err);
    if (status != WM_OK)
        return status;
    if (sqlite3_open_v2(path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return fail_sql(s, err, "open the state's copy");
    /* One process, one connection: no shared memory file, and a second process is refused instead of let in. */
    status = exec(s, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=16777216;", err);
    int64_t version, application;
    if (status == WM_OK)
        status = query_number(s, "PRAGMA user_version", &version, err);
    if (status == WM_OK)
        status = query_number(s, "PRAGMA application_id", &application, err);
    if (status != WM_OK)
        return status;
    if ((version != 0 || application != 0) && application != STATE_APPLICATION_ID)
        return wm_fail(err, WM_E_INVALID, "%s is a database of another program", path);
    if (version > STATE_SCHEMA_VERSION)
        return wm_fail(err, WM_E_UNSUPPORTED, "%s was written by a newer version", path);
    if (version == 0)
        status = exec(s,
                      "BEGIN;"
                      "CREATE TABLE document(kind TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL,"
                      " seq INTEGER NOT NULL, PRIMARY KEY(kind, id)) STRICT, WITHOUT ROWID;"
                      "CREATE TABLE cursor(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
                      "INSERT INTO cursor VALUES('state', 0);"
                      "PRAGMA application_id=1464685396; PRAGMA user_version=1;"
                      "COMMIT;",
                      err);
    if (status == WM_OK && version < 2) /* what an older version has gone past is one number */
        status = exec(s,
                      "BEGIN;"
                      "ALTER TABLE cursor ADD COLUMN reads INTEGER NOT NULL DEFAULT 0;"
                      "ALTER TABLE cursor ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;"
                      "ALTER TABLE cursor ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;"
                      "ALTER TABLE cursor ADD COLUMN service INTEGER NOT NULL DEFAULT 0;"
                      "ALTER TABLE cursor ADD COLUMN earlier INTEGER NOT NULL DEFAULT 0;"
                      "UPDATE cursor SET earlier = seq;"
                      "PRAGMA user_version=2;"
                      "COMMIT;",
                      err);
    if (status == WM_OK && version < 3)
        status = exec(s, "BEGIN; ALTER TABLE cursor ADD COLUMN journal_id TEXT; PRAGMA user_version=3; COMMIT;", err);
    _Static_assert(STATE_APPLICATION_ID == 1464685396 && STATE_SCHEMA_VERSION == 3, "as in the statements above");
    if (status == WM_OK)
        status = prepare(s, "INSERT INTO document VALUES(?1, ?2, ?3, ?4) ON CONFLICT(kind, id)"
                            " DO UPDATE SET document = ?3, seq = ?4", &s->put, err);
    if (status == WM_OK)
        status = prepare(s, "DELETE FROM document WHERE kind = ?1 AND id = ?2", &s->remove, err);
    if (status == WM_OK)
        status = prepare(s, "UPDATE cursor SET seq = ?1, reads = ?2, changes = ?3, refused = ?4, service = ?5, earlier = ?6"
                            " WHERE name = 'state'", &s->move, err);
    if (status == WM_OK)
        status = prepare(s, "BEGIN IMMEDIATE", &s->begin, err);
    if (status == WM_OK)
        status = prepare(s, "COMMIT", &s->commit, err);
    if (status == WM_OK)
        status = prepare(s, "ROLLBACK", &s->rollback, err);
    return status;
}

static enum wm_status apply_now(struct wm_state *s, const struct wm_change *changes, size_t n, struct wm_err *err)
{
    wm_mutex_lock(&s->mu);
    enum wm_status status = wm_state_reserve(s, changes, n, err);
    if (status == WM_OK)
        wm_state_apply(s, changes, n);
    wm_mutex_unlock(&s->mu);
    return status;
}

static bool step(sqlite3_stmt *q)
{
    int rc = sqlite3_step(q);
    return sqlite3_reset(q) == SQLITE_OK && rc == SQLITE_DONE;
}

static void bind_view(sqlite3_stmt *q, int i, struct wm_view v)
{
    /* Cannot fail: the index exists, the text is bounded and not copied. */
    (void)sqlite3_bind_text(q, i, v.ptr, (int)v.len, SQLITE_STATIC);
}

static struct wm_view column(sqlite3_stmt *q, int i)
{
    const char *text = (const char *)sqlite3_column_text(q, i);
    return (struct wm_view){text, text ? (size_t)sqlite3_column_bytes(q, i) : 0};
}

/* The numbers behind the cursor's name, in the order of the table's columns. */
#define STATE_COUNTS 6
static void list_counts(struct wm_state_counts *c, uint64_t *out[STATE_COUNTS])
{
    uint64_t *const all[STATE_COUNTS] = {&c->seq, &c->reads, &c->changes, &c->refused, &c->service, &c->earlier};
    memcpy(out, all, sizeof all);
}

static void show_counts(struct wm_state *s)
{
    wm_mutex_lock(&s->counts_mu);
    s->shown = s->stored;
    wm_mutex_unlock(&s->counts_mu);
}

static enum wm_status load_cursor(struct wm_state *s, struct wm_err *err)
{
    uint64_t *counts[STATE_COUNTS];
    sqlite3_stmt *q = NULL;
    enum wm_status status = prepare(s, "SELECT seq, reads, changes, refused, service, earlier FROM cursor"
                                       " WHERE name = 'state'", &q, err);
    if (status != WM_OK)
        return status;
    list_counts(&s->stored, counts);
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW) {
        for (int i = 0; i < STATE_COUNTS; i++) {
            int64_t n = sqlite3_column_int64(q, i);
            if (n < 0)
                status = wm_fail(err, WM_E_CORRUPT, "the state's copy has a cursor or count of %lld", (long long)n);
            *counts[i] = (uint64_t)n;
        }
    } else {
        status = rc == SQLITE_DONE ? wm_fail(err, WM_E_CORRUPT, "the state's copy has no cursor")
                                   : fail_sql(s, err, "read the state's copy");
    }
    (void)sqlite3_finalize(q); /* reports rc once more */
    show_counts(s);
    return status;
}

static enum wm_status load(struct wm_state *s, struct wm_err *err)
{
    enum wm_status status = load_cursor(s, err);
    if (status != WM_OK)
        return status;
    sqlite3_stmt *q = NULL;
    status = prepare(s, "SELECT kind, id, document FROM document ORDER BY kind, id", &q, err);
    if (status != WM_OK)
        return status;
    int rc = SQLITE_DONE;
    while (status == WM_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct wm_change c = {.kind = column(q, 0), .id = column(q, 1), .document = column(q, 2)};
        if (c.kind.len == 0 || c.id.len == 0 || c.document.len == 0)
            status = wm_fail(err, WM_E_CORRUPT, "the state's copy has a document without kind, id or content");
        else
            status = apply_now(s, &c, 1, err);
    }
    if (status == WM_OK && rc != SQLITE_DONE)
        status = fail_sql(s, err, "read the state's copy");
    (void)sqlite3_finalize(q); /* reports rc once more */
    return status;
}

enum wm_status wm_state_open(const char *path, struct wm_state **out, uint64_t *out_cursor, struct wm_err *err)
{
    struct wm_state *s = calloc(1, sizeof *s);
    if (!s)
        return wm_fail(err, WM_E_NOMEM, "no memory for the state");
    wm_mutex_init(&s->mu);
    wm_mutex_init(&s->counts_mu);
    wm_random(&s->random, sizeof s->random);
    s->random |= 1; /* 0 is xorshift's fixed point */
    wm_latest_init(&s->latest);
    enum wm_status status = set_up(s, path, err);
    if (status == WM_OK)
        status = load(s, err);
    if (status != WM_OK) {
        wm_state_close(s);
        return status;
    }
    *out = s;
    *out_cursor = s->stored.seq;
    return WM_OK;
}

enum wm_status wm_state_bind(struct wm_state *s, const uint8_t id[WM_JOURNAL_ID_BYTES], struct wm_err *err)
{
    char hex[2 * WM_JOURNAL_ID_BYTES];
    const struct wm_view mine = {hex, sizeof hex};
    sqlite3_stmt *q = NULL;
    wm_hex(id, WM_JOURNAL_ID_BYTES, hex);
    enum wm_status status = prepare(s, "UPDATE cursor SET journal_id = ?1 WHERE journal_id IS NULL", &q, err);
    if (status != WM_OK)
        return status;
    bind_view(q, 1, mine);
    if (!step(q))
        status = fail_sql(s, err, "bind the state's copy to its journal");
    (void)sqlite3_finalize(q); /* reports rc once more */
    q = NULL;
    if (status == WM_OK)
        status = prepare(s, "SELECT journal_id FROM cursor WHERE name = 'state'", &q, err);
    if (status != WM_OK)
        return status;
    if (sqlite3_step(q) != SQLITE_ROW)
        status = fail_sql(s, err, "read the state's copy");
    else if (!wm_view_eq(column(q, 0), mine))
        status = wm_fail(err, WM_E_CORRUPT, "the state belongs to journal %.*s, and this is %.*s: one of them was put in "
                         "the other's place", WM_ARG(column(q, 0)), WM_ARG(mine));
    (void)sqlite3_finalize(q); /* reports rc once more */
    return status;
}

void wm_state_close(struct wm_state *s)
{
    if (!s)
        return;
    sqlite3_stmt *all[] = {s->put, s->remove, s->move, s->begin, s->commit, s->rollback};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        (void)sqlite3_finalize(all[i]); /* errors were reported when they arose */
    (void)sqlite3_close(s->db); /* what counts has been committed */
    wm_latest_done(&s->latest);
    wm_mutex_lock(&s->mu);
    clear_reserved_locked(s);
    for (size_t i = 0; i < s->n_kinds; i++) {
        struct kind *k = s->kinds[i];
        for (struct node *n = k->levels ? k->head[0] : NULL, *next; n; n = next) {
            next = n->next[0];
            free_node(n);
        }
        free(k->name);
        free(k);
    }
    wm_mutex_unlock(&s->mu);
    wm_mutex_done(&s->mu);
    wm_mutex_done(&s->counts_mu);
    free(s);
}

void wm_state_counts(struct wm_state *s, struct wm_state_counts *out)
{
    wm_mutex_lock(&s->counts_mu);
    *out = s->shown;
    wm_mutex_unlock(&s->counts_mu);
}

bool wm_state_counts_add_up(const struct wm_state_counts *c)
{
    return c->seq == c->reads + c->changes + c->refused + c->service + c->earlier;
}

/* ---- following ---- */

static enum wm_status store_change(struct wm_state *s, const struct wm_change *c, uint64_t seq, struct wm_err *err)
{
    sqlite3_stmt *q = c->document.len ? s->put : s->remove;
    bind_view(q, 1, c->kind);
    bind_view(q, 2, c->id);
    if (c->document.len) {
        bind_view(q, 3, c->document);
        (void)sqlite3_bind_int64(q, 4, (sqlite3_int64)seq); /* the index exists */
    }
    bool ok = step(q);
    (void)sqlite3_clear_bindings(q); /* the texts do not stay */
    return ok ? WM_OK : fail_sql(s, err, "store a document in the state's copy");
}

static enum wm_status store_latest(struct wm_state *s, struct wm_err *err)
{
    enum wm_status status = WM_OK;
    for (const struct wm_latest_change *l = s->latest.first; l && status == WM_OK; l = l->next)
        status = store_change(s, &l->change, l->seq, err);
    wm_latest_clear(&s->latest);
    return status;
}

static enum wm_status keep_changes(struct wm_state *s, const struct wm_entry *e, struct wm_err *err)
{
    for (size_t i = 0; i < e->n_changes; i++) {
        if (wm_latest_add(&s->latest, &e->changes[i], e->seq))
            continue;
        enum wm_status status = store_latest(s, err);
        if (status != WM_OK)
            return status;
        if (!wm_latest_add(&s->latest, &e->changes[i], e->seq))
            return wm_fail(err, WM_E_NOMEM, "no memory for the state's copy");
    }
    return WM_OK;
}

static void count_entry(struct wm_state_counts *c, const struct wm_entry *e)
{
    c->seq = e->seq;
    if (e->flags & WM_ENTRY_SERVICE)
        c->service++;
    else if (e->flags & WM_ENTRY_REFUSED)
        c->refused++;
    else if (e->flags & WM_ENTRY_READ_ONLY)
        c->reads++;
    else
        c->changes++;
}

/* Cursor and counts, and with them all that has been stored since the transaction began. */
static enum wm_status commit_cursor(struct wm_state *s, struct wm_state_counts *now, struct wm_err *err)
{
    uint64_t *counts[STATE_COUNTS];
    list_counts(now, counts);
    for (int i = 0; i < STATE_COUNTS; i++)
        (void)sqlite3_bind_int64(s->move, i + 1, (sqlite3_int64)*counts[i]); /* the index exists */
    return step(s->move) && step(s->commit) ? WM_OK : fail_sql(s, err, "commit to the state's copy");
}

enum wm_status wm_state_follow(struct wm_state *s, struct wm_journal_reader *r, size_t max_entries, bool memory_too,
                               uint64_t *out_cursor, struct wm_err *err)
{
    struct wm_entry e;
    struct wm_state_counts now = s->stored;
    enum wm_status status = wm_journal_reader_next(r, &e, err);
    if (status != WM_OK)
        return status; /* WM_E_END: there is nothing to store */
    if (!step(s->begin))
        return fail_sql(s, err, "begin a transaction on the state's copy");
    for (size_t n = 1; status == WM_OK; n++) {
        status = keep_changes(s, &e, err);
        if (status == WM_OK && memory_too)
            status = apply_now(s, e.changes, e.n_changes, err);
        if (status != WM_OK)
            break;
        count_entry(&now, &e);
        status = n < max_entries ? wm_journal_reader_next(r, &e, err) : WM_E_END;
    }
    if (status == WM_E_END)
        status = store_latest(s, err);
    if (status == WM_OK)
        status = commit_cursor(s, &now, err);
    if (status != WM_OK) {
        (void)step(s->rollback); /* fails when SQLite has rolled back by itself: the same end */
        wm_latest_clear(&s->latest);
        return status;
    }
    s->stored = now;
    show_counts(s);
    *out_cursor = now.seq;
    return WM_OK;
}
