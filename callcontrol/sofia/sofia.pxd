"""What is used of Sofia-SIP's headers (1.12.11)."""

from libc.stdint cimport intptr_t

cdef extern from "<sofia-sip/nua.h>" nogil:
    ctypedef const char *msg_param_t
    ctypedef struct nua_t
    ctypedef struct nua_handle_t
    ctypedef int nua_event_t
    ctypedef struct tag_type_s
    ctypedef const tag_type_s *tag_type_t
    ctypedef intptr_t tag_value_t
    ctypedef struct tagi_t:
        tag_type_t t_tag
        tag_value_t t_value
    int nua_substate_terminated
    tagi_t *tl_find(const tagi_t *tags, tag_type_t tag)
    ctypedef struct url_t:
        const char *url_user
        const char *url_host
        const char *url_port
        const char *url_params
        const char *url_headers
    ctypedef struct sip_addr_t:
        const char *a_display
        url_t a_url[1]
        const char *a_tag
    ctypedef struct sip_call_id_t:
        const char *i_id
    ctypedef struct sip_request_t:
        url_t rq_url[1]
    ctypedef struct sip_cseq_t:
        unsigned int cs_seq
    ctypedef struct sip_payload_t:
        const char *pl_data
        size_t pl_len
    ctypedef struct sip_content_type_t:
        const char *c_type
        const msg_param_t *c_params
    ctypedef struct sip_contact_t:
        url_t m_url[1]
    ctypedef struct sip_event_t:
        const char *o_type
        const char *o_id
    ctypedef struct sip_expires_t:
        unsigned long ex_delta
    ctypedef struct sip_replaces_t:
        const char *rp_call_id
        const char *rp_to_tag
        const char *rp_from_tag
        int rp_early_only
    ctypedef struct sip_refer_to_t:
        url_t r_url[1]
    ctypedef struct sip_referred_by_t:
        url_t b_url[1]
    ctypedef struct sip_supported_t
    ctypedef struct sip_allow_t
    ctypedef enum sip_method_t:
        sip_method_update
    ctypedef struct sip_unknown_t:
        sip_unknown_t *un_next
        const char *un_name
        const char *un_value
    ctypedef struct sip_t:
        sip_request_t *sip_request
        sip_addr_t *sip_from
        sip_addr_t *sip_to
        sip_call_id_t *sip_call_id
        sip_cseq_t *sip_cseq
        sip_contact_t *sip_contact
        sip_event_t *sip_event
        sip_expires_t *sip_expires
        sip_replaces_t *sip_replaces
        sip_refer_to_t *sip_refer_to
        sip_referred_by_t *sip_referred_by
        sip_supported_t *sip_supported
        sip_allow_t *sip_allow
        sip_content_type_t *sip_content_type
        sip_payload_t *sip_payload
        sip_unknown_t *sip_unknown
    ctypedef void (*nua_callback_f)(nua_event_t, int, const char *, nua_t *, void *,
                                    nua_handle_t *, void *, const sip_t *, tagi_t *) noexcept
    nua_t *nua_create(su_root_t *, nua_callback_f, void *, tag_type_t, tag_value_t, ...)
    void nua_shutdown(nua_t *)
    void nua_destroy(nua_t *)
    nua_handle_t *nua_handle(nua_t *, void *, tag_type_t, tag_value_t, ...)
    void nua_handle_destroy(nua_handle_t *)
    void nua_handle_bind(nua_handle_t *, void *)
    void nua_respond(nua_handle_t *, int, const char *, tag_type_t, tag_value_t, ...)
    void nua_invite(nua_handle_t *, tag_type_t, tag_value_t, ...)
    void nua_cancel(nua_handle_t *, tag_type_t, tag_value_t, ...)
    void nua_bye(nua_handle_t *, tag_type_t, tag_value_t, ...)
    void nua_ack(nua_handle_t *, tag_type_t, tag_value_t, ...)
    void nua_update(nua_handle_t *, tag_type_t, tag_value_t, ...)
    void nua_info(nua_handle_t *, tag_type_t, tag_value_t, ...)
    void nua_refer(nua_handle_t *, tag_type_t, tag_value_t, ...)
    void nua_notify(nua_handle_t *, tag_type_t, tag_value_t, ...)
    void nua_method(nua_handle_t *, tag_type_t, tag_value_t, ...)
    void nua_authenticate(nua_handle_t *, tag_type_t, tag_value_t, ...)
    ctypedef struct msg_t
    msg_t *nua_current_request(const nua_t *)
    enum:
        nua_i_error, nua_i_invite, nua_i_cancel, nua_i_ack, nua_i_fork, nua_i_active
        nua_i_terminated, nua_i_state, nua_i_bye, nua_i_refer, nua_i_info, nua_i_update
        nua_i_message, nua_i_subscribe, nua_i_notify, nua_i_method, nua_i_options
        nua_r_shutdown, nua_r_invite, nua_r_bye, nua_r_info, nua_r_update, nua_r_refer
        nua_r_notify, nua_r_cancel

    tag_type_t tag_next, nutag_url, nutag_media_enable, nutag_autoalert, nutag_autoanswer
    tag_type_t nutag_session_timer, nutag_min_se, nutag_update_refresh, nutag_appl_method
    tag_type_t nutag_allow, nutag_allow_events, nutag_early_media, nutag_substate, nutag_auth
    tag_type_t nutag_supported, nutag_path_enable, nutag_auto302, nutag_handle, nutag_user_agent
    tag_type_t nutag_retry_count, nutag_refresh_without_sdp, nutag_callstate, nutag_enablemessage
    tag_type_t nutag_service_route_enable, nutag_newsub, nutag_invite_timer, nutag_autoack
    tag_type_t nutag_session_refresher, nutag_with
    tag_type_t siptag_from_str, siptag_to_str, siptag_content_type_str, siptag_payload_str
    tag_type_t siptag_header_str, siptag_event_str, siptag_contact_str, siptag_route_str
    tag_type_t siptag_replaces_str, siptag_refer_to_str, siptag_referred_by_str
    tag_type_t siptag_reason_str, siptag_expires_str, siptag_retry_after_str
    tag_type_t siptag_subscription_state_str, siptag_accept_str, siptag_require_str
    tag_type_t siptag_call_info_str

cdef extern from "<sofia-sip/msg_header.h>" nogil:
    const char *msg_params_find(const msg_param_t *, const char *)

cdef extern from "<sofia-sip/msg.h>" nogil:
    msg_t *msg_ref_create(msg_t *)
    void msg_destroy(msg_t *)

cdef extern from "<sofia-sip/nta_tag.h>" nogil:
    tag_type_t ntatag_udp_mtu, ntatag_maxsize, ntatag_sip_t1x64

cdef extern from "<sofia-sip/su.h>" nogil:
    int su_init()

cdef extern from "<sofia-sip/su_log.h>" nogil:
    ctypedef struct su_log_t:
        int log_level
    su_log_t su_log_default[1]
    void su_log_set_level(su_log_t *, unsigned int)

cdef extern from "<sofia-sip/su_wait.h>" nogil:
    ctypedef struct su_root_t
    ctypedef struct su_wait_t:
        int fd
    ctypedef int (*su_wakeup_f)(void *, su_wait_t *, void *) noexcept
    const int SU_WAIT_IN
    su_root_t *su_root_create(void *)
    void su_root_destroy(su_root_t *)
    int su_root_threading(su_root_t *, int)
    void su_root_run(su_root_t *)
    void su_root_break(su_root_t *)
    int su_root_add_prepoll(su_root_t *, void (*)(void *, su_root_t *) noexcept, void *)
    int su_wait_create(su_wait_t *, int, int)
    int su_root_register(su_root_t *, su_wait_t *, su_wakeup_f, void *, int)

cdef extern from "<sofia-sip/sip_header.h>" nogil:
    int sip_is_allowed(const sip_allow_t *, sip_method_t, const char *)
    int sip_has_feature(const sip_supported_t *, const char *)

cdef extern from "<sofia-sip/sip_status.h>" nogil:
    const char *sip_status_phrase(int)
