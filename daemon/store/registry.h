#pragma once

/*
 * The meters this daemon knows, in memory: looked up by identity on every push, walked by the
 * scheduler. A snapshot: immutable, reference-counted, replaced as a whole when the registry in
 * the database changes; so the loop thread never waits for a lock or the database.
 *
 * Keys are decrypted when the snapshot is made, in the collect role only, and wiped with it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "secret.h"

enum meter_protocol { METER_DLMS, METER_MODBUS, METER_MQTT, METER_COAP, METER_MANUAL };

struct registry_meter {
        uint32_t meter_id;
        int16_t branch_id;
        enum meter_protocol protocol;
        const char *serial, *maker, *identity;
        const char *model;   /* mdm.meter_model */
        const char *profile; /* the model's JSON, shared by its meters */
        const char *address; /* JSON object */
        uint32_t period_s;
        struct secret guek, gak, lls, hls, psk;
};

struct registry;          /* the holder; thread-safe */
struct registry_snapshot; /* immutable */

/* Current snapshot with a reference of the caller's; never NULL (empty before the first load). */
struct registry_snapshot *registry_get(struct registry *r);
void registry_unref(struct registry_snapshot *s);
uint64_t registry_version(const struct registry_snapshot *s);

size_t registry_count(const struct registry_snapshot *s);
const struct registry_meter *registry_at(const struct registry_snapshot *s, size_t i);
/* Exact match; NULL if unknown. Identities are compared in upper case for hexadecimal system
 * titles (dlms), as given otherwise. */
const struct registry_meter *registry_by_identity(const struct registry_snapshot *s,
                                                  enum meter_protocol protocol,
                                                  const char *identity);
const struct registry_meter *registry_by_id(const struct registry_snapshot *s, uint32_t meter_id);
