/*
 * Activity calendar (class 20, Green Book 4.5.5): the passive calendar is written, activated, and
 * the active one compared.
 *
 * Parameters: "name" (at most 8 characters), "seasons": [{"name","start":"MM-DD","week"}],
 * "weeks": [{"name","days":[mon..sun day numbers]}], "days": [{"id","actions":[{"at":"HH:MM",
 * "script":"0.0.10.0.100.255","selector":N}]}].
 */

#include <stdio.h>
#include <string.h>

#include "command_internal.h"

enum { ACTIVE = 2, PASSIVE = 6, ACTIVATE = 1, NAME_MAX = 8, ENTRIES_MAX = 32 };
/* Attributes in their order: name, seasons, weeks, days. */
enum step { S_NAME, S_DAYS, S_WRITE, S_ACTIVATE = S_WRITE + 4, S_CHECK, S_END = S_CHECK + 4 };

static const char *text(const json_t *o, const char *name)
{
        const char *s = json_string_value(json_object_get(o, name));

        return s ? s : "";
}

static bool name_ok(struct command *c, const char *s, const char *what)
{
        if (*s && strlen(s) <= NAME_MAX)
                return true;
        command_fail(c, "%s: a name of 1 to %d characters is needed, not \"%.20s\"", what, NAME_MAX,
                     s);
        return false;
}

static bool check_list(struct command *c, const char *name)
{
        size_t n = json_array_size(json_object_get(c->params, name));

        if (n >= 1 && n <= ENTRIES_MAX)
                return true;
        command_fail(c, "\"%s\" has 1 to %d entries", name, ENTRIES_MAX);
        return false;
}

static bool check_seasons(struct command *c)
{
        json_t *s;
        size_t i;

        json_array_foreach(json_object_get(c->params, "seasons"), i, s)
        {
                unsigned month, day;
                char rest;

                if (!name_ok(c, text(s, "name"), "seasons") || !name_ok(c, text(s, "week"), "week"))
                        return false;
                if (sscanf(text(s, "start"), "%2u-%2u%c", &month, &day, &rest) != 2 || month < 1 ||
                    month > 12 || day < 1 || day > 31) {
                        command_fail(c, "seasons: \"start\" is MM-DD, not \"%.20s\"",
                                     text(s, "start"));
                        return false;
                }
        }
        return true;
}

static bool check_weeks(struct command *c)
{
        json_t *s;
        size_t i;

        json_array_foreach(json_object_get(c->params, "weeks"), i, s)
        {
                json_t *days = json_object_get(s, "days"), *d;
                size_t k;

                if (!name_ok(c, text(s, "name"), "weeks"))
                        return false;
                json_array_foreach(days, k, d)
                {
                        if (!json_is_integer(d) || json_integer_value(d) < 0 ||
                            json_integer_value(d) > 255)
                                break;
                }
                if (json_array_size(days) != 7 || k != 7) {
                        command_fail(c, "weeks: \"days\" has seven day numbers, Monday first");
                        return false;
                }
        }
        return true;
}

static bool check_action(struct command *c, const json_t *a)
{
        unsigned hour, minute;
        struct obis script;
        char rest;

        if (sscanf(text(a, "at"), "%2u:%2u%c", &hour, &minute, &rest) == 2 && hour < 24 &&
            minute < 60 && obis_parse(text(a, "script"), &script) == 0 &&
            json_is_integer(json_object_get(a, "selector")))
                return true;
        command_fail(c, "days: an action needs \"at\" HH:MM, \"script\" and \"selector\"");
        return false;
}

static bool check_days(struct command *c)
{
        json_t *s, *a;
        size_t i, k;

        json_array_foreach(json_object_get(c->params, "days"), i, s)
        {
                json_t *actions = json_object_get(s, "actions");

                if (!json_is_integer(json_object_get(s, "id")) || json_array_size(actions) < 1 ||
                    json_array_size(actions) > ENTRIES_MAX) {
                        command_fail(c, "days: \"id\" and 1 to %d \"actions\" are needed",
                                     ENTRIES_MAX);
                        return false;
                }
                json_array_foreach(actions, k, a)
                {
                        if (!check_action(c, a))
                                return false;
                }
        }
        return true;
}

static bool begin(struct command *c)
{
        return name_ok(c, text(c->params, "name"), "the calendar") && check_list(c, "seasons") &&
               check_list(c, "weeks") && check_list(c, "days") && check_seasons(c) &&
               check_weeks(c) && check_days(c);
}

/* ---- the four attributes ---- */

static void put_seasons(const struct command *c, struct axdr_writer *w)
{
        const json_t *list = json_object_get(c->params, "seasons");
        json_t *s;
        size_t i;

        axdr_put_array(w, json_array_size(list));
        json_array_foreach(list, i, s)
        {
                /* Every year: year and weekday unspecified, from midnight. */
                uint8_t at[12] = { 0xFF, 0xFF, 0, 0, 0xFF, 0, 0, 0, 0, 0x80, 0, 0 };
                unsigned month = 1, day = 1;

                sscanf(text(s, "start"), "%2u-%2u", &month, &day);
                at[2] = (uint8_t)month;
                at[3] = (uint8_t)day;
                axdr_put_structure(w, 3);
                axdr_put_octets(w, text(s, "name"), strlen(text(s, "name")));
                axdr_put_octets(w, at, sizeof at);
                axdr_put_octets(w, text(s, "week"), strlen(text(s, "week")));
        }
}

static void put_weeks(const struct command *c, struct axdr_writer *w)
{
        const json_t *list = json_object_get(c->params, "weeks");
        json_t *s, *d;
        size_t i, k;

        axdr_put_array(w, json_array_size(list));
        json_array_foreach(list, i, s)
        {
                axdr_put_structure(w, 8);
                axdr_put_octets(w, text(s, "name"), strlen(text(s, "name")));
                json_array_foreach(json_object_get(s, "days"), k, d)
                        axdr_put_uint8(w, (uint8_t)json_integer_value(d));
        }
}

static void put_action(const json_t *a, struct axdr_writer *w)
{
        uint8_t at[4] = { 0, 0, 0, 0 };
        unsigned hour = 0, minute = 0;
        struct obis script = OBIS(0, 0, 10, 0, 100, 255);

        sscanf(text(a, "at"), "%2u:%2u", &hour, &minute);
        obis_parse(text(a, "script"), &script);
        at[0] = (uint8_t)hour;
        at[1] = (uint8_t)minute;
        axdr_put_structure(w, 3);
        axdr_put_octets(w, at, sizeof at);
        axdr_put_obis(w, &script);
        axdr_put_uint16(w, (uint16_t)json_integer_value(json_object_get(a, "selector")));
}

static void put_days(const struct command *c, struct axdr_writer *w)
{
        const json_t *list = json_object_get(c->params, "days");
        json_t *s, *a;
        size_t i, k;

        axdr_put_array(w, json_array_size(list));
        json_array_foreach(list, i, s)
        {
                const json_t *actions = json_object_get(s, "actions");

                axdr_put_structure(w, 2);
                axdr_put_uint8(w, (uint8_t)json_integer_value(json_object_get(s, "id")));
                axdr_put_array(w, json_array_size(actions));
                json_array_foreach(actions, k, a) put_action(a, w);
        }
}

/* @i: 0 name, 1 seasons, 2 weeks, 3 days. */
static void put_attribute(struct command *c, unsigned i)
{
        struct axdr_writer *w = command_write(c);
        const char *name = text(c->params, "name");

        if (i == 0)
                axdr_put_octets(w, name, strlen(name));
        else if (i == 1)
                put_seasons(c, w);
        else if (i == 2)
                put_weeks(c, w);
        else
                put_days(c, w);
}

static bool as_asked(struct command *c, unsigned i, const uint8_t *data, size_t n)
{
        put_attribute(c, i);
        return !c->w.failed && c->w.len == n && memcmp(c->w.p, data, n) == 0;
}

static void next(struct command *c, struct command_step *ret)
{
        if (c->step == S_NAME || c->step == S_DAYS) {
                command_get(ret, c->places.calendar, c->step == S_NAME ? ACTIVE : ACTIVE + 3);
        } else if (c->step < S_ACTIVATE) {
                put_attribute(c, c->step - S_WRITE);
                command_set(c, ret, c->places.calendar, (int8_t)(PASSIVE + c->step - S_WRITE));
        } else if (c->step == S_ACTIVATE) {
                axdr_put_int8(command_write(c), 0);
                command_act(c, ret, c->places.calendar, ACTIVATE);
        } else {
                command_get(ret, c->places.calendar, (int8_t)(ACTIVE + c->step - S_CHECK));
        }
}

static void result(struct command *c, unsigned r, const uint8_t *data, size_t n)
{
        static const char *const parts[] = { "name", "seasons", "weeks", "days" };

        if (r != DLMS_ACCESS_SUCCESS) {
                command_refused(c, c->step < S_ACTIVATE ? "writing the passive calendar"
                                                        : "activating the calendar",
                                r);
                return;
        }
        if (c->step <= S_DAYS) {
                bool same = as_asked(c, c->step == S_NAME ? 0 : 3, data, n);

                if (same && c->step == S_NAME) {
                        c->step = S_DAYS;
                } else if (same) {
                        c->step = S_CHECK; /* it seems active: compare all of it */
                } else if (!command_may_not_send(c, "another calendar is active")) {
                        c->step = S_WRITE;
                }
        } else if (c->step <= S_ACTIVATE) {
                c->step++;
        } else if (!as_asked(c, c->step - S_CHECK, data, n)) {
                if (!c->sent && !command_may_not_send(c, "another calendar is active"))
                        c->step = S_WRITE;
                else
                        command_fail(c, "the active calendar's %s are not what was sent",
                                     parts[c->step - S_CHECK]);
        } else if (++c->step == S_END) {
                command_prove(c, "calendar", json_string(text(c->params, "name")));
                command_confirm(c);
        }
}

const struct command_ops command_calendar_ops = { .begin = begin, .next = next, .result = result };
