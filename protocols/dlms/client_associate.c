#include "client_internal.h"

#include <openssl/crypto.h>
#include <string.h>

#include "acse.h"

static const struct dlms_attr reply_to_hls = { 15, { { 0, 0, 40, 0, 0, 255 } }, 1 };

enum { DLMS_VERSION = 6, USER_INFO_MAX = 96 };

struct dlms_end client_end(struct dlms_client *c)
{
        const struct dlms_client_config *cfg = &c->cfg;
        enum dlms_envelope simple = cfg->general ? DLMS_ENVELOPE_GENERAL : DLMS_ENVELOPE_SERVICE;

        return (struct dlms_end){
                .crypto = cfg->crypto,
                .keys = &cfg->keys,
                .own = cfg->client_title,
                .peer = c->has_server_title ? c->server_title : NULL,
                .session = &c->session,
                .policy = cfg->policy,
                .envelope = cfg->envelope == DLMS_ENVELOPE_SERVICE ? simple : cfg->envelope,
                .dedicated = cfg->keys.has_dedicated,
                .sign = cfg->sign,
        };
}

struct dlms_hls client_hls(const struct dlms_client *c)
{
        const struct dlms_client_config *cfg = &c->cfg;

        return (struct dlms_hls){
                .auth = cfg->auth,
                .crypto = cfg->crypto,
                .keys = &cfg->keys,
                .secret = cfg->secret,
                .secret_len = cfg->secret_len,
                .transform = cfg->transform,
                .title = { cfg->client_title, c->server_title },
                .challenge = { cfg->challenge, c->server_challenge },
                .challenge_len = { cfg->challenge_len, c->server_challenge_len },
        };
}

static uint32_t proposed(const struct dlms_client *c)
{
        const struct dlms_client_config *cfg = &c->cfg;
        uint32_t all = DLMS_CONF_PRIORITY | DLMS_CONF_BLOCK_GET | DLMS_CONF_BLOCK_SET |
                       DLMS_CONF_BLOCK_ACTION | DLMS_CONF_MULTIPLE_REFERENCES | DLMS_CONF_ACCESS |
                       DLMS_CONF_GET | DLMS_CONF_SET | DLMS_CONF_SELECTIVE_ACCESS |
                       DLMS_CONF_EVENT_NOTIFICATION | DLMS_CONF_ACTION;

        if (cfg->conformance)
                return cfg->conformance;
        if (cfg->short_names)
                all = DLMS_CONF_READ | DLMS_CONF_BLOCK_GET | DLMS_CONF_MULTIPLE_REFERENCES |
                      DLMS_CONF_INFORMATION_REPORT | DLMS_CONF_PARAMETERIZED_ACCESS;
        if (cfg->general || cfg->sign || cfg->envelope != DLMS_ENVELOPE_SERVICE)
                all |= DLMS_CONF_GENERAL_PROTECTION;
        if (cfg->gbt_window)
                all |= DLMS_CONF_GENERAL_BLOCK_TRANSFER;
        return (all | cfg->assume) & ~cfg->avoid;
}

/* The initiate-request, ciphered with the global key in a ciphered association. */
static int put_initiate(struct dlms_client *c, uint8_t out[static USER_INFO_MAX], size_t *ret_len)
{
        struct acse_initiate initiate = {
                .response_allowed = true,
                .version = DLMS_VERSION,
                .conformance = proposed(c),
                .max_pdu = c->cfg.max_pdu,
        };
        uint8_t plain[USER_INFO_MAX];
        struct axdr_writer w = axdr_writer_of(plain, sizeof plain);
        uint32_t ic;
        size_t n;
        int e;

        if (c->cfg.keys.has_dedicated) {
                initiate.dedicated = c->cfg.keys.dedicated;
                initiate.dedicated_len = dlms_key_size(c->cfg.keys.suite);
        }
        acse_put_initiate(&w, &initiate);
        if (c->cfg.policy == DLMS_POLICY_NONE) {
                memcpy(out, plain, w.len);
                *ret_len = w.len;
                return 0;
        }
        e = client_take_counter(c, &ic);
        if (e)
                return e;
        /* tag and length in one byte each: it is never 128 bytes long */
        e = dlms_protect(c->cfg.crypto, &c->cfg.keys, false,
                         (uint8_t)(c->cfg.policy | c->cfg.keys.suite), c->cfg.client_title, ic,
                         plain, w.len, out + 2, USER_INFO_MAX - 2, &n);
        OPENSSL_cleanse(plain, sizeof plain);
        out[0] = APDU_GLO_INITIATE_REQUEST;
        out[1] = (uint8_t)n;
        *ret_len = n + 2;
        return e;
}

static uint8_t context(const struct dlms_client *c)
{
        if (c->cfg.short_names)
                return client_is_ciphered(c) ? ACSE_SN_CIPHERED : ACSE_SN;
        return client_is_ciphered(c) ? ACSE_LN_CIPHERED : ACSE_LN;
}

int client_send_aarq(struct dlms_client *c)
{
        uint8_t user_info[USER_INFO_MAX];
        struct acse_associate aarq = {
                .tag = APDU_AARQ,
                .context = context(c),
                .has_auth = c->cfg.auth != DLMS_AUTH_NONE,
                .mechanism = (uint8_t)c->cfg.auth,
                .user_info = user_info,
        };
        struct axdr_writer w = client_begin_plain(c);
        int e;

        if (c->cfg.policy != DLMS_POLICY_NONE || c->cfg.auth >= DLMS_AUTH_GMAC)
                aarq.title = c->cfg.client_title;
        if (c->cfg.auth == DLMS_AUTH_LLS) {
                aarq.auth_value = c->cfg.secret;
                aarq.auth_len = c->cfg.secret_len;
        } else if (client_uses_hls(c)) {
                aarq.auth_value = c->cfg.challenge;
                aarq.auth_len = c->cfg.challenge_len;
        }
        e = put_initiate(c, user_info, &aarq.user_info_len);
        if (e)
                return e;
        acse_put_associate(&w, &aarq);
        return client_send_plain(c, &w);
}

static int read_initiate(struct dlms_client *c, uint8_t *p, size_t n)
{
        struct acse_initiate initiate;
        int e;

        e = client_open_apdu(c, p, n, &p, &n);
        if (e)
                return e;
        if (n > 0 && p[0] == APDU_CONFIRMED_SERVICE_ERROR)
                return DLMS_E_ASSOCIATION_INITIATE;
        e = acse_initiate_decode(p, n, &initiate);
        if (e)
                return e;
        if (!initiate.response)
                return DLMS_E_UNEXPECTED;
        if (initiate.version != DLMS_VERSION)
                return DLMS_E_ASSOCIATION_VERSION;
        c->conformance = (initiate.conformance | c->cfg.assume) & ~c->cfg.avoid;
        c->peer_pdu = initiate.max_pdu ? initiate.max_pdu : UINT16_MAX;
        return 0;
}

static int send_pass3(struct dlms_client *c, int64_t now_ms)
{
        uint8_t answer[DLMS_HLS_ANSWER_MAX], param[DLMS_HLS_ANSWER_MAX + 2];
        struct axdr_writer p = axdr_writer_of(param, sizeof param);
        struct dlms_hls hls = client_hls(c);
        struct axdr_writer w;
        uint32_t ic = 0;
        size_t n;
        int e = 0;

        if (c->cfg.auth == DLMS_AUTH_GMAC)
                e = client_take_counter(c, &ic);
        if (!e)
                e = dlms_hls_answer(&hls, false, ic, answer, &n);
        if (e)
                return e;
        axdr_put_octets(&p, answer, n);
        w = client_begin(c);
        c->invoke_id = 0; /* the first request after it is number 1 again */
        if (c->cfg.short_names) {
                /* A read with a parameter: method 8 of the association. */
                struct sn_spec s = { .access = SN_PARAMETERISED,
                                     .name = SN_REPLY_TO_HLS,
                                     .selection = { 1, param, p.len } };

                sn_put_read(&w, 1);
                sn_put_spec(&w, &s);
        } else {
                apdu_put_action(&w, APDU_INVOKE_CONFIRMED | APDU_INVOKE_PRIORITY | 1, &reply_to_hls,
                                param, p.len);
        }
        e = client_send(c, &w);
        if (!e)
                client_enter(c, DLMS_CLIENT_AUTHENTICATING, now_ms);
        return e;
}

static void associated(struct dlms_client *c, int64_t now_ms)
{
        client_enter(c, DLMS_CLIENT_READY, now_ms);
        client_emit(c, &(struct dlms_event){ .type = DLMS_EV_ASSOCIATED });
}

int client_on_aare(struct dlms_client *c, uint8_t *apdu, size_t n, int64_t now_ms)
{
        struct acse_associate aare;
        int e = acse_associate_decode(apdu, n, &aare);

        if (e)
                return e;
        if (aare.tag != APDU_AARE)
                return DLMS_E_UNEXPECTED;
        c->failed_detail = aare.diagnostic;
        e = (int)acse_rejection(&aare);
        if (e == DLMS_E_ASSOCIATION_REJECTED && aare.user_info_len > 0 &&
            aare.user_info[0] == APDU_CONFIRMED_SERVICE_ERROR)
                e = DLMS_E_ASSOCIATION_INITIATE;
        if (e)
                return e;
        if (aare.title) {
                if (c->has_server_title &&
                    memcmp(c->server_title, aare.title, DLMS_TITLE_SIZE) != 0)
                        return DLMS_E_TITLE;
                memcpy(c->server_title, aare.title, DLMS_TITLE_SIZE);
                c->has_server_title = true;
        }
        /* The initialization vector, GMAC and mechanisms 6 and 7 are made with it. */
        if (!c->has_server_title && (client_is_ciphered(c) || c->cfg.auth >= DLMS_AUTH_GMAC))
                return DLMS_E_TITLE_MISSING;
        if (aare.user_info_len == 0)
                return DLMS_E_ASSOCIATION_INITIATE;
        e = read_initiate(c, apdu + (aare.user_info - apdu), aare.user_info_len);
        if (e)
                return e;
        if (!client_uses_hls(c)) {
                associated(c, now_ms);
                return 0;
        }
        if (aare.has_auth && aare.mechanism != c->cfg.auth)
                return DLMS_E_ASSOCIATION_MECHANISM;
        /* Our own challenge back would have us compute the answer we are to be given. */
        if (aare.auth_len < 8 || aare.auth_len > DLMS_CHALLENGE_MAX ||
            (aare.auth_len == c->cfg.challenge_len &&
             memcmp(aare.auth_value, c->cfg.challenge, aare.auth_len) == 0))
                return DLMS_E_HLS_CHALLENGE;
        memcpy(c->server_challenge, aare.auth_value, aare.auth_len);
        c->server_challenge_len = (uint8_t)aare.auth_len;
        return send_pass3(c, now_ms);
}

static int read_pass4(struct dlms_client *c, const uint8_t *apdu, size_t n,
                      struct apdu_response *ret)
{
        struct sn_response a;
        struct sn_result s;
        struct axdr_reader r;
        int e;

        if (!c->cfg.short_names) {
                e = apdu_response_decode(apdu, n, ret);
                return !e && ret->tag != APDU_ACTION_RESPONSE ? DLMS_E_UNEXPECTED : e;
        }
        e = sn_response_decode(apdu, n, &a);
        if (e)
                return e;
        axdr_reader_init(&r, a.results, a.n);
        if (a.count != 1 || !sn_result_next(&r, &s) || s.choice > SN_ERROR)
                return DLMS_E_UNEXPECTED;
        *ret = (struct apdu_response){ .result = s.error, .data = s.data, .n = s.n };
        return 0;
}

int client_on_pass4(struct dlms_client *c, const uint8_t *apdu, size_t n, int64_t now_ms)
{
        struct dlms_hls hls = client_hls(c);
        struct apdu_response a;
        struct axdr_reader r;
        struct axdr_value v;
        int e = read_pass4(c, apdu, n, &a);

        if (e)
                return e;
        c->failed_detail = a.result;
        if (a.result != 0)
                return (int)dlms_hls_refused(c->cfg.auth);
        if (!a.data)
                return (int)dlms_hls_wrong(c->cfg.auth);
        axdr_reader_init(&r, a.data, a.n);
        if (!axdr_expect(&r, AXDR_OCTET_STRING, &v))
                return (int)dlms_hls_wrong(c->cfg.auth);
        e = dlms_hls_check(&hls, true, v.p, v.n);
        if (!e)
                associated(c, now_ms);
        return e;
}

int client_send_rlrq(struct dlms_client *c)
{
        uint8_t user_info[USER_INFO_MAX];
        struct acse_release rlrq = { .tag = APDU_RLRQ, .user_info = user_info };
        struct axdr_writer w = client_begin_plain(c);
        int e;

        if (c->cfg.policy != DLMS_POLICY_NONE) {
                e = put_initiate(c, user_info, &rlrq.user_info_len);
                if (e)
                        return e;
        }
        acse_put_release(&w, &rlrq);
        return client_send_plain(c, &w);
}
