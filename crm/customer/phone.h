#pragma once

/*
 * Telephone numbers as they are stored: digits with the country's code, nothing else. Pure.
 */

#include <stddef.h>

enum { PHONE_SIZE = 32, PHONE_MIN_DIGITS = 3, PHONE_MAX_DIGITS = 15 /* ITU-T E.164 */ };

/*
 * Brings a number as people write it ("+84 912 345 678", "0084-912...", "(0)912 345 678") into the
 * stored form. @country is the code put in place of a leading 0, "" or NULL to leave it.
 * 0; -EINVAL when a character is no part of a number or it has too few or too many digits. A
 * blank @text gives "" and 0.
 */
int phone_normalise(const char *text, const char *country, char ret[static PHONE_SIZE]);
