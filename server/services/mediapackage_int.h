/**
 * What the files of MediaPackage share: its three kinds of resource, how their documents are read, kept, listed and
 * answered with, and the rows and handlers that mediapackage.c puts into one table.
 *
 * Shapes, rules and statuses: AWS Elemental MediaPackage API Reference (one page for each path) and User Guide ("Quotas",
 * "Tagging", "Access logging", the pages about endpoints and live-to-VOD). What they leave open is decided where it is
 * done, and says so.
 *
 * @thread http   @locks state held
 */
#ifndef WAYMARK_SERVICES_MEDIAPACKAGE_INT_H
#define WAYMARK_SERVICES_MEDIAPACKAGE_INT_H

#include "waymark/service.h"

#define MEDIAPACKAGE_MAX_ID 256 /* API Reference: characters of an id, all of one byte */
#define MEDIAPACKAGE_MAX_RESULTS 1000 /* API Reference, every list; also the default, which is undocumented */
#define MEDIAPACKAGE_GUID_HEX 32u
#define MEDIAPACKAGE_HOST_HEX 16u /* first label of an ingest or egress URL's host */

/** Letters, digits, underscores and hyphens: ids, and names that stand in URLs. */
extern const struct wm_text_form mediapackage_id_form;
/** "arn:PARTITION:iam::ACCOUNT:role/NAME", NAME perhaps behind a path. */
extern const struct wm_text_form mediapackage_role_form;
/* Rows that several tables have. */
#define MEDIAPACKAGE_PATH_ID {.name = "id", .type = WM_MEMBER_STRING, .place = WM_IN_PATH, .required = true}
#define MEDIAPACKAGE_ARN_LABEL {.name = "resource-arn", .type = WM_MEMBER_STRING, .place = WM_IN_PATH, .required = true}
#define MEDIAPACKAGE_MAX_RESULTS_QUERY                                                                                 \
    {.name = "maxResults", .type = WM_MEMBER_INTEGER, .place = WM_IN_QUERY, .min = 1, .max = MEDIAPACKAGE_MAX_RESULTS}
#define MEDIAPACKAGE_NEXT_TOKEN_QUERY {.name = "nextToken", .type = WM_MEMBER_STRING, .place = WM_IN_QUERY}
/** An id, or a name that stands in URLs. */
#define MEDIAPACKAGE_NAME_MEMBER(NAME, REQUIRED, INITIAL)                                                              \
    {.name = (NAME),                                                                                                   \
     .type = WM_MEMBER_STRING,                                                                                         \
     .required = (REQUIRED),                                                                                           \
     .min = 1,                                                                                                         \
     .max = MEDIAPACKAGE_MAX_ID,                                                                                       \
     .form = &mediapackage_id_form,                                                                                    \
     .initial = (INITIAL)}
/** An ARN of this form, at most as long as IAM's. */
#define MEDIAPACKAGE_ARN_MEMBER(NAME, REQUIRED, FORM)                                                                  \
    {.name = (NAME), .type = WM_MEMBER_STRING, .required = (REQUIRED), .min = 20, .max = 2048, .form = (FORM)}

/** Has this the form of an ARN of the service whose resource part begins so? */
bool mediapackage_is_arn(struct wm_view text, const char *service, const char *resource);

/** A number from 0 that a completed document has; 0 where it has none. */
int64_t mediapackage_number(const struct wm_json *object, const char *name);

/* ---- resources ---- */

/** A kind of resource. Its documents are objects with an "arn" and "tags", by id. */
struct mediapackage_resource {
    struct wm_view kind;
    const char *name;             /* "channel", in messages */
    const char *path;             /* "channels", in ARNs */
    const char *describe;         /* action of who may know that there is one */
    const char *list;             /* "channels", the member of a page */
    const char *const *members;   /* what every document has; ended by NULL */
    /** What callers see of a document, which is used up. */
    struct wm_json *(*show)(struct wm_call *c, struct wm_json *stored);
    /** Is it over with this one, so that it is there no more? NULL: never by itself. */
    bool (*gone)(const struct wm_call *c, const struct wm_json *stored);
};
extern const struct mediapackage_resource mediapackage_channel;
extern const struct mediapackage_resource mediapackage_origin_endpoint;
extern const struct mediapackage_resource mediapackage_harvest_job;

/** arn:PARTITION:mediapackage:REGION:ACCOUNT:PATH/KEY */
struct wm_view mediapackage_arn(struct wm_call *c, const struct mediapackage_resource *of, struct wm_view key);
/** Set "arn" (of a new GUID) and "createdAt"; returns the GUID, in the arena. */
struct wm_view mediapackage_set_birth(struct wm_call *c, const struct mediapackage_resource *of, struct wm_json *stored);
/** So many random hex digits, in the arena. */
struct wm_view mediapackage_random_hex(struct wm_arena *a, size_t digits);
/** The current time as createdAt has it, in the arena. */
struct wm_view mediapackage_time(struct wm_arena *a, struct wm_wall_ns t);

/** Read a document. WM_E_CORRUPT: it is not one that we wrote. */
enum wm_status mediapackage_read(struct wm_call *c, const struct mediapackage_resource *of, struct wm_view document,
                                 struct wm_json **out) WM_MUST_CHECK;
/** The resource of this id; *out is NULL when there is none. */
enum wm_status mediapackage_get(struct wm_call *c, const struct mediapackage_resource *of, struct wm_view id,
                                struct wm_json **out) WM_MUST_CHECK;
/** The same; where there is none, and with any status but WM_OK, the reply is made: `if (!stored) return status;` */
enum wm_status mediapackage_find(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                 struct wm_view id, struct wm_json **out) WM_MUST_CHECK;
/** Keep the document under this id. Refuses one that is too large: then r->error_code is set. */
enum wm_status mediapackage_keep(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                 struct wm_view id, const struct wm_json *stored) WM_MUST_CHECK;
/** Keep the document, and answer with it. */
enum wm_status mediapackage_put(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                struct wm_view id, struct wm_json *stored) WM_MUST_CHECK;
/** Answer with the resource that parameter "id" names. */
enum wm_status mediapackage_describe(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of);

/* ---- refusals; all return WM_OK ---- */

/** 422. what: one sentence. */
enum wm_status mediapackage_unprocessable(struct wm_call *c, struct wm_reply *r, struct wm_view what);
enum wm_status mediapackage_not_found(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                      struct wm_view id);
/** 422, since none of the modelled errors is a conflict. */
enum wm_status mediapackage_taken(struct wm_call *c, struct wm_reply *r, const struct mediapackage_resource *of,
                                  struct wm_view id);
/** 429, as the User Guide says of quotas. what: "an account has at most 30 channels; delete one first". */
enum wm_status mediapackage_over_quota(struct wm_call *c, struct wm_reply *r, struct wm_view what);

/* ---- pages ---- */

/** What a list has. Parameters maxResults and nextToken are read by mediapackage_list(). */
struct mediapackage_listing {
    const struct mediapackage_resource *of;
    struct wm_view index;         /* kind of documents whose ids are `prefix` and then an id of `of`; empty: of itself */
    struct wm_view prefix;
    bool (*wanted)(const struct wm_call *c, const struct wm_json *stored); /* NULL: all */
};
enum wm_status mediapackage_list(struct wm_call *c, struct wm_reply *r, const struct mediapackage_listing *l);

/* ---- tags ---- */

/** What is wrong with them as all the tags of a resource, in one sentence; WM_EMPTY: nothing. NULL: no tags. */
struct wm_view mediapackage_wrong_tags(struct wm_arena *a, const struct wm_json *tags);
/** Set "tags" to a copy of parameter "tags". */
void mediapackage_set_tags(struct wm_call *c, struct wm_json *stored);

/** The resource that parameter "resource-arn" names; *out is NULL when there is none. */
enum wm_status mediapackage_find_arn(struct wm_call *c, struct wm_json **out) WM_MUST_CHECK;

/* ---- packaging of an origin endpoint ---- */

extern const struct wm_member mediapackage_cmaf_package[];
extern const struct wm_member mediapackage_dash_package[];
extern const struct wm_member mediapackage_hls_package[];
extern const struct wm_member mediapackage_mss_package[];
/** The packages' members, "hlsPackage" and so on; ended by NULL. */
extern const char *const mediapackage_packages[];
/** What is wrong between members of a completed endpoint's package, in one sentence; WM_EMPTY: nothing. */
struct wm_view mediapackage_wrong_package(struct wm_arena *a, const struct wm_json *endpoint);
/** Complete what follows from other members; `endpoint` is completed already. */
void mediapackage_settle_package(struct wm_arena *a, struct wm_json *endpoint);
/** Set "url" of the endpoint, and of each of its manifests. egress: what all its URLs begin with. */
void mediapackage_set_urls(struct wm_arena *a, struct wm_json *endpoint, struct wm_view egress);

/* ---- references between resources ---- */

/** Has the channel any origin endpoint? */
bool mediapackage_channel_in_use(struct wm_call *c, struct wm_view channel_id);

/* ---- what operations demand ---- */

#define MEDIAPACKAGE_DEMANDS(name) enum wm_status mediapackage_demand_##name(struct wm_call *c, struct wm_demands *out)
MEDIAPACKAGE_DEMANDS(channel);
MEDIAPACKAGE_DEMANDS(new_channel);
MEDIAPACKAGE_DEMANDS(origin_endpoint);
MEDIAPACKAGE_DEMANDS(new_origin_endpoint);
MEDIAPACKAGE_DEMANDS(harvest_job);
MEDIAPACKAGE_DEMANDS(new_harvest_job);
MEDIAPACKAGE_DEMANDS(tagged);

/* ---- operations ---- */

extern const struct wm_member mediapackage_create_channel_input[];
extern const struct wm_member mediapackage_update_channel_input[];
extern const struct wm_member mediapackage_configure_logs_input[];
extern const struct wm_member mediapackage_rotate_ingest_input[];
extern const struct wm_member mediapackage_create_origin_endpoint_input[];
extern const struct wm_member mediapackage_list_origin_endpoints_input[];
extern const struct wm_member mediapackage_update_origin_endpoint_input[];
extern const struct wm_member mediapackage_create_harvest_job_input[];
extern const struct wm_member mediapackage_list_harvest_jobs_input[];
extern const struct wm_member mediapackage_arn_input[];
extern const struct wm_member mediapackage_tag_input[];
extern const struct wm_member mediapackage_untag_input[];

#define MEDIAPACKAGE_HANDLER(name) enum wm_status mediapackage_##name(struct wm_call *c, struct wm_reply *r)
MEDIAPACKAGE_HANDLER(create_channel);
MEDIAPACKAGE_HANDLER(list_channels);
MEDIAPACKAGE_HANDLER(describe_channel);
MEDIAPACKAGE_HANDLER(update_channel);
MEDIAPACKAGE_HANDLER(delete_channel);
MEDIAPACKAGE_HANDLER(configure_logs);
MEDIAPACKAGE_HANDLER(rotate_channel_credentials);
MEDIAPACKAGE_HANDLER(rotate_ingest_endpoint_credentials);
MEDIAPACKAGE_HANDLER(create_origin_endpoint);
MEDIAPACKAGE_HANDLER(list_origin_endpoints);
MEDIAPACKAGE_HANDLER(describe_origin_endpoint);
MEDIAPACKAGE_HANDLER(update_origin_endpoint);
MEDIAPACKAGE_HANDLER(delete_origin_endpoint);
MEDIAPACKAGE_HANDLER(create_harvest_job);
MEDIAPACKAGE_HANDLER(list_harvest_jobs);
MEDIAPACKAGE_HANDLER(describe_harvest_job);
MEDIAPACKAGE_HANDLER(list_tags);
MEDIAPACKAGE_HANDLER(tag_resource);
MEDIAPACKAGE_HANDLER(untag_resource);

#endif
