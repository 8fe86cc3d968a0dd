#include "tests/support/sim_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "waymark/banned.h"

#define SECTOR 512u
#define FIRST_FD 1000000 /* far above the system's, so that one mistaken for the other is seen */
#define MAX_FDS 256
#define PATH_BYTES 256

/* A change of a file that is in the page cache only. */
struct dirty {
    struct dirty *next;
    bool truncate; /* to offset */
    uint64_t offset;
    size_t len;
    uint8_t bytes[];
};

struct content {
    uint8_t *data;
    size_t size;
    size_t cap;
};

struct inode {
    struct inode *next;
    bool is_dir;
    struct content now;  /* as read */
    struct content disk; /* as synced */
    struct dirty *dirty; /* oldest first */
    struct dirty **dirty_end;
    struct inode *copy;  /* while cloning */
};

struct name {
    char path[PATH_BYTES];
    struct inode *inode;
};

struct names {
    struct name *list;
    size_t n;
    size_t cap;
};

/* A change of a name that is not synced. */
struct name_change {
    char dir[PATH_BYTES];
    char from[PATH_BYTES]; /* "" : none */
    char to[PATH_BYTES];
    struct inode *inode;
};

struct sim_disk {
    struct wm_io io;
    pthread_mutex_t mu;
    uint64_t random;
    struct inode *inodes;
    struct names now;
    struct names disk;
    struct name_change *changes;
    size_t n_changes;
    size_t cap_changes;
    struct inode *fds[MAX_FDS];
    unsigned operations;
    unsigned die_at; /* 0: never */
    unsigned fail_sync_at;
    bool dead;
    bool sync_failed;
    uint64_t free_bytes;
};

/* Not malloc() and its kin: tests of failing allocations put their own in their place, and mean the code under test. */
static void *grow(void *p, size_t n)
{
    void *grown = aligned_alloc(alignof(max_align_t), (n / alignof(max_align_t) + 1) * alignof(max_align_t));
    if (!grown)
        abort();
    if (p) {
        size_t had = malloc_usable_size(p);
        memcpy(grown, p, had < n ? had : n);
        free(p);
    }
    return grown;
}

static void *zeroed(size_t n)
{
    return memset(grow(NULL, n), 0, n);
}

static uint32_t draw(struct sim_disk *d, uint32_t below)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return (uint32_t)(d->random >> 32) % below;
}

/* ---- content ---- */

static void resize(struct content *c, size_t size)
{
    if (size > c->cap) {
        c->cap = size + size / 2;
        c->data = grow(c->data, c->cap);
    }
    if (size > c->size)
        memset(c->data + c->size, 0, size - c->size);
    c->size = size;
}

static void put(struct content *c, uint64_t offset, const uint8_t *bytes, size_t len)
{
    if (offset + len > c->size)
        resize(c, offset + len);
    if (len)
        memcpy(c->data + offset, bytes, len);
}

static void assign(struct content *to, const struct content *from)
{
    to->size = 0;
    resize(to, from->size);
    if (from->size)
        memcpy(to->data, from->data, from->size);
}

static void apply(struct content *c, const struct dirty *w)
{
    if (w->truncate)
        resize(c, w->offset);
    else
        put(c, w->offset, w->bytes, w->len);
}

static struct inode *new_inode(struct sim_disk *d, bool is_dir)
{
    struct inode *i = zeroed(sizeof *i);
    i->is_dir = is_dir;
    i->dirty_end = &i->dirty;
    i->next = d->inodes;
    d->inodes = i;
    return i;
}

static void free_dirty(struct inode *i)
{
    for (struct dirty *w = i->dirty, *next; w; w = next) {
        next = w->next;
        free(w);
    }
    i->dirty = NULL;
    i->dirty_end = &i->dirty;
}

static void make_dirty(struct inode *i, bool truncate, uint64_t offset, const void *bytes, size_t len)
{
    struct dirty *w = grow(NULL, sizeof *w + len);
    *w = (struct dirty){.truncate = truncate, .offset = offset, .len = len};
    if (len)
        memcpy(w->bytes, bytes, len);
    *i->dirty_end = w;
    i->dirty_end = &w->next;
    apply(&i->now, w);
}

/* ---- names ---- */

static struct inode *find(const struct names *names, const char *path)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->list[i].path, path) == 0)
            return names->list[i].inode;
    return NULL;
}

static void set_name(struct names *names, const char *path, struct inode *inode)
{
    for (size_t i = 0; i < names->n; i++) {
        if (strcmp(names->list[i].path, path) == 0) {
            names->list[i].inode = inode;
            if (!inode)
                names->list[i] = names->list[--names->n];
            return;
        }
    }
    if (!inode)
        return;
    if (names->n == names->cap) {
        names->cap = names->cap ? names->cap * 2 : 16;
        names->list = grow(names->list, names->cap * sizeof *names->list);
    }
    (void)snprintf(names->list[names->n].path, PATH_BYTES, "%s", path);
    names->list[names->n++].inode = inode;
}

static void parent_of(const char *path, char out[PATH_BYTES])
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(out, PATH_BYTES, "%.*s", slash && slash != path ? (int)(slash - path) : 1, path);
}

/* "/a/b/.." is "/a"; nothing else is needed of a path. */
static void tidy(const char *path, char out[PATH_BYTES])
{
    size_t len = strlen(path);
    char up[PATH_BYTES];
    if (path[0] != '/' || len >= PATH_BYTES)
        abort();
    if (len > 3 && strcmp(path + len - 3, "/..") == 0) {
        (void)snprintf(up, sizeof up, "%.*s", (int)(len - 3), path);
        parent_of(up, out);
        return;
    }
    (void)snprintf(out, PATH_BYTES, "%s", path);
}

static void apply_change(struct names *names, const struct name_change *c)
{
    if (c->from[0] && find(names, c->from) == c->inode)
        set_name(names, c->from, NULL);
    if (c->to[0])
        set_name(names, c->to, c->inode);
}

static void change_name(struct sim_disk *d, const char *from, const char *to, struct inode *inode)
{
    if (d->n_changes == d->cap_changes) {
        d->cap_changes = d->cap_changes ? d->cap_changes * 2 : 16;
        d->changes = grow(d->changes, d->cap_changes * sizeof *d->changes);
    }
    struct name_change *c = &d->changes[d->n_changes++];
    *c = (struct name_change){.inode = inode};
    (void)snprintf(c->from, PATH_BYTES, "%s", from);
    (void)snprintf(c->to, PATH_BYTES, "%s", to);
    parent_of(to[0] ? to : from, c->dir);
    apply_change(&d->now, c);
}

/* ---- the table ---- */

/* Begin an operation. @return false: it fails; *out_effect: but has its effect all the same */
static bool begin(struct sim_disk *d, bool *out_effect)
{
    (void)pthread_mutex_lock(&d->mu);
    *out_effect = !d->dead;
    if (d->dead)
        return false;
    d->operations++;
    if (d->die_at == 0 || d->operations < d->die_at)
        return true;
    d->dead = true;
    *out_effect = draw(d, 2) == 0;
    return false;
}

static int end(struct sim_disk *d, bool alive, int rc)
{
    (void)pthread_mutex_unlock(&d->mu);
    return alive ? rc : -EIO;
}

static struct inode *of_fd(struct sim_disk *d, int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + MAX_FDS ? d->fds[fd - FIRST_FD] : NULL;
}

static int sim_open(void *ctx, const char *path, int flags, mode_t mode)
{
    struct sim_disk *d = ctx;
    char clean[PATH_BYTES], dir[PATH_BYTES];
    (void)mode;
    bool effect, alive = begin(d, &effect);
    if (!alive)
        return end(d, false, 0);
    tidy(path, clean);
    parent_of(clean, dir);
    if (strcmp(strrchr(clean, '/'), "/lock") == 0) { /* flock() is done on the descriptor itself: it must be a real one */
        int fd = memfd_create("lock", MFD_CLOEXEC);
        return end(d, true, fd < 0 ? -errno : fd);
    }
    struct inode *i = find(&d->now, clean);
    if (!i && !(flags & O_CREAT))
        return end(d, true, -ENOENT);
    if (!i && !find(&d->now, dir))
        return end(d, true, -ENOENT);
    if (!i) {
        i = new_inode(d, false);
        change_name(d, "", clean, i);
    } else if (flags & O_TRUNC) {
        make_dirty(i, true, 0, NULL, 0);
    }
    for (int n = 0; n < MAX_FDS; n++) {
        if (!d->fds[n]) {
            d->fds[n] = i;
            return end(d, true, FIRST_FD + n);
        }
    }
    return end(d, true, -EMFILE);
}

static int sim_close(void *ctx, int fd)
{
    struct sim_disk *d = ctx;
    if (fd < FIRST_FD)
        return close(fd);
    (void)pthread_mutex_lock(&d->mu);
    d->fds[fd - FIRST_FD] = NULL;
    (void)pthread_mutex_unlock(&d->mu);
    return 0;
}

static ssize_t sim_pread(void *ctx, int fd, void *buf, size_t len, uint64_t offset)
{
    struct sim_disk *d = ctx;
    bool effect, alive = begin(d, &effect);
    const struct inode *i = of_fd(d, fd);
    if (!alive || !i)
        return end(d, alive, -EBADF);
    size_t rest = offset < i->now.size ? i->now.size - (size_t)offset : 0;
    if (len > rest)
        len = rest;
    if (len)
        memcpy(buf, i->now.data + offset, len);
    return end(d, true, (int)len);
}

static ssize_t sim_pwrite(void *ctx, int fd, const void *buf, size_t len, uint64_t offset)
{
    struct sim_disk *d = ctx;
    bool effect, alive = begin(d, &effect);
    struct inode *i = of_fd(d, fd);
    if (i && effect)
        make_dirty(i, false, offset, buf, len);
    return end(d, alive, i ? (int)len : -EBADF);
}

static int sim_sync(void *ctx, int fd)
{
    struct sim_disk *d = ctx;
    bool effect, alive = begin(d, &effect);
    struct inode *i = of_fd(d, fd);
    if (!alive || !i)
        return end(d, alive, -EBADF);
    bool fails = d->fail_sync_at != 0 && d->operations >= d->fail_sync_at;
    for (const struct dirty *w = i->dirty; w; w = w->next)
        if (!fails || draw(d, 2) == 0)
            apply(&i->disk, w);
    free_dirty(i);
    if (!fails)
        return end(d, true, 0);
    d->fail_sync_at = 0;
    d->sync_failed = true;
    return end(d, true, -EIO);
}

static int sim_ftruncate(void *ctx, int fd, uint64_t len)
{
    struct sim_disk *d = ctx;
    bool effect, alive = begin(d, &effect);
    struct inode *i = of_fd(d, fd);
    if (i && effect)
        make_dirty(i, true, len, NULL, 0);
    return end(d, alive, i ? 0 : -EBADF);
}

static int sim_fstat(void *ctx, int fd, struct stat *out)
{
    struct sim_disk *d = ctx;
    bool effect, alive = begin(d, &effect);
    const struct inode *i = of_fd(d, fd);
    memset(out, 0, sizeof *out);
    if (i) {
        out->st_size = (off_t)i->now.size;
        out->st_mode = i->is_dir ? S_IFDIR | 0700 : S_IFREG | 0600;
    }
    return end(d, alive, i ? 0 : -EBADF);
}

static int sim_rename(void *ctx, const char *from, const char *to)
{
    struct sim_disk *d = ctx;
    bool effect, alive = begin(d, &effect);
    struct inode *i = find(&d->now, from);
    if (i && effect)
        change_name(d, from, to, i);
    return end(d, alive, i ? 0 : -ENOENT);
}

static int sim_link(void *ctx, const char *from, const char *to)
{
    struct sim_disk *d = ctx;
    bool effect, alive = begin(d, &effect);
    struct inode *i = find(&d->now, from);
    int rc = !i ? -ENOENT : find(&d->now, to) ? -EEXIST : 0;
    if (rc == 0 && effect)
        change_name(d, "", to, i);
    return end(d, alive, rc);
}

static int sim_unlink(void *ctx, const char *path)
{
    struct sim_disk *d = ctx;
    bool effect, alive = begin(d, &effect);
    struct inode *i = find(&d->now, path);
    if (i && effect)
        change_name(d, path, "", i);
    return end(d, alive, i ? 0 : -ENOENT);
}

static int sim_mkdir(void *ctx, const char *path, mode_t mode)
{
    struct sim_disk *d = ctx;
    char dir[PATH_BYTES];
    (void)mode;
    bool effect, alive = begin(d, &effect);
    parent_of(path, dir);
    int rc = find(&d->now, path) ? -EEXIST : find(&d->now, dir) ? 0 : -ENOENT;
    if (rc == 0 && effect)
        change_name(d, "", path, new_inode(d, true));
    return end(d, alive, rc);
}

static int sim_sync_dir(void *ctx, const char *path)
{
    struct sim_disk *d = ctx;
    char clean[PATH_BYTES];
    bool effect, alive = begin(d, &effect);
    tidy(path, clean);
    if (!alive || !find(&d->now, clean))
        return end(d, alive, -ENOENT);
    if (d->fail_sync_at != 0 && d->operations >= d->fail_sync_at) {
        d->fail_sync_at = 0;
        d->sync_failed = true;
        return end(d, true, -EIO);
    }
    size_t left = 0;
    for (size_t i = 0; i < d->n_changes; i++) {
        if (strcmp(d->changes[i].dir, clean) == 0)
            apply_change(&d->disk, &d->changes[i]);
        else
            d->changes[left++] = d->changes[i];
    }
    d->n_changes = left;
    return end(d, true, 0);
}

static int sim_list(void *ctx, const char *path, int (*each)(void *arg, const char *name), void *arg)
{
    struct sim_disk *d = ctx;
    char clean[PATH_BYTES], dir[PATH_BYTES];
    bool effect, alive = begin(d, &effect);
    tidy(path, clean);
    int rc = find(&d->now, clean) ? 0 : -ENOENT;
    for (size_t i = 0; alive && rc == 0 && i < d->now.n; i++) {
        parent_of(d->now.list[i].path, dir);
        if (strcmp(dir, clean) == 0 && strcmp(d->now.list[i].path, "/") != 0)
            rc = each(arg, strrchr(d->now.list[i].path, '/') + 1);
    }
    return end(d, alive, rc);
}

static int sim_free_bytes(void *ctx, const char *path, uint64_t *out)
{
    struct sim_disk *d = ctx;
    bool effect, alive = begin(d, &effect);
    (void)path;
    *out = d->free_bytes;
    return end(d, alive, 0);
}

void sim_disk_say_free(struct sim_disk *d, uint64_t bytes)
{
    d->free_bytes = bytes;
}

/* ---- the disk ---- */

static struct sim_disk *new_disk(uint64_t seed)
{
    struct sim_disk *d = zeroed(sizeof *d);
    (void)pthread_mutex_init(&d->mu, NULL);
    d->random = seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    if (d->random == 0)
        d->random = 1;
    d->io = (struct wm_io){
        .ctx = d,
        .open = sim_open,
        .close = sim_close,
        .pread = sim_pread,
        .pwrite = sim_pwrite,
        .fdatasync = sim_sync,
        .fsync = sim_sync,
        .ftruncate = sim_ftruncate,
        .fstat = sim_fstat,
        .rename = sim_rename,
        .link = sim_link,
        .unlink = sim_unlink,
        .mkdir = sim_mkdir,
        .sync_dir = sim_sync_dir,
        .list = sim_list,
        .free_bytes = sim_free_bytes,
    };
    d->free_bytes = UINT64_MAX;
    return d;
}

struct sim_disk *sim_disk_new(uint64_t seed)
{
    struct sim_disk *d = new_disk(seed);
    struct inode *root = new_inode(d, true);
    set_name(&d->now, "/", root);
    set_name(&d->disk, "/", root);
    return d;
}

void sim_disk_free(struct sim_disk *d)
{
    if (!d)
        return;
    for (struct inode *i = d->inodes, *next; i; i = next) {
        next = i->next;
        free_dirty(i);
        free(i->now.data);
        free(i->disk.data);
        free(i);
    }
    free(d->now.list);
    free(d->disk.list);
    free(d->changes);
    (void)pthread_mutex_destroy(&d->mu);
    free(d);
}

const struct wm_io *sim_disk_io(struct sim_disk *d)
{
    return &d->io;
}

struct sim_disk *sim_disk_clone(const struct sim_disk *d, uint64_t seed)
{
    struct sim_disk *c = new_disk(seed);
    for (struct inode *i = d->inodes; i; i = i->next) {
        i->copy = new_inode(c, i->is_dir);
        for (const struct dirty *w = i->dirty; w; w = w->next)
            make_dirty(i->copy, w->truncate, w->offset, w->bytes, w->len);
        assign(&i->copy->now, &i->now);
        assign(&i->copy->disk, &i->disk);
    }
    for (size_t i = 0; i < d->now.n; i++)
        set_name(&c->now, d->now.list[i].path, d->now.list[i].inode->copy);
    for (size_t i = 0; i < d->disk.n; i++)
        set_name(&c->disk, d->disk.list[i].path, d->disk.list[i].inode->copy);
    c->changes = grow(NULL, (d->n_changes + 1) * sizeof *c->changes);
    c->n_changes = d->n_changes;
    c->cap_changes = d->n_changes + 1;
    for (size_t i = 0; i < d->n_changes; i++) {
        c->changes[i] = d->changes[i];
        c->changes[i].inode = d->changes[i].inode->copy;
    }
    return c;
}

static void arm(struct sim_disk *d, unsigned *at, unsigned n)
{
    (void)pthread_mutex_lock(&d->mu);
    *at = n ? d->operations + n : 0;
    (void)pthread_mutex_unlock(&d->mu);
}

void sim_disk_die_at(struct sim_disk *d, unsigned n)
{
    arm(d, &d->die_at, n);
}

void sim_disk_fail_sync_at(struct sim_disk *d, unsigned n)
{
    arm(d, &d->fail_sync_at, n);
}

static bool read_flag(struct sim_disk *d, const bool *flag)
{
    (void)pthread_mutex_lock(&d->mu);
    bool value = *flag;
    (void)pthread_mutex_unlock(&d->mu);
    return value;
}

bool sim_disk_dead(struct sim_disk *d)
{
    return read_flag(d, &d->dead);
}

bool sim_disk_sync_failed(struct sim_disk *d)
{
    return read_flag(d, &d->sync_failed);
}

void sim_disk_restart(struct sim_disk *d)
{
    memset(d->fds, 0, sizeof d->fds);
    d->die_at = d->fail_sync_at = 0;
    d->dead = d->sync_failed = false;
}

/* ---- the power cut ---- */

enum fate {
    FATE_DROP,
    FATE_KEEP,
    FATE_EITHER,  /* each write by itself */
    FATE_TORN,    /* each sector by itself */
    FATE_GARBLED, /* each sector by itself, or with garbage in it */
    FATES,
};

static void write_sectors(struct sim_disk *d, struct content *c, const struct dirty *w, bool garble)
{
    for (size_t from = 0; from < w->len;) {
        uint64_t at = w->offset + from;
        size_t n = SECTOR - (size_t)(at % SECTOR);
        if (n > w->len - from)
            n = w->len - from;
        uint32_t what = draw(d, garble ? 3 : 2);
        if (what == 1)
            put(c, at, w->bytes + from, n);
        if (what == 2) {
            uint8_t junk[SECTOR];
            for (size_t i = 0; i < n; i++)
                junk[i] = (uint8_t)draw(d, 256);
            put(c, at, junk, n);
        }
        from += n;
    }
}

static void cut_inode(struct sim_disk *d, struct inode *i)
{
    enum fate fate = (enum fate)draw(d, FATES);
    size_t old_size = i->disk.size;
    for (const struct dirty *w = i->dirty; w; w = w->next) {
        if (fate == FATE_KEEP || (fate == FATE_EITHER && draw(d, 2) == 0) || (w->truncate && fate != FATE_DROP && draw(d, 2)))
            apply(&i->disk, w);
        else if (!w->truncate && (fate == FATE_TORN || fate == FATE_GARBLED))
            write_sectors(d, &i->disk, w, fate == FATE_GARBLED);
    }
    /* The size is written by itself. */
    if (i->disk.size > old_size && fate != FATE_KEEP && draw(d, 3) == 0)
        i->disk.size = old_size + draw(d, (uint32_t)(i->disk.size - old_size));
    else if (i->now.size > i->disk.size && draw(d, 3) == 0)
        resize(&i->disk, i->now.size);
    free_dirty(i);
    assign(&i->now, &i->disk);
}

void sim_disk_power_cut(struct sim_disk *d)
{
    sim_disk_restart(d);
    for (struct inode *i = d->inodes; i; i = i->next)
        if (i->dirty || i->now.size != i->disk.size ||
            (i->now.size != 0 && memcmp(i->now.data, i->disk.data, i->now.size) != 0))
            cut_inode(d, i);
    uint32_t fate = draw(d, 3);
    for (size_t i = 0; i < d->n_changes; i++)
        if (fate == FATE_KEEP || (fate == FATE_EITHER && draw(d, 2) == 0))
            apply_change(&d->disk, &d->changes[i]);
    d->n_changes = 0;
    d->now.n = 0;
    for (size_t i = 0; i < d->disk.n; i++) { /* what is in a folder that is gone is gone with it */
        char dir[PATH_BYTES];
        parent_of(d->disk.list[i].path, dir);
        if (find(&d->disk, dir))
            set_name(&d->now, d->disk.list[i].path, d->disk.list[i].inode);
    }
    d->disk.n = 0;
    for (size_t i = 0; i < d->now.n; i++)
        set_name(&d->disk, d->now.list[i].path, d->now.list[i].inode);
}

void sim_disk_put(struct sim_disk *d, const char *path, const void *bytes, size_t len)
{
    char dir[PATH_BYTES];
    parent_of(path, dir);
    if (!find(&d->now, dir)) {
        struct inode *folder = new_inode(d, true);
        set_name(&d->now, dir, folder);
        set_name(&d->disk, dir, folder);
    }
    struct inode *i = new_inode(d, false);
    put(&i->now, 0, bytes, len);
    put(&i->disk, 0, bytes, len);
    set_name(&d->now, path, i);
    set_name(&d->disk, path, i);
}

void sim_disk_save(struct sim_disk *d, const char *from, const char *to)
{
    char dir[PATH_BYTES], path[2 * PATH_BYTES];
    for (size_t i = 0; i < d->now.n; i++) {
        const struct inode *inode = d->now.list[i].inode;
        parent_of(d->now.list[i].path, dir);
        if (inode->is_dir || strcmp(dir, from) != 0)
            continue;
        (void)snprintf(path, sizeof path, "%s%s", to, strrchr(d->now.list[i].path, '/'));
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd < 0 || write(fd, inode->now.data, inode->now.size) != (ssize_t)inode->now.size)
            (void)fprintf(stderr, "sim_disk: cannot write %s\n", path);
        if (fd >= 0)
            (void)close(fd);
    }
}
