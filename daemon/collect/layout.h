#pragma once

/*
 * What one DLMS model's load profile and registers look like on the wire: capture objects, scalers
 * and units. Read from the first meter of a model and kept: it saves some round trips a visit.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dlms/profile.h"
#include "models.h"

struct layout_unit {
        struct obis obis;
        int8_t scaler;
        uint8_t unit; /* COSEM unit */
};

/* A visit works on a copy of its own: two meters of a model may be visited at once. */
struct layout {
        char model[MODEL_NAME_MAX];
        bool known, forgotten, learned; /* learned: by this visit */
        bool no_lists;                  /* it grants lists and then fails at them */
        unsigned generation;            /* of what was copied from the cache; 0 = nothing */
        struct profile_columns columns;
        uint8_t logs_known; /* bit by bit */
        struct profile_columns logs[MODEL_LOGS_MAX];
        int8_t map[PROFILE_COLUMNS_MAX]; /* column -> model's capture object, -1 none */
        uint8_t n_units;
        struct layout_unit units[2 * MODEL_OBJECTS_MAX];
};

struct layout_cache;

struct layout_cache *layout_cache_new(void);
void layout_cache_free(struct layout_cache *c);
/* A copy of what is known of the model, or an empty one; owned. NULL when out of memory. */
struct layout *layout_take(struct layout_cache *c, const char *model);
/* Gives it back: what is new in it serves the next visits, what was forgotten does not. */
void layout_give(struct layout_cache *c, struct layout *l);

/* Fills map[] from columns. False when no mapped object of the model is captured. */
bool layout_map(struct layout *l, const struct meter_model *model);
void layout_set_unit(struct layout *l, const struct dlms_attr *attr, int8_t scaler, uint8_t unit);
/* NULL when the meter did not tell. */
const struct layout_unit *layout_unit_of(const struct layout *l, const struct dlms_attr *attr);
/* It is not (any more) what the meters of the model have. */
void layout_forget(struct layout *l);
/* Forgotten, and to be learned by this very visit. */
void layout_relearn(struct layout *l);
