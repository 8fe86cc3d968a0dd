/**
 * One audit record: CloudTrail's event, version 1.11, as finished JSON.
 *
 * The members, their order, limits and what happens to what is too large: AWS CloudTrail User Guide, "CloudTrail
 * record contents for management, data, and network activity events". Redaction happens before: what a record is
 * given holds no secret (see service.h).
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_RECORD_H
#define WAYMARK_RECORD_H

#include "waymark/buf.h"
#include "waymark/clock.h"
#include "waymark/json.h"
#include "waymark/status.h"

enum wm_identity_type {
    WM_IDENTITY_UNKNOWN, /* nobody was proven: no, or a wrong, signature */
    WM_IDENTITY_ROOT,
    WM_IDENTITY_USER,         /* IAMUser; with a session after GetSessionToken */
    WM_IDENTITY_ASSUMED_ROLE, /* AssumedRole: always with a session */
    WM_IDENTITY_AWS_SERVICE,  /* AWSService: a service calls the API by itself, such as STS for a role that it was given */
    WM_IDENTITY_SERVICE, /* nobody called, the service acted by itself. AWS's own records of that have accountId and
                            invokedBy and no type (User Guide, "AWS service events") */
};

/** sessionContext: temporary credentials, and who they were issued by. */
struct wm_identity_session {
    struct wm_view issuer_type;   /* "Role"; empty: sessionIssuer is left out */
    struct wm_view issuer_principal_id;
    struct wm_view issuer_arn;
    struct wm_view issuer_account_id;
    struct wm_view issuer_user_name;
    struct wm_wall_ns created;    /* attributes.creationDate */
    struct wm_view source_identity;
    bool mfa;                     /* attributes.mfaAuthenticated, which is a text there */
};

/** userIdentity (User Guide, "CloudTrail userIdentity element"). Empty views are left out of the record. */
struct wm_identity {
    enum wm_identity_type type;
    struct wm_view principal_id;
    struct wm_view arn;
    struct wm_view account_id;
    struct wm_view access_key_id; /* with WM_IDENTITY_UNKNOWN: the one the caller claimed, if any */
    struct wm_view user_name;     /* of an IAMUser */
    const struct wm_identity_session *session; /* NULL: long-term credentials */
    struct wm_view invoked_by;    /* with WM_IDENTITY_SERVICE, _AWS_SERVICE: its name, "waymark.amazonaws.com" */
};

struct wm_record {
    struct wm_identity identity;
    struct wm_wall_ns event_time;   /* when the call completed */
    struct wm_view event_source;    /* "mediapackage.amazonaws.com" */
    struct wm_view event_name;      /* "CreateChannel" */
    struct wm_view region;
    struct wm_view source_ip;
    struct wm_view user_agent;      /* cut to WM_MAX_RECORD_TEXT_BYTES at a character's border; left out when empty */
    struct wm_view error_code;      /* empty: the call succeeded */
    struct wm_view error_message;
    const struct wm_json *request_parameters;    /* NULL: null */
    const struct wm_json *response_elements;     /* NULL: null */
    const struct wm_json *additional_event_data; /* NULL: left out */
    struct wm_view request_id;
    struct wm_view event_id;
    struct wm_view api_version;
    struct wm_view account_id;      /* recipientAccountId */
    struct wm_view service_event_details; /* a finished JSON object: this is an AwsServiceEvent; empty: an AwsApiCall */
    bool read_only;
};

/**
 * Append the record to out, one line, compact.
 * A request, response or details larger than WM_MAX_PARAMETERS_BYTES become
 * {"omitted":true,"originalSize":N,"reason":"… too large"}; when the whole is still above WM_MAX_RECORD_BYTES,
 * responseElements and then requestParameters are omitted in the same way [the order is undocumented; AWS's own
 * order for event data stores ends in this one].
 * @return WM_OK; WM_E_NOMEM, WM_E_LIMIT (out's ceiling): out is as before
 */
enum wm_status wm_record_encode(const struct wm_record *r, struct wm_buf *out) WM_MUST_CHECK;

#endif
