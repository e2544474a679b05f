#pragma once

/*
 * Tariff documents as files, without a daemon:
 *   headrace tariff import FILE --format urdb|owrs|csv [--code C] [--currency EUR]
 *                          [--class CLASS] [--fact NAME=VALUE]...
 *   headrace tariff test FILE...
 *   headrace tariff diff BEFORE AFTER
 * Each returns an exit code of enum cli_exit; what is wrong goes to standard error.
 */

/* @argv from the word behind "import" on. The document on standard output, or in @output. */
int tariff_import_run(int argc, char **argv, const char *output);
/* One line a file: "ok FILE: N examples hold", or what does not. */
int tariff_test_run(int argc, char **argv);
/* One line a difference; exit 1 when there is one. */
int tariff_diff_run(int argc, char **argv);
