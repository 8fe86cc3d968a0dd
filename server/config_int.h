/**
 * Inside of the settings: their tables, the value and origin of each, and who reads and checks them. For config*.c.
 *
 *     config_settings.c     the tables: each setting with its type, range and help; its key, variable and flag
 *     config_text.c         which texts are taken
 *     config_number.c       numbers with units, to and fro
 *     config_value.c        gives a setting its value, or says what was expected
 *     config_yaml.c         the file
 *     config_environment.c  the variables
 *     config_flags.c        the command line, and --help
 *     config_check.c        rules between settings, and what follows from others
 *     config_dump.c         the settings as YAML
 *     config_guess.c        "did you mean"
 *
 * @thread any, one at a time   @locks none
 */
#ifndef WAYMARK_SERVER_CONFIG_INT_H
#define WAYMARK_SERVER_CONFIG_INT_H

#include <stdbool.h>

#include "waymark/arena.h"
#include "waymark/board.h"
#include "waymark/config.h"

/* A settings file is some 10 KB; more is not a settings file. */
#define CONFIG_MAX_FILE_BYTES (1024u * 1024u)
#define CONFIG_MAX_LIST 64u
/* Rows of a table. */
#define CONFIG_MAX_SETTINGS 48u
/* Longest name of a setting, such as "trails[63].credentials_file" or "WAYMARK_TRAILS_63_CREDENTIALS_FILE". */
#define CONFIG_NAME_BYTES 96u
#define CONFIG_NUMBER_BYTES 32u
#define CONFIG_EXPECTED_BYTES 128u
#define CONFIG_SHOWN_BYTES 64u

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define MINUTE_MS ((int64_t)60 * 1000)
#define HOUR_MS (60 * MINUTE_MS)

/* ---- the tables ---- */

enum setting_type {
    SETTING_TEXT,       /* const char * */
    SETTING_CHOICE,     /* const char *, one of expected, which lists them with '|' between */
    SETTING_LEVEL,      /* enum wm_log_level, likewise */
    SETTING_BOOL,       /* bool */
    SETTING_COUNT,      /* int64_t */
    SETTING_SIZE,       /* int64_t bytes, written with a unit */
    SETTING_TIME_MS,    /* int64_t, written with a unit */
    SETTING_TIME_S,     /* likewise */
    SETTING_LIST,       /* struct text_list */
};

/* The settings have its two members one after the other. */
struct text_list {
    const char *const *items;
    size_t n;
};

struct setting {
    const char *key;      /* "http.threads"; of a trail without "trails[0]." */
    enum setting_type type;
    size_t offset;        /* in struct wm_config or struct wm_config_trail */
    const char *fallback; /* the default, as one would write it */
    int64_t min, max;     /* of a number */
    const char *expected; /* of a text: the rule in words, or the choices */
    bool (*valid)(struct wm_view v); /* NULL: any text */
    const char *only;     /* trail: the store for which it means anything; NULL: both */
    const char *with;     /* trail: a setting without which it means nothing; NULL: none */
    const char *with_value; /* which that must have; NULL: any but its default */
    const char *help;
};

struct setting_table {
    const struct setting *rows;
    size_t n;
};

/** Whose settings: the number of a trail, or the server. */
#define NO_TRAIL SIZE_MAX
const struct setting_table *config_settings(size_t trail);
/** The row of a key that is in the table. */
const struct setting *config_setting(size_t trail, const char *key);

/** "http.threads", "trails[0].name" */
void setting_path(const struct setting *s, size_t trail, char out[CONFIG_NAME_BYTES]);
/** "WAYMARK_HTTP_THREADS", "WAYMARK_TRAILS_0_NAME" */
void setting_variable(const struct setting *s, size_t trail, char out[CONFIG_NAME_BYTES]);
/** "--data-dir" */
void setting_flag(const struct setting *s, char out[CONFIG_NAME_BYTES]);
bool setting_has_flag(const struct setting *s);

/* ---- what a value may be ---- */

bool config_text_some(struct wm_view v);
bool config_text_listen(struct wm_view v);
bool config_text_account(struct wm_view v);
bool config_text_region(struct wm_view v);
bool config_text_store_region(struct wm_view v);
bool config_text_trail_name(struct wm_view v);
bool config_text_bucket(struct wm_view v);
bool config_text_prefix(struct wm_view v);
bool config_text_endpoint(struct wm_view v);
bool config_text_address_block(struct wm_view v);
bool config_text_role_arn(struct wm_view v);
bool config_text_external_id(struct wm_view v);
bool config_text_origin(struct wm_view v);
bool config_text_proxy(struct wm_view v);
bool config_text_word(struct wm_view v);
bool config_text_tags(struct wm_view v);
bool config_text_token(struct wm_view v);

/** As one would write it: 64MiB, 30s, 4096; 0 has no unit. @return out */
const char *setting_number_text(const struct setting *s, int64_t n, char out[CONFIG_NUMBER_BYTES]);
/** Digits and a unit. A size without a unit is bytes; a time without one says nothing, but for 0. Takes any range. */
bool setting_number_parse(const struct setting *s, struct wm_view text, int64_t *out);
/** "a number from 1 to 64" */
void setting_number_expected(const struct setting *s, char out[CONFIG_EXPECTED_BYTES]);

/* ---- the values, each with its origin ---- */

/* Where a value comes from. */
struct origin {
    enum { ORIGIN_DEFAULT, ORIGIN_FILE, ORIGIN_ENVIRONMENT, ORIGIN_FLAG } kind;
    size_t line; /* ORIGIN_FILE, from 1 */
};

struct config {
    struct wm_config pub; /* first: wm_config_free() casts back */
    struct wm_arena memory;
    const char *file;     /* NULL: none */
    struct origin server[CONFIG_MAX_SETTINGS]; /* by row */
    struct origin trails_origin;
    struct config_trail {
        struct origin self;
        struct origin settings[CONFIG_MAX_SETTINGS];
    } trails[WM_BOARD_MAX_TRAILS];
};

/* Which value is meant, and where it stands: what a message begins with. */
struct config_place {
    const struct setting *setting;
    size_t trail; /* or NO_TRAIL */
    struct origin origin;
};

/** Where the value that a setting has now was given; that of the row itself, ORIGIN_DEFAULT when it was not. */
struct origin *config_origin(struct config *c, const struct setting *s, size_t trail);
/** The value itself, of the setting's type. */
const void *setting_value(const struct wm_config *c, const struct setting *s, size_t trail);

/** WM_E_INVALID, with "FILE:LINE: http.threads: ", "environment WAYMARK_HTTP_THREADS: " or "--listen: " before it. */
enum wm_status config_fail(const struct config *c, const struct config_place *at, struct wm_err *err,
                           const char *fmt, ...) WM_PRINTF(4, 5);
enum wm_status config_no_memory(struct wm_err *err);
/** How a message shows what was found: one line, not too long. */
struct wm_view config_shown(struct wm_view text, char out[CONFIG_SHOWN_BYTES]);

/** Give a setting, not a list, its value. @param text  copied */
enum wm_status config_set(struct config *c, const struct config_place *at, struct wm_view text,
                          struct wm_err *err) WM_MUST_CHECK;
/** Give a list its value. @param items  copied */
enum wm_status config_set_list(struct config *c, const struct config_place *at, const struct wm_view *items, size_t n,
                               struct wm_err *err) WM_MUST_CHECK;
/** One more trail, at its defaults. @param o  where it is first spoken of */
enum wm_status config_add_trail(struct config *c, const struct origin *o, struct wm_err *err) WM_MUST_CHECK;
enum wm_status config_set_defaults(struct config *c, struct wm_err *err) WM_MUST_CHECK;

/* ---- who gives values, and who checks them together ---- */

/** Read c->file. */
enum wm_status config_read_file(struct config *c, struct wm_err *err) WM_MUST_CHECK;
enum wm_status config_read_environment(struct config *c, struct wm_err *err) WM_MUST_CHECK;

struct flags {
    const char *config;
    struct { const struct setting *setting; const char *value; } set[16];
    size_t n_set;
    bool check, dump, help, version;
};

/** What the command line says. @param f  zero; its texts are those of argv */
enum wm_status flags_read(int argc, char **argv, struct flags *f, struct wm_err *err) WM_MUST_CHECK;
/** Give the settings that flags name their values. */
enum wm_status config_apply_flags(struct config *c, const struct flags *f, struct wm_err *err) WM_MUST_CHECK;
void config_print_help(void);

/** Rules between settings, when all are read; and the values that follow from others. */
enum wm_status config_check(struct config *c, struct wm_err *err) WM_MUST_CHECK;

/* ---- "did you mean" ---- */

/* Keeps the nearest of the words offered, if it is near enough to be a slip of the hand, or a name with its unit. */
struct guess {
    struct wm_view wrong;
    size_t distance;
    char best[CONFIG_NAME_BYTES]; /* "": none */
};
void guess_offer(struct guess *g, struct wm_view word);

#endif
