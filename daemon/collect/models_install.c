#include "models_install.h"

#include <errno.h>
#include <glob.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "registry.h"

enum { MAX_FILE = 1 << 20 };

static char *read_text(const char *path)
{
        FILE *f = fopen(path, "re");
        char *text = f ? malloc(MAX_FILE + 1) : NULL;
        size_t n = text ? fread(text, 1, MAX_FILE + 1, f) : 0;

        if (f)
                fclose(f);
        if (text && (n == 0 || n > MAX_FILE)) {
                free(text);
                return NULL;
        }
        if (text)
                text[n] = 0;
        return text;
}

static const char *member(const json_t *o, const char *name)
{
        const char *s = json_string_value(json_object_get(o, name));

        return s ? s : "";
}

static int install_file(struct db *db, const char *path, struct buf *errors)
{
        struct meter_model *model = NULL;
        char *text = read_text(path), why[256];
        json_t *root;
        int r;

        if (!text) {
                buf_printf(errors, "%s: cannot be read, is empty or larger than 1 MiB\n", path);
                return -EINVAL;
        }
        r = model_parse(&model, text, why, sizeof why);
        root = json_loads(text, 0, NULL);
        if (r == 0)
                r = registry_put_model(
                        db, model->name, member(root, "maker"), member(root, "protocol"),
                        (int)json_integer_value(json_object_get(root, "digits")), text);
        else
                buf_printf(errors, "%s: %s\n", path, why);
        json_decref(root);
        free(model);
        free(text);
        return r;
}

int models_install(struct db *db, const char *dir, struct buf *errors)
{
        char pattern[PATH_MAX];
        glob_t found = { 0 };
        int r = 0;

        for (const struct model_file *m = model_builtin(); m->name && r == 0; m++)
                r = registry_put_model(db, m->name, m->maker, m->protocol, m->digits, m->json);
        if (r || !dir)
                return r;
        snprintf(pattern, sizeof pattern, "%s/*.json", dir);
        if (glob(pattern, 0, NULL, &found) == 0)
                for (size_t i = 0; i < found.gl_pathc && r != -ECANCELED; i++) {
                        int one = install_file(db, found.gl_pathv[i], errors);

                        r = one ? one : r;
                }
        globfree(&found);
        return r;
}
