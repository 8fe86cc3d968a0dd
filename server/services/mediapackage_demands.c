/*
 * What MediaPackage's operations demand of their callers.
 *
 * Which operation has which resource and keys: Service Authorization Reference, "Actions, resources, and condition keys for
 * AWS Elemental MediaPackage". Creating and listing have no resource type there, so they are on "*". iam:CreateServiceLinkedRole,
 * on which ConfigureLogs depends there, is about a role that the first call makes; there is none here.
 *
 * Callers name a resource by its id, which its ARN does not have (but for harvest jobs). What policies are asked about is
 * the ARN; what a refused caller reads is made of the id, unless he may describe the resource.
 *
 * iam:PassRole: User Guide, "Setting up AWS Elemental MediaPackage" (roles for SPEKE and for CDN authorization) and
 * "Live-to-VOD"; the service is who takes the role.
 */
#include "server/services/mediapackage_int.h"

#include "waymark/banned.h"

#define SERVICE "mediapackage.amazonaws.com"

/* The resource that parameter "id" names, whether or not it is there. */
static enum wm_status demand_resource(struct wm_call *c, struct wm_demands *out, const struct mediapackage_resource *of)
{
    struct wm_view id = wm_json_get_text(c->params, "id");
    struct wm_json *stored = NULL;
    enum wm_status status = mediapackage_get(c, of, id, &stored);
    if (status != WM_OK)
        return status;
    struct wm_view named = mediapackage_arn(c, of, id);
    struct wm_demand *d = wm_demand_add(out, WM_EMPTY, stored ? wm_json_get_text(stored, "arn") : named);
    d->named = named;
    d->seen_by = wm_view_of(of->describe);
    d->resource_tags = wm_json_get(stored, "tags");
    return wm_arena_status(c->arena);
}

/* The operation itself, on "*", with the tags that the new resource gets. */
static void demand_creation(struct wm_call *c, struct wm_demands *out)
{
    (void)wm_demand_add(out, WM_EMPTY, WM_EMPTY); /* nothing to say about it */
    out->request_tags = wm_json_get(c->params, "tags");
}

/* Every role in the settings of an endpoint. */
static void demand_roles(struct wm_call *c, struct wm_demands *out)
{
    const struct wm_json *authorization = wm_json_get(c->params, "authorization");
    wm_demand_pass_role(c->arena, out, wm_json_get_text(authorization, "secretsRoleArn"), SERVICE);
    for (const char *const *p = mediapackage_packages; *p; p++) {
        const struct wm_json *encryption = wm_json_get(wm_json_get(c->params, *p), "encryption");
        wm_demand_pass_role(c->arena, out, wm_json_get_text(wm_json_get(encryption, "spekeKeyProvider"), "roleArn"),
                            SERVICE);
    }
}

MEDIAPACKAGE_DEMANDS(channel)
{
    return demand_resource(c, out, &mediapackage_channel);
}

MEDIAPACKAGE_DEMANDS(new_channel)
{
    demand_creation(c, out);
    return WM_OK;
}

MEDIAPACKAGE_DEMANDS(origin_endpoint)
{
    enum wm_status status = demand_resource(c, out, &mediapackage_origin_endpoint);
    demand_roles(c, out); /* of an update; no other operation has such parameters */
    return status;
}

MEDIAPACKAGE_DEMANDS(new_origin_endpoint)
{
    demand_creation(c, out);
    demand_roles(c, out);
    return WM_OK;
}

MEDIAPACKAGE_DEMANDS(harvest_job)
{
    return demand_resource(c, out, &mediapackage_harvest_job);
}

MEDIAPACKAGE_DEMANDS(new_harvest_job)
{
    demand_creation(c, out);
    wm_demand_pass_role(c->arena, out, wm_json_get_text(wm_json_get(c->params, "s3Destination"), "roleArn"), SERVICE);
    return WM_OK;
}

/* These name the resource by its ARN, which may be of any kind. */
MEDIAPACKAGE_DEMANDS(tagged)
{
    struct wm_json *stored = NULL;
    enum wm_status status = mediapackage_find_arn(c, &stored);
    struct wm_demand *d = wm_demand_add(out, WM_EMPTY, wm_json_get_text(c->params, "resource-arn"));
    d->resource_tags = wm_json_get(stored, "tags");
    out->request_tags = wm_json_get(c->params, "tags");
    out->tag_keys = wm_json_get(c->params, "tagKeys");
    return status;
}
