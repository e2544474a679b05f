#pragma once

/*
 * What may stand in an invoice template's document, checked before anybody can use it: members and
 * their kinds, the texts every invoice needs, and in each text only the placeholders it is filled
 * with. Pure.
 */

#include <jansson.h>

enum { TEMPLATE_WHY_SIZE = 320 };

/* 0, or -EINVAL with @why naming the member, what is wrong with it and what it can hold. */
int template_check(const json_t *document, const char *language,
                   char why[static TEMPLATE_WHY_SIZE]);

/* The same for the body of a message printed by rule. */
int template_check_message(const char *body, char why[static TEMPLATE_WHY_SIZE]);
