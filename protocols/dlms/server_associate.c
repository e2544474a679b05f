#include "server_internal.h"

#include <openssl/crypto.h>
#include <string.h>

#include "acse.h"

enum { DLMS_VERSION = 6, VAA_LN = 7, PUBLIC_CLIENT = 16, USER_INFO_MAX = 96 };
enum { GMAC_TOKEN_SIZE = 1 + 4 + DLMS_TAG_SIZE };

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
        } else if (need == DLMS_AUTH_GMAC) {
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

        if (n == 0 || apdu_is_ciphered(p[0]) != s->ciphered) {
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
                          DLMS_CONF_MULTIPLE_REFERENCES | DLMS_CONF_GET | DLMS_CONF_SET |
                          DLMS_CONF_SELECTIVE_ACCESS | DLMS_CONF_ACTION |
                          DLMS_CONF_EVENT_NOTIFICATION;
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
                .vaa = VAA_LN,
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

void server_on_aarq(struct dlms_server *s, uint8_t *apdu, size_t n)
{
        struct acse_associate aarq, aare = { .tag = APDU_AARE, .diagnostic_source = 1 };
        uint8_t user_info[USER_INFO_MAX], diagnostic;
        struct axdr_writer w;

        s->state = DLMS_SERVER_CONNECTED;
        s->keys = s->cfg->keys;
        s->keys.has_dedicated = false;
        s->reply_len = 0;
        if (acse_associate_decode(apdu, n, &aarq) || aarq.tag != APDU_AARQ) {
                server_refuse(s, 1, APDU_EXC_OTHER);
                return;
        }
        s->ciphered = aarq.context == ACSE_LN_CIPHERED;
        if (aarq.context != (required_cipher(s) ? ACSE_LN_CIPHERED : ACSE_LN)) {
                reject(s, &aarq, ACSE_DIAG_CONTEXT_NOT_SUPPORTED);
                return;
        }
        if ((s->ciphered || required_auth(s) == DLMS_AUTH_GMAC) && !aarq.title) {
                reject(s, &aarq, ACSE_DIAG_CALLING_TITLE_NOT_RECOGNIZED);
                return;
        }
        if (aarq.title)
                memcpy(s->client_title, aarq.title, DLMS_TITLE_SIZE);
        diagnostic = check_auth(s, &aarq);
        if (diagnostic) {
                reject(s, &aarq, diagnostic);
                return;
        }
        if (take_initiate(s, apdu + (aarq.user_info ? aarq.user_info - apdu : 0),
                          aarq.user_info_len))
                return;
        s->auth = required_auth(s);
        aare.context = aarq.context;
        aare.user_info = user_info;
        if (put_initiate(s, user_info, &aare.user_info_len)) {
                server_refuse(s, 1, APDU_EXC_OTHER);
                return;
        }
        if (s->ciphered || s->auth == DLMS_AUTH_GMAC)
                aare.title = s->cfg->title;
        if (s->auth == DLMS_AUTH_GMAC) {
                aare.diagnostic = ACSE_DIAG_AUTHENTICATION_REQUIRED;
                aare.has_auth = true;
                aare.mechanism = s->auth;
                aare.auth_value = s->stoc;
                aare.auth_len = s->stoc_len;
        }
        w = server_begin_plain(s);
        acse_put_associate(&w, &aare);
        server_send_plain(s, &w);
        s->state = s->auth == DLMS_AUTH_GMAC ? DLMS_SERVER_AUTHENTICATING : DLMS_SERVER_ASSOCIATED;
}

bool server_is_pass3(const struct apdu_request *q)
{
        static const struct obis association = { { 0, 0, 40, 0, 0, 255 } };

        return q->tag == APDU_ACTION_REQUEST && q->attr.class_id == 15 && q->attr.id == 1 &&
               obis_equal(&q->attr.obis, &association);
}

/* Verifies the client's answer to our challenge. */
static bool verify(struct dlms_server *s, const struct apdu_request *q)
{
        uint8_t tag[DLMS_TAG_SIZE];
        struct axdr_reader r;
        struct axdr_value v;
        uint32_t ic;

        if (!q->data)
                return false;
        axdr_reader_init(&r, q->data, q->n);
        if (!axdr_expect(&r, AXDR_OCTET_STRING, &v) || v.n != GMAC_TOKEN_SIZE)
                return false;
        ic = (uint32_t)v.p[1] << 24 | (uint32_t)v.p[2] << 16 | (uint32_t)v.p[3] << 8 | v.p[4];
        if (dlms_gmac(s->cfg->crypto, &s->keys, v.p[0], s->client_title, ic, s->stoc, s->stoc_len,
                      tag))
                return false;
        return CRYPTO_memcmp(tag, v.p + 5, sizeof tag) == 0;
}

void server_on_pass3(struct dlms_server *s, const struct apdu_request *q)
{
        uint8_t token[GMAC_TOKEN_SIZE], data[GMAC_TOKEN_SIZE + 2];
        struct axdr_writer d = axdr_writer_of(data, sizeof data), w;
        uint8_t sc = (uint8_t)(DLMS_SC_AUTHENTICATED | s->keys.suite);
        uint32_t ic;

        if (!verify(s, q)) {
                s->state = DLMS_SERVER_CONNECTED;
                w = server_begin(s);
                apdu_put_action_result(&w, q->invoke, DLMS_ACCESS_READ_WRITE_DENIED, NULL, 0);
                server_send(s, &w);
                return;
        }
        ic = s->counters->tx++;
        token[0] = sc;
        token[1] = (uint8_t)(ic >> 24);
        token[2] = (uint8_t)(ic >> 16);
        token[3] = (uint8_t)(ic >> 8);
        token[4] = (uint8_t)ic;
        if (dlms_gmac(s->cfg->crypto, &s->keys, sc, s->cfg->title, ic, s->ctos, s->ctos_len,
                      token + 5)) {
                server_refuse(s, 1, APDU_EXC_OTHER);
                return;
        }
        axdr_put_octets(&d, token, sizeof token);
        w = server_begin(s);
        apdu_put_action_result(&w, q->invoke, 0, data, d.len);
        server_send(s, &w);
        s->state = DLMS_SERVER_ASSOCIATED;
}
