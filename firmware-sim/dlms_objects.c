#include "dlms_objects.h"

#include <stdlib.h>
#include <string.h>

#include "dlms/profile.h"
#include "dlms_meter.h"
#include "sim.h"

enum { CONTROL = 70, LIMITER = 71, CALENDAR = 20, IMAGE = 18, SECURITY = 64, CLOCK = 8, LOG = 7 };
enum { DISCONNECTED, CONNECTED, READY };
enum { IMAGE_INITIATED = 1, IMAGE_VERIFYING, IMAGE_VERIFIED, IMAGE_BAD, IMAGE_ACTIVATED = 6 };
enum { VERIFY_POLLS = 2, IMAGE_MAX = 4 << 20 };
enum { CODE_CLOCK_OLD = 4, CODE_CLOCK_NEW = 5, CODE_CALENDAR = 9, CODE_IMAGE_READY = 17,
       CODE_IMAGE_ACTIVE = 18, CODE_COVER_OPEN = 44, CODE_KEYS = 48, CODE_IMAGE_BAD = 51,
       CODE_OFF = 62, CODE_ON = 63, CODE_READY = 59, CODE_LIMIT = 67, CODE_POWER_UP = 2 };

static const struct obis log_obis = { { 0, 0, 99, 98, 0, 255 } };
static const struct obis version_obis = { { 1, 0, 0, 2, 0, 255 } };
static const char image_magic[] = "HRFW ";

static int64_t own_time(const struct dlms_meter *d)
{
        return sim_now(d->sim) + d->meter->drift_s + d->objects.clock_offset_s;
}

static void note_at(struct dlms_objects *o, int64_t at, uint8_t code)
{
        if (o->n_log == OBJECTS_LOG_MAX)
                memmove(o->log, o->log + 1, --o->n_log * sizeof *o->log);
        o->log[o->n_log++] = (struct dlms_log_entry){ at, code };
}

void dlms_objects_note(struct dlms_meter *d, uint8_t code)
{
        note_at(&d->objects, own_time(d), code);
}

void dlms_objects_init(struct dlms_meter *d)
{
        const struct sim_options *opt = &d->sim->opt;
        struct dlms_objects *o = &d->objects;

        o->output = true;
        o->control_state = CONNECTED;
        /* Every fourth meter can only be armed by remote command. */
        o->control_mode = d->meter->number % 4 ? 4 : 3;
        o->stuck = d->meter->number <= opt->stuck;
        o->clock_offset_s = opt->clock_offset;
        o->threshold = 10000;
        strcpy(o->version, "HR-FW-1.0");
        note_at(o, opt->from, CODE_POWER_UP);
        if (d->meter->number <= opt->tamper)
                note_at(o, opt->from + 3600, CODE_COVER_OPEN);
}

void dlms_objects_deinit(struct dlms_meter *d)
{
        free(d->objects.image);
        free(d->objects.image_blocks);
}

/* ---- small reads ---- */

static bool integer(const uint8_t *p, size_t n, int64_t *ret)
{
        struct axdr_reader r;
        struct axdr_value v;

        axdr_reader_init(&r, p, n);
        return axdr_next(&r, &v) && axdr_is_integer(&v, ret);
}

static bool octets(struct axdr_reader *r, struct axdr_value *ret)
{
        return axdr_expect(r, AXDR_OCTET_STRING, ret);
}

/* ---- disconnect control ---- */

static unsigned get_control(const struct dlms_objects *o, int8_t id, struct axdr_writer *w)
{
        if (id == 2)
                axdr_put_bool(w, o->output);
        else if (id == 3)
                axdr_put_enum(w, o->control_state);
        else if (id == 4)
                axdr_put_enum(w, o->control_mode);
        else
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        return DLMS_ACCESS_SUCCESS;
}

static void move(struct dlms_meter *d, uint8_t state, uint8_t code)
{
        struct dlms_objects *o = &d->objects;

        if (o->stuck || o->control_state == state)
                return;
        o->control_state = state;
        o->output = state == CONNECTED;
        o->switched++;
        dlms_objects_note(d, code);
}

static unsigned act_control(struct dlms_meter *d, int8_t id)
{
        bool connects = d->objects.control_mode == 2 || d->objects.control_mode == 4;

        if (id == 1)
                move(d, DISCONNECTED, CODE_OFF);
        else if (id == 2 && d->objects.control_state == DISCONNECTED)
                move(d, connects ? CONNECTED : READY, connects ? CODE_ON : CODE_READY);
        else if (id != 2)
                return DLMS_ACCESS_OBJECT_UNDEFINED;
        return DLMS_ACCESS_SUCCESS;
}

/* ---- limiter ---- */

static unsigned get_limiter(const struct dlms_objects *o, int8_t id, struct axdr_writer *w)
{
        if (id == 3 || id == 4)
                axdr_put_uint32(w, o->threshold);
        else if (id == 6)
                axdr_put_uint32(w, o->over_s);
        else
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        return DLMS_ACCESS_SUCCESS;
}

static unsigned set_limiter(struct dlms_meter *d, int8_t id, const uint8_t *p, size_t n)
{
        int64_t v;

        if (!n || p[0] != AXDR_UINT32 || !integer(p, n, &v))
                return DLMS_ACCESS_TYPE_UNMATCHED;
        if (id == 4)
                d->objects.threshold = (uint32_t)v;
        else if (id == 6)
                d->objects.over_s = (uint32_t)v;
        else
                return DLMS_ACCESS_READ_WRITE_DENIED;
        dlms_objects_note(d, CODE_LIMIT);
        return DLMS_ACCESS_SUCCESS;
}

/* ---- activity calendar: attributes 2-5 active, 6-9 passive ---- */

static unsigned get_calendar(const struct dlms_objects *o, int8_t id, struct axdr_writer *w)
{
        bool active = id <= 5;
        int i = active ? id - 2 : id - 6;

        if (id < 2 || id > 9)
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        if (o->calendar[active][i].n)
                axdr_put_raw(w, o->calendar[active][i].bytes, o->calendar[active][i].n);
        else if (i == 0)
                axdr_put_octets(w, "", 0);
        else
                axdr_put_array(w, 0);
        return DLMS_ACCESS_SUCCESS;
}

static unsigned set_calendar(struct dlms_objects *o, int8_t id, const uint8_t *p, size_t n)
{
        if (id < 6 || id > 9)
                return DLMS_ACCESS_READ_WRITE_DENIED;
        if (n > OBJECTS_CALENDAR_MAX || p[0] != (id == 6 ? AXDR_OCTET_STRING : AXDR_ARRAY))
                return DLMS_ACCESS_TYPE_UNMATCHED;
        o->calendar[0][id - 6].n = (uint16_t)n;
        memcpy(o->calendar[0][id - 6].bytes, p, n);
        return DLMS_ACCESS_SUCCESS;
}

static unsigned act_calendar(struct dlms_meter *d, int8_t id)
{
        if (id != 1)
                return DLMS_ACCESS_OBJECT_UNDEFINED;
        memcpy(d->objects.calendar[1], d->objects.calendar[0], sizeof d->objects.calendar[1]);
        dlms_objects_note(d, CODE_CALENDAR);
        return DLMS_ACCESS_SUCCESS;
}

/* ---- image transfer ---- */

static uint32_t first_missing(const struct dlms_objects *o)
{
        uint32_t i = 0;

        while (i < o->n_blocks && o->image_blocks[i])
                i++;
        return i;
}

static void verify(struct dlms_meter *d)
{
        struct dlms_objects *o = &d->objects;

        if (o->image_status != IMAGE_VERIFYING || --o->verifying)
                return;
        o->image_status = first_missing(o) == o->n_blocks && o->image_size > sizeof image_magic &&
                                          memcmp(o->image, image_magic, strlen(image_magic)) == 0
                                  ? IMAGE_VERIFIED
                                  : IMAGE_BAD;
        dlms_objects_note(d, o->image_status == IMAGE_VERIFIED ? CODE_IMAGE_READY : CODE_IMAGE_BAD);
}

static unsigned get_image(struct dlms_meter *d, int8_t id, struct axdr_writer *w)
{
        struct dlms_objects *o = &d->objects;

        switch (id) {
        case 2:
                axdr_put_uint32(w, OBJECTS_BLOCK);
                return DLMS_ACCESS_SUCCESS;
        case 4:
                axdr_put_uint32(w, first_missing(o));
                return DLMS_ACCESS_SUCCESS;
        case 5:
                axdr_put_bool(w, true);
                return DLMS_ACCESS_SUCCESS;
        case 6:
                verify(d);
                axdr_put_enum(w, o->image_status);
                return DLMS_ACCESS_SUCCESS;
        case 7:
                axdr_put_array(w, o->image_status == IMAGE_VERIFIED);
                if (o->image_status != IMAGE_VERIFIED)
                        return DLMS_ACCESS_SUCCESS;
                axdr_put_structure(w, 3);
                axdr_put_uint32(w, o->image_size);
                axdr_put_octets(w, o->image_id, o->image_id_len);
                axdr_put_octets(w, "", 0);
                return DLMS_ACCESS_SUCCESS;
        default:
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        }
}

static unsigned image_initiate(struct dlms_objects *o, const uint8_t *p, size_t n)
{
        struct axdr_reader r;
        struct axdr_value v, id, size;

        axdr_reader_init(&r, p, n);
        if (!axdr_expect(&r, AXDR_STRUCTURE, &v) || v.n != 2 || !octets(&r, &id) ||
            !axdr_expect(&r, AXDR_UINT32, &size) || id.n > sizeof o->image_id)
                return DLMS_ACCESS_TYPE_UNMATCHED;
        if (size.i < 1 || size.i > IMAGE_MAX)
                return DLMS_ACCESS_OTHER;
        free(o->image);
        free(o->image_blocks);
        o->image_size = (uint32_t)size.i;
        o->n_blocks = (o->image_size + OBJECTS_BLOCK - 1) / OBJECTS_BLOCK;
        o->image = calloc(1, o->image_size);
        o->image_blocks = calloc(1, o->n_blocks);
        if (!o->image || !o->image_blocks) {
                o->n_blocks = 0;
                return DLMS_ACCESS_TEMPORARY_FAILURE;
        }
        memcpy(o->image_id, id.p, id.n);
        o->image_id_len = (uint8_t)id.n;
        o->image_status = IMAGE_INITIATED;
        return DLMS_ACCESS_SUCCESS;
}

static unsigned image_block(struct dlms_objects *o, const uint8_t *p, size_t n)
{
        struct axdr_reader r;
        struct axdr_value v, nr, block;
        size_t at, want;

        axdr_reader_init(&r, p, n);
        if (!axdr_expect(&r, AXDR_STRUCTURE, &v) || v.n != 2 || !axdr_expect(&r, AXDR_UINT32, &nr) ||
            !octets(&r, &block))
                return DLMS_ACCESS_TYPE_UNMATCHED;
        if (o->image_status != IMAGE_INITIATED || nr.i >= o->n_blocks)
                return DLMS_ACCESS_OTHER;
        at = (size_t)nr.i * OBJECTS_BLOCK;
        want = o->image_size - at < OBJECTS_BLOCK ? o->image_size - at : OBJECTS_BLOCK;
        if (block.n != want)
                return DLMS_ACCESS_OTHER;
        memcpy(o->image + at, block.p, want);
        o->image_blocks[nr.i] = 1;
        o->blocks_taken++;
        return DLMS_ACCESS_SUCCESS;
}

/* The image's first line names the version it brings. */
static unsigned image_activate(struct dlms_meter *d)
{
        struct dlms_objects *o = &d->objects;
        const char *v = (const char *)o->image + strlen(image_magic);
        const char *end;

        if (o->image_status != IMAGE_VERIFIED)
                return DLMS_ACCESS_OTHER;
        end = memchr(v, '\n', o->image_size - strlen(image_magic));
        if (!end || (size_t)(end - v) >= sizeof o->version)
                return DLMS_ACCESS_OTHER;
        memcpy(o->version, v, (size_t)(end - v));
        o->version[end - v] = 0;
        o->image_status = IMAGE_ACTIVATED;
        dlms_objects_note(d, CODE_IMAGE_ACTIVE);
        return DLMS_ACCESS_SUCCESS;
}

static unsigned act_image(struct dlms_meter *d, int8_t id, const uint8_t *p, size_t n)
{
        struct dlms_objects *o = &d->objects;

        switch (id) {
        case 1:
                return image_initiate(o, p, n);
        case 2:
                return image_block(o, p, n);
        case 3:
                o->image_status = IMAGE_VERIFYING;
                o->verifying = VERIFY_POLLS;
                return DLMS_ACCESS_TEMPORARY_FAILURE; /* it goes on by itself */
        case 4:
                return image_activate(d);
        default:
                return DLMS_ACCESS_OBJECT_UNDEFINED;
        }
}

/* ---- keys ---- */

static unsigned key_transfer(struct dlms_meter *d, const uint8_t *p, size_t n)
{
        struct dlms_keys keys = d->config.keys;
        struct axdr_reader r;
        struct axdr_value list, v, id, wrapped;

        axdr_reader_init(&r, p, n);
        if (!axdr_expect(&r, AXDR_ARRAY, &list))
                return DLMS_ACCESS_TYPE_UNMATCHED;
        for (size_t i = 0; i < list.n; i++) {
                uint8_t key[METER_KEY_SIZE];

                if (!axdr_expect(&r, AXDR_STRUCTURE, &v) || v.n != 2 ||
                    !axdr_expect(&r, AXDR_ENUM, &id) || !octets(&r, &wrapped))
                        return DLMS_ACCESS_TYPE_UNMATCHED;
                if (wrapped.n != METER_KEY_SIZE + 8 ||
                    dlms_key_unwrap(d->meter->kek, METER_KEY_SIZE, wrapped.p, wrapped.n, key))
                        return DLMS_ACCESS_OTHER;
                if (id.i == 0)
                        memcpy(keys.ek, key, sizeof key);
                else if (id.i == 2)
                        memcpy(keys.ak, key, sizeof key);
                else
                        return DLMS_ACCESS_OTHER;
        }
        /* Sessions copy the keys when they associate: this one goes on under the old ones. */
        d->config.keys = keys;
        dlms_objects_note(d, CODE_KEYS);
        return DLMS_ACCESS_SUCCESS;
}

/* ---- clock ---- */

static unsigned set_clock(struct dlms_meter *d, int8_t id, const uint8_t *p, size_t n)
{
        struct dlms_datetime t;
        struct axdr_reader r;
        struct axdr_value v;
        int64_t utc;

        axdr_reader_init(&r, p, n);
        if (id != 2 || !octets(&r, &v) || !dlms_datetime_read(v.p, v.n, &t) ||
            dlms_datetime_utc(&t, DATETIME_STANDARD, d->sim->opt.utc_offset_min, &utc))
                return DLMS_ACCESS_TYPE_UNMATCHED;
        dlms_objects_note(d, CODE_CLOCK_OLD);
        d->objects.clock_offset_s = utc - sim_now(d->sim) - d->meter->drift_s;
        dlms_objects_note(d, CODE_CLOCK_NEW);
        return DLMS_ACCESS_SUCCESS;
}

static unsigned shift_clock(struct dlms_meter *d, int8_t id, const uint8_t *p, size_t n)
{
        int64_t by;

        if (id != 6 || !integer(p, n, &by) || by < -900 || by > 900)
                return DLMS_ACCESS_OTHER;
        dlms_objects_note(d, CODE_CLOCK_OLD);
        d->objects.clock_offset_s += by;
        dlms_objects_note(d, CODE_CLOCK_NEW);
        return DLMS_ACCESS_SUCCESS;
}

/* ---- event log ---- */

static void put_time(const struct dlms_meter *d, int64_t utc, struct axdr_writer *w)
{
        struct dlms_datetime t;
        uint8_t bytes[DATETIME_SIZE];

        dlms_datetime_from_utc(utc, d->sim->opt.utc_offset_min, false, &t);
        dlms_datetime_write(&t, bytes);
        axdr_put_octets(w, bytes, sizeof bytes);
}

static void put_capture(uint16_t class_id, struct obis obis, struct axdr_writer *w)
{
        axdr_put_structure(w, 4);
        axdr_put_uint16(w, class_id);
        axdr_put_obis(w, &obis);
        axdr_put_int8(w, 2);
        axdr_put_uint16(w, 0);
}

static unsigned get_log(const struct dlms_meter *d, int8_t id,
                        const struct dlms_selection *selection, struct axdr_writer *w)
{
        struct profile_range range = { .from = INT64_MIN, .to = INT64_MAX };
        const struct dlms_objects *o = &d->objects;
        size_t n = 0;

        if (id == 3) {
                axdr_put_array(w, 2);
                put_capture(8, OBIS(0, 0, 1, 0, 0, 255), w);
                put_capture(1, OBIS(0, 0, 96, 11, 0, 255), w);
                return DLMS_ACCESS_SUCCESS;
        }
        if (id != 2)
                return DLMS_ACCESS_OBJECT_UNAVAILABLE;
        if (selection->selector &&
            (profile_selection_decode(selection, d->sim->opt.utc_offset_min, &range) ||
             range.by_entry))
                return DLMS_ACCESS_TYPE_UNMATCHED;
        for (uint16_t i = 0; i < o->n_log; i++)
                n += o->log[i].at >= range.from && o->log[i].at <= range.to;
        axdr_put_array(w, n);
        for (uint16_t i = 0; i < o->n_log; i++) {
                if (o->log[i].at < range.from || o->log[i].at > range.to)
                        continue;
                axdr_put_structure(w, 2);
                put_time(d, o->log[i].at, w);
                axdr_put_uint8(w, o->log[i].code);
        }
        return DLMS_ACCESS_SUCCESS;
}

/* ---- by class ---- */

bool dlms_objects_get(struct dlms_meter *d, const struct dlms_attr *a,
                      const struct dlms_selection *selection, struct axdr_writer *w, unsigned *ret)
{
        if (a->class_id == CONTROL)
                *ret = get_control(&d->objects, a->id, w);
        else if (a->class_id == LIMITER)
                *ret = get_limiter(&d->objects, a->id, w);
        else if (a->class_id == CALENDAR)
                *ret = get_calendar(&d->objects, a->id, w);
        else if (a->class_id == IMAGE)
                *ret = get_image(d, a->id, w);
        else if (a->class_id == LOG && obis_equal(&a->obis, &log_obis))
                *ret = get_log(d, a->id, selection, w);
        else if (a->class_id == 1 && obis_equal(&a->obis, &version_obis) && a->id == 2) {
                axdr_put_octets(w, d->objects.version, strlen(d->objects.version));
                *ret = DLMS_ACCESS_SUCCESS;
        } else
                return false;
        return true;
}

unsigned dlms_objects_set(struct dlms_meter *d, const struct dlms_attr *a, const uint8_t *data,
                          size_t n)
{
        if (a->class_id == LIMITER)
                return set_limiter(d, a->id, data, n);
        if (a->class_id == CALENDAR)
                return set_calendar(&d->objects, a->id, data, n);
        if (a->class_id == CLOCK)
                return set_clock(d, a->id, data, n);
        return DLMS_ACCESS_READ_WRITE_DENIED;
}

unsigned dlms_objects_action(struct dlms_meter *d, const struct dlms_attr *a, const uint8_t *data,
                             size_t n)
{
        switch (a->class_id) {
        case CONTROL:
                return act_control(d, a->id);
        case CALENDAR:
                return act_calendar(d, a->id);
        case IMAGE:
                return act_image(d, a->id, data, n);
        case SECURITY:
                return a->id == 2 ? key_transfer(d, data, n) : (unsigned)DLMS_ACCESS_OBJECT_UNDEFINED;
        case CLOCK:
                return shift_clock(d, a->id, data, n);
        default:
                return DLMS_ACCESS_OBJECT_UNDEFINED;
        }
}
