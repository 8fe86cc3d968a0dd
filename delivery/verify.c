/* The whole of a verification; verify_int.h says how its parts work together. */
#include "verify_int.h"

#include <stdlib.h>

#include "waymark/banned.h"

/* A listing is held in memory: 350 bytes an object, so this is 12 million objects. */
#define VERIFY_MAX_LISTING_BYTES ((size_t)4 * 1024 * 1024 * 1024)
#define VERIFY_MAX_CHECKPOINT_BYTES ((size_t)256 * 1024 * 1024)
#define VERIFY_MAX_RESUME_BYTES ((size_t)1024 * 1024 * 1024)

static enum wm_status verify_open(struct verify *v)
{
    const struct wm_verify_options *o = v->o;
    WM_ASSERT(o->n_stores >= 1 && o->n_stores <= WM_VERIFY_MAX_JOBS);
    wm_buf_add_view(&v->root, o->prefix);
    wm_buf_add_str(&v->root, o->prefix.len ? "/AWSLogs/" : "AWSLogs/");
    enum wm_status status = wm_buf_status(&v->root);
    if (status != WM_OK)
        return wm_fail(v->err, status, "the prefix is longer than a key can be");
    v->top = wm_buf_cstr(&v->root);
    v->steps = calloc(VERIFY_STEPS, sizeof *v->steps);
    v->ahead = calloc(VERIFY_DIGESTS_AHEAD, sizeof *v->ahead);
    if (!v->steps || !v->ahead)
        return wm_fail(v->err, WM_E_NOMEM, "no memory for what is to be read");
    status = verify_checkpoint_load(v);
    if (status == WM_OK)
        status = verify_resume_open(v);
    return status;
}

static bool verify_nothing(const struct verify *v)
{
    for (size_t i = 0; i < v->n_objects; i++)
        if (v->objects[i].kind != VERIFY_FOREIGN)
            return false;
    return v->checkpoint.n_pins == 0;
}

static void verify_walk(struct verify *v)
{
    verify_chains(v);
    verify_rest(v);
    verify_checkpoint_plan(v);
    verify_settle_all(v);
    verify_pool_stop(&v->pool, v->failed != WM_OK);
    for (; v->ahead_first < v->ahead_next; v->ahead_first++) /* digests that nobody came to look at */
        wm_arena_done(&v->ahead[v->ahead_first % VERIFY_DIGESTS_AHEAD].document.arena);
}

static void verify_done(struct verify *v)
{
    verify_drop_steps(v);
    verify_resume_close(&v->resume);
    wm_arena_done(&v->checkpoint.arena);
    free(v->contents);
    free(v->sequence.gaps);
    free(v->sequence.missed);
    free(v->ahead);
    free(v->steps);
    free(v->trails);
    free(v->digests);
    free(v->objects);
    wm_buf_done(&v->message);
    wm_buf_done(&v->root);
    wm_arena_done(&v->names);
}

enum wm_status wm_verify(const struct wm_verify_options *o, struct wm_verify_result *out, struct wm_err *err)
{
    *out = (struct wm_verify_result){0};
    struct verify *v = calloc(1, sizeof *v);
    if (!v)
        return wm_fail(err, WM_E_NOMEM, "no memory to verify");
    v->o = o;
    v->result = out;
    v->err = err;
    v->io = o->io ? o->io : &wm_io_posix;
    v->now_s = wm_wall_seconds(wm_clock_wall(o->clock ? o->clock : &wm_clock_system));
    v->from_s = o->from ? wm_wall_seconds(*o->from) : INT64_MIN;
    v->until_s = o->until ? wm_wall_seconds(*o->until) : INT64_MAX;
    v->bucket = wm_store_bucket(o->stores[0]);
    v->told = wm_clock_mono(&wm_clock_system);
    v->resume.fd = -1;
    wm_arena_init(&v->names, VERIFY_MAX_LISTING_BYTES);
    wm_arena_init(&v->checkpoint.arena, VERIFY_MAX_CHECKPOINT_BYTES);
    wm_arena_init(&v->resume.arena, VERIFY_MAX_RESUME_BYTES);
    wm_buf_init(&v->root, WM_MAX_OBJECT_KEY_BYTES);
    wm_buf_init(&v->message, WM_MAX_DIGEST_BYTES);

    enum wm_status status = verify_open(v);
    if (status == WM_OK)
        status = verify_list(v);
    if (status == WM_OK && verify_nothing(v))
        status = wm_fail(err, WM_E_NOT_FOUND, "there is nothing to verify below %s", v->top);
    if (status == WM_OK)
        status = verify_pool_start(&v->pool, o, err);
    if (status == WM_OK) {
        verify_walk(v);
        status = v->failed;
    }
    if (status == WM_OK)
        status = verify_checkpoint_save(v);
    verify_done(v);
    free(v);
    return status;
}
