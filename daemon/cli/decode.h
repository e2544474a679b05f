#pragma once

/*
 * `headrace decode FILE.jsonl`: frames to values, without a daemon. Each input line is a JSON
 * object with "name" and "hex" (bytes of any layer: HDLC, wrapper, M-Bus, radio M-Bus, bare APDU), "text" (P1,
 * IEC 62056-21), "op" (a cryptographic check) or "steps" (a recorded session), and "keys" when
 * ciphered. Each output line:
 *
 *   {"name":..., "status":"ok"|"error", "error":null|text, "objects":[
 *     {"obis":..., "value":number|null, "unit":text|null, "text":text|null, "time":text|null}],
 *    ... what else was found: "layer", "frames", "ciphering", "plain_hex", "apdu", "values"}
 *
 * Values are exact, scaled where the message says how. Values without an OBIS code stand in
 * "values". The layer is told from the bytes alone.
 */

#include <stdio.h>

/* Decodes @in to its end onto @out. Lines that cannot be decoded say so in their own answer.
 * 0, or -errno when reading or writing failed. */
int decode_file(FILE *in, FILE *out);

/* The command: file names, or none (or "-") for standard input, to standard output. Returns the
 * exit code: 0, 1 when a file cannot be read, 2 for wrong usage. */
int decode_run(int argc, char **argv);
