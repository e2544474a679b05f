#include "meter.h"

#include <string.h>

#include "dlms/datetime.h"
#include "dlms/profile.h"

const uint8_t meter_challenge[16] = "server-challenge";

static void put_clock(struct axdr_writer *w, int64_t utc)
{
        struct dlms_datetime t;
        uint8_t raw[DATETIME_SIZE];

        dlms_datetime_from_utc(utc, 0, false, &t);
        dlms_datetime_write(&t, raw);
        axdr_put_octets(w, raw, sizeof raw);
}

static void put_rows(struct axdr_writer *w, const struct profile_range *range)
{
        size_t at, first = METER_ROWS, n = 0;

        for (size_t i = 0; i < METER_ROWS; i++) {
                int64_t end = METER_BEGIN + 900 * (int64_t)(i + 1);
                int64_t key = range && range->by_entry ? (int64_t)i + 1 : end;

                if (range && (key < range->from || (range->to && key > range->to)))
                        continue;
                if (first == METER_ROWS)
                        first = i;
                n++;
        }
        axdr_put_array(w, n);
        for (size_t i = 0; i < n; i++) {
                at = first + i;
                axdr_put_structure(w, 3);
                put_clock(w, METER_BEGIN + 900 * (int64_t)(at + 1));
                axdr_put_uint8(w, 0);
                axdr_put_uint32(w, (uint32_t)(at * 10));
        }
}

static void put_capture_objects(struct axdr_writer *w)
{
        static const struct dlms_attr columns[] = {
                { 8, { { 0, 0, 1, 0, 0, 255 } }, 2 },
                { 1, { { 0, 0, 96, 10, 1, 255 } }, 2 },
                { 3, { { 1, 0, 1, 29, 0, 255 } }, 2 },
        };

        axdr_put_array(w, 3);
        for (int i = 0; i < 3; i++) {
                axdr_put_structure(w, 4);
                axdr_put_uint16(w, columns[i].class_id);
                axdr_put_obis(w, &columns[i].obis);
                axdr_put_int8(w, columns[i].id);
                axdr_put_uint16(w, 0);
        }
}

static unsigned get_profile(const struct dlms_attr *attr, const struct dlms_selection *selection,
                            struct axdr_writer *w)
{
        struct profile_range range;

        switch (attr->id) {
        case 2:
                if (selection->selector == 0) {
                        put_rows(w, NULL);
                        return 0;
                }
                if (profile_selection_decode(selection, 0, &range))
                        return DLMS_ACCESS_TYPE_UNMATCHED;
                put_rows(w, &range);
                return 0;
        case 3:
                put_capture_objects(w);
                return 0;
        case 4:
                axdr_put_uint32(w, 900);
                return 0;
        default:
                return DLMS_ACCESS_READ_WRITE_DENIED;
        }
}

static unsigned get(void *user, const struct dlms_attr *attr,
                    const struct dlms_selection *selection, struct axdr_writer *w)
{
        struct meter *m = user;

        m->gets++;
        if (attr->class_id == 8 && attr->id == 2) {
                put_clock(w, METER_BEGIN + 86400);
                return 0;
        }
        if (attr->class_id == 7)
                return get_profile(attr, selection, w);
        if (attr->class_id == 3 && attr->id == 3) {
                axdr_put_scaler_unit(w, 0, 30);
                return 0;
        }
        if (attr->class_id == 3 && attr->id == 2) {
                axdr_put_int32(w, m->limit);
                return 0;
        }
        return DLMS_ACCESS_OBJECT_UNDEFINED;
}

static unsigned set(void *user, const struct dlms_attr *attr, const uint8_t *data, size_t n)
{
        struct meter *m = user;
        struct axdr_reader r;
        struct axdr_value v;

        if (attr->class_id != 3)
                return DLMS_ACCESS_READ_WRITE_DENIED;
        axdr_reader_init(&r, data, n);
        if (!axdr_expect(&r, AXDR_INT32, &v))
                return DLMS_ACCESS_TYPE_UNMATCHED;
        m->limit = (int32_t)v.i;
        return 0;
}

static unsigned action(void *user, const struct dlms_attr *method, const uint8_t *params, size_t n,
                       struct axdr_writer *ret)
{
        struct meter *m = user;

        (void)params, (void)n;
        if (method->class_id != 70)
                return DLMS_ACCESS_OBJECT_UNDEFINED;
        m->connected = method->id == 2;
        axdr_put_bool(ret, m->connected);
        return 0;
}

const struct dlms_server_objects meter_objects = { .get = get, .set = set, .action = action };

void meter_settings(enum dlms_framing framing, enum meter_auth auth, bool general, bool dedicated,
                    struct dlms_crypto *crypto, struct dlms_client_config *client,
                    struct dlms_server_config *server)
{
        struct dlms_keys keys = { .has_ek = true, .has_ak = true };

        for (uint8_t i = 0; i < 16; i++) {
                keys.ek[i] = i;
                keys.ak[i] = (uint8_t)(0xD0 + i);
        }
        *client = (struct dlms_client_config){
                .framing = framing,
                .client_sap = auth == METER_NONE ? 16 : 1,
                .server_sap = 1,
                .physical = 17,
                .challenge_len = 16,
                .general = general,
                .crypto = crypto,
                .ic_first = 100,
                .ic_end = 200,
                .client_title = { 'H', 'D', 'R', 0, 0, 0, 0, 1 },
                .timeout_ms = 1000,
        };
        *server = (struct dlms_server_config){
                .framing = framing,
                .server_sap = 1,
                .physical = 17,
                .title = { 'M', 'T', 'R', 0, 0, 0, 0, 7 },
                .crypto = crypto,
                .objects = &meter_objects,
        };
        memcpy(client->challenge, "client-challenge", 16);
        switch (auth) {
        case METER_LLS:
                client->auth = server->auth = DLMS_AUTH_LLS;
                client->secret = server->secret = (const uint8_t *)"12345678";
                client->secret_len = server->secret_len = 8;
                break;
        case METER_GMAC:
                client->policy = server->policy = DLMS_POLICY_AUTHENTICATED_ENCRYPTED;
                client->auth = server->auth = DLMS_AUTH_GMAC;
                client->keys = server->keys = keys;
                if (dedicated) {
                        client->keys.has_dedicated = true;
                        memset(client->keys.dedicated, 0x55, 16);
                }
                break;
        case METER_GMAC_PLAIN:
                client->auth = server->auth = DLMS_AUTH_GMAC;
                client->keys = server->keys = keys;
                break;
        case METER_NONE:
        case METER_N_AUTHS:
                break;
        }
}
