#include "table.h"

#include <string.h>

bool table_is_number(const char *v)
{
        size_t n;

        v += *v == '-';
        n = strspn(v, "0123456789");
        if (n == 0 || (n > 1 && v[0] == '0'))
                return false;
        v += n;
        if (*v == '.') {
                n = strspn(v + 1, "0123456789");
                if (n == 0)
                        return false;
                v += 1 + n;
        }
        return *v == '\0';
}

void table_csv_head(struct buf *out, const struct table_column *c)
{
        for (; c->name; c++)
                table_csv_cell(out, TABLE_TEXT, c->name, !c[1].name);
}

/* Spreadsheets skip blanks before they look for a formula. */
static bool formula(const char *v)
{
        if (*v == '\t' || *v == '\r' || *v == '\n')
                return true;
        v += strspn(v, " ");
        return *v != '\0' && strchr("=+-@", *v) != NULL;
}

void table_csv_cell(struct buf *out, enum table_type type, const char *value, bool last)
{
        const char *v = value ? value : "";
        bool number = type == TABLE_NUMBER && table_is_number(v);
        bool escape = !number && formula(v);
        bool quote = !number && (escape || v[strcspn(v, ",;\"\r\n")] || *v == ' ');

        if (quote)
                buf_put_str(out, "\"");
        if (escape)
                buf_put_str(out, "'");
        for (; *v; v++) {
                if (*v == '"')
                        buf_put_str(out, "\"");
                buf_put(out, v, 1);
        }
        buf_put_str(out, quote ? "\"" : "");
        buf_put_str(out, last ? "\r\n" : ",");
}

void table_json_value(struct buf *out, enum table_type type, const char *value)
{
        if (!value)
                buf_put_str(out, "null");
        else if (type == TABLE_NUMBER && table_is_number(value))
                buf_put_str(out, value);
        else
                buf_put_json_str(out, value, strlen(value));
}
