/*
 * A list of public keys, as somebody hands it to the verifier. Holds: what is taken is written in a form that is taken
 * again and is the same; each key is found by its fingerprint, and takes no signature that it did not make.
 */
#include "delivery/keyring.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/sim_disk.h"

#include "waymark/banned.h"

static void check_key(const struct wm_keyring *ring, const struct wm_public_key *k)
{
    struct wm_buf hex;
    size_t n = 2 * wm_rsa_signature_bytes(k->rsa);
    wm_buf_init(&hex, 1u << 16);
    for (size_t i = 0; i < n; i++)
        wm_buf_add_char(&hex, "0123456789abcdef"[i * 7 % 16]);
    struct wm_view fingerprint = wm_view_of(k->fingerprint);
    struct wm_err err = {0};
    MUST(wm_keyring_find(ring, fingerprint) == k);
    MUST(wm_keyring_verify(ring, fingerprint, WM_LIT("a text"), wm_buf_view(&hex), &err) != WM_OK);
    MUST(err.message[0] != '\0');
    wm_buf_done(&hex);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sim_disk *d = sim_disk_new(1);
    const struct wm_io *io = sim_disk_io(d);
    struct wm_keyring *ring = NULL, *again = NULL;
    struct wm_err err = {0};
    sim_disk_put(d, "/given.json", data, len);
    enum wm_status status = wm_keyring_open(io, "/given.json", &ring, &err);
    if (status != WM_OK) {
        MUST(status == WM_E_INVALID || status == WM_E_LIMIT || status == WM_E_NOMEM);
        MUST(err.message[0] != '\0');
    } else {
        MUST(wm_keyring_save(ring, io, "/saved.json", &err) == WM_OK);
        MUST(wm_keyring_open(io, "/saved.json", &again, &err) == WM_OK);
        MUST(again->n == ring->n);
        for (size_t i = 0; i < ring->n; i++) {
            const struct wm_public_key *a = &ring->at[i], *b = &again->at[i];
            MUST(strcmp(a->fingerprint, b->fingerprint) == 0 && strcmp(a->value, b->value) == 0);
            MUST(wm_wall_seconds(a->valid_from) == wm_wall_seconds(b->valid_from));
            MUST(wm_wall_seconds(a->valid_until) == wm_wall_seconds(b->valid_until));
            if (i < 4)
                check_key(ring, a);
        }
    }
    wm_keyring_free(again);
    wm_keyring_free(ring);
    sim_disk_free(d);
    return 0;
}
