#include "mbus.h"

#include <string.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

enum {
        CI_ERROR = 0x70,
        CI_LONG = 0x72,
        CI_FIXED = 0x73,
        CI_LONG_BIG = 0x76, /* most significant byte first: obsolete, still sent */
        CI_NONE = 0x78,
        CI_COMPACT = 0x79,
        CI_SHORT = 0x7A,
        CI_ELL_SHORT = 0x8C,
        CI_ELL_SECURE = 0x8D,
        CI_ELL_LONG = 0x8E,
        CI_ELL_LONG_SECURE = 0x8F,
        CI_AFL = 0x90,
        CI_MAKER_FIRST = 0xA0,
        CI_MAKER_LAST = 0xB7,
        LINK_SIZE = 10, /* L C M M A(6) */
        FILLER = 0x2F,
};

const char *mbus_error_name(unsigned error)
{
        static const char *const names[MBUS_N_ERRORS] = {
#define XX(name, word, text) [MBUS_E_##name] = #word,
                MBUS_ERROR_MAP(XX)
#undef XX
        };
        return error < MBUS_N_ERRORS ? names[error] : "unknown";
}

const char *mbus_error_text(unsigned error)
{
        static const char *const texts[MBUS_N_ERRORS] = {
#define XX(name, word, text) [MBUS_E_##name] = text,
                MBUS_ERROR_MAP(XX)
#undef XX
        };
        return error < MBUS_N_ERRORS ? texts[error] : "unknown error";
}

const uint8_t *mbus_address(const struct mbus_telegram *t)
{
        if (t->has_header_address)
                return t->header;
        return t->has_link ? t->link : NULL;
}

void mbus_maker(const uint8_t address[static 8], char ret[static 4])
{
        unsigned m = address[0] | (unsigned)address[1] << 8;

        for (int i = 0; i < 3; i++)
                ret[i] = (char)('@' + (m >> (10 - 5 * i) & 0x1F));
        ret[3] = 0;
}

void mbus_id(const uint8_t address[static 8], char ret[static 9])
{
        static const char digits[] = "0123456789ABCDEF";

        for (int i = 0; i < 4; i++) {
                ret[2 * i] = digits[address[5 - i] >> 4];
                ret[2 * i + 1] = digits[address[5 - i] & 15];
        }
        ret[8] = 0;
}

const char *mbus_medium_text(uint8_t medium)
{
        static const struct {
                uint8_t medium;
                const char *text;
        } media[] = {
                { 0x00, "Other" },
                { 0x01, "Oil" },
                { 0x02, "Electricity" },
                { 0x03, "Gas" },
                { 0x04, "Heat: Outlet" },
                { 0x05, "Steam" },
                { 0x06, "Warm water (30-90°C)" },
                { 0x07, "Water" },
                { 0x08, "Heat Cost Allocator" },
                { 0x09, "Compressed Air" },
                { 0x0A, "Cooling load meter: Outlet" },
                { 0x0B, "Cooling load meter: Inlet" },
                { 0x0C, "Heat: Inlet" },
                { 0x0D, "Heat / Cooling load meter" },
                { 0x0E, "Bus/System" },
                { 0x0F, "Unknown Medium" },
                { 0x10, "Irrigation Water (Non Drinkable)" },
                { 0x14, "Calorific value" },
                { 0x15, "Hot water (>90°C)" },
                { 0x16, "Cold water" },
                { 0x17, "Dual water" },
                { 0x18, "Pressure" },
                { 0x19, "A/D Converter" },
                { 0x1A, "Smoke detector" },
                { 0x1B, "Room sensor" },
                { 0x1C, "Gas detector" },
                { 0x21, "Valve" },
                { 0x25, "Display" },
                { 0x28, "Waste water" },
                { 0x29, "Waste" },
                { 0x2A, "Carbon dioxide" },
                { 0x31, "Communication controller" },
                { 0x32, "Unidirectional repeater" },
                { 0x33, "Bidirectional repeater" },
                { 0x36, "Radio converter (system side)" },
                { 0x37, "Radio converter (meter side)" },
        };

        for (size_t i = 0; i < sizeof media / sizeof media[0]; i++)
                if (media[i].medium == medium)
                        return media[i].text;
        return "Reserved";
}

/* ---- transport layer ---- */

static uint16_t le16(const uint8_t *p)
{
        return (uint16_t)(p[0] | p[1] << 8);
}

/* Header of CI 72: id (4), maker (2), version, medium; ours has the maker first. */
static void take_address(struct mbus_telegram *t, const uint8_t *p, bool big)
{
        for (int i = 0; i < 4; i++)
                t->header[2 + i] = big ? p[3 - i] : p[i];
        t->header[0] = big ? p[5] : p[4];
        t->header[1] = big ? p[4] : p[5];
        t->header[6] = p[6];
        t->header[7] = p[7];
        t->has_header_address = true;
}

/* Access number, status, configuration word; @p behind the address. */
static int take_security(struct mbus_telegram *t, const uint8_t *p, size_t n)
{
        size_t used = 4;

        if (n < used)
                return MBUS_E_HEADER;
        t->access = p[0];
        t->status = p[1];
        t->configuration = le16(p + 2);
        t->mode = t->wireless ? t->configuration >> 8 & 0x1F : t->configuration >> 8 & 0x0F;
        if (t->mode == 7 || t->mode == 13) {
                if (n < ++used)
                        return MBUS_E_HEADER;
                t->configuration_ext = p[4];
        }
        t->body = p + used;
        t->body_len = n - used;
        /* On the wire the word was a signature once and may hold anything. */
        if (!t->wireless && (t->mode != 5 || (t->configuration >> 4 & 15) * 16u > t->body_len))
                t->mode = 0;
        /* No block is encrypted, or the body starts in plain as a gateway hands it on. */
        if (t->mode == 5 || t->mode == 7)
                t->encrypted = (t->configuration & 0xF0) != 0 &&
                               !(t->body_len >= 2 && t->body[0] == FILLER && t->body[1] == FILLER);
        else
                t->encrypted = t->mode != 0;
        return 0;
}

/* EN 13757 CRC: x^16+x^13+x^12+x^11+x^10+x^8+x^6+x^5+x^2+1, complemented, sent high byte first. */
static uint16_t crc(const uint8_t *p, size_t n)
{
        uint16_t c = 0;

        for (size_t i = 0; i < n; i++) {
                c ^= (uint16_t)(p[i] << 8);
                for (int k = 0; k < 8; k++)
                        c = (uint16_t)(c & 0x8000 ? c << 1 ^ 0x3D65 : c << 1);
        }
        return (uint16_t)~c;
}

/* The extended link layer sends its CRC first, low byte first. */
static bool crc_reads(const uint8_t *p, size_t n)
{
        return n >= 3 && crc(p + 2, n - 2) == (uint16_t)(p[0] | p[1] << 8);
}

static int take_transport(struct mbus_telegram *t, const uint8_t *p, size_t n);

/* Extended link layer (EN 13757-4 clause 13). */
static int take_extended(struct mbus_telegram *t, const uint8_t *p, size_t n)
{
        bool secure = t->ci == CI_ELL_SECURE || t->ci == CI_ELL_LONG_SECURE;
        bool with_address = t->ci == CI_ELL_LONG || t->ci == CI_ELL_LONG_SECURE;
        size_t used = 2 + (with_address ? 8 : 0);

        if (n < used + (secure ? 6 : 0))
                return MBUS_E_HEADER;
        t->link_control = p[0];
        t->access = p[1];
        if (with_address) {
                memcpy(t->header, p + 2, 8);
                t->has_header_address = true;
        }
        if (!secure)
                return take_transport(t, p + used, n - used);
        memcpy(t->session, p + used, 4);
        t->body = p + used + 4;
        t->body_len = n - used - 4;
        /* The session number's top three bits name the algorithm: 1 = AES-CTR. */
        t->extended = true;
        /* Not encrypted, or a gateway has opened it: then the CRC over the rest is right already.
         */
        if (p[used + 3] >> 5 == 0 || crc_reads(t->body, t->body_len)) {
                t->extended = false;
                return take_transport(t, t->body + 2, t->body_len - 2);
        }
        t->encrypted = true;
        return 0;
}

/* Authentication and fragmentation layer (EN 13757-7): only its message counter is needed. */
static int take_fragment(struct mbus_telegram *t, const uint8_t *p, size_t n)
{
        size_t at = 3, len;
        uint16_t fcl;

        if (n < 3)
                return MBUS_E_HEADER;
        len = p[0];
        fcl = le16(p + 1);
        if (len < 2 || n < len + 1)
                return MBUS_E_HEADER;
        at += fcl & 0x2000 ? 1 : 0; /* message control */
        at += fcl & 0x0200 ? 2 : 0; /* key information */
        if (fcl & 0x0800 && at + 4 <= len + 1) {
                t->counter = (uint32_t)p[at] | (uint32_t)p[at + 1] << 8 |
                             (uint32_t)p[at + 2] << 16 | (uint32_t)p[at + 3] << 24;
                t->has_counter = true;
        }
        return take_transport(t, p + len + 1, n - len - 1);
}

/* From the CI field on. */
static int take_transport(struct mbus_telegram *t, const uint8_t *p, size_t n)
{
        if (n < 1)
                return MBUS_E_TRUNCATED;
        t->ci = p[0];
        p++, n--;
        t->body = p;
        t->body_len = n;
        switch (t->ci) {
        case CI_LONG:
        case CI_LONG_BIG:
                if (n < 12)
                        return MBUS_E_HEADER;
                take_address(t, p, t->ci == CI_LONG_BIG);
                return take_security(t, p + 8, n - 8);
        case CI_SHORT:
                return take_security(t, p, n);
        case CI_NONE:
                return 0;
        case CI_FIXED:
                if (n < 16)
                        return MBUS_E_HEADER;
                memcpy(t->header + 2, p, 4);
                t->has_header_address = true;
                t->access = p[4];
                t->status = p[5];
                t->fixed = true;
                t->body = p + 6;
                t->body_len = n - 6;
                return 0;
        case CI_ERROR:
                t->application_error = n ? p[0] : 0;
                return MBUS_E_APPLICATION;
        case CI_COMPACT:
                return MBUS_E_COMPACT;
        case CI_ELL_SHORT:
        case CI_ELL_SECURE:
        case CI_ELL_LONG:
        case CI_ELL_LONG_SECURE:
                return take_extended(t, p, n);
        case CI_AFL:
                return take_fragment(t, p, n);
        default:
                return t->ci >= CI_MAKER_FIRST && t->ci <= CI_MAKER_LAST ? MBUS_E_PROPRIETARY
                                                                         : MBUS_E_CI;
        }
}

/* ---- link layers ---- */

static uint8_t sum(const uint8_t *p, size_t n)
{
        uint8_t s = 0;

        for (size_t i = 0; i < n; i++)
                s = (uint8_t)(s + p[i]);
        return s;
}

static int parse_wired(const uint8_t *p, size_t n, struct mbus_telegram *t)
{
        size_t len;

        if (p[0] == 0xE5) {
                t->acknowledge = true;
                return n == 1 ? 0 : MBUS_E_LENGTH;
        }
        if (p[0] == 0x10) {
                if (n != 5)
                        return n < 5 ? MBUS_E_TRUNCATED : MBUS_E_LENGTH;
                if (p[4] != 0x16)
                        return MBUS_E_STOP;
                t->control = p[1];
                t->address = p[2];
                t->acknowledge = true;
                return sum(p + 1, 2) == p[3] ? 0 : MBUS_E_CHECKSUM;
        }
        if (n < 9)
                return MBUS_E_TRUNCATED;
        len = p[1];
        if (p[1] != p[2] || p[3] != 0x68 || len < 3)
                return MBUS_E_LENGTH;
        if (n != len + 6)
                return n < len + 6 ? MBUS_E_TRUNCATED : MBUS_E_LENGTH;
        if (p[len + 5] != 0x16)
                return MBUS_E_STOP;
        if (sum(p + 4, len) != p[len + 4])
                return MBUS_E_CHECKSUM;
        t->control = p[4];
        t->address = p[5];
        return take_transport(t, p + 6, len - 2);
}

static bool crc_holds(const uint8_t *p, size_t n)
{
        return crc(p, n) == (uint16_t)(p[n] << 8 | p[n + 1]);
}

/* Format A: ten bytes, then blocks of sixteen, a CRC behind each; L counts none of them. 0 or the
 * length without CRCs. */
static size_t strip_a(const uint8_t *p, size_t n, uint8_t *out, int *ret_error)
{
        size_t len = (size_t)p[0] + 1, at = 0, put = 0;

        while (put < len) {
                size_t block = put == 0 ? LINK_SIZE : len - put < 16 ? len - put : 16;

                if (at + block + 2 > n)
                        return 0;
                if (!crc_holds(p + at, block)) {
                        *ret_error = put ? MBUS_E_CRC : 0;
                        return 0;
                }
                memcpy(out + put, p + at, block);
                put += block;
                at += block + 2;
        }
        return put;
}

/* Format B: one CRC behind the first 126 bytes, one at the end; L counts them. */
static size_t strip_b(const uint8_t *p, size_t n, uint8_t *out)
{
        size_t len = (size_t)p[0] + 1, first = len > 128 ? 128 : len;

        if (len != n || len < LINK_SIZE + 3 || !crc_holds(p, first - 2))
                return 0;
        memcpy(out, p, first - 2);
        if (len <= 128)
                return first - 2;
        if (len < 128 + 3 || !crc_holds(p + 128, len - 130))
                return 0;
        memcpy(out + 126, p + 128, len - 130);
        return len - 4;
}

static int parse_wireless(const uint8_t *p, size_t n, uint8_t *work, struct mbus_telegram *t)
{
        size_t len;
        int e = 0;

        if (n < LINK_SIZE + 2)
                return MBUS_E_TRUNCATED;
        len = strip_a(p, n, work, &e);
        if (e)
                return e;
        if (!len)
                len = strip_b(p, n, work);
        if (!len) {
                if ((size_t)p[0] + 1 > n)
                        return MBUS_E_TRUNCATED;
                if ((size_t)p[0] + 1 < n)
                        return MBUS_E_LENGTH;
                memcpy(work, p, n);
                len = n;
        }
        t->wireless = t->has_link = true;
        t->control = work[1];
        memcpy(t->link, work + 2, 8);
        return take_transport(t, work + LINK_SIZE, len - LINK_SIZE);
}

/* SND-NR, SND-IR, SND-UD, ACC-NR, ACC-DMD, ... of a meter. */
static bool is_wireless_control(uint8_t c)
{
        return c == 0x44 || c == 0x46 || c == 0x47 || c == 0x48 || c == 0x08 || c == 0x24;
}

int mbus_telegram_parse(const uint8_t *p, size_t n, uint8_t *work, struct mbus_telegram *ret)
{
        memset(ret, 0, sizeof *ret);
        if (n == 0)
                return MBUS_E_TRUNCATED;
        if ((p[0] == 0x68 && (n < 4 || p[3] == 0x68)) || p[0] == 0xE5 || (p[0] == 0x10 && n == 5))
                return parse_wired(p, n, ret);
        if (n > 1 && is_wireless_control(p[1]))
                return parse_wireless(p, n, work, ret);
        return MBUS_E_START;
}

/* ---- security ---- */

static bool run_cipher(const EVP_CIPHER *cipher, const uint8_t *key, const uint8_t *iv,
                       const uint8_t *in, size_t n, uint8_t *out)
{
        EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
        int len = 0;
        bool good = c && EVP_DecryptInit_ex(c, cipher, NULL, key, iv) == 1 &&
                    EVP_CIPHER_CTX_set_padding(c, 0) == 1 &&
                    EVP_DecryptUpdate(c, out, &len, in, (int)n) == 1;

        EVP_CIPHER_CTX_free(c);
        return good;
}

static bool cmac(const uint8_t *key, const uint8_t *in, size_t n, uint8_t out[static 16])
{
        char name[] = "AES-128-CBC";
        OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, name, 0),
                                OSSL_PARAM_construct_end() };
        EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
        EVP_MAC_CTX *c = mac ? EVP_MAC_CTX_new(mac) : NULL;
        size_t len = 0;
        bool good = c && EVP_MAC_init(c, key, MBUS_KEY_SIZE, params) == 1 &&
                    EVP_MAC_update(c, in, n) == 1 && EVP_MAC_final(c, out, &len, 16) == 1;

        EVP_MAC_CTX_free(c);
        EVP_MAC_free(mac);
        return good;
}

/* Key derivation of EN 13757-7 for the encryption key: constant 0, counter, identification. */
static bool derive(const struct mbus_telegram *t, const uint8_t *key, uint8_t out[static 16])
{
        uint8_t block[16];

        block[0] = 0;
        for (int i = 0; i < 4; i++)
                block[1 + i] = (uint8_t)(t->counter >> 8 * i);
        memcpy(block + 5, mbus_address(t) + 2, 4);
        memset(block + 9, 7, 7);
        return cmac(key, block, sizeof block, out);
}

static int decrypt_transport(struct mbus_telegram *t, const uint8_t *key, uint8_t *work)
{
        size_t blocks = t->configuration >> 4 & 15, n = blocks * 16;
        uint8_t iv[16] = { 0 }, derived[16];
        const uint8_t *use = key;
        bool good;

        if (n > t->body_len)
                return MBUS_E_TRUNCATED;
        if (t->mode == 7) {
                if (!t->has_counter || !derive(t, key, derived))
                        return t->has_counter ? MBUS_E_CRYPTO : MBUS_E_HEADER;
                use = derived;
        } else {
                memcpy(iv, mbus_address(t), 8);
                memset(iv + 8, t->access, 8);
        }
        memmove(work, t->body, t->body_len); /* it may lie in @work already */
        good = run_cipher(EVP_aes_128_cbc(), use, iv, work, n, work);
        OPENSSL_cleanse(derived, sizeof derived);
        if (!good)
                return MBUS_E_CRYPTO;
        if (n >= 2 && (work[0] != FILLER || work[1] != FILLER))
                return MBUS_E_KEY_WRONG;
        t->body = work;
        t->encrypted = false;
        return 0;
}

static int decrypt_extended(struct mbus_telegram *t, const uint8_t *key, uint8_t *work)
{
        uint8_t iv[16] = { 0 };

        memcpy(iv, t->has_header_address ? t->header : t->link, 8);
        iv[8] = t->link_control;
        memcpy(iv + 9, t->session, 4);
        if (!run_cipher(EVP_aes_128_ctr(), key, iv, t->body, t->body_len, work))
                return MBUS_E_CRYPTO;
        if (!crc_reads(work, t->body_len))
                return MBUS_E_KEY_WRONG;
        t->extended = t->encrypted = false;
        return take_transport(t, work + 2, t->body_len - 2);
}

int mbus_telegram_decrypt(struct mbus_telegram *t, const uint8_t key[static MBUS_KEY_SIZE],
                          uint8_t *work)
{
        if (t->extended)
                return decrypt_extended(t, key, work);
        if ((t->mode != 5 && t->mode != 7) || !mbus_address(t))
                return MBUS_E_MODE;
        return decrypt_transport(t, key, work);
}
