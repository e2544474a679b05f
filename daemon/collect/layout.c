#include "layout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CACHE_MAX = 64 };

struct layout_cache {
        size_t n;
        unsigned generation;
        struct layout *layouts[CACHE_MAX]; /* owned */
};

struct layout_cache *layout_cache_new(void)
{
        return calloc(1, sizeof(struct layout_cache));
}

void layout_cache_free(struct layout_cache *c)
{
        for (size_t i = 0; c && i < c->n; i++)
                free(c->layouts[i]);
        free(c);
}

static size_t find(const struct layout_cache *c, const char *model)
{
        size_t i = 0;

        while (i < c->n && strcmp(c->layouts[i]->model, model) != 0)
                i++;
        return i;
}

struct layout *layout_take(struct layout_cache *c, const char *model)
{
        struct layout *l = calloc(1, sizeof *l);
        size_t i = find(c, model);

        if (!l)
                return NULL;
        if (i < c->n)
                *l = *c->layouts[i];
        else
                snprintf(l->model, sizeof l->model, "%s", model);
        return l;
}

void layout_give(struct layout_cache *c, struct layout *l)
{
        size_t i;

        if (!l)
                return;
        i = find(c, l->model);
        /* Only what this visit had itself is forgotten, and only what it learned is kept: another
         * visit of the model may have done either meanwhile. */
        if (i < c->n && l->forgotten && c->layouts[i]->generation == l->generation) {
                free(c->layouts[i]);
                c->layouts[i] = c->layouts[--c->n];
                i = c->n;
        }
        if (l->known && l->learned) {
                l->learned = l->forgotten = false;
                l->generation = ++c->generation;
                if (i < c->n)
                        free(c->layouts[i]);
                else if (c->n < CACHE_MAX)
                        c->n++;
                else
                        i = CACHE_MAX;
                if (i < CACHE_MAX) {
                        c->layouts[i] = l;
                        return;
                }
        } else if (i < c->n && l->no_lists) {
                c->layouts[i]->no_lists = true;
        }
        free(l);
}

static bool same(const struct dlms_attr *a, const struct dlms_attr *b)
{
        return a->class_id == b->class_id && a->id == b->id && obis_equal(&a->obis, &b->obis);
}

bool layout_map(struct layout *l, const struct meter_model *model)
{
        bool any = false;

        for (size_t i = 0; i < l->columns.n; i++) {
                l->map[i] = -1;
                for (size_t k = 0; k < model->profile.n; k++)
                        if (model->profile.capture[k].to.channel &&
                            same(&l->columns.column[i].attr, &model->profile.capture[k].attr)) {
                                l->map[i] = (int8_t)k;
                                any = true;
                        }
        }
        return any;
}

void layout_set_unit(struct layout *l, const struct dlms_attr *attr, int8_t scaler, uint8_t unit)
{
        struct layout_unit *u = l->units;

        while (u < l->units + l->n_units && !obis_equal(&u->obis, &attr->obis))
                u++;
        if (u == l->units + l->n_units) {
                if (l->n_units == sizeof l->units / sizeof *l->units)
                        return;
                l->n_units++;
        }
        *u = (struct layout_unit){ attr->obis, scaler, unit };
}

const struct layout_unit *layout_unit_of(const struct layout *l, const struct dlms_attr *attr)
{
        for (size_t i = 0; i < l->n_units; i++)
                if (obis_equal(&l->units[i].obis, &attr->obis))
                        return &l->units[i];
        return NULL;
}

void layout_forget(struct layout *l)
{
        l->forgotten = true;
        l->known = l->learned = false;
}

void layout_relearn(struct layout *l)
{
        layout_forget(l);
        l->n_units = l->logs_known = 0;
}
