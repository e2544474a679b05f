#include "mail.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buf.h"

bool mail_address_ok(const char *address)
{
        const char *at = strchr(address, '@');
        size_t n = strlen(address);

        for (const char *c = address; *c; c++)
                if ((unsigned char)*c <= ' ' || strchr("<>,;:\"\\()[]", *c) || *c == 127)
                        return false;
        return n <= 254 && at && at > address && at[1] && !strchr(at + 1, '@');
}

/* Base64 words of RFC 2047, at most 45 bytes of whole characters each. */
static void put_encoded(struct buf *out, const char *s)
{
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

        while (*s) {
                size_t n = strnlen(s, 45);

                while (n > 1 && s[n] && ((unsigned char)s[n] & 0xc0) == 0x80)
                        n--;
                buf_put_str(out, "=?UTF-8?B?");
                for (size_t i = 0; i < n; i += 3) {
                        unsigned v = (unsigned)(uint8_t)s[i] << 16 |
                                     (i + 1 < n ? (unsigned)(uint8_t)s[i + 1] << 8 : 0) |
                                     (i + 2 < n ? (uint8_t)s[i + 2] : 0);

                        buf_put_u8(out, (uint8_t)digits[v >> 18]);
                        buf_put_u8(out, (uint8_t)digits[v >> 12 & 63]);
                        buf_put_u8(out, i + 1 < n ? (uint8_t)digits[v >> 6 & 63] : '=');
                        buf_put_u8(out, i + 2 < n ? (uint8_t)digits[v & 63] : '=');
                }
                s += n;
                buf_put_str(out, *s ? "?=\r\n " : "?=");
        }
}

static struct curl_slist *add(struct curl_slist *list, struct buf *line)
{
        struct curl_slist *longer = curl_slist_append(list, buf_cstr(line));

        buf_reset(line);
        return longer ? longer : list;
}

static struct curl_slist *headers(const struct mail *m)
{
        static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
        static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        struct curl_slist *list = NULL;
        struct buf line = BUF_INIT;
        time_t at = (time_t)m->date;
        struct tm tm;

        gmtime_r(&at, &tm);
        buf_printf(&line, "Date: %s, %d %s %d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday,
                   months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
        list = add(list, &line);
        buf_put_str(&line, "From: ");
        put_encoded(&line, m->from_name);
        buf_printf(&line, " <%s>", m->from);
        list = add(list, &line);
        buf_printf(&line, "To: <%s>", m->to);
        list = add(list, &line);
        buf_put_str(&line, "Subject: ");
        put_encoded(&line, m->subject);
        list = add(list, &line);
        buf_printf(&line, "Message-ID: <%s%s>", m->id, strchr(m->from, '@'));
        list = add(list, &line);
        buf_put_str(&line, "Auto-Submitted: auto-generated");
        list = add(list, &line);
        buf_deinit(&line);
        return list;
}

static curl_mime *body(CURL *c, const struct mail *m)
{
        curl_mime *mime = curl_mime_init(c);
        curl_mimepart *part = curl_mime_addpart(mime);

        curl_mime_data(part, m->text, CURL_ZERO_TERMINATED);
        curl_mime_type(part, "text/plain; charset=utf-8");
        curl_mime_encoder(part, "base64");
        for (size_t i = 0; i < m->n_parts; i++) {
                part = curl_mime_addpart(mime);
                curl_mime_data(part, m->parts[i].data, m->parts[i].n);
                curl_mime_type(part, m->parts[i].type);
                curl_mime_filename(part, m->parts[i].name);
                curl_mime_encoder(part, "base64");
        }
        return mime;
}

/* Answers of the server: the refusal if there is one, else the last before the goodbye. */
static size_t note_answer(char *data, size_t size, size_t n, void *arg)
{
        char *why = arg;
        size_t len = size * n;

        if (*why == '4' || *why == '5' || strncmp(data, "221", len < 3 ? len : 3) == 0)
                return size * n;
        while (len > 0 && (data[len - 1] == '\r' || data[len - 1] == '\n'))
                len--;
        snprintf(why, MAIL_WHY_SIZE, "%.*s", (int)(len < MAIL_WHY_SIZE ? len : MAIL_WHY_SIZE - 1),
                 data);
        return size * n;
}

static void set_server(CURL *c, const struct mail_server *s)
{
        curl_easy_setopt(c, CURLOPT_URL, s->url);
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_PROXY, "");
        curl_easy_setopt(c, CURLOPT_TIMEOUT, s->timeout_s);
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 10L);
        curl_easy_setopt(c, CURLOPT_USE_SSL, (long)(s->tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
        if (*s->user) {
                curl_easy_setopt(c, CURLOPT_USERNAME, s->user);
                curl_easy_setopt(c, CURLOPT_PASSWORD, s->password);
        }
}

static enum mail_result result_of(CURLcode code, char why[static MAIL_WHY_SIZE])
{
        if (code == CURLE_OK)
                return MAIL_SENT;
        /* A wrong password is our mistake, not the customer's: it is mended and tried again. */
        if (*why == '5' && code != CURLE_LOGIN_DENIED)
                return MAIL_NEVER;
        if (*why != '4' && *why != '5')
                snprintf(why, MAIL_WHY_SIZE, "%s", curl_easy_strerror(code));
        return MAIL_LATER;
}

enum mail_result mail_send(const struct mail_server *server, const struct mail *mail,
                           char why[static MAIL_WHY_SIZE])
{
        struct curl_slist *to = NULL, *head;
        enum mail_result result;
        curl_mime *mime;
        CURL *c;

        *why = '\0';
        if (!mail_address_ok(mail->to) || !mail_address_ok(mail->from)) {
                snprintf(why, MAIL_WHY_SIZE, "'%.100s' is not an e-mail address",
                         mail_address_ok(mail->to) ? mail->from : mail->to);
                return MAIL_NEVER;
        }
        c = curl_easy_init();
        if (!c)
                return MAIL_LATER;
        set_server(c, server);
        to = curl_slist_append(NULL, mail->to);
        head = headers(mail);
        mime = body(c, mail);
        curl_easy_setopt(c, CURLOPT_MAIL_FROM, mail->from);
        curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, head);
        curl_easy_setopt(c, CURLOPT_MIMEPOST, mime);
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, note_answer);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, why);
        result = result_of(curl_easy_perform(c), why);
        curl_easy_cleanup(c);
        curl_mime_free(mime);
        curl_slist_free_all(to);
        curl_slist_free_all(head);
        return result;
}
