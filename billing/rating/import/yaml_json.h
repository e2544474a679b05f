#pragma once

/* Internal to the importers. */

#include <jansson.h>
#include <stddef.h>

struct importer;

/* Owned value; NULL with the importer's failure set, which names line and column. */
json_t *yaml_json(struct importer *x, const char *text, size_t n);
