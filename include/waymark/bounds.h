/**
 * Every ceiling of the program, each with its reason. What comes from outside names its source.
 */
#ifndef WAYMARK_BOUNDS_H
#define WAYMARK_BOUNDS_H

/* CloudTrail User Guide, "CloudTrail record contents": an event is at most 256 KB from eventVersion 1.05 on. */
#define WM_MAX_RECORD_BYTES (256u * 1024u)
/* Same page: requestParameters and responseElements at most 100 KB each, replaced by a marker when larger. */
#define WM_MAX_PARAMETERS_BYTES (100u * 1024u)
/* Same page: additionalEventData at most 28 KB. */
#define WM_MAX_ADDITIONAL_BYTES (28u * 1024u)
/* Same page: userAgent, errorCode, errorMessage, requestID are cut to 1 KB. */
#define WM_MAX_RECORD_TEXT_BYTES 1024u

/* A state change carries one document; the largest modelled today is an origin endpoint of some 20 KB. */
#define WM_MAX_DOCUMENT_BYTES (256u * 1024u)
/* One call changes few documents; a bound keeps an entry's size known before it is built. */
#define WM_MAX_CHANGES 16u
/* Record and changes with their frames; anything longer in a segment is damage. */
#define WM_MAX_ENTRY_BYTES (1024u * 1024u)

/* Kept on the disk for what must be written on one that is full: the copy of a batch that recovery makes, at most 16 MiB;
 * the cursors of state and trails, whose databases' logs take 4 MiB each at most and are seldom new then. */
#define WM_BALLAST_BYTES (16u * 1024u * 1024u)

/* All documents of all services: they are held in memory. A million channels of 1 KB. */
#define WM_MAX_STATE_BYTES (1024ull * 1024u * 1024u)
/* Kinds of documents: some per service, and they are literals in our code. */
#define WM_MAX_STATE_KINDS 64u

/* Memory of one request: body, its tree, the reply and the record. */
#define WM_MAX_ARENA_BYTES (4u * 1024u * 1024u)
/* Nesting of JSON; the deepest modelled input has 7 levels. Also bounds our recursion. */
#define WM_MAX_JSON_DEPTH 32u

/* CloudTrail quota page: a trail file holds at most 50 MB before compression. */
#define WM_MAX_BATCH_BYTES (50u * 1000u * 1000u)
/* A digest lists the files of one period; 200,000 files of 300 bytes. */
#define WM_MAX_DIGEST_BYTES (64u * 1024u * 1024u)
/* S3 User Guide, "Creating object key names": at most 1,024 bytes. */
#define WM_MAX_OBJECT_KEY_BYTES 1024u
/* Answers of a store that are read into memory whole: a page of a listing, an error document. */
#define WM_MAX_STORE_REPLY_BYTES (16u * 1024u * 1024u)
/* Objects fetched whole by the verifier: a 50 MB file that did not compress, and some. */
#define WM_MAX_OBJECT_BYTES (128u * 1024u * 1024u)

/* MediaPackage User Guide, "Quotas in MediaPackage": channels per account and region. */
#define WM_MAX_CHANNELS 30u
/* Same page: origin endpoints of one channel. */
#define WM_MAX_ENDPOINTS_PER_CHANNEL 10u
/* Same page: harvest jobs in progress at a time. */
#define WM_MAX_RUNNING_HARVEST_JOBS 10u
/* MediaPackage User Guide, "Tagging": tags of one resource. */
#define WM_MAX_RESOURCE_TAGS 50u

/* IAM API Reference, policyDocumentType: at most 131,072, blanks and all. */
#define WM_MAX_POLICY_BYTES (128u * 1024u)
/* IAM and AWS STS quotas: the largest policy is a role's inline ones, 10,240 characters without blanks. */
#define WM_MAX_POLICY_CHARACTERS 10240u
/* In one text of a policy; AWS names no limit. They are looked up before the text is compared, into a fixed array. */
#define WM_MAX_POLICY_VARIABLES 16u
/* "?" between two "*" of one text, in a whole policy; AWS names no limit. It is what makes comparing slow, and real policies
 * have none. */
#define WM_MAX_POLICY_BETWEEN 64u

/* IAM User Guide, "IAM and AWS STS quotas". */
#define WM_MAX_USERS 5000u
#define WM_MAX_GROUPS 300u
#define WM_MAX_GROUPS_PER_USER 10u
#define WM_MAX_ACCESS_KEYS_PER_USER 2u
#define WM_MAX_IAM_TAGS 50u
#define WM_MAX_ROLES 1000u
#define WM_MAX_MANAGED_POLICIES 1500u
#define WM_MAX_POLICY_VERSIONS 5u
#define WM_MAX_ATTACHED_POLICIES 10u /* to one user, group or role */
/* Same page, without blanks; those of inline policies are in services/iam_*.c, since each entity has another. */
#define WM_MAX_MANAGED_POLICY 6144u
#define WM_MAX_TRUST_POLICY 2048u

/* A session token comes back in a header of every call, and must leave room for the others in the connection's header
 * memory (http.connection_memory_bytes, 8 KiB where nothing is set). 4 KiB is also what AWS advises callers to plan for. */
#define WM_MAX_SESSION_TOKEN_BYTES 4096u
/* Callers whose permissions are kept compiled, by what they take up: a thousand with three policies each, a dozen of those
 * who have as much as IAM's quotas give. */
#define WM_MAX_PRINCIPALS_BYTES (64u * 1024u * 1024u)
/* Texts of one: names, ARNs, tags, its token, and the list of its policies. */
#define WM_MAX_PRINCIPAL_BYTES (1024u * 1024u)

#define WM_MAX_PATH_BYTES 4096u

#endif
