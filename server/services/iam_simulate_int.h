/**
 * A simulation: whose policies, in which circumstances. iam_simulate_input.c makes one of a call's parameters,
 * iam_simulate.c asks it.
 *
 * @thread http   @locks state held
 */
#ifndef WAYMARK_SERVICES_IAM_SIMULATE_INT_H
#define WAYMARK_SERVICES_IAM_SIMULATE_INT_H

#include "server/principal.h"
#include "server/services/iam_policy_int.h"
#include "waymark/authorize.h"

struct iam_simulation {
    struct wm_principal principal;        /* who would call, with the policies that are asked */
    struct wm_request_context context;
    struct wm_view boundary_id;           /* ARN of the boundary, or which input it was */
    struct wm_held_principal *of, *caller; /* whose policies, and in whose name; NULL: nobody's */
    struct wm_policy **inputs;            /* compiled from the parameters */
    size_t n_inputs;
};

/** Rows of all four operations. */
#define IAM_POLICY_INPUTS(REQUIRED)                                                                                    \
    {.name = "PolicyInputList",                                                                                        \
     .type = WM_MEMBER_STRING_LIST,                                                                                    \
     .required = (REQUIRED),                                                                                           \
     .form = &iam_document_form}

/**
 * By the parameters, as far as the operation has them.
 * @return WM_OK, also when refused: then r->error_code is set. iam_simulation_done() in any case
 */
enum wm_status iam_simulation_init(struct wm_call *c, struct wm_reply *r, struct iam_simulation *s) WM_MUST_CHECK;
void iam_simulation_done(struct iam_simulation *s);

#endif
