#include "collect_internal.h"

#include <stdlib.h>
#include <string.h>

struct fleet *fleet_new(struct registry_snapshot *s)
{
        struct fleet *f = calloc(1, sizeof *f);

        if (!f)
                return NULL;
        f->refs = 1;
        f->snapshot = s;
        return f;
}

struct fleet *fleet_ref(struct fleet *f)
{
        f->refs++;
        return f;
}

void fleet_unref(struct fleet *f)
{
        if (!f || --f->refs)
                return;
        for (size_t i = 0; i < f->n_models; i++)
                free(f->models[i].model);
        free(f->models);
        if (f->snapshot)
                registry_unref(f->snapshot);
        free(f);
}

const struct meter_model *fleet_model(struct fleet *f, const struct registry_meter *m,
                                      const char **why)
{
        struct fleet_model *e;

        /* The model's JSON is shared by its meters, so its address tells it; there are few. */
        for (size_t i = 0; i < f->n_models; i++)
                if (f->models[i].profile == m->profile) {
                        *why = f->models[i].why;
                        return f->models[i].model;
                }
        *why = "out of memory";
        if (f->n_models == f->cap_models) {
                size_t cap = f->cap_models ? f->cap_models * 2 : 16;

                e = realloc(f->models, cap * sizeof *e);
                if (!e)
                        return NULL;
                f->models = e;
                f->cap_models = cap;
        }
        e = &f->models[f->n_models];
        *e = (struct fleet_model){ .profile = m->profile };
        if (model_parse(&e->model, m->profile ? m->profile : "", e->why, sizeof e->why) < 0) {
                e->model = NULL;
                if (!e->why[0])
                        strcpy(e->why, "out of memory");
        } else if (e->model->protocol != m->protocol) {
                free(e->model);
                e->model = NULL;
                strcpy(e->why, "the model is of another protocol");
        }
        f->n_models++;
        *why = e->why;
        return e->model;
}
