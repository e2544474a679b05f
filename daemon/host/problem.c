#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "problem.h"

int problem_vset(struct problem *p, int status, const char *code, const char *param,
                 const char *fmt, va_list ap)
{
        p->status = status;
        snprintf(p->code, sizeof p->code, "%s", code);
        snprintf(p->param, sizeof p->param, "%s", param ? param : "");
        vsnprintf(p->text, sizeof p->text, fmt, ap);
        return -EINVAL;
}

int problem_set(struct problem *p, int status, const char *code, const char *param, const char *fmt,
                ...)
{
        va_list ap;

        va_start(ap, fmt);
        problem_vset(p, status, code, param, fmt, ap);
        va_end(ap);
        return -EINVAL;
}

const char *problem_title(int status)
{
        static const struct {
                int status;
                const char *title;
        } titles[] = {
                { 400, "Bad Request" },
                { 401, "Unauthorized" },
                { 403, "Forbidden" },
                { 404, "Not Found" },
                { 405, "Method Not Allowed" },
                { 408, "Request Timeout" },
                { 409, "Conflict" },
                { 411, "Length Required" },
                { 413, "Content Too Large" },
                { 414, "URI Too Long" },
                { 415, "Unsupported Media Type" },
                { 422, "Unprocessable Content" },
                { 429, "Too Many Requests" },
                { 431, "Request Header Fields Too Large" },
                { 500, "Internal Server Error" },
                { 501, "Not Implemented" },
                { 503, "Service Unavailable" },
        };

        for (size_t i = 0; i < sizeof titles / sizeof *titles; i++)
                if (titles[i].status == status)
                        return titles[i].title;
        return "Error";
}

static void member(struct buf *json, const char *name, const char *value)
{
        buf_printf(json, ",\"%s\":", name);
        buf_put_json_str(json, value, strlen(value));
}

void problem_write(const struct problem *p, const char *request_id, struct buf *json)
{
        buf_printf(json, "{\"type\":\"about:blank\",\"status\":%d", p->status);
        member(json, "title", problem_title(p->status));
        member(json, "detail", p->text);
        member(json, "code", p->code);
        if (p->param[0])
                member(json, "param", p->param);
        if (request_id)
                member(json, "request_id", request_id);
        buf_put_str(json, "}");
}
