/* YAML as JSON values: mappings, lists and texts. Every scalar stays a text, so that "0.10" keeps
 * its digits. Anchors and more than one document are refused. */

#include <string.h>
#include <yaml.h>

#include "internal.h"
#include "yaml_json.h"

enum { MAX_DEPTH = 16 };

static json_t *value(struct importer *x, yaml_parser_t *p, yaml_event_t *e, int depth);

static bool next(struct importer *x, yaml_parser_t *p, yaml_event_t *e)
{
        if (yaml_parser_parse(p, e))
                return true;
        import_fail(x, IMPORT_E_DOCUMENT, "line %zu, column %zu: %s", p->problem_mark.line + 1,
                    p->problem_mark.column + 1, p->problem ? p->problem : "no YAML");
        memset(e, 0, sizeof(*e));
        return false;
}

static json_t *list(struct importer *x, yaml_parser_t *p, int depth)
{
        json_t *a = json_array();
        yaml_event_t e;

        while (next(x, p, &e) && e.type != YAML_SEQUENCE_END_EVENT) {
                json_t *v = value(x, p, &e, depth + 1);

                if (!v)
                        break;
                json_array_append_new(a, v);
        }
        yaml_event_delete(&e);
        return a;
}

static json_t *mapping(struct importer *x, yaml_parser_t *p, int depth)
{
        json_t *o = json_object();
        yaml_event_t e;

        while (next(x, p, &e) && e.type != YAML_MAPPING_END_EVENT) {
                json_t *key = value(x, p, &e, depth + 1), *v = NULL;

                if (!key || !json_is_string(key)) {
                        import_fail(x, IMPORT_E_DOCUMENT, "a member's name must be a text");
                        json_decref(key);
                        break;
                }
                if (next(x, p, &e))
                        v = value(x, p, &e, depth + 1);
                if (v && json_object_set_new(o, json_string_value(key), v) < 0)
                        import_fail(x, IMPORT_E_DOCUMENT, "a name that is not UTF-8");
                json_decref(key);
                if (!v)
                        break;
                memset(&e, 0, sizeof(e));
        }
        yaml_event_delete(&e);
        return o;
}

/* Takes the event over. */
static json_t *value(struct importer *x, yaml_parser_t *p, yaml_event_t *e, int depth)
{
        yaml_event_type_t type = e->type;
        json_t *v = NULL;

        if (type == YAML_SCALAR_EVENT)
                v = json_stringn((const char *)e->data.scalar.value, e->data.scalar.length);
        if (!v && type != YAML_SEQUENCE_START_EVENT && type != YAML_MAPPING_START_EVENT)
                import_fail(x, IMPORT_E_DOCUMENT,
                            "line %zu: only mappings, lists and UTF-8 texts are read",
                            e->start_mark.line + 1);
        else if (depth > MAX_DEPTH)
                import_fail(x, IMPORT_E_DOCUMENT, "line %zu: nested too deeply",
                            e->start_mark.line + 1);
        yaml_event_delete(e);
        memset(e, 0, sizeof(*e));
        if (x->failed) {
                json_decref(v);
                return NULL;
        }
        if (type == YAML_SEQUENCE_START_EVENT)
                return list(x, p, depth);
        return type == YAML_MAPPING_START_EVENT ? mapping(x, p, depth) : v;
}

json_t *yaml_json(struct importer *x, const char *text, size_t n)
{
        yaml_parser_t p;
        yaml_event_t e;
        json_t *v = NULL;

        if (!yaml_parser_initialize(&p))
                return NULL;
        yaml_parser_set_input_string(&p, (const unsigned char *)text, n);
        while (!v && !x->failed && next(x, &p, &e)) {
                if (e.type == YAML_STREAM_END_EVENT) {
                        import_fail(x, IMPORT_E_DOCUMENT, "there is nothing in it");
                        yaml_event_delete(&e);
                } else if (e.type == YAML_STREAM_START_EVENT ||
                           e.type == YAML_DOCUMENT_START_EVENT) {
                        yaml_event_delete(&e);
                } else {
                        v = value(x, &p, &e, 0);
                }
        }
        yaml_parser_delete(&p);
        if (x->failed) {
                json_decref(v);
                v = NULL;
        }
        return v;
}
