/* The floor of call control: a back-to-back user agent on Sofia-SIP and nothing else.
 * b2bua_floor OWN_URI CALLED_URI; it says when it is ready. benchmarks/callcontrol.py compiles and
 * drives it. */
#include <stdio.h>
#include <stdlib.h>

typedef struct leg leg_t;
#define NUA_MAGIC_T void
#define NUA_HMAGIC_T leg_t
#define SU_ROOT_MAGIC_T void
#include <sofia-sip/nua.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/su.h>
#include <sofia-sip/su_tag_io.h>

struct leg {
    nua_handle_t *handle;
    leg_t *peer;
};

static const char *called;

static void invited(nua_t *nua, nua_handle_t *handle, sip_t const *sip)
{
    leg_t *in = calloc(1, sizeof *in), *out = calloc(1, sizeof *out);

    if (!in || !out)
        abort();
    *in = (leg_t){handle, out};
    nua_handle_bind(handle, in);
    *out = (leg_t){nua_handle(nua, out, SIPTAG_TO_STR(called), NUTAG_URL(called), TAG_END()), in};
    nua_invite(out->handle, SIPTAG_CONTENT_TYPE(sip->sip_content_type),
               SIPTAG_PAYLOAD(sip->sip_payload), TAG_END());
}

static void replied(leg_t *peer, int status, char const *phrase, sip_t const *sip)
{
    if (status == 180 || status >= 300)
        nua_respond(peer->handle, status, phrase, TAG_END());
    else if (status >= 200)
        nua_respond(peer->handle, SIP_200_OK, SIPTAG_CONTENT_TYPE(sip->sip_content_type),
                    SIPTAG_PAYLOAD(sip->sip_payload), TAG_END());
}

static void heard(nua_event_t event, int status, char const *phrase, nua_t *nua, void *magic,
                  nua_handle_t *handle, leg_t *leg, sip_t const *sip, tagi_t tags[])
{
    (void)magic;
    (void)tags;
    if (event == nua_i_invite && !leg)
        invited(nua, handle, sip);
    else if (event == nua_r_invite && leg && leg->peer)
        replied(leg->peer, status, phrase, sip);
    else if (event == nua_i_bye && leg && leg->peer)
        nua_bye(leg->peer->handle, TAG_END());
    else if (event == nua_i_terminated && leg) {
        if (leg->peer)
            leg->peer->peer = NULL;
        nua_handle_destroy(handle);
        free(leg);
    }
}

int main(int count, char **words)
{
    su_root_t *root;

    if (count != 3) {
        fprintf(stderr, "usage: %s OWN_URI CALLED_URI\n", words[0]);
        return 2;
    }
    called = words[2];
    su_init();
    root = su_root_create(NULL);
    su_root_threading(root, 0);
    if (!nua_create(root, heard, NULL, NUTAG_URL(words[1]), NUTAG_MEDIA_ENABLE(0),
                    NUTAG_AUTOALERT(0), NUTAG_AUTOANSWER(0), NUTAG_SESSION_TIMER(0), TAG_END())) {
        fprintf(stderr, "cannot listen at %s\n", words[1]);
        return 1;
    }
    puts("ready");
    fflush(stdout);
    su_root_run(root);
    return 0;
}
