#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "host_int.h"

/* The operations table as documents: OpenAPI 3.1 for programs, /v1/operations for the command
 * line. */

static void put(struct buf *json, json_t *root)
{
        char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;

        if (text)
                buf_put_str(json, text);
        else
                json->failed = true;
        free(text);
        json_decref(root);
}

static json_t *choices_array(const char *choices)
{
        json_t *list = json_array();

        while (choices && *choices) {
                size_t n = strcspn(choices, "|");

                json_array_append_new(list, json_stringn(choices, n));
                choices += n + (choices[n] == '|');
        }
        return list;
}

static json_t *schema(const struct hr_param *p)
{
        static const struct {
                const char *type, *format, *pattern;
        } kinds[] = {
                [HR_TEXT] = { "string", NULL, NULL },
                [HR_INT] = { "integer", "int64", NULL },
                [HR_BOOL] = { "boolean", NULL, NULL },
                [HR_DECIMAL] = { "string", NULL, "^-?[0-9]+(\\.[0-9]+)?$" },
                [HR_DATE] = { "string", "date", NULL },
                [HR_TIME] = { "string", "date-time", NULL },
                [HR_JSON] = { NULL, NULL, NULL },
                [HR_BYTES] = { "string", NULL, NULL },
        };
        json_t *s = json_object();
        bool text = p->type == HR_TEXT, number = p->type == HR_INT;

        if (kinds[p->type].type)
                json_object_set_new(s, "type", json_string(kinds[p->type].type));
        else
                json_object_set_new(s, "type", json_pack("[s,s]", "object", "array"));
        if (kinds[p->type].format)
                json_object_set_new(s, "format", json_string(kinds[p->type].format));
        if (kinds[p->type].pattern)
                json_object_set_new(s, "pattern", json_string(kinds[p->type].pattern));
        if (p->type == HR_BYTES)
                json_object_set_new(s, "contentEncoding", json_string("base64"));
        if (p->choices && (text || number))
                json_object_set_new(s, "enum", choices_array(p->choices));
        if ((p->min || p->max) && (text || number)) {
                json_object_set_new(s, text ? "minLength" : "minimum", json_integer(p->min));
                if (p->max)
                        json_object_set_new(s, text ? "maxLength" : "maximum",
                                            json_integer(p->max));
        }
        return s;
}

static json_t *problem_ref(const char *description)
{
        return json_pack("{s:s,s:{s:{s:{s:s}}}}", "description", description, "content",
                         "application/problem+json", "schema", "$ref",
                         "#/components/schemas/Problem");
}

static json_t *responses(const struct hr_operation *op)
{
        json_t *all = json_object();
        const char *type = op->flags & HR_OP_FILE ? "application/octet-stream" : "application/json";

        json_object_set_new(
                all, "200",
                json_pack("{s:s,s:{s:{s:{}}}}", "description", "Done", "content", type, "schema"));
        if (!(op->flags & HR_OP_PUBLIC)) {
                json_object_set_new(all, "401", problem_ref("Not logged in"));
                json_object_set_new(all, "403", problem_ref("Not allowed"));
        }
        json_object_set_new(all, "default", problem_ref("Refused or failed"));
        return all;
}

static json_t *parameters(const struct hr_operation *op)
{
        json_t *list = json_array();

        for (const struct hr_param *p = op->params; p && p->name; p++)
                if (p->where != HR_BODY)
                        json_array_append_new(
                                list, json_pack("{s:s,s:s,s:b,s:s,s:o}", "name", p->name, "in",
                                                p->where == HR_PATH ? "path" : "query", "required",
                                                p->required || p->where == HR_PATH, "description",
                                                p->help ? p->help : "", "schema", schema(p)));
        if ((op->flags & HR_OP_WRITE) && !(op->flags & HR_OP_PUBLIC))
                json_array_append_new(
                        list, json_pack("{s:s,s:s,s:b,s:s,s:{s:s,s:i}}", "name", "Idempotency-Key",
                                        "in", "header", "required", 0, "description",
                                        "The same key and request give the same answer again, for "
                                        "48 hours",
                                        "schema", "type", "string", "maxLength", 128));
        return list;
}

static json_t *request_body(const struct hr_operation *op)
{
        json_t *properties = json_object(), *required = json_array(), *s;
        bool any = false;

        for (const struct hr_param *p = op->params; p && p->name; p++) {
                json_t *one;

                if (p->where != HR_BODY)
                        continue;
                any = true;
                one = schema(p);
                json_object_set_new(one, "description", json_string(p->help ? p->help : ""));
                json_object_set_new(properties, p->name, one);
                if (p->required)
                        json_array_append_new(required, json_string(p->name));
        }
        s = json_pack("{s:s,s:o}", "type", "object", "properties", properties);
        if (any)
                json_object_set_new(s, "additionalProperties", json_false());
        if (json_array_size(required))
                json_object_set(s, "required", required);
        s = json_pack("{s:b,s:{s:{s:o}}}", "required", json_array_size(required) > 0, "content",
                      "application/json", "schema", s);
        json_decref(required);
        return s;
}

static json_t *operation(const struct host_op *o)
{
        const struct hr_operation *op = o->op;
        json_t *j = json_pack("{s:s,s:s,s:[s],s:o,s:o}", "operationId", op->name, "summary",
                              op->summary, "tags", o->plugin->p->name, "parameters", parameters(op),
                              "responses", responses(op));

        if (op->flags & HR_OP_WRITE)
                json_object_set_new(j, "requestBody", request_body(op));
        if (op->flags & HR_OP_PUBLIC)
                json_object_set_new(j, "security", json_array());
        else
                json_object_set_new(j, "x-headrace-permission", json_string(op->permission));
        return j;
}

static json_t *components(void)
{
        return json_pack("{s:{s:{s:s,s:[s,s,s],s:{s:{s:s},s:{s:s},s:{s:s},s:{s:s},s:{s:s},s:{s:s},"
                         "s:{s:s}}}},"
                         "s:{s:{s:s,s:s},s:{s:s,s:s,s:s}}}",
                         "schemas", "Problem", "type", "object", "required", "status", "title",
                         "code", "properties", "type", "type", "string", "status", "type",
                         "integer", "title", "type", "string", "detail", "type", "string", "code",
                         "type", "string", "param", "type", "string", "request_id", "type",
                         "string", "securitySchemes", "bearer", "type", "http", "scheme", "bearer",
                         "session", "type", "apiKey", "in", "cookie", "name", "headrace_session");
}

void host_openapi(struct host *h, struct buf *json)
{
        json_t *paths = json_object();
        json_t *root =
                json_pack("{s:s,s:{s:s,s:s},s:o,s:[{s:[]},{s:[]}],s:o}", "openapi", "3.1.0", "info",
                          "title", "Headrace", "version", HEADRACE_VERSION, "paths", paths,
                          "security", "bearer", "session", "components", components());

        for (size_t i = 0; root && i < h->ops_n; i++) {
                const struct hr_operation *op = h->ops[i].op;
                json_t *path = json_object_get(paths, op->path);
                char method[8];
                size_t n = 0;

                for (; op->method[n] && n < sizeof method - 1; n++)
                        method[n] = (char)(op->method[n] | 0x20);
                method[n] = 0;
                if (!path) {
                        path = json_object();
                        json_object_set_new(paths, op->path, path);
                }
                json_object_set_new(path, method, operation(&h->ops[i]));
        }
        put(json, root);
}

/* ---- /v1/operations ---- */

static void set_text(json_t *j, const char *name, const char *value)
{
        if (value)
                json_object_set_new(j, name, json_string(value));
}

static json_t *param_row(const struct hr_param *p)
{
        static const char *const places[] = { "query", "path", "body" };
        json_t *j =
                json_pack("{s:s,s:s,s:s,s:b}", "name", p->name, "type", params_type_name(p->type),
                          "where", places[p->where], "required", p->required);

        set_text(j, "help", p->help);
        set_text(j, "choices", p->choices);
        if (p->min || p->max) {
                json_object_set_new(j, "min", json_integer(p->min));
                json_object_set_new(j, "max", json_integer(p->max));
        }
        return j;
}

void host_operations(struct host *h, struct buf *json)
{
        json_t *items = json_array();

        for (size_t i = 0; i < h->ops_n; i++) {
                const struct hr_operation *op = h->ops[i].op;
                json_t *params = json_array(), *j;

                for (const struct hr_param *p = op->params; p && p->name; p++)
                        json_array_append_new(params, param_row(p));
                j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:b,s:b,s:o}", "name", op->name,
                              "plugin", h->ops[i].plugin->p->name, "method", op->method, "path",
                              op->path, "summary", op->summary, "write",
                              !!(op->flags & HR_OP_WRITE), "confirm", !!(op->flags & HR_OP_CONFIRM),
                              "public", !!(op->flags & HR_OP_PUBLIC), "file",
                              !!(op->flags & HR_OP_FILE), "params", params);
                set_text(j, "permission", op->permission);
                set_text(j, "cli", op->cli);
                set_text(j, "table", op->table);
                json_array_append_new(items, j);
        }
        put(json, json_pack("{s:o}", "operations", items));
}
