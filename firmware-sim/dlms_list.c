#include "dlms_list.h"

#include "sim.h"

enum { NO_ACCESS = 0, READ_ONLY = 1 };

struct entry {
        uint16_t class_id;
        uint8_t version, attributes, methods;
        uint16_t readable; /* bit n: attribute n */
        struct obis obis;
        bool wrapper_only, ciphered_only;
};

static const struct entry entries[] = {
        { 1, 0, 2, 0, 0x006, { { 0, 0, 42, 0, 0, 255 } }, false, false },
        { 1, 0, 2, 0, 0x006, { { 0, 0, 96, 1, 0, 255 } }, false, false },
        { 1, 0, 2, 0, 0x006, { { 0, 0, 43, 1, 0, 255 } }, false, true },
        { 3, 0, 3, 1, 0x00E, { { 1, 0, 1, 8, 0, 255 } }, false, false },
        { 3, 0, 3, 1, 0x00E, { { 1, 0, 1, 29, 0, 255 } }, true, false },
        { 7, 1, 8, 2, 0x19E, { { 1, 0, 99, 1, 0, 255 } }, false, false },
        { 8, 0, 9, 6, 0x00E, { { 0, 0, 1, 0, 0, 255 } }, false, false },
        { 15, 1, 9, 4, 0x006, { { 0, 0, 40, 0, 0, 255 } }, false, false },
};

enum { N = sizeof entries / sizeof *entries };

static bool is_there(const struct dlms_meter *d, const struct entry *e)
{
        bool wrapper = d->meter->kind == SIM_DLMS_WRAPPER;

        return !(e->wrapper_only && !wrapper) && !(e->ciphered_only && wrapper);
}

static void put_rights(const struct entry *e, struct axdr_writer *w)
{
        axdr_put_structure(w, 2);
        axdr_put_array(w, e->attributes);
        for (int8_t i = 1; i <= (int8_t)e->attributes; i++) {
                axdr_put_structure(w, 3);
                axdr_put_int8(w, i);
                axdr_put_enum(w, e->readable >> i & 1 ? READ_ONLY : NO_ACCESS);
                axdr_put_null(w);
        }
        axdr_put_array(w, e->methods);
        for (int8_t i = 1; i <= (int8_t)e->methods; i++) {
                axdr_put_structure(w, 2);
                axdr_put_int8(w, i);
                axdr_put_enum(w, NO_ACCESS);
        }
}

static void put_list(const struct dlms_meter *d, struct axdr_writer *w)
{
        size_t n = 0;

        for (size_t i = 0; i < N; i++)
                n += is_there(d, &entries[i]);
        axdr_put_array(w, n);
        for (size_t i = 0; i < N; i++) {
                const struct entry *e = &entries[i];

                if (!is_there(d, e))
                        continue;
                axdr_put_structure(w, 4);
                axdr_put_uint16(w, e->class_id);
                axdr_put_uint8(w, e->version);
                axdr_put_obis(w, &e->obis);
                put_rights(e, w);
        }
}

unsigned dlms_list_get(const struct dlms_meter *d, int8_t attribute, struct axdr_writer *w)
{
        static const struct obis name = { { 0, 0, 40, 0, 0, 255 } };

        if (attribute == 1)
                axdr_put_obis(w, &name);
        else if (attribute == 2)
                put_list(d, w);
        else
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        return DLMS_ACCESS_SUCCESS;
}
