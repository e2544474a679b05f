#pragma once

/* What is to be rated for a question: posted, or an account's own readings. Internal to the plugin. */

#include "civil.h"
#include "tariff.h"

enum { MAX_SERIES = 256 };

struct whatif {
        struct hr_call *call;
        struct rating_input in;
        struct rating_series series[MAX_SERIES];
        struct arena arena; /* owns what @in points to */
        struct tz *tz;      /* owned */
        const char *code, *version;
        const char *commodity;        /* of the account's service point; NULL = posted input */
        char day[CIVIL_RFC3339_SIZE]; /* the first day, as a date */
};

/* Owned result, also after a failure (whatif_free); a rejection says what is missing. */
enum hr_status whatif_read(struct hr_call *call, struct whatif **ret);
void whatif_free(struct whatif *w);
