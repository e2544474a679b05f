#include "phone.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* Digits of @text; *@ret_plus: it began with '+'. -EINVAL for a foreign character. */
static int take_digits(const char *text, char *out, size_t size, bool *ret_plus)
{
        size_t n = 0;

        *ret_plus = false;
        for (const char *p = text; *p; p++) {
                if (*p >= '0' && *p <= '9') {
                        if (n + 1 >= size)
                                return -EINVAL;
                        out[n++] = *p;
                } else if (*p == '+' && n == 0 && !*ret_plus) {
                        *ret_plus = true;
                } else if (!strchr(" .-/()\t", *p)) {
                        return -EINVAL;
                }
        }
        out[n] = '\0';
        return 0;
}

int phone_normalise(const char *text, const char *country, char ret[static PHONE_SIZE])
{
        char digits[PHONE_SIZE], out[2 * PHONE_SIZE] = "";
        const char *rest = digits;
        bool plus;
        size_t n;
        int r;

        r = take_digits(text, digits, sizeof digits, &plus);
        if (r < 0)
                return r;
        if (!*digits && !plus) {
                *ret = '\0';
                return 0;
        }
        if (plus && country && *country) {
                /* "+84 (0)912 ...": the 0 in brackets is not dialled from abroad. */
                size_t c = strlen(country);

                if (!strncmp(digits, country, c) && digits[c] == '0')
                        memmove(digits + c, digits + c + 1, strlen(digits + c));
        } else if (!plus && !strncmp(digits, "00", 2)) {
                rest = digits + 2;
        } else if (!plus && *digits == '0' && country && *country && strlen(country) <= 4) {
                strcpy(out, country);
                rest = digits + 1;
        }
        strcat(out, rest);
        n = strlen(out);
        if (n < PHONE_MIN_DIGITS || n > PHONE_MAX_DIGITS)
                return -EINVAL;
        memcpy(ret, out, n + 1);
        return 0;
}
