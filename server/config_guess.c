/* "Did you mean": the nearest of the names that could have been meant. */
#include <string.h>

#include "server/config_int.h"

#include "waymark/banned.h"

/* Edits between two words (Levenshtein), for "did you mean"; words longer than CONFIG_NAME_BYTES are far apart. */
static size_t word_distance(struct wm_view a, struct wm_view b)
{
    if (a.len >= CONFIG_NAME_BYTES || b.len >= CONFIG_NAME_BYTES)
        return SIZE_MAX;
    size_t row[CONFIG_NAME_BYTES];
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t up = row[j];
            size_t best = diagonal + (a.ptr[i - 1] != b.ptr[j - 1]);
            if (up + 1 < best)
                best = up + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = up;
            row[j] = best;
        }
    }
    return row[b.len];
}

void guess_offer(struct guess *g, struct wm_view word)
{
    size_t distance = word_distance(g->wrong, word);
    bool extended = word.len >= 4 && g->wrong.len > word.len && memcmp(g->wrong.ptr, word.ptr, word.len) == 0 &&
                    g->wrong.ptr[word.len] == '_';
    if (extended && distance > 2)
        distance = 2;
    size_t allowed = g->wrong.len < 6 ? 1 : 2;
    if (distance <= allowed && (g->best[0] == '\0' || distance < g->distance) &&
        wm_view_copy(word, g->best, sizeof g->best))
        g->distance = distance;
}
