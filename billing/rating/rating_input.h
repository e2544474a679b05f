#pragma once

/*
 * A rating input from JSON, for golden examples and what-if questions. Pure but for reading the
 * time zone's file.
 *
 *   {"from": "2026-01-01", "to": "2026-02-01",          local days, "to" not billed any more
 *    "tz": "Asia/Ho_Chi_Minh", "full_days": 31, "months": 1, "households": 1, "contract_kw": "10",
 *    "quantities": {"energy.import": {"value": "287", "unit": "kWh"}},
 *    "series": [{"name": "energy.import", "unit": "kWh", "scale": 3, "at": "2025-12-31T17:00:00Z",
 *                "period_s": 900, "values": [120, 95, null]}],
 *    "indices": [{"name", "value", "source", "day"}], "peaks": [{"year", "month", "kw"}],
 *    "carry": {"credit:peak": "12.5"}, "holidays": ["2026-01-01"]}
 */

#include "rating.h"

/* Fills *@ret from memory of @arena. *@ret_tz is owned by the caller (tz_free) and what ret->tz
 * points to; NULL on failure. 0, -ENOMEM or RATING_E_DOCUMENT. */
int rating_input_load(struct arena *arena, const char *json, size_t n, struct rating_input *ret,
                      struct tz **ret_tz, struct rating_error *err);
