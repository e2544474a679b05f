/* What carries other APDUs: general block transfer and the envelopes of ciphered ones. */
#include "apdu_internal.h"

/* ---- general block transfer ---- */

int apdu_block_decode(const uint8_t *p, size_t n, struct apdu_block *ret)
{
        struct apdu_block b = { 0 };
        const uint8_t *head;
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        if (apdu_take_byte(&r) != APDU_GENERAL_BLOCK)
                return DLMS_E_APDU;
        head = apdu_take(&r, 5);
        if (!head || !axdr_length(&r, &b.n))
                return r.error;
        b.last = head[0] & 0x80;
        b.streaming = head[0] & 0x40;
        b.window = head[0] & 0x3F;
        b.number = (uint16_t)(head[1] << 8 | head[2]);
        b.ack = (uint16_t)(head[3] << 8 | head[4]);
        b.data = apdu_take(&r, b.n);
        if (apdu_finish(&r))
                return apdu_finish(&r);
        *ret = b;
        return 0;
}

/* ---- envelope ---- */

static bool is_glo(uint8_t tag)
{
        return (tag >= 0xC8 && tag <= 0xCF && tag != 0xCE) || tag == APDU_GLO_INITIATE_REQUEST ||
               tag == APDU_GLO_INITIATE_RESPONSE || tag == APDU_GLO_SERVICE_ERROR;
}

static bool is_ded(uint8_t tag)
{
        return tag >= 0xD0 && tag <= 0xD7 && tag != 0xD6;
}

bool apdu_is_ciphered(uint8_t tag)
{
        return is_glo(tag) || is_ded(tag) || tag == APDU_GENERAL_GLO || tag == APDU_GENERAL_DED;
}

int apdu_envelope_decode(const uint8_t *p, size_t n, struct apdu_envelope *ret)
{
        struct apdu_envelope e = { 0 };
        struct axdr_reader r;
        size_t title;

        axdr_reader_init(&r, p, n);
        e.tag = apdu_take_byte(&r);
        if (r.error)
                return r.error;
        if (!apdu_is_ciphered(e.tag))
                return DLMS_E_APDU;
        e.general = e.tag == APDU_GENERAL_GLO || e.tag == APDU_GENERAL_DED;
        e.dedicated = e.tag == APDU_GENERAL_DED || is_ded(e.tag);
        if (e.general) {
                if (!axdr_length(&r, &title))
                        return r.error;
                if (title != 0 && title != DLMS_TITLE_SIZE)
                        return DLMS_E_APDU;
                if (title > 0)
                        e.title = apdu_take(&r, title);
        }
        if (!axdr_length(&r, &e.n))
                return r.error;
        e.offset = (size_t)(r.p - p);
        apdu_take(&r, e.n);
        if (apdu_finish(&r))
                return apdu_finish(&r);
        *ret = e;
        return 0;
}

static struct apdu_field take_field(struct axdr_reader *r)
{
        struct apdu_field f = { 0 };
        size_t n;

        if (axdr_length(r, &n)) {
                f.p = apdu_take(r, n);
                f.n = f.p ? n : 0;
        }
        return f;
}

int apdu_general_decode(const uint8_t *p, size_t n, struct apdu_general *ret)
{
        struct apdu_general g = { .choice = APDU_KEY_NONE };
        struct apdu_field content;
        struct axdr_reader r;
        uint8_t choice;

        axdr_reader_init(&r, p, n);
        if (apdu_take_byte(&r) != APDU_GENERAL_CIPHERING)
                return r.error ? r.error : DLMS_E_APDU;
        g.transaction = take_field(&r);
        g.originator = take_field(&r);
        g.recipient = take_field(&r);
        g.time = take_field(&r);
        g.other = take_field(&r);
        if (apdu_take_byte(&r)) {
                choice = apdu_take_byte(&r);
                if (r.error)
                        return r.error;
                if (choice > APDU_KEY_AGREED)
                        return DLMS_E_APDU;
                g.choice = (enum apdu_key_choice)choice;
                if (choice == APDU_KEY_AGREED)
                        g.key_parameters = take_field(&r);
                else
                        g.key_id = apdu_take_byte(&r);
                if (choice != APDU_KEY_IDENTIFIED)
                        g.key_data = take_field(&r);
        }
        content = take_field(&r);
        if (apdu_finish(&r))
                return apdu_finish(&r);
        g.offset = (size_t)(content.p - p);
        g.n = content.n;
        *ret = g;
        return 0;
}

uint8_t apdu_ciphered_tag(uint8_t plain, bool dedicated)
{
        if (plain >= APDU_GET_REQUEST && plain <= APDU_ACTION_RESPONSE)
                return (uint8_t)(plain + (dedicated ? 16 : 8));
        if (plain == APDU_INITIATE_REQUEST)
                return APDU_GLO_INITIATE_REQUEST;
        if (plain == APDU_INITIATE_RESPONSE)
                return APDU_GLO_INITIATE_RESPONSE;
        return 0;
}

size_t apdu_put_envelope(uint8_t *out, uint8_t tag, const uint8_t *title, size_t n)
{
        struct axdr_writer w = axdr_writer_of(out, APDU_ENVELOPE_MAX);

        axdr_put_byte(&w, tag);
        if (title) {
                axdr_put_byte(&w, DLMS_TITLE_SIZE);
                axdr_put_raw(&w, title, DLMS_TITLE_SIZE);
        }
        axdr_put_length(&w, n);
        return w.len;
}
