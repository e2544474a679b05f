/* Keys and passwords never come as arguments, where every user of the machine can read them: they
 * are in a file, in the environment, or typed without being shown. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "hex.h"
#include "meter.h"
#include "meter_options.h"

enum { LINE_MAX_LEN = 512 };

static bool set_key(struct secret *s, const char *text, unsigned suite)
{
        uint8_t bytes[SECRET_MAX];
        ssize_t n = hex_decode(text, strlen(text), bytes, sizeof bytes);
        bool ok = n > 0 && (size_t)n == dlms_key_size(suite) && secret_set(s, bytes, (size_t)n);

        explicit_bzero(bytes, sizeof bytes);
        return ok;
}

/* "hex:..." or the text itself. */
static bool set_password(struct secret *s, const char *text)
{
        uint8_t bytes[SECRET_MAX];
        ssize_t n;
        bool ok;

        if (strncmp(text, "hex:", 4) != 0)
                return *text && secret_set(s, text, strlen(text));
        n = hex_decode(text + 4, strlen(text + 4), bytes, sizeof bytes);
        ok = n > 0 && secret_set(s, bytes, (size_t)n);
        explicit_bzero(bytes, sizeof bytes);
        return ok;
}

static bool set_title(uint8_t title[static DLMS_TITLE_SIZE], bool *has, const char *text)
{
        *has = hex_decode(text, strlen(text), title, DLMS_TITLE_SIZE) == DLMS_TITLE_SIZE;
        return *has;
}

/* Blanks at both ends are no part of it. */
static char *trim(char *s)
{
        size_t n;

        s += strspn(s, " \t");
        n = strlen(s);
        while (n > 0 && strchr(" \t\r\n", s[n - 1]))
                s[--n] = 0;
        return s;
}

static bool set_named(struct meter_options *o, const char *name, const char *value, bool *known)
{
        *known = true;
        if (strcasecmp(name, "guek") == 0)
                return set_key(&o->guek, value, o->suite);
        if (strcasecmp(name, "gak") == 0)
                return set_key(&o->gak, value, o->suite);
        if (strcasecmp(name, "password") == 0)
                return set_password(&o->password, value);
        if (strcasecmp(name, "server_title") == 0)
                return set_title(o->server_title, &o->has_server_title, value);
        if (strcasecmp(name, "client_title") == 0)
                return set_title(o->client_title, &o->has_client_title, value);
        /* The master key stands beside the others in a key list; reading needs it not. */
        if (strcasecmp(name, "kek") == 0)
                return *value != 0;
        *known = false;
        return false;
}

static int take_line(struct meter_options *o, const char *path, unsigned number, char *line)
{
        char *equals, *name = trim(line);
        bool known = true;

        if (!*name || *name == '#')
                return 0;
        equals = strchr(name, '=');
        if (equals) {
                *equals = 0;
                if (set_named(o, trim(name), trim(equals + 1), &known))
                        return 0;
        }
        /* The value is a secret: it is not repeated here. */
        if (!equals)
                fprintf(stderr, "headrace: %s line %u: not of the form NAME = VALUE\n", path,
                        number);
        else if (!known)
                fprintf(stderr,
                        "headrace: %s line %u: \"%s\" is none of guek, gak, kek, password, "
                        "client_title, server_title\n",
                        path, number, name);
        else
                fprintf(stderr,
                        "headrace: %s line %u: the value of %s does not fit: a key of suite %u has "
                        "%zu hexadecimal digits, a title 16, a password 1 to %d characters\n",
                        path, number, name, o->suite, 2 * dlms_key_size(o->suite), SECRET_MAX);
        return METER_USAGE;
}

int meter_secrets_file(struct meter_options *o, const char *path)
{
        char line[LINE_MAX_LEN];
        unsigned number = 0;
        struct stat st;
        FILE *f = fopen(path, "r");
        int r = 0;

        if (!f) {
                fprintf(stderr, "headrace: --key-file %s: %s\n", path, strerror(errno));
                return METER_USAGE;
        }
        if (fstat(fileno(f), &st) == 0 && (st.st_mode & 077))
                fprintf(stderr, "headrace: %s can be read by others: chmod 600 %s\n", path, path);
        while (r == 0 && fgets(line, sizeof line, f))
                r = take_line(o, path, ++number, line);
        explicit_bzero(line, sizeof line);
        if (fclose(f) && r == 0) {
                fprintf(stderr, "headrace: --key-file %s: %s\n", path, strerror(errno));
                r = METER_USAGE;
        }
        return r;
}

int meter_secrets_environment(struct meter_options *o)
{
        static const struct {
                const char *variable, *name;
        } known[] = { { "HEADRACE_GUEK", "guek" },
                      { "HEADRACE_GAK", "gak" },
                      { "HEADRACE_PASSWORD", "password" } };
        struct secret *have[] = { &o->guek, &o->gak, &o->password };

        for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
                const char *value = getenv(known[i].variable);
                bool is_known;

                if (!value || !*value || have[i]->len)
                        continue;
                if (set_named(o, known[i].name, value, &is_known))
                        continue;
                fprintf(stderr, "headrace: %s does not fit: a key of suite %u has %zu digits\n",
                        known[i].variable, o->suite, 2 * dlms_key_size(o->suite));
                return METER_USAGE;
        }
        return 0;
}

/* One line typed on the terminal, not shown. False when it ended. */
static bool ask(const char *what, char *out, size_t size)
{
        struct termios shown, hidden;
        FILE *tty = fopen("/dev/tty", "r+");
        bool ok;

        if (!tty)
                return false;
        if (tcgetattr(fileno(tty), &shown)) {
                fclose(tty);
                return false;
        }
        hidden = shown;
        hidden.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(fileno(tty), TCSAFLUSH, &hidden);
        fprintf(tty, "%s: ", what);
        fflush(tty);
        ok = fgets(out, (int)size, tty) != NULL;
        tcsetattr(fileno(tty), TCSAFLUSH, &shown);
        fprintf(tty, "\n");
        fclose(tty);
        return ok;
}

static int want(struct meter_options *o, struct secret *s, const char *name, const char *what)
{
        char line[LINE_MAX_LEN];
        bool known, ok;

        if (s->len)
                return 0;
        for (int tries = 0; tries < 3 && !o->cli->no_input && isatty(STDIN_FILENO); tries++) {
                if (!ask(what, line, sizeof line))
                        break;
                ok = set_named(o, name, trim(line), &known);
                explicit_bzero(line, sizeof line);
                if (ok)
                        return 0;
                fprintf(stderr, "headrace: that does not fit\n");
        }
        fprintf(stderr,
                "headrace: the %s is missing: give --key-file FILE with a line \"%s = ...\", or "
                "set the environment\n",
                what, name);
        return METER_USAGE;
}

int meter_secrets_complete(struct meter_options *o)
{
        int r = 0;

        if (meter_options_ciphered(o)) {
                r = want(o, &o->guek, "guek", "encryption key (GUEK)");
                if (!r)
                        r = want(o, &o->gak, "gak", "authentication key (GAK)");
        }
        if (!r && o->auth != DLMS_AUTH_NONE && o->auth != DLMS_AUTH_GMAC)
                r = want(o, &o->password, "password", "password");
        return r;
}
