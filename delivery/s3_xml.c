/* What an S3 API says in XML: errors and pages of a listing. The only file that includes expat.h. */
#include "s3_xml.h"

#include <expat.h>

#include "waymark/bounds.h"

#include "waymark/banned.h"

#define XML_MAX_DEPTH 16

struct xml {
    XML_Parser parser;
    /* Called at the end of each element that has only text; path is such as "Error/Code". */
    enum wm_status (*leaf)(void *arg, const char *path, struct wm_view text);
    void (*begin)(void *arg, const char *path); /* may be NULL */
    void *arg;
    struct wm_buf path; /* names with '/' between */
    struct wm_buf text;
    int depth;
    bool is_leaf;
    enum wm_status status;
};

static void xml_fail(struct xml *x, enum wm_status status)
{
    if (x->status == WM_OK)
        x->status = status;
    (void)XML_StopParser(x->parser, XML_FALSE); /* fails only when it has stopped already */
}

static void XMLCALL xml_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct xml *x = arg;
    (void)attributes;
    if (++x->depth > XML_MAX_DEPTH) {
        xml_fail(x, WM_E_CORRUPT);
        return;
    }
    if (x->path.len)
        wm_buf_add_char(&x->path, '/');
    wm_buf_add_str(&x->path, name);
    wm_buf_clear(&x->text);
    x->is_leaf = true;
    if (wm_buf_status(&x->path) != WM_OK)
        xml_fail(x, wm_buf_status(&x->path) == WM_E_NOMEM ? WM_E_NOMEM : WM_E_CORRUPT);
    else if (x->begin)
        x->begin(x->arg, wm_buf_cstr(&x->path));
}

static void XMLCALL xml_end(void *arg, const XML_Char *name)
{
    struct xml *x = arg;
    if (x->status != WM_OK)
        return;
    if (x->is_leaf) {
        enum wm_status status = wm_buf_status(&x->text);
        if (status == WM_OK)
            status = x->leaf(x->arg, wm_buf_cstr(&x->path), wm_buf_view(&x->text));
        if (status != WM_OK)
            xml_fail(x, status == WM_E_LIMIT ? WM_E_CORRUPT : status);
    }
    x->is_leaf = false;
    x->depth--;
    size_t len = strlen(name);
    wm_buf_truncate(&x->path, x->path.len > len ? x->path.len - len - 1 : 0);
}

static void XMLCALL xml_text(void *arg, const XML_Char *text, int len)
{
    struct xml *x = arg;
    if (x->is_leaf)
        wm_buf_add(&x->text, text, (size_t)len);
}

/* No S3 document has a document type; entities are declared nowhere else. */
static void XMLCALL xml_doctype(void *arg, const XML_Char *name, const XML_Char *sysid, const XML_Char *pubid,
                                   int own)
{
    struct xml *x = arg;
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)own;
    xml_fail(x, WM_E_CORRUPT);
}

enum wm_status wm_s3_xml_parse(struct wm_view text, enum wm_status (*leaf)(void *, const char *, struct wm_view),
                               void (*begin)(void *, const char *), void *arg)
{
    struct xml x = {.leaf = leaf, .begin = begin, .arg = arg};
    if (text.len > WM_MAX_STORE_REPLY_BYTES)
        return WM_E_LIMIT;
    x.parser = XML_ParserCreate("UTF-8");
    if (!x.parser)
        return WM_E_NOMEM;
    wm_buf_init(&x.path, 1024);
    wm_buf_init(&x.text, 16 * 1024);
    XML_SetUserData(x.parser, &x);
    XML_SetElementHandler(x.parser, xml_start, xml_end);
    XML_SetCharacterDataHandler(x.parser, xml_text);
    XML_SetStartDoctypeDeclHandler(x.parser, xml_doctype);
    if (XML_Parse(x.parser, text.len ? text.ptr : "", (int)text.len, XML_TRUE) != XML_STATUS_OK && x.status == WM_OK)
        x.status = XML_GetErrorCode(x.parser) == XML_ERROR_NO_MEMORY ? WM_E_NOMEM : WM_E_CORRUPT;
    XML_ParserFree(x.parser);
    wm_buf_wipe(&x.text); /* answers of STS hold secrets */
    wm_buf_done(&x.path);
    wm_buf_done(&x.text);
    return x.status;
}
