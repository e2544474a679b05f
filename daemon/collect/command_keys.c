/*
 * Change of the global keys (security setup, class 64, method key_transfer): the new encryption
 * and authentication keys travel wrapped under the meter's master key. They count only when the
 * meter associates under them and lets its clock be read; until then both pairs stay.
 */

#include <string.h>

#include "command_internal.h"
#include "dlms/security.h"

enum { KEY_TRANSFER = 2, KEY_UNICAST = 0, KEY_AUTHENTICATION = 2, TIME = 2 };
enum step { S_PROBE, S_SEND, S_REKEY, S_PROVE };

static bool begin(struct command *c)
{
        if (!c->guek_next.len || !c->gak_next.len)
                command_fail(c, "the new keys could not be made");
        else if (!c->kek.len)
                command_fail(c, "the registry has no master key (kek) of this meter to wrap new "
                                "keys with");
        return c->outcome == COMMAND_UNDECIDED;
}

static bool put_key(struct command *c, struct axdr_writer *w, uint8_t id, const struct secret *key)
{
        uint8_t wrapped[SECRET_MAX + 8];

        if (dlms_key_wrap(c->kek.bytes, c->kek.len, key->bytes, key->len, wrapped))
                return false;
        axdr_put_structure(w, 2);
        axdr_put_enum(w, id);
        axdr_put_octets(w, wrapped, (size_t)key->len + 8);
        return true;
}

static void next(struct command *c, struct command_step *ret)
{
        struct axdr_writer *w;

        switch ((enum step)c->step) {
        case S_PROBE:
        case S_PROVE:
                command_get(ret, c->places.clock, TIME);
                return;
        case S_SEND:
                w = command_write(c);
                axdr_put_array(w, 2);
                if (!put_key(c, w, KEY_UNICAST, &c->guek_next) ||
                    !put_key(c, w, KEY_AUTHENTICATION, &c->gak_next)) {
                        command_fail(c, "the new keys cannot be wrapped under the meter's master "
                                        "key: is it 16 or 32 bytes long?");
                        return;
                }
                command_act(c, ret, c->places.security, KEY_TRANSFER);
                return;
        case S_REKEY:
                ret->op = COMMAND_REKEY;
                return;
        }
}

static void result(struct command *c, unsigned r, const uint8_t *data, size_t n)
{
        (void)data;
        (void)n;
        if (r != DLMS_ACCESS_SUCCESS) {
                command_refused(c, c->step == S_SEND ? "key transfer" : "reading the clock", r);
                return;
        }
        switch ((enum step)c->step) {
        case S_PROBE:
                /* Associated under the new keys already: an earlier attempt took effect. */
                if (c->rekeyed) {
                        command_prove(c, "read_under_new_keys", json_true());
                        command_confirm(c);
                } else if (!command_may_not_send(c, "the meter uses the old keys")) {
                        c->step = S_SEND;
                }
                return;
        case S_SEND:
                c->step = S_REKEY;
                return;
        case S_PROVE:
                command_prove(c, "read_under_new_keys", json_true());
                command_confirm(c);
                return;
        case S_REKEY:
                return;
        }
}

const struct command_ops command_keys_ops = { .late = true,
                                              .begin = begin,
                                              .next = next,
                                              .result = result };
