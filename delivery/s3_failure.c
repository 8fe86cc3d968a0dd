/*
 * Names and statuses: Amazon S3 API Reference, "Error responses"; MinIO's, Ceph's and OpenStack Swift's answers as
 * measured (clients.md B.1); no-answer names are http_client.c's.
 */
#include "s3_failure.h"

#include "waymark/banned.h"

#define BY_ITSELF "passes by itself as a rule; the trail goes on"
#define LOGIN "put valid credentials where the trail reads them"
#define REFUSED "grant the trail's login s3:PutObject on the bucket, and s3:GetObject to compare what is there"
#define HEADER "the store does not take a header; look at encryption, acl, tags, storage_class, object_lock"

static const struct wm_s3_failure failures[] = {
    /* no answer */
    {"NameNotResolved", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "the endpoint's name is not known; look at endpoint and at the name service"},
    {"ConnectionRefused", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "nobody listens there; start the store, or look at endpoint and proxy"},
    {"ConnectionReset", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE, BY_ITSELF},
    {"BrokenPipe", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE, BY_ITSELF},
    {"ConnectionClosed", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE, BY_ITSELF},
    {"ConnectionFailed", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE, BY_ITSELF},
    {"NetworkUnreachable", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE, "no way to the store; look at the network"},
    {"Timeout", 0, WM_S3_NETWORK, WM_S3_WAIT, WM_E_UNAVAILABLE, "the store is slow or not reachable; " BY_ITSELF},
    {"CertificateRefused", 0, WM_S3_SETTING, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "the store's certificate is not signed by who is trusted; look at ca_file and endpoint"},
    {"TlsFailed", 0, WM_S3_SETTING, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "no TLS with the store; look at endpoint (https or http) and ca_file"},
    {"ProxyFailed", 0, WM_S3_SETTING, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "the proxy is away or does not let us through; look at proxy"},
    {"NotHttp", 0, WM_S3_SETTING, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "what listens there is no HTTP server; look at endpoint"},

    /* how things are */
    {"PreconditionFailed", 412, WM_S3_ANSWER, WM_S3_COMPARE, WM_E_EXISTS, "an object of this key is there"},
    {"NoSuchKey", 404, WM_S3_ANSWER, WM_S3_WAIT, WM_E_NOT_FOUND, "no object of this key is there"},

    /* the store's own trouble */
    {"SlowDown", 503, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "the store asks for less load; " BY_ITSELF},
    {"SlowDownRead", 503, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "the store asks for less load; " BY_ITSELF},
    {"SlowDownWrite", 503, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "the store asks for less load; " BY_ITSELF},
    {"TooManyRequests", 429, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "the store asks for less load; " BY_ITSELF},
    {"Throttling", 400, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "the store asks for less load; " BY_ITSELF},
    {"RequestLimitExceeded", 503, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "the store asks for less load; " BY_ITSELF},
    {"BandwidthLimitExceeded", 509, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "the store asks for less load; " BY_ITSELF},
    {"InternalError", 500, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, BY_ITSELF},
    {"ServiceUnavailable", 503, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, BY_ITSELF},
    {"XMinioServerNotInitialized", 503, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "the store is starting; " BY_ITSELF},
    {"XMinioWriteQuorum", 503, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "too many of the store's disks or nodes are away"},
    {"XMinioReadQuorum", 503, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "too many of the store's disks or nodes are away"},
    {"RequestTimeout", 400, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "the body came too slowly; " BY_ITSELF},
    {"OperationAborted", 409, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "another request was in the way; " BY_ITSELF},
    {"ConditionalRequestConflict", 409, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE,
     "another request was in the way; " BY_ITSELF},
    {"IncompleteBody", 400, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "cut on the way; " BY_ITSELF},
    {"BadDigest", 400, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "damaged on the way; " BY_ITSELF},
    {"XAmzContentSHA256Mismatch", 400, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "damaged on the way; " BY_ITSELF},
    {"XAmzContentChecksumMismatch", 400, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "damaged on the way; " BY_ITSELF},

    /* who we are, and what we may */
    {"RequestTimeTooSkewed", 403, WM_S3_ACCESS, WM_S3_SET_CLOCK, WM_E_UNAVAILABLE,
     "the clocks here and at the store differ, and its Date does not help; set them"},
    {"RequestExpired", 400, WM_S3_ACCESS, WM_S3_SET_CLOCK, WM_E_UNAVAILABLE,
     "the clocks here and at the store differ, and its Date does not help; set them"},
    {"ExpiredToken", 400, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED, "the credentials have expired; " LOGIN},
    {"TokenRefreshRequired", 400, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED, "the credentials have expired; " LOGIN},
    {"InvalidToken", 400, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED, "the session token is not good; " LOGIN},
    {"InvalidTokenId", 403, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED, "the session token is not good; " LOGIN},
    {"InvalidClientTokenId", 403, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED, "the access key is not known; " LOGIN},
    {"InvalidAccessKeyId", 403, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED, "the access key is not known; " LOGIN},
    {"SignatureDoesNotMatch", 403, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED, "the secret is not the key's; " LOGIN},
    {"CredentialsNotFound", 0, WM_S3_ACCESS, WM_S3_WAIT, WM_E_DENIED, LOGIN},
    {"AccessDenied", 403, WM_S3_ACCESS, WM_S3_READ_AGAIN, WM_E_DENIED, REFUSED},
    {"AllAccessDisabled", 403, WM_S3_ACCESS, WM_S3_READ_AGAIN, WM_E_DENIED, "the bucket is disabled by its provider"},
    {"AccountProblem", 403, WM_S3_ACCESS, WM_S3_READ_AGAIN, WM_E_DENIED, "the account is disabled by its provider"},

    /* what was set does not fit */
    {"NoSuchBucket", 404, WM_S3_SETTING, WM_S3_WAIT, WM_E_NOT_FOUND, "make the bucket, or look at bucket and endpoint"},
    {"InvalidBucketName", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "look at bucket and addressing"},
    {"PermanentRedirect", 301, WM_S3_SETTING, WM_S3_MOVE, WM_E_INVALID,
     "the bucket is elsewhere; look at region, endpoint and addressing"},
    {"TemporaryRedirect", 307, WM_S3_SETTING, WM_S3_MOVE, WM_E_UNAVAILABLE,
     "the bucket is new or moving; " BY_ITSELF " on, or look at region and endpoint"},
    {"AuthorizationHeaderMalformed", 400, WM_S3_SETTING, WM_S3_MOVE, WM_E_INVALID, "look at region"},
    {"IllegalLocationConstraintException", 400, WM_S3_SETTING, WM_S3_MOVE, WM_E_INVALID, "look at region"},
    {"NotImplemented", 501, WM_S3_SETTING, WM_S3_LOOK_FIRST, WM_E_UNSUPPORTED, HEADER},
    {"MissingContentMD5", 400, WM_S3_SETTING, WM_S3_ADD_MD5, WM_E_INVALID, "the store wants a Content-MD5"},
    {"InvalidRequest", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, HEADER},
    {"InvalidArgument", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, HEADER},
    {"AccessControlListNotSupported", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "set acl: none"},
    {"InvalidStorageClass", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "look at storage_class"},
    {"InvalidTag", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "look at tags"},
    {"InvalidEncryptionAlgorithmError", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "look at encryption"},
    {"ServerSideEncryptionConfigurationNotFoundError", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID,
     "look at encryption"},
    {"KMS.NotFoundException", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "look at kms_key_id"},
    {"KMS.DisabledException", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "enable the key of kms_key_id"},
    {"KMS.KMSInvalidStateException", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "enable the key of kms_key_id"},
    {"XMinioKMSNotConfigured", 501, WM_S3_SETTING, WM_S3_WAIT, WM_E_UNSUPPORTED,
     "the store has no keys to encrypt with; look at encryption"},
    {"ObjectLockConfigurationNotFoundError", 404, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID,
     "the bucket was made without object lock; look at object_lock"},
    {"InvalidRetentionPeriod", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "look at object_lock_days"},
    {"KeyTooLongError", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "look at prefix"},
    {"EntityTooLarge", 400, WM_S3_SETTING, WM_S3_WAIT, WM_E_LIMIT,
     "raise the store's limit on the size of an object, then lower batch_bytes"},
    {"MethodNotAllowed", 405, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "what listens there is no S3; look at endpoint"},

    /* no room */
    {"QuotaExceeded", 403, WM_S3_SPACE, WM_S3_WAIT, WM_E_FULL, "raise the bucket's quota"},
    {"XMinioAdminBucketQuotaExceeded", 400, WM_S3_SPACE, WM_S3_WAIT, WM_E_FULL, "raise the bucket's quota"},
    {"XMinioStorageFull", 507, WM_S3_SPACE, WM_S3_WAIT, WM_E_FULL, "make room on the store's disks"},

    /* no name in the answer */
    {NULL, 301, WM_S3_SETTING, WM_S3_MOVE, WM_E_INVALID,
     "the bucket is elsewhere; look at region, endpoint and addressing"},
    {NULL, 307, WM_S3_SETTING, WM_S3_MOVE, WM_E_UNAVAILABLE, "the bucket is elsewhere; look at region and endpoint"},
    {NULL, 400, WM_S3_SETTING, WM_S3_MOVE, WM_E_INVALID, "look at region, endpoint and addressing"},
    {NULL, 401, WM_S3_ACCESS, WM_S3_RENEW, WM_E_DENIED, LOGIN},
    {NULL, 403, WM_S3_ACCESS, WM_S3_READ_AGAIN, WM_E_DENIED, REFUSED},
    {NULL, 404, WM_S3_ANSWER, WM_S3_WAIT, WM_E_NOT_FOUND, "it is not there; look at bucket and endpoint"},
    {NULL, 407, WM_S3_SETTING, WM_S3_WAIT, WM_E_UNAVAILABLE, "the proxy wants a login; look at proxy"},
    {NULL, 408, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "the body came too slowly; " BY_ITSELF},
    {NULL, 409, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "another request was in the way; " BY_ITSELF},
    {NULL, 412, WM_S3_ANSWER, WM_S3_COMPARE, WM_E_EXISTS, "an object of this key is there"},
    {NULL, 413, WM_S3_SETTING, WM_S3_WAIT, WM_E_LIMIT,
     "raise the store's limit (or a proxy's before it) on the size of an object, then lower batch_bytes"},
    {NULL, 425, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, BY_ITSELF},
    {NULL, 429, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "the store asks for less load; " BY_ITSELF},
    {NULL, 501, WM_S3_SETTING, WM_S3_LOOK_FIRST, WM_E_UNSUPPORTED, HEADER},
    {NULL, 507, WM_S3_SPACE, WM_S3_WAIT, WM_E_FULL, "make room on the store's disks"},
    /* and by hundreds: an error inside a 200 (S3 User Guide, "Copying objects": check the body), and the rest */
    {NULL, 200, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, "an error inside of a good answer; " BY_ITSELF},
    {NULL, 300, WM_S3_SETTING, WM_S3_MOVE, WM_E_INVALID, "the bucket is elsewhere; look at region and endpoint"},
    {NULL, 499, WM_S3_SETTING, WM_S3_WAIT, WM_E_INVALID, "the store does not take the request; look at endpoint"},
    {NULL, 500, WM_S3_SERVICE, WM_S3_WAIT, WM_E_UNAVAILABLE, BY_ITSELF},
};

#define N_FAILURES (sizeof failures / sizeof failures[0])

static const struct wm_s3_failure *failure_of_status(long http_status)
{
    for (size_t i = 0; i < N_FAILURES; i++)
        if (!failures[i].code && failures[i].http_status == http_status)
            return &failures[i];
    return NULL;
}

const struct wm_s3_failure *wm_s3_failure_find(const char *code, long http_status)
{
    for (size_t i = 0; code[0] && i < N_FAILURES; i++)
        if (failures[i].code && strcmp(failures[i].code, code) == 0)
            return &failures[i];
    const struct wm_s3_failure *f = failure_of_status(http_status);
    if (!f)
        f = failure_of_status(http_status >= 200 && http_status < 300   ? 200
                              : http_status >= 300 && http_status < 400 ? 300
                              : http_status >= 400 && http_status < 500 ? 499
                                                                        : 500);
    WM_ASSERT(f != NULL);
    return f;
}

const struct wm_s3_failure *wm_s3_failure_rows(size_t *out_n)
{
    *out_n = N_FAILURES;
    return failures;
}

bool wm_s3_failure_transient(const struct wm_s3_failure *f)
{
    return f->class == WM_S3_NETWORK || f->class == WM_S3_SERVICE;
}
