#include "server_internal.h"

#include <openssl/crypto.h>
#include <string.h>

#include "acse.h"
#include "agreement.h"
#include "envelope.h"

enum { DLMS_VERSION = 6, VAA_LN = 7, PUBLIC_CLIENT = 16, USER_INFO_MAX = 96 };

struct dlms_end server_end(struct dlms_server *s)
{
        static const uint8_t unknown[DLMS_TITLE_SIZE];
        bool known = memcmp(s->client_title, unknown, sizeof unknown) != 0;
        bool signs = s->keys.pki && s->keys.pki->has_sign;

        return (struct dlms_end){
                .crypto = s->cfg->crypto,
                .keys = &s->keys,
                .own = s->cfg->title,
                .peer = known ? s->client_title : NULL,
                .session = &s->session,
                .policy = s->cfg->policy,
                .envelope = s->reply_envelope,
                .dedicated = s->reply_dedicated,
                .sign = s->reply_signed && signs,
                .answer = true,
        };
}

struct dlms_hls server_hls(const struct dlms_server *s)
{
        const struct dlms_server_config *cfg = s->cfg;

        return (struct dlms_hls){
                .auth = (enum dlms_auth)s->auth,
                .crypto = cfg->crypto,
                .keys = &s->keys,
                .secret = cfg->secret,
                .secret_len = cfg->secret_len,
                .transform = cfg->transform,
                .title = { s->client_title, cfg->title },
                .challenge = { s->ctos, s->stoc },
                .challenge_len = { s->ctos_len, s->stoc_len },
        };
}

/* What this client must present. */
static uint8_t required_auth(const struct dlms_server *s)
{
        return s->channel.client_sap == PUBLIC_CLIENT ? DLMS_AUTH_NONE : (uint8_t)s->cfg->auth;
}

static bool required_cipher(const struct dlms_server *s)
{
        return s->channel.client_sap != PUBLIC_CLIENT && s->cfg->policy != DLMS_POLICY_NONE;
}

static void reject(struct dlms_server *s, const struct acse_associate *aarq, uint8_t diagnostic)
{
        struct acse_associate aare = {
                .tag = APDU_AARE,
                .context = aarq->context,
                .result = 1,
                .diagnostic_source = 1,
                .diagnostic = diagnostic,
        };
        struct axdr_writer w = server_begin_plain(s);

        s->refused = acse_rejection(&aare);
        acse_put_associate(&w, &aare);
        server_send_plain(s, &w);
}

static uint8_t check_auth(struct dlms_server *s, const struct acse_associate *aarq)
{
        uint8_t need = required_auth(s), given = aarq->has_auth ? aarq->mechanism : 0;
        const struct dlms_server_config *cfg = s->cfg;

        if (need != DLMS_AUTH_NONE && given == DLMS_AUTH_NONE)
                return ACSE_DIAG_AUTHENTICATION_REQUIRED;
        if (given != need)
                return ACSE_DIAG_MECHANISM_NOT_RECOGNISED;
        if (need == DLMS_AUTH_LLS) {
                if (aarq->auth_len != cfg->secret_len ||
                    CRYPTO_memcmp(aarq->auth_value, cfg->secret, cfg->secret_len) != 0)
                        return ACSE_DIAG_AUTHENTICATION_FAILURE;
        } else if (need >= DLMS_AUTH_HLS) {
                if (aarq->auth_len < 8 || aarq->auth_len > DLMS_CHALLENGE_MAX)
                        return ACSE_DIAG_AUTHENTICATION_FAILURE;
                memcpy(s->ctos, aarq->auth_value, aarq->auth_len);
                s->ctos_len = (uint8_t)aarq->auth_len;
        }
        return ACSE_DIAG_NULL;
}

/* The initiate-request inside: 0, else the client has been answered. */
static int take_initiate(struct dlms_server *s, uint8_t *p, size_t n)
{
        struct acse_initiate initiate;
        uint32_t offered = s->cfg->conformance;
        int e;

        if (n == 0 || apdu_is_protected(p[0]) != s->ciphered) {
                s->refused = DLMS_E_NOT_CIPHERED;
                server_refuse(s, 1, APDU_EXC_OTHER);
                return DLMS_E_NOT_CIPHERED;
        }
        e = server_open_apdu(s, p, n, &p, &n);
        if (e)
                return e;
        e = acse_initiate_decode(p, n, &initiate);
        if (e || initiate.response || initiate.version != DLMS_VERSION) {
                server_refuse(s, 1, APDU_EXC_OTHER);
                return DLMS_E_APDU;
        }
        if (!offered)
                offered = DLMS_CONF_GENERAL_PROTECTION | DLMS_CONF_PRIORITY | DLMS_CONF_BLOCK_GET |
                          DLMS_CONF_BLOCK_SET | DLMS_CONF_BLOCK_ACTION |
                          DLMS_CONF_MULTIPLE_REFERENCES | DLMS_CONF_GET | DLMS_CONF_SET |
                          DLMS_CONF_SELECTIVE_ACCESS | DLMS_CONF_ACTION |
                          DLMS_CONF_EVENT_NOTIFICATION | DLMS_CONF_BLOCK_SET |
                          DLMS_CONF_BLOCK_ACTION | DLMS_CONF_ACCESS | DLMS_CONF_READ |
                          DLMS_CONF_PARAMETERIZED_ACCESS | DLMS_CONF_GENERAL_BLOCK_TRANSFER;
        s->conformance = initiate.conformance & offered;
        s->peer_pdu = initiate.max_pdu ? initiate.max_pdu : UINT16_MAX;
        if (initiate.dedicated && s->ciphered &&
            initiate.dedicated_len == dlms_key_size(s->keys.suite)) {
                memcpy(s->keys.dedicated, initiate.dedicated, initiate.dedicated_len);
                s->keys.has_dedicated = true;
                s->rx_dedicated = 0;
        }
        return 0;
}

static int put_initiate(struct dlms_server *s, uint8_t out[static USER_INFO_MAX], size_t *ret_len)
{
        struct acse_initiate initiate = {
                .response = true,
                .version = DLMS_VERSION,
                .conformance = s->conformance,
                .max_pdu = s->cfg->max_pdu ? s->cfg->max_pdu : DLMS_SERVER_PDU_MAX,
                .vaa = s->short_names ? SN_ASSOCIATION : VAA_LN,
        };
        uint8_t plain[32];
        struct axdr_writer w = axdr_writer_of(plain, sizeof plain);
        size_t n;
        int e;

        acse_put_initiate(&w, &initiate);
        if (!s->ciphered) {
                memcpy(out, plain, w.len);
                *ret_len = w.len;
                return 0;
        }
        e = dlms_protect(s->cfg->crypto, &s->keys, false, (uint8_t)(s->cfg->policy | s->keys.suite),
                         s->cfg->title, s->counters->tx++, plain, w.len, out + 2, USER_INFO_MAX - 2,
                         &n);
        out[0] = APDU_GLO_INITIATE_RESPONSE;
        out[1] = (uint8_t)n;
        *ret_len = n + 2;
        return e;
}

static bool client_known(const struct dlms_server *s)
{
        const struct dlms_server_config *cfg = s->cfg;

        for (size_t i = 0; i < cfg->n_client_saps; i++)
                if (cfg->client_saps[i] == s->channel.client_sap)
                        return true;
        return !cfg->client_saps;
}

static bool title_known(const struct dlms_server *s, const struct acse_associate *aarq)
{
        static const uint8_t any[DLMS_TITLE_SIZE];

        if (memcmp(s->cfg->known_client, any, sizeof any) == 0)
                return true;
        return aarq->title && memcmp(aarq->title, s->cfg->known_client, DLMS_TITLE_SIZE) == 0;
}

/* Everything about the AARQ but its initiate-request; a diagnostic other than NULL refuses it. */
static uint8_t check_aarq(struct dlms_server *s, const struct acse_associate *aarq)
{
        bool needs_title = s->ciphered || required_auth(s) >= DLMS_AUTH_GMAC;
        uint8_t diagnostic;

        if (!client_known(s))
                return ACSE_DIAG_NO_REASON;
        if (s->ciphered != required_cipher(s) || (s->short_names && !s->cfg->sn_objects))
                return ACSE_DIAG_CONTEXT_NOT_SUPPORTED;
        diagnostic = check_auth(s, aarq);
        if (diagnostic == ACSE_DIAG_NULL && needs_title && !(aarq->title && title_known(s, aarq)))
                return ACSE_DIAG_CALLING_TITLE_NOT_RECOGNIZED;
        return diagnostic;
}

static void accept_aarq(struct dlms_server *s, const struct acse_associate *aarq)
{
        struct acse_associate aare = { .tag = APDU_AARE,
                                       .context = aarq->context,
                                       .diagnostic_source = 1 };
        bool hls = s->auth >= DLMS_AUTH_HLS;
        uint8_t user_info[USER_INFO_MAX];
        struct axdr_writer w;

        aare.user_info = user_info;
        if (put_initiate(s, user_info, &aare.user_info_len)) {
                server_refuse(s, 1, APDU_EXC_OTHER);
                return;
        }
        if (s->ciphered || s->auth >= DLMS_AUTH_GMAC)
                aare.title = s->cfg->title;
        if (hls) {
                aare.diagnostic = ACSE_DIAG_AUTHENTICATION_REQUIRED;
                aare.has_auth = true;
                aare.mechanism = s->auth;
                aare.auth_value = s->stoc;
                aare.auth_len = s->stoc_len;
        }
        w = server_begin_plain(s);
        acse_put_associate(&w, &aare);
        server_send_plain(s, &w);
        s->state = hls ? DLMS_SERVER_AUTHENTICATING : DLMS_SERVER_ASSOCIATED;
}

void server_on_aarq(struct dlms_server *s, uint8_t *apdu, size_t n)
{
        struct acse_associate aarq;
        uint8_t diagnostic;

        s->state = DLMS_SERVER_CONNECTED;
        s->keys = s->cfg->keys;
        s->keys.has_dedicated = false;
        s->session = (struct dlms_session_keys){ 0 };
        memset(s->client_title, 0, sizeof s->client_title);
        s->reply_len = 0;
        s->refused = DLMS_E_OK;
        if (acse_associate_decode(apdu, n, &aarq) || aarq.tag != APDU_AARQ) {
                s->refused = DLMS_E_APDU;
                server_refuse(s, 1, APDU_EXC_OTHER);
                return;
        }
        s->ciphered = aarq.context == ACSE_LN_CIPHERED || aarq.context == ACSE_SN_CIPHERED;
        s->short_names = aarq.context == ACSE_SN || aarq.context == ACSE_SN_CIPHERED;
        diagnostic = check_aarq(s, &aarq);
        if (diagnostic) {
                reject(s, &aarq, diagnostic);
                return;
        }
        if (aarq.title)
                memcpy(s->client_title, aarq.title, DLMS_TITLE_SIZE);
        if (take_initiate(s, apdu + (aarq.user_info ? aarq.user_info - apdu : 0),
                          aarq.user_info_len))
                return;
        s->auth = required_auth(s);
        accept_aarq(s, &aarq);
}

bool server_is_pass3(const struct apdu_request *q)
{
        static const struct obis association = { { 0, 0, 40, 0, 0, 255 } };

        return q->tag == APDU_ACTION_REQUEST && q->attr.class_id == 15 && q->attr.id == 1 &&
               obis_equal(&q->attr.obis, &association);
}

/* Verifies the client's answer to our challenge: 0 or why not. */
static int verify(struct dlms_server *s, const struct apdu_request *q)
{
        struct dlms_hls hls = server_hls(s);
        struct axdr_reader r;
        struct axdr_value v;

        if (!q->data)
                return DLMS_E_APDU;
        axdr_reader_init(&r, q->data, q->n);
        if (!axdr_expect(&r, AXDR_OCTET_STRING, &v))
                return DLMS_E_TYPE;
        return dlms_hls_check(&hls, false, v.p, v.n);
}

/* Pass 4, or the refusal of pass 3. */
static void send_pass4(struct dlms_server *s, const struct apdu_request *q, uint8_t result,
                       const uint8_t *data, size_t n)
{
        struct sn_result r = {
                .choice = result ? SN_ERROR : SN_DATA, .error = result, .data = data, .n = n
        };
        struct axdr_writer w = server_begin(s);

        if (s->short_names) {
                sn_put_response(&w, 1);
                sn_put_result(&w, &r);
        } else {
                apdu_put_action_result(&w, q->invoke, result, data, n);
        }
        server_send(s, &w);
}

void server_on_pass3(struct dlms_server *s, const struct apdu_request *q)
{
        uint8_t answer[DLMS_HLS_ANSWER_MAX], data[DLMS_HLS_ANSWER_MAX + 2];
        struct axdr_writer d = axdr_writer_of(data, sizeof data);
        struct dlms_hls hls = server_hls(s);
        uint32_t ic = 0;
        size_t n;
        int e = verify(s, q);

        if (e) {
                s->refused = (enum dlms_error)e;
                s->state = DLMS_SERVER_CONNECTED;
                send_pass4(s, q, DLMS_ACCESS_READ_WRITE_DENIED, NULL, 0);
                return;
        }
        if (s->auth == DLMS_AUTH_GMAC)
                ic = s->counters->tx++;
        if (dlms_hls_answer(&hls, true, ic, answer, &n)) {
                server_refuse(s, 1, APDU_EXC_OTHER);
                return;
        }
        axdr_put_octets(&d, answer, n);
        send_pass4(s, q, 0, data, d.len);
        s->state = DLMS_SERVER_ASSOCIATED;
}

/* By short names pass 3 is a read with a parameter: method 8 of the association. */
static bool read_pass3(const uint8_t *p, size_t n, struct apdu_request *ret)
{
        struct axdr_reader r;
        struct sn_spec spec;
        struct sn_read q;

        if (sn_read_decode(p, n, &q) || q.count != 1)
                return false;
        axdr_reader_init(&r, q.specs, q.n);
        if (!sn_spec_next(&r, &spec) || spec.access != SN_PARAMETERISED ||
            spec.name != SN_REPLY_TO_HLS)
                return false;
        *ret = (struct apdu_request){ .data = spec.selection.params, .n = spec.selection.n };
        return true;
}

void server_authenticate(struct dlms_server *s, const uint8_t *p, size_t n)
{
        struct apdu_request q;
        bool good = s->short_names ? read_pass3(p, n, &q)
                                   : apdu_request_decode(p, n, &q) == 0 && server_is_pass3(&q);

        if (good)
                server_on_pass3(s, &q);
        else
                server_refuse(s, 1, APDU_EXC_NOT_POSSIBLE);
}
