#include "plural.h"

#include <string.h>

enum rule { ONE_OTHER, ZERO_ONE_OTHER, OTHER, ARABIC, HEBREW, RUSSIAN, POLISH, CZECH };

static const struct {
        char language[3];
        enum rule rule;
} rules[] = {
        { "vi", OTHER },          { "th", OTHER },          { "ja", OTHER },
        { "zh", OTHER },          { "ko", OTHER },          { "id", OTHER },
        { "ms", OTHER },          { "lo", OTHER },          { "km", OTHER },
        { "my", OTHER },          { "ar", ARABIC },         { "he", HEBREW },
        { "fr", ZERO_ONE_OTHER }, { "fa", ZERO_ONE_OTHER }, { "hi", ZERO_ONE_OTHER },
        { "ru", RUSSIAN },        { "uk", RUSSIAN },        { "pl", POLISH },
        { "cs", CZECH },          { "sk", CZECH },
};

static enum rule rule_of(const char *language)
{
        for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
                if (strcmp(language, rules[i].language) == 0)
                        return rules[i].rule;
        return ONE_OTHER;
}

static const char *arabic(int64_t n)
{
        int64_t rest = n % 100;

        if (n <= 2)
                return n == 0 ? "zero" : n == 1 ? "one" : "two";
        return rest >= 3 && rest <= 10 ? "few" : rest >= 11 ? "many" : "other";
}

/* Last digits 2-4, but not 12-14. */
static int is_few(int64_t n)
{
        return n % 10 >= 2 && n % 10 <= 4 && (n % 100 < 12 || n % 100 > 14);
}

const char *plural_category(const char *language, int64_t n)
{
        switch (rule_of(language)) {
        case OTHER:
                return "other";
        case ARABIC:
                return arabic(n);
        case HEBREW:
                return n == 1 ? "one" : n == 2 ? "two" : "other";
        case ZERO_ONE_OTHER:
                return n <= 1 ? "one" : "other";
        case RUSSIAN:
                return n % 10 == 1 && n % 100 != 11 ? "one" : is_few(n) ? "few" : "many";
        case POLISH:
                return n == 1 ? "one" : is_few(n) ? "few" : "many";
        case CZECH:
                return n == 1 ? "one" : n >= 2 && n <= 4 ? "few" : "other";
        case ONE_OTHER:
                break;
        }
        return n == 1 ? "one" : "other";
}
