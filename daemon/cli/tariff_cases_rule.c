/* Rules of a case written as short formulas: "round(limit*days/30)", "days<25 or days>35". */

#include <stdlib.h>
#include <string.h>

#include "tariff_cases_internal.h"

struct rule {
        int days, full_period, months, households, kw; /* powers */
        bool blocks;                                   /* widths, not limits, are scaled */
        const char *round;                             /* "", "_down" or "_up"; NULL = none */
        struct decimal num, den;
};

/* What a word of a formula stands for; words of the usage and the tariff stand for themselves. */
static bool known_word(struct bill_case *c, const char *word, int sign, struct rule *r)
{
        static const char whole[] = " limit amount rate price tier tiers ";
        static const char width[] = " block blocks width ";
        static const char days[] = " days billing_days billable_days calc_days days_billed n ";
        static const char period[] =
                " period_days full_period_days days_in_period days_in_month month_days "
                "days_in_the_full_period_it_belongs_to ";
        char padded[48];
        struct decimal d;

        snprintf(padded, sizeof(padded), " %s ", word);
        if (strstr(whole, padded))
                return sign > 0;
        if (strstr(width, padded))
                return r->blocks = true, sign > 0;
        if (strstr(days, padded))
                return r->days += sign, true;
        if (strcmp(word, "months") == 0 || strcmp(word, "billing_months") == 0)
                return r->months += sign, true;
        if (strcmp(word, "households") == 0)
                return r->households += sign, true;
        if (strcmp(word, "kw") == 0 || strcmp(word, "contract_kw") == 0)
                return r->kw += sign, true;
        if (decimal_parse(word, &d) == 0 || case_number(json_object_get(c->tariff, word), &d))
                return decimal_mul(sign > 0 ? r->num : r->den, d, sign > 0 ? &r->num : &r->den) ==
                       0;
        if (strstr(period, padded))
                return r->full_period += sign, true;
        return false;
}

static bool parse_product(struct bill_case *c, const char *text, size_t n, struct rule *r)
{
        int sign = 1;

        for (size_t i = 0; i < n;) {
                char word[40];
                size_t len = 0;

                while (i + len < n && text[i + len] != '*' && text[i + len] != '/')
                        len++;
                if (len == 0 || len >= sizeof(word))
                        return false;
                memcpy(word, text + i, len);
                word[len] = '\0';
                if (!known_word(c, word, sign, r))
                        return false;
                i += len;
                if (i < n)
                        sign = text[i++] == '*' ? 1 : -1;
                if (i == n && (text[n - 1] == '*' || text[n - 1] == '/'))
                        return false;
        }
        return n > 0;
}

static bool parse_rule(struct bill_case *c, const char *text, struct rule *r)
{
        static const struct {
                const char *name, *round;
        } wrappers[] = { { "round(", "" }, { "floor(", "_down" }, { "ceil(", "_up" } };
        char packed[200];
        size_t n = 0;

        for (const char *p = text; *p; p++)
                if (*p != ' ' && n < sizeof(packed) - 1)
                        packed[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        packed[n] = '\0';
        *r = (struct rule){ .num = { 1, 0 }, .den = { 1, 0 } };
        for (size_t i = 0; i < sizeof(wrappers) / sizeof(*wrappers); i++) {
                size_t len = strlen(wrappers[i].name);

                if (strncmp(packed, wrappers[i].name, len) != 0)
                        continue;
                if (packed[n - 1] != ')')
                        return false;
                r->round = wrappers[i].round;
                return parse_product(c, packed + len, n - len - 1, r);
        }
        return parse_product(c, packed, n, r);
}

/* The days of a month: a number, "365/12", or those of the regular period. */
static json_t *rule_days(const struct rule *r)
{
        char num[DECIMAL_TEXT_SIZE], den[DECIMAL_TEXT_SIZE];

        if (r->days != 1 || r->full_period > 0 || r->full_period < -1)
                return NULL;
        if (r->full_period == -1)
                return decimal_cmp(r->num, r->den) == 0 ? json_string("full_period") : NULL;
        decimal_format(r->num, 0, num);
        decimal_format(r->den, 0, den);
        return strcmp(num, "1") == 0 ? json_string(den) : json_sprintf("%s/%s", den, num);
}

static bool no_more(int power)
{
        return power == 0 || power == 1;
}

bool rule_limits(struct bill_case *c, const char *text, json_t **ret)
{
        struct rule r;
        json_t *limits, *days = NULL;

        if (!parse_rule(c, text, &r) || !no_more(r.months) || !no_more(r.households) ||
            !no_more(r.kw))
                return false;
        if (r.days || r.full_period || decimal_cmp(r.num, r.den) != 0) {
                days = rule_days(&r);
                if (!days)
                        return false;
        }
        limits = json_object();
        if (days)
                json_object_set_new(limits, "per_days", days);
        if (r.months)
                json_object_set_new(limits, "months", json_true());
        if (r.households)
                json_object_set_new(limits, "households", json_true());
        if (r.kw)
                json_object_set_new(limits, "contract_kw", json_true());
        if (r.round)
                json_object_set_new(limits, "round",
                                    json_sprintf("%s%s", r.blocks ? "blocks" : "limits", r.round));
        *ret = limits;
        return true;
}

bool rule_proration(struct bill_case *c, const char *text, json_t *to)
{
        struct rule r;
        json_t *days;

        if (!parse_rule(c, text, &r) || r.months || r.households || r.kw || r.round)
                return false;
        days = rule_days(&r);
        if (!days)
                return false;
        if (r.full_period) {
                json_decref(days);
                json_object_set_new(to, "proration", json_string("full_period"));
                return true;
        }
        json_object_set_new(to, "proration", json_string("days"));
        json_object_set_new(to, "proration_days", days);
        return true;
}

/* "days<25", "days >= 32": below or above, both without the limit itself. */
static const char *one_condition(const char *p, json_t *limits)
{
        char sign[3] = "";
        unsigned days;
        int n = 0;

        if (sscanf(p, " days %2[<>=] %3u%n", sign, &days, &n) != 2)
                return NULL;
        if (strcmp(sign, "<") == 0 || strcmp(sign, "<=") == 0)
                json_object_set_new(limits, "below_days", json_integer(days + (sign[1] != 0)));
        else if (strcmp(sign, ">") == 0 || strcmp(sign, ">=") == 0)
                json_object_set_new(limits, "above_days", json_integer(days - (sign[1] != 0)));
        else
                return NULL;
        return p + n;
}

bool rule_when_days(const char *text, json_t *limits)
{
        unsigned from, to;
        int n = 0;

        if (sscanf(text, "outside %3u-%3u days%n", &from, &to, &n) == 2 && n && !text[n]) {
                json_object_set_new(limits, "below_days", json_integer(from));
                json_object_set_new(limits, "above_days", json_integer(to));
                return true;
        }
        while (text && *text) {
                text = one_condition(text, limits);
                if (text && strncmp(text, " or ", 4) == 0)
                        text += 4;
                else if (text && *text)
                        return false;
        }
        return text != NULL;
}

/* "kwh>300", "kwh<=600" -> the condition of a component. */
bool rule_when_quantity(struct bill_case *c, const char *text, json_t *to)
{
        char name[40], sign[3] = "", value[24];
        int n = 0;

        if (sscanf(text, " %39[a-z_0-9] %2[<>=] %23[0-9.]%n", name, sign, value, &n) != 3 ||
            text[n] || !json_object_get(c->usage, name) ||
            (strcmp(sign, ">") != 0 && strcmp(sign, "<=") != 0))
                return false;
        json_object_set_new(to, "when",
                            json_pack("{s:s, s:s}", "quantity", name,
                                      sign[0] == '>' ? "above" : "upto", value));
        return true;
}
