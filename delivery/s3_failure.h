/*
 * What can go wrong between a trail and its bucket: each failure with its class, what is done at once, and what the
 * operator reads. Nothing here is an end: whatever cannot be mended at once is waited out by the trail, with a backoff
 * that grows, is jittered and capped, and honours Retry-After.
 */
#ifndef WAYMARK_DELIVERY_S3_FAILURE_H
#define WAYMARK_DELIVERY_S3_FAILURE_H

#include "waymark/buf.h"
#include "waymark/status.h"

enum wm_s3_class {
    WM_S3_ANSWER,  /* tells how things are, and the caller goes on from there */
    WM_S3_NETWORK, /* no answer came; passes by itself as a rule */
    WM_S3_SERVICE, /* the store's own trouble; passes by itself */
    WM_S3_ACCESS,  /* credentials or permissions: somebody must renew or grant them */
    WM_S3_SETTING, /* the settings and the store do not fit: somebody must change one of them */
    WM_S3_SPACE,   /* the store is full: somebody must make room */
};

/** Done at once, at most one time a call each, and the same body sent again. What does not help is waited out. */
enum wm_s3_action {
    WM_S3_WAIT,        /* nothing: the trail tries again later */
    WM_S3_COMPARE,     /* get what is there: ours, or another's */
    WM_S3_LOOK_FIRST,  /* HEAD, then PUT without a condition */
    WM_S3_SET_CLOCK,   /* sign with the time of the answer's Date */
    WM_S3_RENEW,       /* read the credentials again, wherever they come from */
    WM_S3_READ_AGAIN,  /* read a credentials file again: the permission may be another key's */
    WM_S3_MOVE,        /* sign for the region that the answer names */
    WM_S3_ADD_MD5,     /* send Content-MD5 as well */
};

struct wm_s3_failure {
    const char *code;      /* the store's name for it, or http_client.c's; NULL: the row is for http_status */
    long http_status;
    enum wm_s3_class class;
    enum wm_s3_action action;
    enum wm_status status; /* what the caller is told */
    const char *advice;    /* half a sentence for the operator: what it means, what to do */
};

/**
 * The row of a failure. Never NULL: what no row names goes by its HTTP status, and that by its hundreds.
 * @param code         of the error document or of http_client.c, "" when there is none
 * @param http_status  0: no answer
 */
const struct wm_s3_failure *wm_s3_failure_find(const char *code, long http_status);

/** All rows, for the test that goes through them and for the manual. */
const struct wm_s3_failure *wm_s3_failure_rows(size_t *out_n);

/** Passes by itself, as a rule. */
bool wm_s3_failure_transient(const struct wm_s3_failure *f);

#endif
