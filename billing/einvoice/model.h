#pragma once

/*
 * An invoice or credit note in the terms of EN 16931-1 (BT-… and BG-…), made from the frozen
 * contents of the printed invoice and from what the branch has set about its e-invoices. Pure:
 * structs and JSON, no XML, no SQL. Amounts are int64 minor units, everything else exact decimals.
 *
 * What the contents do not say is settled here:
 *  - taxes that are value added tax become VAT breakdowns (BG-23); other taxes and levies are
 * lines;
 *  - the VAT of a breakdown is its base times its rate, rounded once (BR-CO-17); what the bill
 *    says beyond that, and the bill's own rounding line, is the rounding amount (BT-114), so that
 *    the amount due is the bill's to the cent;
 *  - a line whose quantity times price is not its amount (proration, tiers with a fixed part) gets
 *    its amount as price for its quantity as base quantity (BT-149), which is exact.
 */

#include <jansson.h>

#include "decimal.h"

enum {
        EINVOICE_MAX_LINES = 400,
        EINVOICE_MAX_VAT = 16,
        EINVOICE_WHY_SIZE = 320,
};

/* Strings are borrowed from the JSON documents; "" when there is none. */
struct einvoice_party {
        const char *name;                               /* BT-27, BT-44 */
        const char *street, *city, *postcode, *country; /* country ISO 3166-1 alpha-2 */
        const char *vat_id;                     /* with the country's prefix: BT-31, BT-48 */
        const char *tax_id;                     /* number of the tax office without prefix: BT-32 */
        const char *legal_id;                   /* BT-30, BT-47 */
        const char *endpoint, *endpoint_scheme; /* BT-34, BT-49 */
        const char *phone, *email;
};

struct einvoice_category {
        char id[3];                       /* S, Z, E, AE, O, ... (UNTDID 5305) */
        struct decimal percent;           /* BT-119 */
        const char *reason, *reason_code; /* BT-120, BT-121 */
};

struct einvoice_line {
        const char *name, *code; /* BT-153, BT-155 */
        struct decimal quantity; /* BT-129 */
        const char *unit;        /* BT-130, UN/ECE Recommendation 20 */
        struct decimal price;    /* BT-146, never negative */
        struct decimal base;     /* BT-149; 1 unless the price is for more */
        int64_t amount;          /* BT-131 */
        int from_day, to_day;    /* BG-26, days since 1970, the last one inclusive; equal 0: none */
        unsigned vat;            /* index into vat[] */
};

struct einvoice_vat {
        struct einvoice_category category;
        int64_t base, tax; /* BT-116, BT-117 */
};

struct einvoice {
        const json_t *content, *settings; /* borrowed; outlive the model */
        bool credit_note;
        const char *customization, *profile; /* BT-24, BT-23 */
        const char *number, *issued, *due, *currency, *buyer_reference;
        int minor_digits;
        struct einvoice_party seller, buyer;
        const char *period_from, *period_until;
        struct einvoice_line *lines; /* owned */
        size_t n_lines;
        struct einvoice_vat vat[EINVOICE_MAX_VAT];
        size_t n_vat;
        int64_t net, tax, gross, prepaid, rounding,
                due_amount; /* BT-106/109, 110, 112, 113, 114, 115 */
};

/* @content is what the invoice was printed from; @settings:
 *   { "profile": "en16931" | "peppol", "seller": {...}, "buyer": {...}, "buyer_reference",
 *     "corrects_issued": "2026-11-03",
 *     "untaxed": { "category", "reason", "reason_code" },
 *     "taxes": [ { "part": 1, "component": "vat", "vat": true, "category": "S", "of": ["energy"] }
 * ] } 0; -EINVAL with @why saying which business term is missing or does not add up and what to do;
 * -ENOMEM. On failure nothing is owned. */
int einvoice_build(struct einvoice *e, const json_t *content, const json_t *settings,
                   char why[static EINVOICE_WHY_SIZE]);
void einvoice_deinit(struct einvoice *e);

/* Text of a money amount in major units, "-12.30". */
void einvoice_money(const struct einvoice *e, int64_t minor, char out[static DECIMAL_TEXT_SIZE]);
