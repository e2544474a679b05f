/* Formulas of the specification: names and numbers with + - * / and brackets. */

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "owrs.h"

struct reader {
        struct owrs *o;
        const char *p, *where;
        int depth;
};

static const struct node *sum(struct reader *r);

static void blanks(struct reader *r)
{
        while (isspace((unsigned char)*r->p))
                r->p++;
}

static struct node *new_node(struct reader *r, enum node_type type)
{
        struct node *n = NULL;

        if (r->o->n_nodes == OWRS_NODES)
                import_fail(r->o->x, IMPORT_E_UNSUPPORTED, "%s: more than %d terms", r->where,
                            OWRS_NODES);
        else
                n = &r->o->node[r->o->n_nodes++];
        if (n) {
                memset(n, 0, sizeof(*n));
                n->type = type;
        }
        return n;
}

static const struct node *operand(struct reader *r)
{
        size_t n = 0;
        struct node *node;
        const struct node *inner;

        blanks(r);
        if (*r->p == '(') {
                r->p++;
                inner = ++r->depth < OWRS_DEPTH ? sum(r) : NULL;
                r->depth--;
                blanks(r);
                if (!inner || *r->p != ')') {
                        import_fail(r->o->x, IMPORT_E_DOCUMENT, "%s: a bracket is not closed",
                                    r->where);
                        return NULL;
                }
                r->p++;
                return inner;
        }
        while (isalnum((unsigned char)r->p[n]) || r->p[n] == '_' || r->p[n] == '.')
                n++;
        if (n == 0 || n >= sizeof(node->name)) {
                import_fail(r->o->x, IMPORT_E_DOCUMENT, "%s: no formula at \"%.30s\"", r->where,
                            r->p);
                return NULL;
        }
        node = new_node(r, NODE_NAME);
        if (!node)
                return NULL;
        memcpy(node->name, r->p, n);
        r->p += n;
        if (decimal_parse(node->name, &node->number) == 0)
                node->type = NODE_NUMBER;
        return node;
}

static const struct node *chain(struct reader *r, bool products)
{
        const struct node *left = products ? operand(r) : chain(r, true);

        while (left) {
                const struct node *right;
                struct node *n;
                char op;

                blanks(r);
                op = *r->p;
                if (!op || !strchr(products ? "*/" : "+-", op))
                        return left;
                r->p++;
                right = products ? operand(r) : chain(r, true);
                n = right ? new_node(r, op == '+'   ? NODE_ADD
                                        : op == '-' ? NODE_SUB
                                        : op == '*' ? NODE_MUL
                                                    : NODE_DIV)
                          : NULL;
                if (n) {
                        n->left = left;
                        n->right = right;
                }
                left = n;
        }
        return left;
}

static const struct node *sum(struct reader *r)
{
        return chain(r, false);
}

const struct node *owrs_parse(struct owrs *o, const char *text, const char *where)
{
        struct reader r = { .o = o, .p = text, .where = where };
        const struct node *n = sum(&r);

        blanks(&r);
        if (n && *r.p) {
                import_fail(o->x, IMPORT_E_DOCUMENT, "%s: no formula at \"%.30s\"", where, r.p);
                return NULL;
        }
        return n;
}
