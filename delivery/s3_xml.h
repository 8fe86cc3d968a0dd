/**
 * Reading the XML of an S3 API (Amazon S3 API Reference, "Error responses", ListObjectsV2), one element at a time. No tree
 * is built; document types are refused, so no entity can be declared.
 *
 * @thread any   @locks none
 */
#ifndef WAYMARK_DELIVERY_S3_XML_H
#define WAYMARK_DELIVERY_S3_XML_H

#include "waymark/buf.h"
#include "waymark/status.h"

/**
 * @param leaf   called at the end of each element that has only text; path is such as "Error/Code"
 * @param begin  called at the start of each element; NULL allowed
 * @return WM_OK; WM_E_CORRUPT (not XML, too deep, or an element's text is too long); WM_E_LIMIT (longer than
 *         WM_MAX_STORE_REPLY_BYTES); WM_E_NOMEM; what leaf returned. May be dropped where the text can be anything, such
 *         as a proxy's page
 */
enum wm_status wm_s3_xml_parse(struct wm_view text, enum wm_status (*leaf)(void *arg, const char *path, struct wm_view text),
                               void (*begin)(void *arg, const char *path), void *arg);

#endif
