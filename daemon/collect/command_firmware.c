/*
 * Image transfer (class 18, Green Book 4.4.6): initiate, blocks, verify, compare, activate. After a
 * cut line the meter is asked which block it misses first. Proof is the firmware version the meter
 * shows (data object), read in an association of its own after activation.
 *
 * Progress kept between attempts: "initiated" (this image), "verified".
 */

#include <string.h>

#include "command_internal.h"

enum {
        BLOCK_SIZE = 2,
        FIRST_MISSING = 4,
        ENABLED = 5,
        STATUS = 6,
        TO_ACTIVATE = 7,
        INITIATE = 1,
        BLOCK_TRANSFER = 2,
        VERIFY = 3,
        ACTIVATE = 4,
        VALUE = 2,
};
enum { NOT_INITIATED, INITIATED, VERIFYING, VERIFIED, VERIFY_FAILED, ACTIVATING, ACTIVATED };
enum { POLL_MS = 3000, POLLS = 100, MILESTONE_BLOCKS = 256, RESTART_S = 60 };

enum step {
        S_VERSION,
        S_ENABLED,
        S_SIZE,
        S_STATUS,
        S_FIRST,
        S_INITIATE,
        S_BLOCK,
        S_FIRST_AGAIN,
        S_VERIFY,
        S_VERIFY_STATUS,
        S_VERIFY_PAUSE,
        S_INFO,
        S_ACTIVATE,
};

static bool has(const struct command *c, const char *name)
{
        return json_is_true(json_object_get(c->progress, name));
}

static void keep(struct command *c, const char *name, json_t *value)
{
        json_object_set_new(c->progress, name, value);
        c->milestone = true;
}

static bool begin(struct command *c)
{
        if (!c->image_len || !c->identifier[0] || !c->version[0])
                command_fail(c, "the command names no firmware image");
        return c->outcome == COMMAND_UNDECIDED;
}

static void put_initiate(struct command *c)
{
        struct axdr_writer *w = command_write(c);

        axdr_put_structure(w, 2);
        axdr_put_octets(w, c->identifier, strlen(c->identifier));
        axdr_put_uint32(w, (uint32_t)c->image_len);
}

static void put_block(struct command *c)
{
        size_t at = (size_t)c->block * c->block_size;
        size_t n = c->image_len - at < c->block_size ? c->image_len - at : c->block_size;
        struct axdr_writer *w = command_write(c);

        axdr_put_structure(w, 2);
        axdr_put_uint32(w, c->block);
        axdr_put_octets(w, c->image + at, n);
}

static void next(struct command *c, struct command_step *ret)
{
        struct model_place image = c->places.image;

        switch ((enum step)c->step) {
        case S_VERSION:
                command_get(ret, c->places.firmware, VALUE);
                return;
        case S_ENABLED:
                command_get(ret, image, ENABLED);
                return;
        case S_SIZE:
                command_get(ret, image, BLOCK_SIZE);
                return;
        case S_STATUS:
        case S_VERIFY_STATUS:
                command_get(ret, image, STATUS);
                return;
        case S_FIRST:
        case S_FIRST_AGAIN:
                command_get(ret, image, FIRST_MISSING);
                return;
        case S_INITIATE:
                put_initiate(c);
                command_act(c, ret, image, INITIATE);
                return;
        case S_BLOCK:
                put_block(c);
                command_act(c, ret, image, BLOCK_TRANSFER);
                return;
        case S_VERIFY:
        case S_ACTIVATE:
                axdr_put_int8(command_write(c), 0);
                command_act(c, ret, image, c->step == S_VERIFY ? VERIFY : ACTIVATE);
                return;
        case S_VERIFY_PAUSE:
                command_wait(c, ret, POLL_MS, S_VERIFY_STATUS);
                return;
        case S_INFO:
                command_get(ret, image, TO_ACTIVATE);
                return;
        }
}

static void on_version(struct command *c, const uint8_t *data, size_t n)
{
        struct axdr_reader r;
        struct axdr_value v;

        axdr_reader_init(&r, data, n);
        if (!axdr_next(&r, &v) || (v.tag != AXDR_OCTET_STRING && v.tag != AXDR_VISIBLE_STRING)) {
                command_fail(c, "the meter's firmware version is no text");
                return;
        }
        command_prove(c, "version", json_stringn((const char *)v.p, v.n));
        if (v.n == strlen(c->version) && memcmp(v.p, c->version, v.n) == 0)
                command_confirm(c);
        else if (!command_may_not_send(c, "another firmware is active"))
                c->step++;
}

/* Where the meter stands, and with what to go on. */
static void on_status(struct command *c, int64_t status)
{
        if (status == VERIFIED && has(c, "initiated"))
                c->step = S_INFO;
        else if (status == VERIFYING && has(c, "initiated"))
                c->step = S_VERIFY_STATUS;
        else if (status == ACTIVATING)
                command_again(c, RESTART_S, "the meter is activating an image");
        else if (status == INITIATED && has(c, "initiated"))
                c->step = S_FIRST;
        else if (status == ACTIVATED && has(c, "activating"))
                command_fail(c, "the meter says it activated the image and does not show its "
                                "version");
        else
                c->step = S_INITIATE;
}

static void on_first(struct command *c, int64_t first)
{
        if (first < 0 || first > c->n_blocks)
                first = c->n_blocks;
        c->block = (uint32_t)first;
        if (c->step == S_FIRST)
                command_prove(c, "resumed_at", json_integer(first));
        else if (first < c->n_blocks && ++c->tries > 3) {
                command_again(c, 600, "the meter keeps losing block %u", c->block);
                return;
        }
        c->step = c->block < c->n_blocks ? S_BLOCK : S_VERIFY;
}

static void on_verify_status(struct command *c, int64_t status)
{
        if (status == VERIFIED) {
                c->step = S_INFO;
        } else if (status == VERIFY_FAILED) {
                json_object_clear(c->progress);
                keep(c, "initiated", json_false());
                command_fail(c, "the meter found the image wrong");
        } else if (status == VERIFYING && c->tries < POLLS) {
                c->step = S_VERIFY_PAUSE;
        } else {
                command_again(c, 300, "the meter does not finish verifying (status %lld)",
                              (long long)status);
        }
}

/* Only what was sent is activated: size and identifier as the meter verified them. */
static void on_info(struct command *c, const uint8_t *data, size_t n)
{
        struct axdr_reader r;
        struct axdr_value list, entry, size, id;
        bool same = false;

        axdr_reader_init(&r, data, n);
        if (axdr_expect(&r, AXDR_ARRAY, &list))
                for (size_t i = 0; i < list.n && axdr_expect(&r, AXDR_STRUCTURE, &entry); i++) {
                        if (entry.n != 3 || !axdr_expect(&r, AXDR_UINT32, &size) ||
                            !axdr_expect(&r, AXDR_OCTET_STRING, &id) || !axdr_skip(&r))
                                break;
                        same |= size.i == (int64_t)c->image_len && id.n == strlen(c->identifier) &&
                                memcmp(id.p, c->identifier, id.n) == 0;
                }
        if (!same) {
                command_fail(c, "the meter verified another image than the one sent");
                return;
        }
        keep(c, "verified", json_true());
        if (c->window_wait_s > 0)
                command_again(c, c->window_wait_s, "verified; waits for the activation window");
        else if (!command_may_not_send(c, "verified, not activated"))
                c->step = S_ACTIVATE;
}

static void on_number(struct command *c, int64_t v)
{
        switch ((enum step)c->step) {
        case S_SIZE:
                if (v < 1 || v > COMMAND_DATA_MAX - 32) {
                        command_fail(c, "image block size %lld cannot be used", (long long)v);
                        return;
                }
                c->block_size = (uint32_t)v;
                c->n_blocks = (uint32_t)((c->image_len + c->block_size - 1) / c->block_size);
                c->step++;
                return;
        case S_STATUS:
                on_status(c, v);
                return;
        case S_FIRST:
        case S_FIRST_AGAIN:
                on_first(c, v);
                return;
        case S_VERIFY_STATUS:
                on_verify_status(c, v);
                return;
        case S_VERSION:
        case S_ENABLED:
        case S_INITIATE:
        case S_BLOCK:
        case S_VERIFY:
        case S_VERIFY_PAUSE:
        case S_INFO:
        case S_ACTIVATE:
                return;
        }
}

/* Answers that carry no value. */
static bool on_action(struct command *c, unsigned r)
{
        bool busy = r == DLMS_ACCESS_TEMPORARY_FAILURE;

        switch ((enum step)c->step) {
        case S_INITIATE:
                if (r)
                        command_refused(c, "initiating the image transfer", r);
                keep(c, "initiated", json_boolean(r == 0));
                c->block = 0;
                c->step = S_BLOCK;
                return true;
        case S_BLOCK:
                if (r) {
                        c->step = S_FIRST_AGAIN; /* which does it want? */
                        return true;
                }
                if (++c->block % MILESTONE_BLOCKS == 0)
                        keep(c, "blocks", json_integer(c->block));
                if (c->block == c->n_blocks)
                        c->step = S_FIRST_AGAIN;
                return true;
        case S_VERIFY:
                if (r && !busy)
                        command_refused(c, "verifying the image", r);
                keep(c, "blocks", json_integer(c->n_blocks));
                c->tries = 0;
                c->step = S_VERIFY_STATUS;
                return true;
        case S_ACTIVATE:
                if (r && !busy)
                        command_refused(c, "activating the image", r);
                keep(c, "activating", json_true());
                command_again(c, RESTART_S, "activation begun; its version is read after it");
                return true;
        case S_VERSION:
        case S_ENABLED:
        case S_SIZE:
        case S_STATUS:
        case S_FIRST:
        case S_FIRST_AGAIN:
        case S_VERIFY_STATUS:
        case S_VERIFY_PAUSE:
        case S_INFO:
                break;
        }
        return false;
}

static void result(struct command *c, unsigned r, const uint8_t *data, size_t n)
{
        bool enabled;
        int64_t v;

        if (on_action(c, r))
                return;
        if (r != DLMS_ACCESS_SUCCESS) {
                command_refused(c, "image transfer object", r);
        } else if (c->step == S_VERSION) {
                on_version(c, data, n);
        } else if (c->step == S_ENABLED) {
                if (!command_boolean(data, n, &enabled) || !enabled)
                        command_fail(c, "image transfer is not enabled in the meter");
                else
                        c->step++;
        } else if (c->step == S_INFO) {
                on_info(c, data, n);
        } else if (command_number(data, n, &v)) {
                on_number(c, v);
        } else {
                command_fail(c, "the image transfer object shows no number where one belongs");
        }
}

const struct command_ops command_firmware_ops = { .late = true,
                                                  .begin = begin,
                                                  .next = next,
                                                  .result = result };
