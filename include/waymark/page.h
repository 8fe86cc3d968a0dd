/**
 * Pages of lists: of the documents of a kind, through an index where there is one, or of the elements of one document.
 *
 * The token of a page is the id looked at last, behind a checksum under the master key, in hex: a position by id stays
 * right when things come and go between two pages, and a token that we did not give is told from one that we did.
 *
 *     struct wm_page page = {.of = "iam-users", .max = 100, .list = wm_json_set_array(c->arena, document, "Users")};
 *     enum wm_status status = wm_page_begin(c, &page, token);    // WM_E_INVALID: the caller is to be told
 *     status = wm_page_documents(c, &page, &(struct wm_page_source){.kind = …, .show = show});
 *     struct wm_view next = wm_page_token(c, &page);             // empty: this was the last one
 *
 * @thread http   @locks state held
 */
#ifndef WAYMARK_PAGE_H
#define WAYMARK_PAGE_H

#include "waymark/service.h"

struct wm_page {
    const char *of;        /* what is listed: a token of another list is none of this one's */
    size_t max;            /* most elements */
    struct wm_json *list;  /* elements are pushed here */
    struct wm_view after;  /* where the page begins */
    struct wm_view last;   /* id looked at last, valid while the state is locked */
    size_t bytes;          /* of the documents looked at */
    bool more;
};

/** @return WM_OK; WM_E_INVALID (the token is none that an earlier page of this list gave); WM_E_NOMEM (also: no list) */
enum wm_status wm_page_begin(struct wm_call *c, struct wm_page *p, struct wm_view token) WM_MUST_CHECK;
/** The token of the next page, in the arena. Empty: there is none, or no memory. */
struct wm_view wm_page_token(struct wm_call *c, const struct wm_page *p);

/** Push one more, from elsewhere. False: the page is full, and over (`more`), or memory is short. */
bool wm_page_takes(struct wm_page *p, struct wm_json *shown);

/** Where documents come from, and what callers see of them. */
struct wm_page_source {
    struct wm_view kind;   /* documents of this kind */
    struct wm_view index;  /* found through documents of this kind, whose ids begin with `prefix`; empty: directly */
    struct wm_view prefix;
    /** The id in `kind` that a document of the index leads to. NULL: what stands behind the prefix. */
    enum wm_status (*leads_to)(struct wm_call *c, struct wm_view document, struct wm_view *out_id);
    /** What callers see of it, in *out; left NULL where it is not wanted. */
    enum wm_status (*show)(struct wm_call *c, const void *arg, struct wm_view document, struct wm_json **out);
    const void *arg;
};
/** @return WM_OK; WM_E_CORRUPT (the index names what is not there); WM_E_NOMEM; what the source's functions return */
enum wm_status wm_page_documents(struct wm_call *c, struct wm_page *p, const struct wm_page_source *from) WM_MUST_CHECK;

/**
 * Elements of one document, in the order of their ids: their text, or their member `name`, or their key in an object.
 * @param name  NULL: strings in a list, or members of an object
 * @param show  what callers see of one, in *out; left NULL where it is not wanted. NULL: a copy
 * @return WM_OK; WM_E_NOMEM; what show returns
 */
enum wm_status wm_page_elements(struct wm_call *c, struct wm_page *p, const struct wm_json *elements, const char *name,
                                enum wm_status (*show)(struct wm_call *c, const struct wm_json *element,
                                                       struct wm_json **out)) WM_MUST_CHECK;

#endif
