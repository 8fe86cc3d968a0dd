/* Saved inputs through a fuzz target, with any compiler: replay FILE|FOLDER... */
#include <dirent.h>

#include "tests/fuzz/fuzz.h"
#include "waymark/buf.h"
#include "waymark/io.h"

#include "waymark/banned.h"

static unsigned replayed;

static void replay_file(const char *path)
{
    struct wm_buf b;
    struct wm_err err;
    wm_buf_init(&b, 1u << 24);
    if (wm_io_read_file(&wm_io_posix, path, &b, &err) != WM_OK) {
        fprintf(stderr, "replay: %s\n", err.message);
        exit(2);
    }
    /* its own allocation, of exactly this size: so that ASan sees a read beyond */
    uint8_t *copy = malloc(b.len ? b.len : 1);
    if (!copy)
        exit(2);
    if (b.len)
        memcpy(copy, b.data, b.len);
    (void)LLVMFuzzerTestOneInput(copy, b.len); /* always 0 */
    free(copy);
    wm_buf_done(&b);
    replayed++;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            replay_file(argv[i]);
            continue;
        }
        for (struct dirent *e; (e = readdir(d)) != NULL;) {
            char path[4096];
            if (e->d_name[0] == '.')
                continue;
            int n = snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            if (n > 0 && n < (int)sizeof path)
                replay_file(path);
        }
        closedir(d);
    }
    printf("%u inputs replayed\n", replayed);
    return replayed ? 0 : 2;
}
