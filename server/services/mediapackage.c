/*
 * AWS Elemental MediaPackage, 2017-10-12: all of its operations in one table. Each resource has a file of its own.
 */
#include "server/services/mediapackage_int.h"

#include "waymark/banned.h"

/* An id that cannot be one names nothing: 404, not 422, so its form is not looked at here. */
static const struct wm_member id_input[] = {
    MEDIAPACKAGE_PATH_ID,
    {0},
};

static const struct wm_member page_input[] = {
    MEDIAPACKAGE_MAX_RESULTS_QUERY,
    MEDIAPACKAGE_NEXT_TOKEN_QUERY,
    {0},
};

/* User Guide, "Logging MediaPackage API calls": user and password are not in a record, URL and id are. */
static const char *const channel_secrets[] = {
    "hlsIngest.ingestEndpoints.username",
    "hlsIngest.ingestEndpoints.password",
    NULL,
};

static const char *const channels_secrets[] = {
    "channels.hlsIngest.ingestEndpoints.username",
    "channels.hlsIngest.ingestEndpoints.password",
    NULL,
};

static const struct wm_operation operations[] = {
    {
        .name = "CreateChannel",
        .method = "POST",
        .path = "/channels",
        .http_status = 200,
        .input = mediapackage_create_channel_input,
        .secret_output = channel_secrets,
        .demands = mediapackage_demand_new_channel,
        .run = mediapackage_create_channel,
    },
    {
        .name = "ListChannels",
        .method = "GET",
        .path = "/channels",
        .read_only = true,
        .http_status = 200,
        .input = page_input,
        .secret_output = channels_secrets,
        .run = mediapackage_list_channels,
    },
    {
        .name = "DescribeChannel",
        .method = "GET",
        .path = "/channels/{id}",
        .read_only = true,
        .http_status = 200,
        .input = id_input,
        .secret_output = channel_secrets,
        .demands = mediapackage_demand_channel,
        .run = mediapackage_describe_channel,
    },
    {
        .name = "UpdateChannel",
        .method = "PUT",
        .path = "/channels/{id}",
        .http_status = 200,
        .input = mediapackage_update_channel_input,
        .secret_output = channel_secrets,
        .demands = mediapackage_demand_channel,
        .run = mediapackage_update_channel,
    },
    {
        .name = "DeleteChannel",
        .method = "DELETE",
        .path = "/channels/{id}",
        .http_status = 202,
        .input = id_input,
        .demands = mediapackage_demand_channel,
        .run = mediapackage_delete_channel,
    },
    {
        .name = "ConfigureLogs",
        .method = "PUT",
        .path = "/channels/{id}/configure_logs",
        .http_status = 200,
        .input = mediapackage_configure_logs_input,
        .secret_output = channel_secrets,
        .demands = mediapackage_demand_channel,
        .run = mediapackage_configure_logs,
    },
    {
        .name = "RotateChannelCredentials",
        .method = "PUT",
        .path = "/channels/{id}/credentials",
        .http_status = 200,
        .input = id_input,
        .secret_output = channel_secrets,
        .demands = mediapackage_demand_channel,
        .run = mediapackage_rotate_channel_credentials,
    },
    {
        .name = "RotateIngestEndpointCredentials",
        .method = "PUT",
        .path = "/channels/{id}/ingest_endpoints/{ingest_endpoint_id}/credentials",
        .http_status = 200,
        .input = mediapackage_rotate_ingest_input,
        .secret_output = channel_secrets,
        .demands = mediapackage_demand_channel,
        .run = mediapackage_rotate_ingest_endpoint_credentials,
    },
    {
        .name = "CreateOriginEndpoint",
        .method = "POST",
        .path = "/origin_endpoints",
        .http_status = 200,
        .input = mediapackage_create_origin_endpoint_input,
        .demands = mediapackage_demand_new_origin_endpoint,
        .run = mediapackage_create_origin_endpoint,
    },
    {
        .name = "ListOriginEndpoints",
        .method = "GET",
        .path = "/origin_endpoints",
        .read_only = true,
        .http_status = 200,
        .input = mediapackage_list_origin_endpoints_input,
        .run = mediapackage_list_origin_endpoints,
    },
    {
        .name = "DescribeOriginEndpoint",
        .method = "GET",
        .path = "/origin_endpoints/{id}",
        .read_only = true,
        .http_status = 200,
        .input = id_input,
        .demands = mediapackage_demand_origin_endpoint,
        .run = mediapackage_describe_origin_endpoint,
    },
    {
        .name = "UpdateOriginEndpoint",
        .method = "PUT",
        .path = "/origin_endpoints/{id}",
        .http_status = 200,
        .input = mediapackage_update_origin_endpoint_input,
        .demands = mediapackage_demand_origin_endpoint,
        .run = mediapackage_update_origin_endpoint,
    },
    {
        .name = "DeleteOriginEndpoint",
        .method = "DELETE",
        .path = "/origin_endpoints/{id}",
        .http_status = 202,
        .input = id_input,
        .demands = mediapackage_demand_origin_endpoint,
        .run = mediapackage_delete_origin_endpoint,
    },
    {
        .name = "CreateHarvestJob",
        .method = "POST",
        .path = "/harvest_jobs",
        .http_status = 200,
        .input = mediapackage_create_harvest_job_input,
        .demands = mediapackage_demand_new_harvest_job,
        .run = mediapackage_create_harvest_job,
    },
    {
        .name = "ListHarvestJobs",
        .method = "GET",
        .path = "/harvest_jobs",
        .read_only = true,
        .http_status = 200,
        .input = mediapackage_list_harvest_jobs_input,
        .run = mediapackage_list_harvest_jobs,
    },
    {
        .name = "DescribeHarvestJob",
        .method = "GET",
        .path = "/harvest_jobs/{id}",
        .read_only = true,
        .http_status = 200,
        .input = id_input,
        .demands = mediapackage_demand_harvest_job,
        .run = mediapackage_describe_harvest_job,
    },
    {
        .name = "ListTagsForResource",
        .method = "GET",
        .path = "/tags/{resource-arn}",
        .read_only = true,
        .http_status = 200,
        .input = mediapackage_arn_input,
        .demands = mediapackage_demand_tagged,
        .run = mediapackage_list_tags,
    },
    {
        .name = "TagResource",
        .method = "POST",
        .path = "/tags/{resource-arn}",
        .http_status = 204,
        .input = mediapackage_tag_input,
        .demands = mediapackage_demand_tagged,
        .run = mediapackage_tag_resource,
    },
    {
        .name = "UntagResource",
        .method = "DELETE",
        .path = "/tags/{resource-arn}",
        .http_status = 204,
        .input = mediapackage_untag_input,
        .demands = mediapackage_demand_tagged,
        .run = mediapackage_untag_resource,
    },
};

const struct wm_service wm_service_mediapackage = {
    .signing_name = "mediapackage",
    .event_source = "mediapackage.amazonaws.com",
    .api_version = "2017-10-12",
    .rest = true,
    .redaction = "***", /* User Guide, "Logging MediaPackage API calls": the sample record */
    .validation_error = "UnprocessableEntityException",
    .validation_status = 422,
    .operations = operations,
    .n_operations = sizeof operations / sizeof operations[0],
};
