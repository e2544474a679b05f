/* headrace read and trace: values of one meter; the exchanges in words. */
#include "meter.h"

#include <string.h>

#include "civil.h"
#include "dlms/push.h"
#include "meter_fault.h"
#include "meter_names.h"
#include "meter_tool.h"

static const char read_usage[] =
        "usage: headrace read URL [OPTION...]\n"
        "\n"
        "Reads values from one meter, without a daemon (with one: `headrace meter read`).\n"
        "  --obis OBIS[@CLASS][/ATTRIBUTE]   what to read, may be given often; default: what the\n"
        "                                    model maps, or clock, name and energy\n"
        "  --from TIME --to TIME             also the load profile (default: the last day)\n"
        "  --profile OBIS                    which (1.0.99.1.0.255)\n"
        "  --trace                           show every exchange on standard error\n";

static const char trace_usage[] =
        "usage: headrace trace URL [OPTION...]\n"
        "\n"
        "Reads like `headrace read` and shows every exchange in plain words beside its bytes: >\n"
        "what is sent, < what the meter says, seconds since the start. With --json one object an\n"
        "exchange. The options of `headrace read` say what is read.\n";

static void add_item(struct meter_options *o, uint16_t class_id, struct obis obis)
{
        if (o->n_items < METER_LIST_MAX)
                o->items[o->n_items++] =
                        (struct meter_item){ { .class_id = class_id, .obis = obis, .id = 2 },
                                             true };
}

static void default_items(struct meter_options *o)
{
        if (o->n_items || o->has_profile || o->has_range)
                return;
        add_item(o, 8, o->clock);
        add_item(o, 1, OBIS(0, 0, 42, 0, 0, 255));
        for (size_t i = 0; o->model && i < o->model->n_registers; i++)
                if (o->n_items < METER_LIST_MAX)
                        o->items[o->n_items++].attr = o->model->registers[i].attr;
        if (o->model && o->model->n_registers)
                return;
        add_item(o, 0, OBIS(1, 0, 1, 8, 0, 255));
        add_item(o, 0, OBIS(1, 0, 2, 8, 0, 255));
}

static json_t *item_json(const struct dlms_attr *a, uint8_t result, const struct buf *value,
                         const struct meter_unit *unit)
{
        struct buf name = BUF_INIT, text = BUF_INIT;
        char obis[OBIS_TEXT_SIZE];
        const char *attribute = meter_name_attribute(a->class_id, a->id);
        json_t *o;

        obis_format(&a->obis, obis);
        meter_name_obis(&name, &a->obis);
        if (a->id != 2 && attribute)
                buf_printf(&name, "%s%s", name.len ? ": " : "", attribute);
        o = json_pack("{s:s, s:i, s:i, s:s}", "obis", obis, "class", a->class_id, "attribute",
                      a->id, "name", buf_cstr(&name));
        if (result == 0) {
                meter_value_text(&text, value->p, value->len, unit);
                json_object_set_new(o, "value", json_stringn(buf_cstr(&text), text.len));
                json_object_set_new(o, "unit", json_string(dlms_unit_text(unit->unit)));
                buf_reset(&text);
                buf_put_hex(&text, value->p, value->len);
                json_object_set_new(o, "hex", json_string(buf_cstr(&text)));
        } else {
                buf_printf(&text, "(%s)", dlms_access_text(result));
                json_object_set_new(o, "value", json_null());
                json_object_set_new(o, "error", json_string(dlms_access_text(result)));
        }
        buf_deinit(&name);
        buf_deinit(&text);
        return o;
}

static int read_item(struct meter_tool *t, struct meter_session *s, const struct meter_item *item,
                     json_t *values, bool *missing, struct meter_fault *fault)
{
        struct dlms_attr attr = item->attr;
        struct buf value = BUF_INIT;
        struct meter_unit unit = { 0 };
        uint8_t result = 0;
        int e = meter_tool_get(t, s, &attr, &value, &result, fault);

        if (!e && result == 0)
                e = meter_tool_unit(s, &attr, &unit, fault);
        if (!e && !(result && item->optional)) {
                json_array_append_new(values, item_json(&attr, result, &value, &unit));
                *missing |= result != 0;
        }
        buf_deinit(&value);
        return e;
}

static int read_profile(struct meter_tool *t, struct meter_session *s, json_t *reply, bool *missing,
                        struct meter_fault *fault)
{
        json_t *profile;
        uint8_t refused;
        int e;

        meter_tool_progress(t, "load profile ...");
        e = meter_tool_profile(t, s, &t->o.profile, t->o.from, t->o.to, &profile, &refused, fault);
        if (e)
                return e;
        if (profile) {
                json_object_set_new(reply, "profile", profile);
                return 0;
        }
        *missing = true;
        fprintf(stderr, "headrace: the load profile is refused: %s\n", dlms_access_text(refused));
        return 0;
}

static int read_all(struct meter_tool *t, struct meter_session *s, json_t *reply, bool *missing,
                    struct meter_fault *fault)
{
        json_t *values = json_array();
        int e = 0;

        json_object_set_new(reply, "values", values);
        for (size_t i = 0; i < t->o.n_items && !e; i++) {
                meter_tool_progress(t, "reading %zu of %zu", i + 1, t->o.n_items);
                e = read_item(t, s, &t->o.items[i], values, missing, fault);
        }
        if (!e && (t->o.has_profile || t->o.has_range))
                e = read_profile(t, s, reply, missing, fault);
        meter_tool_progress(t, NULL);
        return e;
}

/* Columns of a profile by their keys, said once above the rows. */
static void show_profile(const struct cli_options *cli, json_t *profile)
{
        json_t *columns = json_object_get(profile, "columns"), *column;
        struct buf b = BUF_INIT;
        size_t i;

        show_reply(cli, profile, "columns:key,obis,name,unit");
        printf("\n");
        buf_put_str(&b, "rows:time");
        json_array_foreach(columns, i, column)
        {
                const char *key = json_string_value(json_object_get(column, "key"));

                if (json_integer_value(json_object_get(column, "class")) != 8)
                        buf_printf(&b, ",%s", key);
        }
        show_reply(cli, profile, buf_cstr(&b));
        buf_deinit(&b);
}

static void show(const struct cli_options *cli, json_t *reply)
{
        json_t *values = json_object_get(reply, "values"), *o;
        size_t i;

        if (cli->json) {
                show_reply(cli, reply, NULL);
                return;
        }
        /* In a table the reason stands where the value would. */
        json_array_foreach(values, i, o)
        {
                const char *error = json_string_value(json_object_get(o, "error"));

                if (error)
                        json_object_set_new(o, "value", json_sprintf("(%s)", error));
        }
        if (json_array_size(values))
                show_reply(cli, reply, "values:obis,name,value,unit");
        if (json_object_get(reply, "profile"))
                show_profile(cli, json_object_get(reply, "profile"));
}

static int run(const struct cli_options *cli, const char *usage, bool tracing, int argc,
               char **argv)
{
        struct meter_session *s = NULL;
        struct meter_fault fault;
        struct meter_tool t;
        bool missing = false;
        json_t *reply;
        int r = meter_tool_open(&t, cli, METER_WANTS_URL, usage, tracing, argc, argv);

        if (r)
                return r < 0 ? METER_OK : r;
        default_items(&t.o);
        reply = json_pack("{s:s}", "meter", t.o.route.url);
        meter_tool_progress(&t, "connecting to %s ...", t.o.route.url);
        r = meter_session_open_counted(&s, &t.o, &t.watch, &fault);
        if (r == 0)
                r = read_all(&t, s, reply, &missing, &fault);
        meter_session_close(s);
        meter_tool_progress(&t, NULL);
        /* What was read before it broke off is worth something, too. */
        if (!tracing && json_array_size(json_object_get(reply, "values")) +
                                        (json_object_get(reply, "profile") != NULL) >
                                0)
                show(cli, reply);
        if (r)
                meter_fault_print(&fault);
        else if (missing)
                r = METER_FAILED;
        json_decref(reply);
        return meter_tool_close(&t, r);
}

int meter_read_run(const struct cli_options *cli, int argc, char **argv)
{
        return run(cli, read_usage, false, argc, argv);
}

int meter_trace_run(const struct cli_options *cli, int argc, char **argv)
{
        return run(cli, trace_usage, true, argc, argv);
}
