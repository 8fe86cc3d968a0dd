/**
 * A service: its operation table and handlers. The dispatcher does everything else for all of them alike:
 * authenticate, find the operation, decode and check the parameters, ask whether the caller may, run, record, wait, reply. A handler cannot forget
 * to be recorded, since it does not do the recording. Adding an operation is adding a row and a handler.
 *
 * A handler is given decoded parameters and returns a document and a list of state changes, or an error by its modelled
 * name:
 *
 *     static enum wm_status describe_channel(struct wm_call *c, struct wm_reply *r)
 *     {
 *         struct wm_view id = wm_json_get_text(c->params, "id"), doc;
 *         if (!wm_state_get(c->state, WM_LIT("mediapackage.channel"), id, &doc))
 *             return wm_reply_error(c, r, "NotFoundException", 404, "No channel with id %.*s", WM_ARG(id));
 *         …
 *         r->document = …;
 *         return WM_OK;
 *     }
 *
 * @thread http   @locks state held while a handler runs
 */
#ifndef WAYMARK_SERVICE_H
#define WAYMARK_SERVICE_H

#include "waymark/arena.h"
#include "waymark/authorize.h"
#include "waymark/board.h"
#include "waymark/bounds.h"
#include "waymark/clock.h"
#include "waymark/journal.h"
#include "waymark/json.h"
#include "waymark/record.h"
#include "waymark/state.h"
#include "waymark/status.h"

/** What the services share, constant after start. */
struct wm_service_env {
    struct wm_view account_id;   /* 12 digits */
    struct wm_view region;
    struct wm_board *board;
    const struct wm_clock *clock;
    const uint8_t *master_key;   /* 32 bytes: secrets given to callers are derived from it, never stored */
    bool audit_locked;           /* nobody may stop, change or remove a trail: see wm_operation, audit */
    struct wm_wall_ns root_since; /* when root's credentials were made */
};

/** One call, as a handler sees it. Everything lives until the reply has been sent. */
struct wm_call {
    const struct wm_service_env *env;
    const struct wm_operation *operation;
    struct wm_arena *arena;
    struct wm_state *state;
    const struct wm_json *params; /* object of decoded input members, never NULL; only modelled members, types checked */
    struct wm_identity identity;  /* who was proven to call */
    const struct wm_principal *principal; /* the same, with its permissions; NULL when nobody was proven */
    const struct wm_request_context *context; /* for a handler that asks policies itself */
    struct wm_wall_ns now;
};

/** What a handler answers. */
struct wm_reply {
    int http_status;              /* set from the operation's row; a handler need not touch it */
    struct wm_json *document;     /* output members; NULL: empty output */
    struct wm_change changes[WM_MAX_CHANGES];
    size_t n_changes;
    const char *error_code;       /* NULL: success. A modelled name, such as "NotFoundException" */
    struct wm_view error_message; /* one sentence: which field, which limit, what to do */
};

/** Answer with an error; changes are dropped. Always returns WM_OK, since a refusal is an answer: `return wm_reply_error(…)`. */
enum wm_status wm_reply_error(struct wm_call *c, struct wm_reply *r, const char *code, int http_status, const char *fmt,
                              ...) WM_PRINTF(5, 6);
/** Add a change; views are not copied (they live in the arena or are literals). More than WM_MAX_CHANGES is an error of ours. */
void wm_reply_change(struct wm_reply *r, struct wm_view kind, struct wm_view id, struct wm_view document);

/**
 * Add a change that keeps this document, written out into the arena.
 * @return WM_OK; WM_E_LIMIT (more than WM_MAX_DOCUMENT_BYTES: nothing is added, and the caller is to be told what to
 *         shorten); WM_E_NOMEM
 */
enum wm_status wm_reply_keep(struct wm_call *c, struct wm_reply *r, struct wm_view kind, struct wm_view id,
                             const struct wm_json *document) WM_MUST_CHECK;

enum wm_member_place { WM_IN_BODY, WM_IN_PATH, WM_IN_QUERY };
enum wm_member_type {
    WM_MEMBER_STRING,
    WM_MEMBER_INTEGER,
    WM_MEMBER_BOOLEAN,
    WM_MEMBER_TIME,       /* read as a number of Unix seconds (JSON) or ISO 8601 (query), handed on as WM_JSON_TIME */
    WM_MEMBER_STRING_MAP, /* object of strings */
    WM_MEMBER_STRING_LIST,
    WM_MEMBER_STRUCT,     /* an object of `fields` */
    WM_MEMBER_STRUCT_LIST, /* list of objects of `fields` */
};

/** A form that a text must have, beyond its length and a list of values. */
struct wm_text_form {
    bool (*fits)(struct wm_view text);
    const char *must;             /* what a message says behind the member's name: "must begin with https://" */
};
/** Nothing but ASCII letters, digits and these marks? The empty text is. */
bool wm_text_only(struct wm_view text, const char *marks);

/** One input member of an operation. All that a row says is checked before the handler runs. */
struct wm_member {
    const char *name;             /* as on the wire; also the name in requestParameters, its first letter lowered */
    enum wm_member_type type;
    enum wm_member_place place;   /* JSON protocols without paths: always WM_IN_BODY */
    bool required;
    bool secret;                  /* replaced by the service's marker in the record */
    int64_t min, max;             /* of an integer's value, of a string's length in characters, of a list's or map's
                                     number of elements; both 0: any */
    const char *const *values;    /* the only ones that a string, or a string in a list, may have; ended by NULL */
    const struct wm_text_form *form; /* of a string, or of each string in a list; NULL: any */
    const char *initial;          /* JSON: what wm_service_complete() gives to a member that was not given; NULL: nothing */
    const struct wm_member *fields; /* of a struct or of each in a list of them, ended by a row without a name; their place is not looked at */
};

struct wm_operation {
    const char *name;             /* "DescribeChannel" */
    const char *method;           /* REST: "GET"; NULL for services addressed by target or Action */
    const char *path;             /* REST: "/channels/{id}": each {name} is one segment, decoded once */
    bool read_only;
    bool gives_access;            /* read only, but hands out credentials: its answer stands in the record all the same, and
                                     it is never answered without one */
    int http_status;              /* of success: 200, 202, 204 */
    const struct wm_member *input; /* ended by a row without a name; NULL: no input */
    bool audit;                   /* it can take records away from a trail: refused to everybody while audit.locked */
    /** Output members never written to a record: dotted paths, lists are walked; ended by NULL; NULL: none. */
    const char *const *secret_output;
    /**
     * What a caller must be allowed to: which actions on which resources. NULL: the operation's own on "*", as the Service
     * Authorization Reference has it for operations without a resource type. Runs with the state locked, before `run`.
     * @return WM_OK; anything else: the call fails inside the server, like a handler's
     */
    enum wm_status (*demands)(struct wm_call *c, struct wm_demands *out);
    bool no_demands;              /* whoever was proven may call it, and no policy is asked, not even one that denies:
                                     the API says so (GetCallerIdentity), or the handler asks by itself (AssumeRole) */
    /** Runs with the state locked. What the state gives is gone afterwards: the reply has copies. */
    enum wm_status (*run)(struct wm_call *c, struct wm_reply *r);
};

struct wm_service {
    const char *signing_name;     /* SigV4 service, such as "mediapackage" */
    const char *event_source;     /* "mediapackage.amazonaws.com" */
    const char *api_version;      /* "2017-10-12"; also Version of the query protocol */
    const char *json_target;      /* awsJson: part of X-Amz-Target between the last two dots or before it: "CloudTrail_20131101"; NULL: not spoken */
    const char *query_xmlns;      /* awsQuery: namespace of the answer; NULL: not spoken */
    bool rest;                    /* restJson1: operations have method and path */
    const char *redaction;        /* what stands for a secret in records: "***" or "HIDDEN_DUE_TO_SECURITY_REASONS" */
    const char *validation_error; /* name and status for a missing, unknown-typed or out-of-range member */
    int validation_status;
    /** Errors that records name by their shape in the model, with "Exception" behind the code that callers are given;
     *  ended by NULL; NULL: none. */
    const char *const *exceptions;
    const struct wm_operation *operations;
    size_t n_operations;
};

/**
 * All that the call demands of its caller: what the row says, with the operation's action where it names none, and at
 * least that action on "*".
 * @locks state held
 */
enum wm_status wm_service_demands(const struct wm_service *service, struct wm_call *c, struct wm_demands *out) WM_MUST_CHECK;

/**
 * requestParameters of the record: a copy of decoded params in which secret members are replaced by the service's
 * marker, and names begin with a lower-case letter. NULL when there are no members (the record says null), or when the
 * arena is exhausted (wm_arena_status() tells).
 */
struct wm_json *wm_service_redact_params(struct wm_arena *a, const struct wm_service *service,
                                         const struct wm_operation *operation, const struct wm_json *params);
/**
 * responseElements of the record: a copy of a reply's document in which everything that operation->secret_output names
 * is replaced, names as above. NULL for NULL, and for an answer without members: the record says null.
 */
struct wm_json *wm_service_redact_output(struct wm_arena *a, const struct wm_service *service,
                                         const struct wm_operation *operation, const struct wm_json *document);

/** errorCode of the record, in the arena where it is another than the caller's. Empty for NULL: the call succeeded. */
struct wm_view wm_service_error_code(struct wm_arena *a, const struct wm_service *service, const char *code);

/**
 * What a resource keeps of an input: a copy of the members that were given, in the order of the rows, and for those that
 * were not the row's initial value, down into structures. Completing what is complete changes nothing.
 * The record of the call is not made from it: that shows what the caller asked for.
 * @param given  decoded params, or a part of them; NULL: nothing was given
 * @return an object; NULL when the arena is exhausted
 */
struct wm_json *wm_service_complete(struct wm_arena *a, const struct wm_member *rows, const struct wm_json *given);

extern const struct wm_service wm_service_mediapackage;
extern const struct wm_service wm_service_cloudtrail;
extern const struct wm_service wm_service_iam;
extern const struct wm_service wm_service_sts;

#endif
