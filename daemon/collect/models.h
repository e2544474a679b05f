#pragma once

/*
 * Meter models as data: what stands in the files of models/ (and mdm.meter_model.profile), parsed.
 * models/README.md describes the files. Pure; a parsed model is immutable and may be shared by
 * threads. Strings are owned by the model.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "payload/channel.h"
#include "dlms/dlms.h"
#include "modbus/map.h"
#include "registry.h"
#include "dlms/security.h"

enum {
        MODEL_OBJECTS_MAX = 32,
        MODEL_LISTS_MAX = 6,
        MODEL_FIELDS_MAX = 32,
        MODEL_NAME_MAX = 64,
        MODEL_UNIT_MAX = 12
};

/* The time an interval value carries: end or start of its interval; INSTANT: rows of cumulative
 * registers. */
enum model_stamp { MODEL_STAMP_END, MODEL_STAMP_START, MODEL_STAMP_INSTANT };

enum model_payload { MODEL_PAYLOAD_NONE, MODEL_PAYLOAD_SENML, MODEL_PAYLOAD_FLAT };

enum model_time { MODEL_TIME_RFC3339, MODEL_TIME_UNIX, MODEL_TIME_UNIX_MS };

struct model_target {
        const struct channel *channel; /* NULL: captured, but nothing of ours */
        char unit[MODEL_UNIT_MAX];     /* "" = the channel's */
        int8_t scaler;                 /* value × 10^scaler in unit */
        uint32_t period_s;             /* interval channels */
};

struct model_object {
        struct dlms_attr attr;
        struct model_target to;
};

struct model_field {
        char name[MODEL_NAME_MAX];
        struct model_target to;
};

struct model_profile {
        bool present;
        struct obis obis;
        uint32_t period_s, days;
        enum model_stamp stamp;
        uint8_t n;
        struct model_object capture[MODEL_OBJECTS_MAX];
};

/* Where the objects behind commands are; the standard's own places unless the model says otherwise. */
struct model_place {
        uint16_t class_id;
        struct obis obis;
};

struct model_places {
        struct model_place clock, control, limiter, calendar, security, image, firmware;
        bool clock_inverted; /* deviation written with the opposite sign */
};

/* An event log (profile generic of clock and event code). */
enum { MODEL_LOGS_MAX = 8, MODEL_CODES_MAX = 48, MODEL_CODE_OWN = 1000 };

struct model_log {
        struct obis obis;
        uint8_t n;
        struct {
                uint16_t own, standard;
        } map[MODEL_CODES_MAX]; /* none: the codes are the standard's */
};

struct meter_model {
        char name[MODEL_NAME_MAX];
        enum meter_protocol protocol;
        int64_t clock_limit_s;
        enum model_stamp stamp; /* mqtt, coap */
        /* dlms; a meter's address may say otherwise */
        enum dlms_framing framing;
        bool push_only;
        enum dlms_auth auth;
        enum dlms_policy policy;
        uint8_t suite;
        uint16_t client_sap, server_sap;
        struct obis clock;
        struct model_places places;
        uint8_t n_logs;
        struct model_log logs[MODEL_LOGS_MAX];
        bool no_release, no_lists; /* quirks */
        bool one_connection;       /* a pause between two connections: pause_ms */
        uint32_t pause_ms;
        bool has_counter, has_identity;
        struct obis counter, identity; /* push: the object that names the meter */
        struct model_profile profile;
        uint8_t n_registers;
        struct model_object registers[MODEL_OBJECTS_MAX];
        uint8_t n_push;
        struct model_object push[MODEL_OBJECTS_MAX];
        /* Pushes without OBIS codes: what stands at each place of a list of so many values. */
        uint8_t n_lists;
        struct model_list {
                uint8_t n;
                struct obis at[MODEL_OBJECTS_MAX]; /* all zero: nothing of ours */
        } lists[MODEL_LISTS_MAX];
        /* modbus */
        uint8_t n_modbus;
        struct modbus_register modbus[MODEL_OBJECTS_MAX];
        char modbus_name[MODEL_OBJECTS_MAX][MODEL_NAME_MAX];
        char modbus_unit[MODEL_OBJECTS_MAX][MODEL_UNIT_MAX];
        bool modbus_history[MODEL_OBJECTS_MAX];
        bool has_history;
        struct modbus_register freeze;
        uint32_t history_period_s, history_days;
        /* mqtt, coap */
        enum model_payload payload;
        uint8_t n_fields;
        struct model_field fields[MODEL_FIELDS_MAX];
        char time_field[MODEL_NAME_MAX], identity_field[MODEL_NAME_MAX];
        enum model_time time_format;
};

/* Owned result, free(). 0, -EINVAL (@why says which member and what is wrong), -ENOMEM. */
int model_parse(struct meter_model **ret, const char *json, char *why, size_t why_size);

/* The standard code of a log's own one; MODEL_CODE_OWN + own when there is none. */
uint32_t model_event_code(const struct model_log *log, uint32_t own);

/* How one meter is reached: its address over its model's defaults. */
struct meter_address {
        char host[256];
        uint16_t port;
        enum dlms_framing framing;
        uint16_t client_sap, server_sap, physical;
        enum dlms_auth auth;
        enum dlms_policy policy;
        uint8_t unit;
        char cell[64], group[33]; /* "" = none */
        bool rtu; /* modbus RTU frames over TCP */
};

/* 0 or -EINVAL with @why. */
int model_address(const struct meter_model *model, const struct registry_meter *meter,
                  struct meter_address *ret, char *why, size_t why_size);

/* The models that come with the daemon, ended by a NULL name. */
struct model_file {
        const char *name, *maker, *protocol;
        int digits;
        const char *json;
};
const struct model_file *model_builtin(void);
