#include "waymark/codec.h"

#include "waymark/banned.h"

static const struct wm_codec *const codecs[] = {&wm_codec_zstd, &wm_codec_gzip};

const struct wm_codec *wm_codec_by_name(struct wm_view name)
{
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++)
        if (wm_view_eq_str(name, codecs[i]->name))
            return codecs[i];
    return NULL;
}

const struct wm_codec *wm_codec_by_key(struct wm_view key)
{
    for (size_t i = 0; i < sizeof codecs / sizeof codecs[0]; i++)
        if (wm_view_ends(key, codecs[i]->suffix))
            return codecs[i];
    return NULL;
}
