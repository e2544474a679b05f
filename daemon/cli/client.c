#include "cli.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

enum { MAX_REPLY = 256 << 20 };

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
        struct buf *b = arg;

        buf_put(b, p, size * n);
        return b->failed ? 0 : size * n;
}

/* "Content-Disposition: attachment; filename=..." names the file; a path in it is not followed. */
static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
        static const char disposition[] = "content-disposition:";
        struct cli_reply *r = arg;
        size_t len = size * n;
        const char *at;
        char line[512];

        snprintf(line, sizeof line, "%.*s", (int)(len < sizeof line ? len : sizeof line - 1), p);
        if (strncasecmp(line, disposition, sizeof disposition - 1) != 0)
                return len;
        at = strstr(line, "filename=");
        if (!at)
                return len;
        at += strlen("filename=");
        at += *at == '"';
        snprintf(r->file_name, sizeof r->file_name, "%.*s", (int)strcspn(at, "\"\r\n;"), at);
        if (strchr(r->file_name, '/') || r->file_name[0] == '.')
                r->file_name[0] = 0;
        return len;
}

void client_escape(struct buf *out, const char *s)
{
        for (; *s; s++) {
                unsigned char c = (unsigned char)*s;

                if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    strchr("-._~", c))
                        buf_put_u8(out, c);
                else
                        buf_printf(out, "%%%02X", c);
        }
}

static struct curl_slist *headers(const struct cli_options *o, const char *method, bool has_body)
{
        struct curl_slist *list = curl_slist_append(NULL, "Accept: application/json");
        char line[1024], random[17];
        unsigned char bytes[8];

        if (has_body)
                list = curl_slist_append(list, "Content-Type: application/json");
        if (o->token) {
                snprintf(line, sizeof line, "Authorization: Bearer %s", o->token);
                list = curl_slist_append(list, line);
        }
        if (strcmp(method, "GET") == 0)
                return list;
        if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
                return list;
        for (size_t i = 0; i < sizeof bytes; i++)
                snprintf(random + 2 * i, 3, "%02x", bytes[i]);
        snprintf(line, sizeof line, "Idempotency-Key: %s", o->key ? o->key : random);
        return curl_slist_append(list, line);
}

static int unreachable(const struct cli_options *o, CURLcode code)
{
        if (o->url)
                fprintf(stderr, "headrace: cannot reach the daemon at %s: %s\n", o->url,
                        curl_easy_strerror(code));
        else
                fprintf(stderr,
                        "headrace: no daemon answers on %s: %s\n"
                        "Is it running? `systemctl status headraced`, or name its socket with "
                        "--socket or "
                        "HEADRACE_SOCKET.\n",
                        o->socket, curl_easy_strerror(code));
        return CLI_UNREACHABLE;
}

int client_call(const struct cli_options *o, const char *method, const char *path, const char *json,
                size_t n, struct cli_reply *ret)
{
        CURL *c = curl_easy_init();
        struct buf url = BUF_INIT;
        struct curl_slist *list;
        const char *type = NULL;
        CURLcode r;

        *ret = (struct cli_reply){ 0 };
        buf_init_limited(&ret->body, MAX_REPLY);
        if (!c)
                return unreachable(o, CURLE_OUT_OF_MEMORY);
        buf_printf(&url, "%s%s", o->url ? o->url : "http://localhost", path);
        list = headers(o, method, json != NULL);
        curl_easy_setopt(c, CURLOPT_URL, buf_cstr(&url));
        if (!o->url)
                curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, o->socket);
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, list);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, &ret->body);
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, ret);
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, 5L);
        curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
        if (json) {
                curl_easy_setopt(c, CURLOPT_POSTFIELDS, json);
                curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
        }
        r = curl_easy_perform(c);
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
        curl_easy_getinfo(c, CURLINFO_CONTENT_TYPE, &type);
        snprintf(ret->content_type, sizeof ret->content_type, "%s", type ? type : "");
        curl_slist_free_all(list);
        curl_easy_cleanup(c);
        buf_deinit(&url);
        return r == CURLE_OK ? CLI_OK : unreachable(o, r);
}

static const char *member(const json_t *o, const char *name)
{
        const char *s = json_string_value(json_object_get(o, name));

        return s ? s : "";
}

int client_problem(const struct cli_reply *reply)
{
        json_t *p = json_loadb((const char *)reply->body.p, reply->body.len, 0, NULL);
        const char *detail = member(p, "detail"), *param = member(p, "param");

        if (!*detail)
                detail = member(p, "title");
        fprintf(stderr, "headrace: %s%s%s\n", *param ? param : "", *param ? ": " : "",
                *detail ? detail : "the daemon refused the request");
        if (*member(p, "code"))
                fprintf(stderr, "  code %s, request %s\n", member(p, "code"),
                        member(p, "request_id"));
        json_decref(p);
        return reply->status == 401 || reply->status == 403 ? CLI_DENIED : CLI_FAILED;
}
