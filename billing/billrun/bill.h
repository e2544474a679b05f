#pragma once

/*
 * One bill: from readings, contract and tariff versions to determinants, lines and exceptions.
 *
 * Pure: no SQL, no host, no clock. The caller fills struct bill_input (from the live tables for a
 * bill run, from what the bill froze for a replay: the same code prices both) and gets a struct
 * bill back. Everything in the result is owned by its arena; inputs are borrowed for the call.
 *
 * Money is int64 minor units; instants are UTC seconds; days are local day numbers (civil.h).
 */

#include "arena.h"
#include "buf.h"
#include "decimal.h"
#include "rating.h"
#include "tz.h"

enum { BILL_HASH_SIZE = 32 };

/* Consecutive values of one meter and channel while it was installed at the service point. */
struct bill_segment {
        int64_t installation_id;
        int32_t meter_id;
        const char *serial;
        int16_t channel;           /* mdm.channel */
        const char *code;          /* its code, "energy.import" */
        const char *unit;          /* its unit, "Wh" */
        int8_t scaler;             /* value × 10^scaler is in unit */
        int16_t reg;               /* register channel its differences may come from; 0 = none */
        int8_t digits;             /* of the meter's register, before it turns over */
        int64_t from, to;          /* [from, to) of the installation inside the bill */
        struct decimal multiplier; /* transformer factor, > 0 */
        size_t n;
        const int64_t *at;        /* n, ascending */
        const int64_t *value;     /* n */
        const uint32_t *period_s; /* n */
        const uint8_t *status;    /* n, enum reading_status of the store */
        const uint8_t *source;    /* n, where they came from; NULL = not known */
        /* The register readings that the values are differences of, as series.h writes them; the
         * readings' hash is taken over them, then. */
        const uint8_t *registers;
        size_t n_registers;
};

/* Days priced by one tariff version. Parts follow each other without a gap. */
struct bill_part {
        int64_t from_day, to_day;
        const char *code;
        int version;
        const char *hash;         /* hex of the version's document hash when it was billed */
        const char *current_hash; /* of the document that was loaded now */
        const struct rating_tariff *tariff; /* NULL: the document could not be loaded */
        const char *error;                  /* why */
};

/* Price-period maps of the tariffs of a run, shared by its bills: made when first needed. For one
 * thread at a time; the tariffs and the time zone outlive it. */
struct bill_maps {
        struct bill_map *first; /* owned */
};

void bill_maps_deinit(struct bill_maps *m);

struct bill_limits {
        int complete_permille; /* readings that must be there, of 1000 */
        int high_percent;      /* daily use against the previous bill that holds a bill; 0 = off */
        int estimated_percent; /* share of estimated values that holds a bill; 0 = off */
};

struct bill_input {
        int64_t from_day, to_day;
        int full_days;  /* days of the run's regular period */
        int months;     /* 0 = by the days */
        int households; /* 0 = 1 */
        struct decimal contract_kw;
        const struct tz *tz;
        int minor_digits;
        const char *main_code; /* channel code shown as the bill's quantity; NULL = none */
        const struct bill_part *parts;
        size_t n_parts;
        const struct bill_segment *segments;
        size_t n_segments;
        const struct rating_quantity *given;
        size_t n_given;
        const struct rating_index *indices;
        size_t n_indices;
        const struct rating_peak *peaks;
        size_t n_peaks;
        const struct rating_carry *carry;
        size_t n_carry;
        const char *blocked; /* why validation holds these readings back; NULL = it does not */
        const char *damaged; /* which stored readings cannot be read; NULL = none */
        struct decimal previous_daily; /* main quantity per day of the previous bill; zero = none */
        struct bill_limits limits;
        struct bill_maps *maps; /* borrowed; NULL = none are kept (slower) */
};

struct bill_line {
        int part_no; /* 1 ... */
        enum rating_line_kind kind;
        const char *code, *component, *text, *unit;
        const char *quantity, *price, *exact; /* decimal texts */
        int64_t amount;
        const char *trace;
        uint8_t hash[BILL_HASH_SIZE];
};

enum bill_quality { BILL_MEASURED, BILL_MIXED, BILL_ESTIMATED };

struct bill_determinant {
        const char *name, *unit;
        struct decimal quantity;
        enum bill_quality quality;
        uint8_t readings[BILL_HASH_SIZE];
        struct decimal *daily; /* one per local day of the bill */
        size_t n_values, n_estimated;
        int64_t missing_s; /* seconds of the bill without a usable value */
};

struct bill_exception {
        const char *code; /* snake_case, stable */
        const char *text; /* for a person */
        bool hard;        /* cannot be released: there is no price or no quantity */
};

enum { BILL_MAX_EXCEPTIONS = 16 };

struct bill {
        struct arena arena;
        struct bill_determinant *determinants;
        size_t n_determinants;
        struct bill_line *lines;
        size_t n_lines;
        struct bill_exception exceptions[BILL_MAX_EXCEPTIONS];
        size_t n_exceptions;
        bool held, priced; /* priced: lines and total are valid */
        int64_t total, tax;
        struct decimal quantity; /* of main_code */
        const char *unit;
        struct rating_carry *carry;
        size_t n_carry;
        struct decimal peak_kw;
};

/* Always fills *@ret (release with bill_deinit): what cannot be billed becomes exceptions. 0 or
 * -ENOMEM, then *@ret needs no release. */
int bill_compute(const struct bill_input *in, struct bill *ret);
void bill_deinit(struct bill *b);

/* Name of a line kind as stored: "charge", "tax", ... */
const char *bill_kind_name(enum rating_line_kind kind);
const char *bill_quality_name(enum bill_quality quality);
/* sha256 of every member of a line but the hash. */
void bill_line_hash(const struct bill_line *line, uint8_t ret[static BILL_HASH_SIZE]);
/* Unit a quantity is billed in ("kWh" for "Wh") and the decimals its integers then have. */
const char *bill_unit(const char *channel_unit, int scaler, int *ret_scale);
