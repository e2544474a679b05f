#pragma once

/* The parts of the OWRS importer. Internal. */

#include "decimal.h"
#include "internal.h"

/* A formula as a number of money plus so much a billing unit. */
struct linear {
        struct decimal fixed, per_unit;
};

enum node_type { NODE_NUMBER, NODE_NAME, NODE_ADD, NODE_SUB, NODE_MUL, NODE_DIV };

struct node {
        enum node_type type;
        struct decimal number;
        char name[64];
        const struct node *left, *right;
};

enum { OWRS_NODES = 256, OWRS_DEPTH = 16 };

struct owrs {
        struct importer *x;
        json_t *class; /* borrowed: the customer class */
        const char *unit;
        struct node node[OWRS_NODES]; /* of all formulas read so far */
        unsigned n_nodes;
        unsigned n_charges; /* charges without a name of their own */
        const char *charge; /* being made: "commodity" of commodity_charge; NULL = none */
};

/* owrs_formula.c: NULL after a failure. */
const struct node *owrs_parse(struct owrs *o, const char *text, const char *where);
/* owrs_value.c */
/* The member as it holds in this context: "depends_on" looked up. NULL when absent. Borrowed. */
json_t *owrs_member(struct owrs *o, const char *name);
/* 0 or the failure. */
int owrs_linear(struct owrs *o, const struct node *n, int depth, struct linear *ret);
int owrs_number(struct owrs *o, json_t *value, const char *where, struct decimal *ret);
