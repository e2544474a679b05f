/* What carries other APDUs: general block transfer and the envelopes of ciphered ones. */
#include "envelope.h"

#include <string.h>

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

void apdu_put_block(struct axdr_writer *w, const struct apdu_block *b)
{
        uint8_t head[6] = { APDU_GENERAL_BLOCK,
                            (uint8_t)(b->last << 7 | b->streaming << 6 | (b->window & 0x3F)),
                            (uint8_t)(b->number >> 8),
                            (uint8_t)b->number,
                            (uint8_t)(b->ack >> 8),
                            (uint8_t)b->ack };

        axdr_put_raw(w, head, sizeof head);
        axdr_put_length(w, b->n);
        axdr_put_raw(w, b->data, b->n);
}

/* ---- envelope ---- */

enum { HEAD_FIELDS = 5 };

/* Services with ciphered tags of their own (Green Book 9.5): those up to information-report have
 * glo- = plain + 32 and ded- = plain + 64, those with logical names + 8 and + 16. */
static bool has_ciphered(uint8_t plain)
{
        switch (plain) {
        case APDU_INITIATE_REQUEST:
        case APDU_READ_REQUEST:
        case APDU_WRITE_REQUEST:
        case APDU_INITIATE_RESPONSE:
        case APDU_READ_RESPONSE:
        case APDU_WRITE_RESPONSE:
        case APDU_CONFIRMED_SERVICE_ERROR:
        case APDU_UNCONFIRMED_WRITE:
        case APDU_INFORMATION_REPORT:
        case APDU_GET_REQUEST:
        case APDU_SET_REQUEST:
        case APDU_EVENT_NOTIFICATION:
        case APDU_ACTION_REQUEST:
        case APDU_GET_RESPONSE:
        case APDU_SET_RESPONSE:
        case APDU_ACTION_RESPONSE:
                return true;
        default:
                return false;
        }
}

/* The dedicated key's half of service-specific tags. */
static bool is_ded(uint8_t tag)
{
        return (tag & 0xE0) == 0x40 || (tag & 0xF8) == 0xD0;
}

uint8_t apdu_plain_tag(uint8_t ciphered)
{
        uint8_t plain = ciphered & 0x1F;

        if ((ciphered & 0xF8) == 0xC8)
                plain = ciphered - 8;
        else if ((ciphered & 0xF8) == 0xD0)
                plain = ciphered - 16;
        else if ((ciphered & 0xE0) != 0x20 && (ciphered & 0xE0) != 0x40)
                return 0;
        return has_ciphered(plain) ? plain : 0;
}

uint8_t apdu_ciphered_tag(uint8_t plain, bool dedicated)
{
        if (!has_ciphered(plain))
                return 0;
        if (plain >= APDU_GET_REQUEST)
                return (uint8_t)(plain + (dedicated ? 16 : 8));
        return (uint8_t)(plain + (dedicated ? 64 : 32));
}

bool apdu_is_ciphered(uint8_t tag)
{
        return apdu_plain_tag(tag) || tag == APDU_GENERAL_GLO || tag == APDU_GENERAL_DED;
}

bool apdu_is_protected(uint8_t tag)
{
        return tag == APDU_GENERAL_CIPHERING || tag == APDU_GENERAL_SIGNING ||
               apdu_is_ciphered(tag);
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

/* Tag and the fields general-ciphering and general-signing begin with. */
static bool take_head(struct axdr_reader *r, uint8_t tag, struct apdu_field *head,
                      struct apdu_field *fields)
{
        if (apdu_take_byte(r) != tag) {
                if (!r->error)
                        r->error = DLMS_E_APDU;
                return false;
        }
        head->p = r->p;
        for (int i = 0; i < HEAD_FIELDS; i++)
                fields[i] = take_field(r);
        head->n = (size_t)(r->p - head->p);
        return !r->error;
}

static void take_key_info(struct axdr_reader *r, struct apdu_general *g)
{
        uint8_t choice;

        if (apdu_take_byte(r) == 0)
                return;
        choice = apdu_take_byte(r);
        if (!r->error && choice > APDU_KEY_AGREED)
                r->error = DLMS_E_APDU;
        if (r->error)
                return;
        g->choice = (enum apdu_key_choice)choice;
        if (choice == APDU_KEY_AGREED)
                g->key_parameters = take_field(r);
        else
                g->key_id = apdu_take_byte(r);
        if (choice != APDU_KEY_IDENTIFIED)
                g->key_data = take_field(r);
}

int apdu_general_decode(const uint8_t *p, size_t n, struct apdu_general *ret)
{
        struct apdu_general g = { .choice = APDU_KEY_NONE };
        struct apdu_field fields[HEAD_FIELDS], content;
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        if (!take_head(&r, APDU_GENERAL_CIPHERING, &g.head, fields))
                return r.error;
        g.transaction = fields[0];
        g.originator = fields[1];
        g.recipient = fields[2];
        g.time = fields[3];
        g.other = fields[4];
        take_key_info(&r, &g);
        content = take_field(&r);
        if (apdu_finish(&r))
                return apdu_finish(&r);
        g.offset = (size_t)(content.p - p);
        g.n = content.n;
        *ret = g;
        return 0;
}

int apdu_signed_decode(const uint8_t *p, size_t n, struct apdu_signed *ret)
{
        struct apdu_field fields[HEAD_FIELDS], content;
        struct apdu_signed s = { 0 };
        struct axdr_reader r;

        axdr_reader_init(&r, p, n);
        if (!take_head(&r, APDU_GENERAL_SIGNING, &s.head, fields))
                return r.error;
        s.transaction = fields[0];
        s.originator = fields[1];
        s.recipient = fields[2];
        s.time = fields[3];
        s.other = fields[4];
        content = take_field(&r);
        s.signature = take_field(&r);
        if (apdu_finish(&r))
                return apdu_finish(&r);
        s.offset = (size_t)(content.p - p);
        s.n = content.n;
        *ret = s;
        return 0;
}

/* ---- writing ---- */

static void put_field(struct axdr_writer *w, const uint8_t *p, size_t n)
{
        axdr_put_length(w, n);
        axdr_put_raw(w, p, n);
}

void apdu_put_general_head(struct axdr_writer *w, uint8_t tag, const struct apdu_field *transaction,
                           const uint8_t *originator, const uint8_t *recipient,
                           const struct apdu_field *time, const struct apdu_field *other)
{
        axdr_put_byte(w, tag);
        put_field(w, transaction->p, transaction->n);
        put_field(w, originator, originator ? DLMS_TITLE_SIZE : 0);
        put_field(w, recipient, recipient ? DLMS_TITLE_SIZE : 0);
        put_field(w, time ? time->p : NULL, time ? time->n : 0);
        put_field(w, other ? other->p : NULL, other ? other->n : 0);
}

void apdu_put_key_info(struct axdr_writer *w, const struct apdu_general *g)
{
        axdr_put_byte(w, g->choice != APDU_KEY_NONE);
        if (g->choice == APDU_KEY_NONE)
                return;
        axdr_put_byte(w, (uint8_t)g->choice);
        if (g->choice == APDU_KEY_AGREED)
                put_field(w, g->key_parameters.p, g->key_parameters.n);
        else
                axdr_put_byte(w, g->key_id);
        if (g->choice != APDU_KEY_IDENTIFIED)
                put_field(w, g->key_data.p, g->key_data.n);
}

void apdu_put_general(struct axdr_writer *w, const struct apdu_general *g)
{
        axdr_put_byte(w, APDU_GENERAL_CIPHERING);
        axdr_put_raw(w, g->head.p, g->head.n);
        apdu_put_key_info(w, g);
        axdr_put_length(w, g->n);
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
