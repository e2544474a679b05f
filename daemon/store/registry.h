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

/* ---- the holder ---- */

struct buf;

/* Turns a quarantined message of @meter into a payload (message.h): 0, or negative with @why. */
typedef int registry_normalise(const struct registry_meter *meter, const char *detail,
                               const void *raw, size_t n, struct buf *out_payload, char *why,
                               size_t why_size);

struct registry_options {
        const char *conninfo;
        const struct secret *master; /* opens the meters' keys; NULL: no keys in the snapshots */
        registry_normalise
                *normalise; /* replays quarantined messages that are due; NULL: another does */
};

/* Starts a thread with a connection of its own that reads the registry, listens for changes and
 * replays quarantine. The first snapshots are empty; a database that is away is waited for. Owned
 * result. 0 or -errno. */
int registry_open(struct registry **ret, const struct registry_options *options);
/* Snapshots taken stay valid until they are given back. NULL is fine. */
void registry_close(struct registry *r);
/* Reads again soon. Any thread. */
void registry_reload(struct registry *r);
/* Waits until a snapshot newer than @version is there, at most @timeout_ms. False: not in time. */
bool registry_wait(struct registry *r, uint64_t version, int timeout_ms);

struct db;

/* Puts a model's profile into mdm.meter_model, or brings it up to date. 0, -EINVAL (the database
 * refused it), -ECANCELED (database away). */
int registry_put_model(struct db *db, const char *model, const char *maker, const char *protocol,
                       int digits, const char *profile_json);
