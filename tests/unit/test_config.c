/* Settings: what is refused and in which words, who goes before whom, and that what is dumped reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "waymark/config.h"

#include "waymark/banned.h"

#define MAX_ARGS 12
#define MAX_VARIABLES 8

static char folder[] = "/tmp/waymark-config-XXXXXX";
static char path[128];

extern char **environ;

/* The suite must not depend on the settings of whoever runs it. */
static void forget_variables(void)
{
    for (;;) {
        char name[256] = "";
        for (char **e = environ; e && *e && name[0] == '\0'; e++)
            if (strncmp(*e, "WAYMARK_", 8) == 0)
                (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(*e, "="), *e);
        if (name[0] == '\0')
            return;
        (void)unsetenv(name);
    }
}

static int group_setup(void **state)
{
    (void)state;
    forget_variables();
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/waymark.yaml", folder);
    return 0;
}

static int group_teardown(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
}

/* Load with a file (NULL: none), variables "NAME=value" and flags. */
static enum wm_status load(const char *file, const char *const *variables, const char *const *flags,
                           struct wm_config **out, bool *out_check, struct wm_err *err)
{
    char arg0[] = "waymarkd", config[] = "--config", copies[MAX_ARGS][256];
    char *argv[MAX_ARGS + 4];
    int argc = 0;
    argv[argc++] = arg0;
    if (file) {
        write_file(file);
        argv[argc++] = config;
        argv[argc++] = path;
    }
    for (size_t i = 0; flags && flags[i]; i++) {
        assert_true(i < MAX_ARGS);
        (void)snprintf(copies[i], sizeof copies[i], "%s", flags[i]);
        argv[argc++] = copies[i];
    }
    argv[argc] = NULL;
    for (size_t i = 0; variables && variables[i]; i++) {
        char name[128];
        size_t n = strcspn(variables[i], "=");
        (void)snprintf(name, sizeof name, "%.*s", (int)n, variables[i]);
        assert_int_equal(setenv(name, variables[i] + n + 1, 1), 0);
    }
    memset(err, 0, sizeof *err);
    *out = NULL;
    *out_check = false;
    enum wm_status status = wm_config_load(argc, argv, out, out_check, err);
    forget_variables();
    if (status != WM_OK)
        assert_null(*out);
    return status;
}

static struct wm_config *load_good(const char *file, const char *const *variables, const char *const *flags)
{
    struct wm_config *c;
    struct wm_err err;
    bool check;
    enum wm_status status = load(file, variables, flags, &c, &check, &err);
    if (status != WM_OK)
        fail_msg("%s", err.message);
    return c;
}

/* ---- what is refused ---- */

struct bad {
    const char *name;
    const char *file;
    const char *variables[MAX_VARIABLES];
    const char *flags[MAX_ARGS];
    const char *message; /* FILE stands for the path */
};

#define SIZE_RULE "expected a size with a unit (B, KB, KiB, MB, MiB, GB, GiB) from "
#define TIME_RULE "expected a duration with a unit (ms, s, m, h) from "
#define NAME_RULE                                                                                        \
    "expected 3 to 128 of A-Z a-z 0-9 . _ -, the first and last a letter or digit, no two of ._- together, " \
    "not an IP address, found "
#define BUCKET_RULE                                                                                        \
    "expected a bucket name: 3 to 63 of a-z 0-9 . -, the first and last a letter or digit, no two dots together, " \
    "not an IP address, found "
#define PREFIX_RULE \
    "expected at most 200 of A-Z a-z 0-9 ! - _ . * ' ( ) and / between parts, no slash at the ends, no part empty, " \
    ". or .., found "
#define REGION_RULE                                                                                                   \
    "expected a region that readers of trail files know the form of: two letters, perhaps -gov or -cn, 4 to 9 letters " \
    "or digits, one digit, such as us-east-1, found "
#define LISTEN_RULE "expected ADDRESS:PORT with a numeric address, such as 127.0.0.1:8480 or [::1]:0, found "
#define ENDPOINT_RULE "expected http://HOST[:PORT] or https://HOST[:PORT], without a path, found "
#define TRAIL "trails:\n  - name: demo\n"
#define S3_TRAIL TRAIL "    store: s3\n    bucket: audit\n"

static const struct bad bad[] = {
    /* form */
    {"not_yaml", .file = "listen: [1, 2\n", .message = "FILE:2: not YAML: did not find expected ',' or ']', while "
                                                       "parsing a flow sequence (line 1)"},
    {"tab", .file = "http:\n\tthreads: 1\n",
     .message = "FILE:2: not YAML: found character that cannot start any token, while scanning for the next token (line 2)"},
    {"not_utf8", .file = "listen: \"\xff\"\n", .message = "FILE:1: not YAML: invalid leading UTF-8 octet"},
    {"a_list", .file = "- listen\n", .message = "FILE:1: expected settings, each a \"key: value\""},
    {"a_word", .file = "listen\n", .message = "FILE:1: expected settings, each a \"key: value\""},
    {"two_documents", .file = "region: us-east-1\n---\nregion: eu-west-1\n",
     .message = "FILE:3: expected one document, found a second one behind \"---\""},
    {"key_is_a_list", .file = "region: us-east-1\n[a]: b\n", .message = "FILE:2: expected the name of a setting"},
    /* keys */
    {"unknown_key", .file = "# settings\n\nlistn: 127.0.0.1:1\n",
     .message = "FILE:3: unknown key \"listn\"; did you mean \"listen\"?"},
    {"unknown_key_far_from_all", .file = "colour: red\n", .message = "FILE:1: unknown key \"colour\""},
    {"unknown_key_in_section", .file = "http:\n  threads: 1\n  request_timeout_ms: 5\n",
     .message = "FILE:3: unknown key \"request_timeout_ms\" in http; did you mean \"request_timeout\"?"},
    {"unknown_key_of_trail", .file = TRAIL "    codek: gzip\n",
     .message = "FILE:3: unknown key \"codek\" of a trail; did you mean \"codec\"?"},
    {"key_of_another_section", .file = "journal:\n  threads: 1\n",
     .message = "FILE:2: unknown key \"threads\" in journal"},
    {"dotted_key", .file = "http.threads: 1\n", .message = "FILE:1: unknown key \"http.threads\""},
    {"trail_for_trails", .file = "trail:\n  - name: demo\n",
     .message = "FILE:1: unknown key \"trail\"; did you mean \"trails\"?"},
    {"key_twice", .file = "region: us-east-1\nlisten: 127.0.0.1:1\nregion: us-east-1\n",
     .message = "FILE:3: region is given twice, first on line 1"},
    {"key_twice_in_section", .file = "http:\n  threads: 1\n  threads: 2\n",
     .message = "FILE:3: http.threads is given twice, first on line 2"},
    {"section_twice", .file = "http:\n  threads: 1\nhttp:\n  max_connections: 2\n",
     .message = "FILE:3: http is given twice, first on line 1"},
    {"trails_twice", .file = "trails: []\ntrails: []\n", .message = "FILE:2: trails is given twice, first on line 1"},
    {"key_of_trail_twice", .file = TRAIL "    codec: gzip\n    codec: zstd\n",
     .message = "FILE:4: trails[0].codec is given twice, first on line 3"},
    /* shape of values */
    {"value_missing", .file = "region:\nlisten: 127.0.0.1:1\n",
     .message = "FILE:1: region: expected a value, found nothing"},
    {"list_for_value", .file = "region: [us-east-1]\n", .message = "FILE:1: region: expected one value, found a list"},
    {"section_for_value", .file = "region:\n  name: us-east-1\n",
     .message = "FILE:2: region: expected one value, found a section"},
    {"value_for_section", .file = "http: 3\n", .message = "FILE:1: http: expected a section with keys"},
    {"value_for_list", .file = "http:\n  trusted_proxies: 10.0.0.1\n",
     .message = "FILE:2: http.trusted_proxies: expected a list"},
    {"value_for_trails", .file = "trails: demo\n",
     .message = "FILE:1: trails: expected a list of trails, each beginning with \"- name:\""},
    {"section_for_trails", .file = "trails:\n  name: demo\n",
     .message = "FILE:2: trails: expected a list of trails, each beginning with \"- name:\""},
    {"value_for_trail", .file = "trails:\n  - demo\n",
     .message = "FILE:2: trails: expected the keys of a trail, such as \"- name: main\""},
    /* values */
    {"data_dir_empty", .file = "data_dir: \"\"\n", .message = "FILE:1: data_dir: expected a folder, found \"\""},
    {"nul_in_text", .file = "data_dir: \"a\\0b\"\n", .message = "FILE:1: data_dir: expected a folder, found \"a?b\""},
    {"account_short", .file = "account_id: 12345\n", .message = "FILE:1: account_id: expected 12 digits, found \"12345\""},
    {"account_letters", .file = "account_id: 12345678901x\n",
     .message = "FILE:1: account_id: expected 12 digits, found \"12345678901x\""},
    {"region_minio", .file = "region: minio\n", .message = "FILE:1: region: " REGION_RULE "\"minio\""},
    {"region_iso", .file = "region: us-iso-east-1\n", .message = "FILE:1: region: " REGION_RULE "\"us-iso-east-1\""},
    {"region_underscore", .file = "region: us-ea_st-1\n", .message = "FILE:1: region: " REGION_RULE "\"us-ea_st-1\""},
    {"region_no_number", .file = "region: us-east-\n", .message = "FILE:1: region: " REGION_RULE "\"us-east-\""},
    {"region_upper", .file = "region: US-east-1\n", .message = "FILE:1: region: " REGION_RULE "\"US-east-1\""},
    {"listen_no_port", .file = "listen: 127.0.0.1\n", .message = "FILE:1: listen: " LISTEN_RULE "\"127.0.0.1\""},
    {"listen_name", .file = "listen: localhost:80\n", .message = "FILE:1: listen: " LISTEN_RULE "\"localhost:80\""},
    {"listen_port", .file = "listen: 127.0.0.1:65536\n",
     .message = "FILE:1: listen: " LISTEN_RULE "\"127.0.0.1:65536\""},
    {"listen_ipv6_bare", .file = "listen: \"::1:80\"\n", .message = "FILE:1: listen: " LISTEN_RULE "\"::1:80\""},
    {"listen_ipv4_in_brackets", .file = "listen: \"[127.0.0.1]:80\"\n",
     .message = "FILE:1: listen: " LISTEN_RULE "\"[127.0.0.1]:80\""},
    {"log_level", .file = "log_level: verbose\n",
     .message = "FILE:1: log_level: expected one of error, warning, notice, info, debug, found \"verbose\""},
    {"threads_zero", .file = "http:\n  threads: 0\n",
     .message = "FILE:2: http.threads: expected a number from 1 to 64, found \"0\""},
    {"threads_negative", .file = "http:\n  threads: -1\n",
     .message = "FILE:2: http.threads: expected a number from 1 to 64, found \"-1\""},
    {"threads_unit", .file = "http:\n  threads: 2s\n",
     .message = "FILE:2: http.threads: expected a number from 1 to 64, found \"2s\""},
    {"size_unit", .file = "http:\n  max_body_bytes: 64kib\n",
     .message = "FILE:2: http.max_body_bytes: " SIZE_RULE "1KiB to 1MiB, found \"64kib\""},
    {"size_word", .file = "http:\n  max_body_bytes: lots\n",
     .message = "FILE:2: http.max_body_bytes: " SIZE_RULE "1KiB to 1MiB, found \"lots\""},
    {"size_large", .file = "http:\n  max_body_bytes: 2MiB\n",
     .message = "FILE:2: http.max_body_bytes: " SIZE_RULE "1KiB to 1MiB, found \"2MiB\""},
    {"size_overflow", .file = "journal:\n  max_bytes: 9223372036854775807KiB\n",
     .message = "FILE:2: journal.max_bytes: " SIZE_RULE "0 on, found \"9223372036854775807KiB\""},
    {"size_too_many_digits", .file = "journal:\n  max_bytes: 99999999999999999999\n",
     .message = "FILE:2: journal.max_bytes: " SIZE_RULE "0 on, found \"99999999999999999999\""},
    {"time_without_unit", .file = "http:\n  request_timeout: 30\n",
     .message = "FILE:2: http.request_timeout: " TIME_RULE "100ms to 1h, found \"30\""},
    {"time_short", .file = "http:\n  idle_timeout: 999ms\n",
     .message = "FILE:2: http.idle_timeout: " TIME_RULE "1s to 1h, found \"999ms\""},
    {"time_of_parts_of_seconds", .file = TRAIL "    digest_period: 1500ms\n",
     .message = "FILE:3: trails[0].digest_period: expected a duration in whole seconds with a unit (s, m, h) from 1s "
                "to 1d, found \"1500ms\""},
    {"bool", .file = "journal:\n  enabled: yes\n",
     .message = "FILE:2: journal.enabled: expected true or false, found \"yes\""},
    {"locked_without_recording", .file = "journal:\n  enabled: false\naudit:\n  locked: true\n",
     .message = "FILE:4: audit.locked: expected journal.enabled beside it, since the lock keeps what is recorded"},
    {"proxy", .file = "http:\n  trusted_proxies: [10.0.0.1, 10.0.0.0/33]\n",
     .message = "FILE:2: http.trusted_proxies: expected an address or block, such as 10.0.0.5, 10.0.0.0/8 or fd00::/8, "
                "found \"10.0.0.0/33\""},
    {"proxy_name", .file = "http:\n  trusted_proxies:\n    - proxy.example\n",
     .message = "FILE:2: http.trusted_proxies: expected an address or block, such as 10.0.0.5, 10.0.0.0/8 or fd00::/8, "
                "found \"proxy.example\""},
    {"proxy_section", .file = "http:\n  trusted_proxies:\n    - a: b\n",
     .message = "FILE:3: http.trusted_proxies: expected an address or block, such as 10.0.0.5, 10.0.0.0/8 or fd00::/8"},
    {"pause_value", .file = "journal:\n  pause_followers: main\n",
     .message = "FILE:2: journal.pause_followers: expected a list"},
    {"pause_no_name", .file = "journal:\n  pause_followers: [a]\n",
     .message = "FILE:2: journal.pause_followers: expected the name of a trail, found \"a\""},
    {"pause_unknown", .file = "journal:\n  pause_followers: [main, studio]\n",
     .message = "FILE:2: journal.pause_followers: there is no trail of the name studio"},
    {"pause_state", .file = "journal:\n  pause_followers: [state]\n",
     .message = "FILE:2: journal.pause_followers: the state cannot be paused, only trails can"},
    {"cors_origin", .file = "http:\n  cors_origins: [\"https://Example.net\"]\n",
     .message = "FILE:2: http.cors_origins: expected an origin as browsers write it, such as "
                "https://console.example.net:8443, found \"https://Example.net\""},
    {"cors_any", .file = "http:\n  cors_origins: [\"*\"]\n", 
     .message = "FILE:2: http.cors_origins: expected an origin as browsers write it, such as "
                "https://console.example.net:8443, found \"*\""},
    {"cors_default_port", .file = "http:\n  cors_origins: [\"http://a:80\"]\n", 
     .message = "FILE:2: http.cors_origins: expected an origin as browsers write it, such as "
                "https://console.example.net:8443, found \"http://a:80\""},
    {"throttle_rate", .file = "throttle:\n  source_rate: 1000001\n",
     .message = "FILE:2: throttle.source_rate: expected a number from 0 to 1000000, found \"1000001\""},
    {"throttle_source_burst", .file = "throttle:\n  source_burst: 5\n",
     .message = "FILE:2: throttle.source_burst: means something only with throttle.source_rate"},
    {"throttle_principal_burst", .file = "throttle:\n  source_rate: 1\n  principal_burst: 5\n",
     .message = "FILE:3: throttle.principal_burst: means something only with throttle.principal_rate"},
    {"throttle_fold", .file = "throttle:\n  fold_refused: 2h\n",
     .message = "FILE:2: throttle.fold_refused: expected a duration with a unit (ms, s, m, h) from 0 to 1h, found \"2h\""},
    {"reads_when_full", .file = "journal:\n  reads_when_full: yes\n",
     .message = "FILE:2: journal.reads_when_full: expected one of refuse, answer, found \"yes\""},
    /* keys */
    {"token_no_uri", .file = "keys:\n  token: audit\n",
     .message = "FILE:2: keys.token: expected a PKCS#11 URI, such as pkcs11:token=waymark, found \"audit\""},
    {"token_without_module", .file = "keys:\n  token: pkcs11:token=audit\n",
     .message = "FILE:2: keys.token: expected token_module beside it, the path of its library"},
    {"token_with_pin", .file = "keys:\n  token: pkcs11:token=audit?pin-value=4711\n  token_module: m.so\n",
     .message = "FILE:2: keys.token: expected no PIN in the URI; token_pin_file names its file"},
    {"module_without_token", .file = "keys:\n  token_module: m.so\n",
     .message = "FILE:2: keys.token_module: means something only with keys.token"},
    {"pin_without_token", .file = "keys:\n  token_pin_file: /p\n",
     .message = "FILE:2: keys.token_pin_file: means something only with keys.token"},
    {"keys_variable", .variables = {"WAYMARK_KEYS_PASSWORD=x"},
     .message = "environment WAYMARK_KEYS_PASSWORD: no such setting; waymarkd --help lists them"},
    /* trails */
    {"trail_without_name", .file = "trails:\n  - codec: gzip\n",
     .message = "FILE:2: trails[0].name: expected a name, found none"},
    {"trail_name_short", .file = "trails:\n  - name: ab\n", .message = "FILE:2: trails[0].name: " NAME_RULE "\"ab\""},
    {"trail_name_edge", .file = "trails:\n  - name: demo-\n",
     .message = "FILE:2: trails[0].name: " NAME_RULE "\"demo-\""},
    {"trail_name_signs", .file = "trails:\n  - name: de.-mo\n",
     .message = "FILE:2: trails[0].name: " NAME_RULE "\"de.-mo\""},
    {"trail_name_slash", .file = "trails:\n  - name: de/mo\n",
     .message = "FILE:2: trails[0].name: " NAME_RULE "\"de/mo\""},
    {"trail_name_address", .file = "trails:\n  - name: 10.0.0.1\n",
     .message = "FILE:2: trails[0].name: " NAME_RULE "\"10.0.0.1\""},
    {"trail_names_equal", .file = TRAIL "  - name: other\n  - name: demo\n",
     .message = "FILE:4: trails[2].name: trails[0] has the name demo already"},
    {"store", .file = TRAIL "    store: ftp\n",
     .message = "FILE:3: trails[0].store: expected one of file, s3, found \"ftp\""},
    {"s3_without_bucket", .file = TRAIL "    store: s3\n",
     .message = "FILE:2: trails[0].bucket: expected the bucket's name, which \"store: s3\" needs"},
    {"bucket_upper", .file = TRAIL "    bucket: Audit\n", .message = "FILE:3: trails[0].bucket: " BUCKET_RULE "\"Audit\""},
    {"bucket_dots", .file = TRAIL "    bucket: au..dit\n",
     .message = "FILE:3: trails[0].bucket: " BUCKET_RULE "\"au..dit\""},
    {"bucket_address", .file = TRAIL "    bucket: 192.168.1.1\n",
     .message = "FILE:3: trails[0].bucket: " BUCKET_RULE "\"192.168.1.1\""},
    {"prefix_slash_first", .file = TRAIL "    prefix: /logs\n",
     .message = "FILE:3: trails[0].prefix: " PREFIX_RULE "\"/logs\""},
    {"prefix_slash_last", .file = TRAIL "    prefix: logs/\n",
     .message = "FILE:3: trails[0].prefix: " PREFIX_RULE "\"logs/\""},
    {"prefix_up", .file = TRAIL "    prefix: a/../b\n", .message = "FILE:3: trails[0].prefix: " PREFIX_RULE "\"a/../b\""},
    {"prefix_blank", .file = TRAIL "    prefix: my logs\n",
     .message = "FILE:3: trails[0].prefix: " PREFIX_RULE "\"my logs\""},
    {"endpoint_path", .file = S3_TRAIL "    endpoint: http://127.0.0.1:9000/s3\n",
     .message = "FILE:5: trails[0].endpoint: " ENDPOINT_RULE "\"http://127.0.0.1:9000/s3\""},
    {"endpoint_scheme", .file = S3_TRAIL "    endpoint: 127.0.0.1:9000\n",
     .message = "FILE:5: trails[0].endpoint: " ENDPOINT_RULE "\"127.0.0.1:9000\""},
    {"endpoint_port", .file = S3_TRAIL "    endpoint: http://minio:0\n",
     .message = "FILE:5: trails[0].endpoint: " ENDPOINT_RULE "\"http://minio:0\""},
    {"s3_key_of_file", .file = TRAIL "    endpoint: http://127.0.0.1:9000\n",
     .message = "FILE:3: trails[0].endpoint: means something only with \"store: s3\""},
    {"s3_choice_of_file", .file = TRAIL "    encryption: AES256\n",
     .message = "FILE:3: trails[0].encryption: means something only with \"store: s3\""},
    {"s3_number_of_file", .file = TRAIL "    object_lock_days: 3\n",
     .message = "FILE:3: trails[0].object_lock_days: means something only with \"store: s3\""},
    {"kms_key_without_kms", .file = S3_TRAIL "    encryption: AES256\n    kms_key_id: k\n",
     .message = "FILE:6: trails[0].kms_key_id: means something only with \"encryption: aws:kms\""},
    {"kms_key_blank", .file = S3_TRAIL "    encryption: aws:kms\n    kms_key_id: a b\n",
     .message = "FILE:6: trails[0].kms_key_id: expected at most 2048 visible characters, found \"a b\""},
    {"encryption", .file = S3_TRAIL "    encryption: aws-kms\n",
     .message = "FILE:5: trails[0].encryption: expected one of none, AES256, aws:kms, found \"aws-kms\""},
    {"lock_without_days", .file = S3_TRAIL "    object_lock: COMPLIANCE\n",
     .message = "FILE:5: trails[0].object_lock: expected object_lock_days with it, 1 to 36500"},
    {"days_without_lock", .file = S3_TRAIL "    object_lock_days: 30\n",
     .message = "FILE:5: trails[0].object_lock_days: means something only with object_lock"},
    {"lock_days", .file = S3_TRAIL "    object_lock: GOVERNANCE\n    object_lock_days: 36501\n",
     .message = "FILE:6: trails[0].object_lock_days: expected a number from 0 to 36500, found \"36501\""},
    {"lock_mode", .file = S3_TRAIL "    object_lock: governance\n    object_lock_days: 1\n",
     .message = "FILE:5: trails[0].object_lock: expected one of none, GOVERNANCE, COMPLIANCE, found \"governance\""},
    {"role_arn", .file = S3_TRAIL "    role_arn: trail-writer\n",
     .message = "FILE:5: trails[0].role_arn: expected arn:…:iam:… of 20 to 2048 characters without blanks, found "
                "\"trail-writer\""},
    {"external_id_without_role", .file = S3_TRAIL "    role_external_id: abc\n",
     .message = "FILE:5: trails[0].role_external_id: means something only with role_arn"},
    {"external_id", .file = S3_TRAIL "    role_arn: arn:aws:iam::1:role/trail\n    role_external_id: \"a b\"\n",
     .message = "FILE:6: trails[0].role_external_id: expected 2 to 1224 of A-Z a-z 0-9 _ + = , . @ : / -, found \"a b\""},
    {"sts_without_role", .file = S3_TRAIL "    sts_endpoint: http://127.0.0.1:1\n",
     .message = "FILE:5: trails[0].sts_endpoint: means something only with role_arn"},
    {"sts_endpoint", .file = S3_TRAIL "    sts_endpoint: sts\n",
     .message = "FILE:5: trails[0].sts_endpoint: " ENDPOINT_RULE "\"sts\""},
    {"proxy_login", .file = S3_TRAIL "    proxy: http://me:secret@10.0.0.1:3128\n",
     .message = "FILE:5: trails[0].proxy: expected http://HOST:PORT or https://HOST:PORT without a login, or none, found "
                "\"http://me:secret@10.0.0.1:3128\""},
    {"acl", .file = S3_TRAIL "    acl: public-read\n",
     .message = "FILE:5: trails[0].acl: expected one of none, private, bucket-owner-read, bucket-owner-full-control, "
                "found \"public-read\""},
    {"storage_class", .file = S3_TRAIL "    storage_class: \"STANDARD IA\"\n",
     .message = "FILE:5: trails[0].storage_class: expected 1 to 64 of A-Z a-z 0-9 _ -, such as STANDARD_IA, found "
                "\"STANDARD IA\""},
    {"tags", .file = S3_TRAIL "    tags: \"team=audit,team=other\"\n",
     .message = "FILE:5: trails[0].tags: expected at most 10 KEY=VALUE with commas between, no key twice, of letters, "
                "digits, blanks and + - = . _ : / @, found \"team=audit,team=other\""},
    {"file_key_of_s3", .file = S3_TRAIL "    folder: /srv/trail\n",
     .message = "FILE:5: trails[0].folder: means something only with \"store: file\""},
    {"codec", .file = TRAIL "    codec: lz4\n",
     .message = "FILE:3: trails[0].codec: expected one of zstd, gzip, found \"lz4\""},
    {"codec_level_of_gzip", .file = TRAIL "    codec_level: 19\n    codec: gzip\n",
     .message = "FILE:3: trails[0].codec_level: expected 0 to 12 with \"codec: gzip\", found 19"},
    {"batch_larger_than_a_trail_file", .file = TRAIL "    batch_bytes: 51MB\n",
     .message = "FILE:3: trails[0].batch_bytes: " SIZE_RULE "64KiB to 50MB, found \"51MB\""},
    {"segment_below_the_largest_entry", .file = "journal:\n  segment_bytes: 1MiB\n",
     .message = "FILE:2: journal.segment_bytes: " SIZE_RULE "2MiB to 1GiB, found \"1MiB\""},
    {"journal_of_one_segment", .file = "journal:\n  segment_bytes: 1GiB\n  max_bytes: 1GiB\n",
     .message = "FILE:3: journal.max_bytes: expected max_bytes to be at least twice segment_bytes, found 1GiB and 1GiB"},
    {"journal_limit_below_default_segment", .file = "journal:\n  max_bytes: 1MiB\n",
     .message = "FILE:2: journal.max_bytes: expected max_bytes to be at least twice segment_bytes, found 1MiB and 64MiB"},
    /* environment */
    {"variable_value", .variables = {"WAYMARK_HTTP_THREADS=many"},
     .message = "environment WAYMARK_HTTP_THREADS: expected a number from 1 to 64, found \"many\""},
    {"variable_empty", .variables = {"WAYMARK_HTTP_THREADS="},
     .message = "environment WAYMARK_HTTP_THREADS: expected a number from 1 to 64, found \"\""},
    {"variable_slip", .variables = {"WAYMARK_LISTN=127.0.0.1:0"},
     .message = "environment WAYMARK_LISTN: no such setting; did you mean WAYMARK_LISTEN?"},
    {"variable_in_section", .variables = {"WAYMARK_HTTP_COLOUR=red"},
     .message = "environment WAYMARK_HTTP_COLOUR: no such setting; waymarkd --help lists them"},
    {"variable_of_trail", .variables = {"WAYMARK_TRAILS_0_CODEK=gzip"},
     .message = "environment WAYMARK_TRAILS_0_CODEK: no such setting; did you mean WAYMARK_TRAILS_0_CODEC?"},
    {"variable_of_absent_trail", .variables = {"WAYMARK_TRAILS_2_CODEC=gzip"},
     .message = "environment WAYMARK_TRAILS_2_CODEC: there are 1 trails, numbered from 0 without gaps"},
    {"variable_of_new_trail_without_name", .variables = {"WAYMARK_TRAILS_1_CODEC=gzip"},
     .message = "environment WAYMARK_TRAILS_1_NAME: expected a name, found none"},
    {"variable_proxies", .variables = {"WAYMARK_HTTP_TRUSTED_PROXIES=10.0.0.1, nobody"},
     .message = "environment WAYMARK_HTTP_TRUSTED_PROXIES: expected an address or block, such as 10.0.0.5, 10.0.0.0/8 "
                "or fd00::/8, found \"nobody\""},
    /* flags */
    {"flag_slip", .flags = {"--data_dir", "x"}, .message = "--data_dir: no such flag; did you mean --data-dir?"},
    {"flag_unknown", .flags = {"--daemonize"}, .message = "--daemonize: no such flag; waymarkd --help lists them"},
    {"flag_without_value", .flags = {"--listen"}, .message = "--listen: expected a value behind it"},
    {"flag_value", .flags = {"--listen=nowhere"}, .message = "--listen: " LISTEN_RULE "\"nowhere\""},
    {"flag_level", .flags = {"--log-level", "loud"},
     .message = "--log-level: expected one of error, warning, notice, info, debug, found \"loud\""},
    {"operand", .flags = {"waymark.yaml"}, .message = "waymark.yaml: expected a flag; waymarkd --help lists them"},
};

static void config_refuses_with_place_and_expectation(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct wm_config *c;
        struct wm_err err;
        bool check;
        char expected[1024];
        bool in_file = strncmp(bad[i].message, "FILE", 4) == 0;
        (void)snprintf(expected, sizeof expected, "%s%s", in_file ? path : "", bad[i].message + (in_file ? 4 : 0));
        expected[WM_ERR_MESSAGE_BYTES - 1] = '\0';
        enum wm_status status = load(bad[i].file, bad[i].variables, bad[i].flags, &c, &check, &err);
        if (status == WM_E_INVALID && strcmp(err.message, expected) == 0)
            continue;
        print_error("%s: status %s\n  got      %s\n  expected %s\n", bad[i].name, wm_status_name(status), err.message,
                    expected);
        wrong++;
        wm_config_free(c);
    }
    assert_int_equal(wrong, 0);
}

static void config_refuses_a_missing_file(void **state)
{
    (void)state;
    struct wm_config *c;
    struct wm_err err;
    bool check;
    const char *const flags[] = {"--config", "/nonexistent/waymark.yaml", NULL};
    assert_int_equal(load(NULL, NULL, flags, &c, &check, &err), WM_E_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nonexistent/waymark.yaml"));
}

static void config_refuses_too_many_trails(void **state)
{
    (void)state;
    char text[4096];
    size_t n = (size_t)snprintf(text, sizeof text, "trails:\n");
    for (int i = 0; i < 65; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "  - name: trail-%d\n", i);
    struct wm_config *c;
    struct wm_err err;
    bool check;
    assert_int_equal(load(text, NULL, NULL, &c, &check, &err), WM_E_INVALID);
    assert_non_null(strstr(err.message, ":66: expected at most 64 trails"));
}

/* ---- what is taken ---- */

static void config_has_defaults(void **state)
{
    (void)state;
    struct wm_config *c = load_good(NULL, NULL, NULL);
    assert_string_equal(c->data_dir, "var");
    assert_string_equal(c->listen, "127.0.0.1:8480");
    assert_string_equal(c->account_id, "123456789012");
    assert_string_equal(c->region, "us-east-1");
    assert_int_equal(c->log_level, WM_LOG_NOTICE);
    assert_int_equal(c->http.threads, 1);
    assert_int_equal(c->http.max_connections, 4096);
    assert_int_equal(c->http.connection_memory_bytes, 8192);
    assert_int_equal(c->http.max_body_bytes, 131072);
    assert_int_equal(c->http.request_timeout_ms, 30000);
    assert_int_equal(c->http.idle_timeout_ms, 75000);
    assert_int_equal(c->http.shutdown_timeout_ms, 10000);
    assert_int_equal(c->http.n_trusted_proxies, 0);
    assert_int_equal(c->http.n_cors_origins, 0);
    assert_int_equal(c->throttle.source_rate, 0);
    assert_int_equal(c->throttle.source_burst, 0);
    assert_int_equal(c->throttle.principal_rate, 0);
    assert_int_equal(c->throttle.principal_burst, 0);
    assert_int_equal(c->throttle.fold_refused_ms, 0);
    assert_true(c->journal.enabled);
    assert_int_equal(c->journal.segment_bytes, 64 * 1024 * 1024);
    assert_int_equal(c->journal.max_bytes, 4ll * 1024 * 1024 * 1024);
    assert_int_equal(c->journal.n_pause_followers, 0);
    assert_string_equal(c->journal.reads_when_full, "refuse");
    assert_false(c->audit.locked);
    assert_int_equal(c->n_trails, 1);
    const struct wm_config_trail *t = &c->trails[0];
    assert_string_equal(t->name, "main");
    assert_string_equal(t->store, "file");
    assert_string_equal(t->folder, "var/bucket");
    assert_string_equal(t->bucket, "waymark");
    assert_string_equal(t->prefix, "");
    assert_string_equal(t->codec, "zstd");
    assert_int_equal(t->batch_bytes, 40000000);
    assert_int_equal(t->batch_records, 100000);
    assert_int_equal(t->batch_age_ms, 60000);
    assert_int_equal(t->late_after_ms, 900000);
    assert_int_equal(t->uploads, 4);
    assert_int_equal(t->digest_period_s, 3600);
    wm_config_free(c);
}

static void config_reads_every_kind_of_value(void **state)
{
    (void)state;
    struct wm_config *c = load_good("account_id: 000000000042 # YAML would call this a number\n"
                                    "log_level: debug\n"
                                    "listen: \"[::1]:0\"\n"
                                    "region: us-gov-west-1\n"
                                    "http:\n"
                                    "  connection_memory_bytes: 10000\n"
                                    "  max_body_bytes: 64KB\n"
                                    "  request_timeout: 1500ms\n"
                                    "  idle_timeout: 2m\n"
                                    "  shutdown_timeout: 0\n"
                                    "  trusted_proxies: [10.0.0.0/8, 192.168.1.1, \"fd00::/8\"]\n"
                                    "  cors_origins: [\"https://a.example:8443\", \"http://[::1]:3000\"]\n"
                                    "throttle: {source_rate: 5, source_burst: 6, principal_rate: 1000000, fold_refused: 10s}\n"
                                    "journal: {enabled: true, max_bytes: 0, pause_followers: [s3-trail], reads_when_full: answer}\n"
                                    "audit: {locked: true}\n"
                                    "trails:\n"
                                    "  - name: s3-trail\n"
                                    "    store: s3\n"
                                    "    bucket: audit.example\n"
                                    "    prefix: a/b-c\n"
                                    "    endpoint: https://[::1]:9000\n"
                                    "    addressing: virtual\n"
                                    "    credentials_file: /etc/waymark/s3\n"
                                    "    profile: trail\n"
                                    "    role_arn: arn:aws:iam::123456789012:role/trail\n"
                                    "    role_external_id: a/b=c\n"
                                    "    sts_endpoint: https://sts.example.net\n"
                                    "    proxy: http://10.0.0.1:3128\n"
                                    "    acl: none\n"
                                    "    encryption: aws:kms\n"
                                    "    kms_key_id: alias/audit\n"
                                    "    storage_class: STANDARD_IA\n"
                                    "    tags: team=audit, kept=7 years\n"
                                    "    object_lock: GOVERNANCE\n"
                                    "    object_lock_days: 400\n"
                                    "    codec: gzip\n"
                                    "    codec_level: 12\n"
                                    "    batch_bytes: 5MB\n"
                                    "    batch_age: 200ms\n"
                                    "    late_after: 0\n"
                                    "    uploads: 16\n"
                                    "    digest_period: 1m\n"
                                    "  - &second\n"
                                    "    name: folder_2\n"
                                    "    folder: \"/srv/a b\"\n"
                                    "    bucket: audit\n",
                                    NULL, NULL);
    assert_string_equal(c->account_id, "000000000042");
    assert_int_equal(c->log_level, WM_LOG_DEBUG);
    assert_string_equal(c->listen, "[::1]:0");
    assert_int_equal(c->http.connection_memory_bytes, 10000);
    assert_int_equal(c->http.max_body_bytes, 64000);
    assert_int_equal(c->http.request_timeout_ms, 1500);
    assert_int_equal(c->http.idle_timeout_ms, 120000);
    assert_int_equal(c->http.shutdown_timeout_ms, 0);
    assert_int_equal(c->http.n_trusted_proxies, 3);
    assert_string_equal(c->http.trusted_proxies[0], "10.0.0.0/8");
    assert_string_equal(c->http.trusted_proxies[2], "fd00::/8");
    assert_int_equal(c->http.n_cors_origins, 2);
    assert_string_equal(c->http.cors_origins[1], "http://[::1]:3000");
    assert_int_equal(c->throttle.source_rate, 5);
    assert_int_equal(c->throttle.source_burst, 6);
    assert_int_equal(c->throttle.principal_rate, 1000000);
    assert_int_equal(c->throttle.fold_refused_ms, 10000);
    assert_true(c->journal.enabled);
    assert_int_equal(c->journal.max_bytes, 0);
    assert_int_equal(c->journal.n_pause_followers, 1);
    assert_string_equal(c->journal.pause_followers[0], "s3-trail");
    assert_string_equal(c->journal.reads_when_full, "answer");
    assert_true(c->audit.locked);
    assert_int_equal(c->n_trails, 2);
    const struct wm_config_trail *t = &c->trails[0];
    assert_string_equal(t->name, "s3-trail");
    assert_string_equal(t->store, "s3");
    assert_string_equal(t->folder, "");
    assert_string_equal(t->bucket, "audit.example");
    assert_string_equal(t->prefix, "a/b-c");
    assert_string_equal(t->endpoint, "https://[::1]:9000");
    assert_string_equal(t->region, "us-gov-west-1");
    assert_string_equal(t->addressing, "virtual");
    assert_string_equal(t->credentials_file, "/etc/waymark/s3");
    assert_string_equal(t->profile, "trail");
    assert_string_equal(t->role_arn, "arn:aws:iam::123456789012:role/trail");
    assert_string_equal(t->role_external_id, "a/b=c");
    assert_string_equal(t->sts_endpoint, "https://sts.example.net");
    assert_string_equal(t->proxy, "http://10.0.0.1:3128");
    assert_string_equal(t->acl, "none");
    assert_string_equal(t->encryption, "aws:kms");
    assert_string_equal(t->kms_key_id, "alias/audit");
    assert_string_equal(t->storage_class, "STANDARD_IA");
    assert_string_equal(t->tags, "team=audit, kept=7 years");
    assert_string_equal(t->object_lock, "GOVERNANCE");
    assert_int_equal(t->object_lock_days, 400);
    assert_string_equal(t->codec, "gzip");
    assert_int_equal(t->codec_level, 12);
    assert_int_equal(t->batch_bytes, 5000000);
    assert_int_equal(t->batch_age_ms, 200);
    assert_int_equal(t->late_after_ms, 0);
    assert_int_equal(t->uploads, 16);
    assert_int_equal(t->digest_period_s, 60);
    assert_string_equal(c->trails[1].name, "folder_2");
    assert_string_equal(c->trails[1].folder, "/srv/a b");
    assert_string_equal(c->trails[1].bucket, "audit");
    wm_config_free(c);
}

static void config_takes_empty_files_and_sections(void **state)
{
    (void)state;
    static const char *const files[] = {"", "# nothing\n", "---\n", "http:\njournal:\n", "http:\n  trusted_proxies:\n"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct wm_config *c = load_good(files[i], NULL, NULL);
        assert_int_equal(c->n_trails, 1);
        wm_config_free(c);
    }
    struct wm_config *c = load_good("trails: []\n", NULL, NULL);
    assert_int_equal(c->n_trails, 0);
    wm_config_free(c);
}

static void config_flag_goes_before_environment_before_file(void **state)
{
    (void)state;
    static const char file[] = "listen: 127.0.0.1:1\ndata_dir: file\nlog_level: error\nregion: eu-west-1\n";
    static const char *const variables[] = {"WAYMARK_LISTEN=127.0.0.1:2", "WAYMARK_DATA_DIR=environment", NULL};
    static const char *const flags[] = {"--listen", "127.0.0.1:3", NULL};
    struct wm_config *c = load_good(file, variables, flags);
    assert_string_equal(c->listen, "127.0.0.1:3");
    assert_string_equal(c->data_dir, "environment");
    assert_int_equal(c->log_level, WM_LOG_ERROR);
    assert_string_equal(c->region, "eu-west-1");
    assert_int_equal(c->http.threads, 1);
    /* What follows from a setting follows from the one that applies. */
    assert_string_equal(c->trails[0].folder, "environment/bucket");
    wm_config_free(c);
}

static void config_environment_sets_every_scalar(void **state)
{
    (void)state;
    static const char *const variables[] = {
        "WAYMARK_HTTP_MAX_BODY_BYTES=1MiB", "WAYMARK_HTTP_TRUSTED_PROXIES=10.0.0.1, fd00::/8",
        "WAYMARK_JOURNAL_ENABLED=false", "WAYMARK_TRAILS_0_CODEC=gzip", "WAYMARK_TRAILS_1_NAME=second",
        "WAYMARK_TRAILS_1_STORE=s3", "WAYMARK_TRAILS_1_BUCKET=audit", NULL};
    struct wm_config *c = load_good(NULL, variables, NULL);
    assert_int_equal(c->http.max_body_bytes, 1024 * 1024);
    assert_int_equal(c->http.n_trusted_proxies, 2);
    assert_string_equal(c->http.trusted_proxies[1], "fd00::/8");
    assert_false(c->journal.enabled);
    assert_int_equal(c->n_trails, 2);
    assert_string_equal(c->trails[0].name, "main");
    assert_string_equal(c->trails[0].codec, "gzip");
    assert_string_equal(c->trails[1].name, "second");
    assert_string_equal(c->trails[1].bucket, "audit");
    assert_string_equal(c->trails[1].codec, "zstd");
    wm_config_free(c);
}

static void config_leaves_foreign_variables_alone(void **state)
{
    (void)state;
    /* An orchestrator gives a service named waymark the last three. */
    static const char *const variables[] = {"WAYMARK_BUCKET=b", "WAYMARK_SHARED=/x", "WAYMARK_TEST_X=1",
                                            "WAYMARK_PORT=tcp://10.0.0.1:80", "WAYMARK_SERVICE_HOST=10.0.0.1",
                                            "WAYMARK_PORT_80_TCP=tcp://10.0.0.1:80", NULL};
    wm_config_free(load_good(NULL, variables, NULL));
}

static void config_file_may_come_from_the_environment(void **state)
{
    (void)state;
    write_file("region: eu-west-1\n");
    char variable[256];
    (void)snprintf(variable, sizeof variable, "WAYMARK_CONFIG=%s", path);
    const char *const variables[] = {variable, NULL};
    struct wm_config *c = load_good(NULL, variables, NULL);
    assert_string_equal(c->region, "eu-west-1");
    wm_config_free(c);
}

static void config_check_flag_is_reported(void **state)
{
    (void)state;
    struct wm_config *c;
    struct wm_err err;
    bool check;
    static const char *const flags[] = {"--check-config", "--log-level=debug", NULL};
    assert_int_equal(load(NULL, NULL, flags, &c, &check, &err), WM_OK);
    assert_true(check);
    assert_int_equal(c->log_level, WM_LOG_DEBUG);
    wm_config_free(c);
}

/* stdout of a load that prints, in a buffer for the caller to free. */
static char *printed(const char *const *flags, enum wm_status *out_status)
{
    char name[160];
    (void)snprintf(name, sizeof name, "%s.out", path);
    fflush(stdout);
    int saved = dup(1);
    FILE *f = fopen(name, "w+");
    assert_true(saved >= 0 && f);
    assert_true(dup2(fileno(f), 1) >= 0);
    struct wm_config *c;
    struct wm_err err;
    bool check;
    *out_status = load(NULL, NULL, flags, &c, &check, &err);
    fflush(stdout);
    assert_true(dup2(saved, 1) >= 0);
    close(saved);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    long size = ftell(f);
    rewind(f);
    char *text = calloc(1, (size_t)size + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)size, f), size);
    fclose(f);
    unlink(name);
    return text;
}

static void config_prints_help_version_and_dump(void **state)
{
    (void)state;
    static const struct { const char *flag; const char *parts[4]; } cases[] = {
        {"--help", {"--data-dir", "WAYMARK_HTTP_MAX_BODY_BYTES", "trails[0].codec", "default 127.0.0.1:8480"}},
        {"--version", {"waymarkd " WAYMARK_VERSION "\n"}},
        {"--dump-config", {"listen: \"127.0.0.1:8480\"\n", "  max_body_bytes: 128KiB\n", "  - name: \"main\"\n",
                           "    digest_period: 1h\n"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *const flags[] = {cases[i].flag, NULL};
        enum wm_status status;
        char *text = printed(flags, &status);
        assert_int_equal(status, WM_E_END);
        for (size_t k = 0; k < 4 && cases[i].parts[k]; k++)
            if (!strstr(text, cases[i].parts[k]))
                fail_msg("%s does not print %s", cases[i].flag, cases[i].parts[k]);
        free(text);
    }
}

static void assert_same_settings(const struct wm_config *a, const struct wm_config *b)
{
    struct wm_buf x, y;
    wm_buf_init(&x, 65536);
    wm_buf_init(&y, 65536);
    assert_int_equal(wm_config_dump(a, &x), WM_OK);
    assert_int_equal(wm_config_dump(b, &y), WM_OK);
    assert_string_equal(wm_buf_cstr(&x), wm_buf_cstr(&y));
    wm_buf_done(&x);
    wm_buf_done(&y);
}

static void config_dump_reads_back(void **state)
{
    (void)state;
    struct wm_config *c = load_good("data_dir: \"a \\\"b\\\" \\\\ \\t c\"\n"
                                    "http: {max_body_bytes: 70001, trusted_proxies: [10.0.0.0/8]}\n"
                                    "journal: {max_bytes: 0, enabled: false}\n" S3_TRAIL "  - name: other\n",
                                    NULL, NULL);
    struct wm_buf text;
    wm_buf_init(&text, 65536);
    assert_int_equal(wm_config_dump(c, &text), WM_OK);
    struct wm_config *again = load_good(wm_buf_cstr(&text), NULL, NULL);
    assert_string_equal(again->data_dir, "a \"b\" \\ \t c");
    assert_int_equal(again->http.max_body_bytes, 70001);
    assert_same_settings(c, again);
    wm_buf_done(&text);
    wm_config_free(c);
    wm_config_free(again);
}

/* etc/waymark.yaml says of itself that it has every key at its default. */
static void config_sample_has_every_key_at_its_default(void **state)
{
    (void)state;
    FILE *f = fopen(WAYMARK_SOURCE_DIR "/etc/waymark.yaml", "r");
    assert_non_null(f);
    char text[16384];
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    struct wm_config *sample = load_good(text, NULL, NULL), *defaults = load_good(NULL, NULL, NULL);
    assert_same_settings(sample, defaults);

    struct wm_buf dump;
    wm_buf_init(&dump, 65536);
    assert_int_equal(wm_config_dump(defaults, &dump), WM_OK);
    struct wm_view rest = wm_buf_view(&dump);
    while (rest.len > 0) {
        struct wm_view line = wm_view_split(&rest, '\n');
        char key[128];
        (void)snprintf(key, sizeof key, "\n%.*s:", WM_ARG(wm_view_sub(line, 0, wm_view_find(line, ':'))));
        if (!strstr(text, key))
            fail_msg("etc/waymark.yaml does not have the key%s", key);
    }
    wm_buf_done(&dump);
    wm_config_free(sample);
    wm_config_free(defaults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_refuses_with_place_and_expectation),
        cmocka_unit_test(config_refuses_a_missing_file),
        cmocka_unit_test(config_refuses_too_many_trails),
        cmocka_unit_test(config_has_defaults),
        cmocka_unit_test(config_reads_every_kind_of_value),
        cmocka_unit_test(config_takes_empty_files_and_sections),
        cmocka_unit_test(config_flag_goes_before_environment_before_file),
        cmocka_unit_test(config_environment_sets_every_scalar),
        cmocka_unit_test(config_leaves_foreign_variables_alone),
        cmocka_unit_test(config_file_may_come_from_the_environment),
        cmocka_unit_test(config_check_flag_is_reported),
        cmocka_unit_test(config_prints_help_version_and_dump),
        cmocka_unit_test(config_dump_reads_back),
        cmocka_unit_test(config_sample_has_every_key_at_its_default),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
