/*
 * 64 bytes become masks of a bit each: where quotes are, what is within strings, where brackets are outside of them (the
 * first stage of simdjson: Langdale and Lemire, "Parsing Gigabytes of JSON per Second", section 3.1). Only the brackets
 * are then looked at one by one, some ten for a record of 1.2 KB.
 */
#include "verify_records.h"

#if defined(__x86_64__) && !defined(VERIFY_RECORDS_PORTABLE)
#define RECORDS_AVX2
#include <immintrin.h>
#endif

#include "waymark/arena.h"
#include "waymark/bounds.h"
#include "waymark/json.h"

#include "waymark/banned.h"

#define BLOCK 64u
/* {"Records":[ is depth 2, a record's members are depth 3. */
#define DEPTH_RECORDS 2
#define MISSED "RecordsMissed"
#define STOP "StopLogging"
#define START "StartLogging"
/* A record is parsed only when it names one of these. A node of its tree has at least 2 bytes of text, and takes some 150. */
#define RECORD_ARENA_BYTES ((size_t)128 * WM_MAX_RECORD_BYTES)

/* ---- 64 bytes ---- */

struct masks {
    uint64_t quotes, backslashes, opens, closes, names; /* names: 'R' and 'S', the names' first letters, which differ by a bit */
};

/* A bit for each byte of a word that is c ("Bit Twiddling Hacks", "Determine if a word has a zero byte", the exact form). */
static inline uint64_t mask_of(const char *p, char c, uint64_t fold)
{
    const uint64_t low = 0x7f7f7f7f7f7f7f7fu;
    uint64_t m = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t x = (wm_get_le64(p + 8 * i) | fold) ^ (uint8_t)c * 0x0101010101010101u;
        uint64_t zero = ~(((x & low) + low) | x | low);
        m |= (((zero >> 7) * 0x0102040810204080u) >> 56) << (8 * i);
    }
    return m;
}

static inline struct masks masks_of(const char *p)
{
    const uint64_t fold = 0x2020202020202020u; /* '[' and '{' differ by this bit, as do ']' and '}' */
    return (struct masks){.quotes = mask_of(p, '"', 0), .backslashes = mask_of(p, '\\', 0), .opens = mask_of(p, '{', fold),
                          .closes = mask_of(p, '}', fold), .names = mask_of(p, 'S', 0x0101010101010101u)};
}

#ifdef RECORDS_AVX2

/* The processor is asked for it (verify_scan_to); every one of the last ten years has it. */
#define AVX2 __attribute__((target("avx2"), always_inline)) static inline

AVX2 uint64_t mask_of_avx2(__m256i low, __m256i high, char c)
{
    const __m256i want = _mm256_set1_epi8(c);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(low, want)) |
           (uint64_t)(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(high, want)) << 32;
}

AVX2 struct masks masks_of_avx2(const char *p)
{
    const __m256i fold = _mm256_set1_epi8(0x20);
    const __m256i low = _mm256_loadu_si256((const __m256i *)(const void *)p);
    const __m256i high = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
    const __m256i low_folded = _mm256_or_si256(low, fold), high_folded = _mm256_or_si256(high, fold);
    const __m256i one = _mm256_set1_epi8(1);
    return (struct masks){.quotes = mask_of_avx2(low, high, '"'), .backslashes = mask_of_avx2(low, high, '\\'),
                          .opens = mask_of_avx2(low_folded, high_folded, '{'),
                          .closes = mask_of_avx2(low_folded, high_folded, '}'),
                          .names = mask_of_avx2(_mm256_or_si256(low, one), _mm256_or_si256(high, one), 'S')};
}

#endif

/* Bit i is the parity of the bits up to i. */
static inline uint64_t prefix_parity(uint64_t m)
{
    m ^= m << 1;
    m ^= m << 2;
    m ^= m << 4;
    m ^= m << 8;
    m ^= m << 16;
    return m ^ m << 32;
}

/* Which bytes have a backslash before them that is not itself escaped. Few blocks have any. */
static inline uint64_t escaped_of(uint64_t backslashes, uint64_t *carry)
{
    uint64_t escaped = *carry;
    backslashes &= ~escaped;
    *carry = 0;
    while (backslashes) {
        int i = __builtin_ctzll(backslashes);
        backslashes &= backslashes - 1;
        if (i == 63) {
            *carry = 1;
            break;
        }
        escaped |= UINT64_C(1) << (i + 1);
        backslashes &= ~(UINT64_C(1) << (i + 1));
    }
    return escaped;
}

/* ---- a record ---- */

/* What stands before `end`, passing over blanks. */
static size_t skip_blanks_back(const char *text, size_t begin, size_t end)
{
    while (end > begin && (text[end - 1] == ' ' || text[end - 1] == '\t' || text[end - 1] == '\n' || text[end - 1] == '\r'))
        end--;
    return end;
}

/* The record's last member, when it is the sequence number: its value; otherwise 0. `end` is the record's last bracket. */
static uint64_t record_number(const char *text, size_t begin, size_t end)
{
    static const char name[] = "\"" VERIFY_SEQUENCE_MEMBER "\"";
    size_t last = skip_blanks_back(text, begin, end), first = last;
    while (first > begin && text[first - 1] >= '0' && text[first - 1] <= '9')
        first--;
    uint64_t n;
    if (first == last || text[first] == '0' ||
        wm_view_to_u64((struct wm_view){text + first, last - first}, VERIFY_MAX_SEQUENCE, &n) != WM_OK)
        return 0;
    size_t colon = skip_blanks_back(text, begin, first);
    if (colon == begin || text[colon - 1] != ':')
        return 0;
    size_t behind = skip_blanks_back(text, begin, colon - 1);
    if (behind - begin < sizeof name || memcmp(text + behind - (sizeof name - 1), name, sizeof name - 1) != 0)
        return 0;
    size_t comma = skip_blanks_back(text, begin, behind - (sizeof name - 1));
    return text[comma - 1] == ',' || text[comma - 1] == '{' ? n : 0;
}

static void numbers_add_range(struct verify_range *ranges, unsigned *n, uint64_t first, uint64_t last)
{
    if (*n < VERIFY_MAX_RANGES)
        ranges[(*n)++] = (struct verify_range){first, last};
}

static void numbers_add(struct verify_numbers *n, uint64_t number)
{
    if (number == 0)
        return;
    n->numbered++;
    if (n->numbered == 1)
        n->first = number;
    else if (number > n->highest + 1)
        numbers_add_range(n->gaps, &n->n_gaps, n->highest + 1, number - 1);
    else if (number <= n->highest && n->order_number == 0) {
        n->order_number = number;
        n->order_after = n->highest;
    }
    if (number > n->highest)
        n->highest = number;
}

/* arn:aws:cloudtrail:REGION:ACCOUNT:trail/NAME */
static bool arn_names(struct wm_view arn, struct wm_view trail)
{
    size_t at = arn.len > trail.len ? arn.len - trail.len : 0;
    return at > 0 && wm_view_eq(wm_view_sub(arn, at, arn.len), trail) && wm_view_ends(wm_view_sub(arn, 0, at), ":trail/");
}

static bool is_true(const struct wm_json *object, const char *name)
{
    const struct wm_json *b = wm_json_get(object, name);
    return b && b->type == WM_JSON_BOOL && b->boolean;
}

/* An AwsServiceEvent that says which records the trail left out. What is none of ours explains nothing. */
static void numbers_add_missed(struct verify_numbers *n, const struct wm_json *record, struct wm_view trail)
{
    const struct wm_json *details = wm_json_get(record, "serviceEventDetails");
    const struct wm_json *from = wm_json_get(details, "firstSequence"), *to = wm_json_get(details, "lastSequence");
    int64_t first, last;
    if (arn_names(wm_json_get_text(details, "trailARN"), trail) && from && to && n->n_missed < VERIFY_MAX_MISSED &&
        wm_json_to_i64(from, 1, (int64_t)VERIFY_MAX_SEQUENCE, &first) == WM_OK &&
        wm_json_to_i64(to, first, (int64_t)VERIFY_MAX_SEQUENCE, &last) == WM_OK)
        n->missed[n->n_missed++] = (struct verify_missed){{(uint64_t)first, (uint64_t)last},
                                                          is_true(details, "stoppedBefore"),
                                                          is_true(details, "stoppedBehind")};
}

/* A call that was carried out and names the trail. */
static bool is_switch(const struct wm_json *record, const char *name, struct wm_view trail)
{
    struct wm_view named = wm_json_get_text(wm_json_get(record, "requestParameters"), "name");
    return wm_view_eq_str(wm_json_get_text(record, "eventName"), name) &&
           wm_view_eq_str(wm_json_get_text(record, "eventType"), "AwsApiCall") &&
           wm_view_eq_str(wm_json_get_text(record, "eventSource"), "cloudtrail.amazonaws.com") &&
           !wm_json_get(record, "errorCode") && (wm_view_eq(named, trail) || arn_names(named, trail));
}

/* What a record says of the trail itself, and so of gaps. */
static enum wm_status numbers_add_told(struct verify_numbers *n, struct wm_view record, struct wm_view trail)
{
    struct wm_arena a;
    struct wm_json *r = NULL;
    if (record.len > WM_MAX_RECORD_BYTES)
        return WM_OK;
    wm_arena_init(&a, RECORD_ARENA_BYTES);
    enum wm_status status = wm_json_parse(&a, record, &r, NULL);
    if (status == WM_OK && wm_view_eq_str(wm_json_get_text(r, "eventType"), "AwsServiceEvent") &&
        wm_view_eq_str(wm_json_get_text(r, "eventName"), MISSED))
        numbers_add_missed(n, r, trail);
    if (status == WM_OK && n->records == 1)
        n->begins_started = is_switch(r, START, trail);
    if (status == WM_OK)
        n->ends_stopped = is_switch(r, STOP, trail);
    wm_arena_done(&a);
    return status == WM_E_NOMEM ? status : WM_OK;
}

static void record_ends(struct verify_scan *s, size_t end)
{
    s->n.records++;
    s->n.ends_stopped = false;
    numbers_add(&s->n, record_number(s->text.ptr, s->record, end));
    if (s->candidate > s->record && s->candidate < end && s->status == WM_OK)
        s->status = numbers_add_told(&s->n, wm_view_sub(s->text, s->record, end + 1), s->trail);
}

/* ---- the text ---- */

void verify_scan_init(struct verify_scan *s, struct wm_view text, struct wm_view trail)
{
    *s = (struct verify_scan){.text = text, .trail = trail};
}

static void scan_name(struct verify_scan *s, size_t at)
{
    static const struct wm_view told[] = {{MISSED "\"", sizeof MISSED}, {STOP "\"", sizeof STOP}, {START "\"", sizeof START}};
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++)
        if (s->text.len - at >= told[i].len && memcmp(s->text.ptr + at, told[i].ptr, told[i].len) == 0)
            s->candidate = at;
}

static void scan_brackets(struct verify_scan *s, uint64_t opens, uint64_t closes)
{
    for (uint64_t all = opens | closes; all; all &= all - 1) {
        int i = __builtin_ctzll(all);
        if (opens >> i & 1) {
            if (s->depth++ == DEPTH_RECORDS)
                s->record = s->at + (size_t)i;
        } else if (s->depth-- == DEPTH_RECORDS + 1) {
            record_ends(s, s->at + (size_t)i);
        }
    }
}

/* Always inline: it is the body of loops for different processors. */
__attribute__((always_inline)) static inline void scan_block(struct verify_scan *s, struct masks m)
{
    if (m.backslashes | s->escaped)
        m.quotes &= ~escaped_of(m.backslashes, &s->escaped);
    uint64_t within = prefix_parity(m.quotes) ^ s->in_string;
    s->in_string = (uint64_t)0 - (within >> 63);
    uint64_t names = m.names & (m.quotes << 1 | s->after_quote) & within;
    s->after_quote = m.quotes >> 63;
    uint64_t opens = m.opens & ~within, closes = m.closes & ~within;
    for (; names; names &= names - 1) { /* behind the brackets before it: a record may end there */
        uint64_t before = (names & (0 - names)) - 1;
        scan_brackets(s, opens & before, closes & before);
        opens &= ~before;
        closes &= ~before;
        scan_name(s, s->at + (size_t)__builtin_ctzll(names));
    }
    scan_brackets(s, opens, closes);
    s->at += BLOCK;
}

static void scan_blocks(struct verify_scan *s, size_t len)
{
    while (s->at + BLOCK <= len)
        scan_block(s, masks_of(s->text.ptr + s->at));
}

#ifdef RECORDS_AVX2
__attribute__((target("avx2"))) static void scan_blocks_avx2(struct verify_scan *s, size_t len)
{
    while (s->at + BLOCK <= len)
        scan_block(s, masks_of_avx2(s->text.ptr + s->at));
}
#endif

void verify_scan_to(struct verify_scan *s, size_t len)
{
#ifdef RECORDS_AVX2
    if (__builtin_cpu_supports("avx2"))
        scan_blocks_avx2(s, len);
#endif
    scan_blocks(s, len);
    if (len == s->text.len && s->at < len) {
        char rest[BLOCK] = {0};
        memcpy(rest, s->text.ptr + s->at, len - s->at);
        scan_block(s, masks_of(rest));
    }
}
