#include "tariff_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "document_diff.h"
#include "import.h"

enum { MAX_FILE = 16 << 20, MAX_FACTS = 16 };

/* Owned text of a file, "-" = standard input; NULL after the reason was said. */
static char *read_file(const char *path, size_t *ret_n)
{
        FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
        char *text = NULL;
        size_t n = 0, cap = 0, got = 1;

        if (!f) {
                fprintf(stderr, "headrace: %s: %s\n", path, strerror(errno));
                return NULL;
        }
        while (got > 0 && n <= MAX_FILE) {
                if (n + 65536 > cap) {
                        char *wider = realloc(text, cap = n + 131072);

                        if (!wider)
                                break;
                        text = wider;
                }
                got = fread(text + n, 1, 65536, f);
                n += got;
        }
        if (got > 0 || ferror(f)) {
                fprintf(stderr, "headrace: %s: %s\n", path,
                        ferror(f) ? "cannot be read" : "larger than 16 MB");
                free(text);
                text = NULL;
        }
        if (f != stdin)
                fclose(f);
        *ret_n = n;
        return text;
}

/* ---- import ---- */

struct arguments {
        const char *file, *format;
        struct import_options options;
        struct import_fact fact[MAX_FACTS];
};

/* "meter_size=3/4\"" cut in two, in place. */
static bool take_fact(struct arguments *a, char *text)
{
        char *equals = text ? strchr(text, '=') : NULL;

        if (!equals || a->options.n_facts == MAX_FACTS)
                return false;
        *equals = '\0';
        a->fact[a->options.n_facts++] = (struct import_fact){ text, equals + 1 };
        a->options.fact = a->fact;
        return true;
}

static bool take_arguments(struct arguments *a, int argc, char **argv)
{
        for (int i = 0; i < argc; i++) {
                char *next = i + 1 < argc ? argv[i + 1] : NULL;
                const char **text = strcmp(argv[i], "--format") == 0     ? &a->format
                                    : strcmp(argv[i], "--code") == 0     ? &a->options.code
                                    : strcmp(argv[i], "--currency") == 0 ? &a->options.currency
                                    : strcmp(argv[i], "--class") == 0    ? &a->options.class
                                                                         : NULL;

                if (text) {
                        *text = next;
                        i++;
                } else if (strcmp(argv[i], "--fact") == 0) {
                        if (!take_fact(a, next))
                                return false;
                        i++;
                } else if (argv[i][0] == '-' && argv[i][1]) {
                        return false;
                } else if (a->file) {
                        return false;
                } else {
                        a->file = argv[i];
                }
        }
        return a->file && a->format;
}

/* What was made must load; if it does not, the source asks for something it cannot have. */
static int check_document(const char *file, json_t *document)
{
        char *text = json_dumps(document, JSON_COMPACT);
        struct rating_error err = { 0 };
        struct rating_tariff *t = NULL;
        int e = text ? rating_tariff_load(&t, text, strlen(text), &err) : -ENOMEM;

        if (e)
                fprintf(stderr, "headrace: %s: %s\n", file, e > 0 ? err.text : "out of memory");
        rating_tariff_free(t);
        free(text);
        return e ? CLI_FAILED : CLI_OK;
}

static int write_document(json_t *document, const char *output)
{
        FILE *f = output ? fopen(output, "we") : stdout;
        int r = CLI_OK;

        if (!f || json_dumpf(document, f, JSON_INDENT(2)) < 0 || fputc('\n', f) == EOF) {
                fprintf(stderr, "headrace: %s: %s\n", output ? output : "output", strerror(errno));
                r = CLI_FAILED;
        }
        if (output && f && fclose(f) != 0)
                r = CLI_FAILED;
        return r;
}

int tariff_import_run(int argc, char **argv, const char *output)
{
        struct arguments a = { 0 };
        struct rating_error err = { 0 };
        enum import_format format;
        json_t *document = NULL;
        size_t n = 0;
        char *text;
        int e;

        if (!take_arguments(&a, argc, argv) || !import_format_named(a.format, &format)) {
                fprintf(stderr, "usage: headrace tariff import FILE --format urdb|owrs|csv "
                                "[--code CODE] [--currency CUR] [--class CLASS] "
                                "[--fact NAME=VALUE]...\n");
                return CLI_USAGE;
        }
        text = read_file(a.file, &n);
        if (!text)
                return CLI_FAILED;
        e = import_tariff(format, text, n, &a.options, &document, &err);
        free(text);
        if (e) {
                fprintf(stderr, "headrace: %s: %s%s\n", a.file,
                        e == IMPORT_E_UNSUPPORTED ? "cannot be expressed: " : "",
                        e > 0 ? err.text : "out of memory");
                return CLI_FAILED;
        }
        e = check_document(a.file, document);
        if (e == CLI_OK)
                e = write_document(document, output);
        json_decref(document);
        return e;
}

/* ---- test ---- */

static int test_file(const char *path)
{
        struct rating_error err = { 0 };
        struct rating_tariff *t = NULL;
        size_t n = 0, examples = 0;
        char *text = read_file(path, &n);
        int e;

        if (!text)
                return CLI_FAILED;
        e = rating_tariff_load(&t, text, n, &err);
        if (!e)
                e = rating_tariff_check_examples(t, &examples, &err);
        if (e)
                printf("FAIL %s: %s\n", path, e > 0 ? err.text : "out of memory");
        else if (examples == 0)
                printf("FAIL %s: there are no example bills; a tariff cannot be put in force "
                       "without one\n",
                       path);
        else
                printf("ok %s: %zu example%s hold%s\n", path, examples, examples == 1 ? "" : "s",
                       examples == 1 ? "s" : "");
        rating_tariff_free(t);
        free(text);
        return e || examples == 0 ? CLI_FAILED : CLI_OK;
}

int tariff_test_run(int argc, char **argv)
{
        int r = CLI_OK;

        if (argc == 0) {
                fprintf(stderr, "usage: headrace tariff test FILE...\n");
                return CLI_USAGE;
        }
        for (int i = 0; i < argc; i++)
                if (test_file(argv[i]) != CLI_OK)
                        r = CLI_FAILED;
        return r;
}

/* ---- diff ---- */

static json_t *load_json(const char *path)
{
        size_t n = 0;
        char *text = read_file(path, &n);
        json_error_t e;
        json_t *root = text ? json_loadb(text, n, JSON_REJECT_DUPLICATES, &e) : NULL;

        if (text && !root)
                fprintf(stderr, "headrace: %s: line %d, column %d: %s\n", path, e.line, e.column,
                        e.text);
        free(text);
        return root;
}

static void print_side(char sign, json_t *v)
{
        char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

        if (text)
                printf("  %c %s\n", sign, text);
        free(text);
}

int tariff_diff_run(int argc, char **argv)
{
        json_t *before, *after, *list, *v;
        size_t i, n;

        if (argc != 2) {
                fprintf(stderr, "usage: headrace tariff diff BEFORE.json AFTER.json\n");
                return CLI_USAGE;
        }
        before = load_json(argv[0]);
        after = before ? load_json(argv[1]) : NULL;
        if (!after) {
                json_decref(before);
                return CLI_USAGE;
        }
        list = rating_document_diff(before, after);
        json_array_foreach(list, i, v)
        {
                printf("%s%s\n", json_string_value(json_object_get(v, "path")),
                       json_object_size(v) == 1 ? " changed" : "");
                print_side('-', json_object_get(v, "before"));
                print_side('+', json_object_get(v, "after"));
        }
        n = json_array_size(list);
        json_decref(list);
        json_decref(before);
        json_decref(after);
        return n > 0 ? CLI_FAILED : CLI_OK;
}
