/* Contents and settings to UBL, for the checks beside it and for outside validators. One JSON
 * object
 * {"content", "settings"} a line on standard input; {"xml"} or {"why"} a line on standard output.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ubl.h"

static int one(const char *line)
{
        json_error_t error;
        json_t *in = json_loads(line, 0, &error), *out = json_object();
        char *content = json_dumps(json_object_get(in, "content"), JSON_COMPACT);
        char *settings = json_dumps(json_object_get(in, "settings"), JSON_COMPACT);
        struct buf xml = BUF_INIT;
        char why[EINVOICE_WHY_SIZE];
        int rc = einvoice_ubl(&xml, content ? content : "", settings ? settings : "", why);

        if (rc == 0)
                json_object_set_new(out, "xml", json_stringn((const char *)xml.p, xml.len));
        else
                json_object_set_new(out, "why", json_string(why));
        rc = json_dumpf(out, stdout, JSON_COMPACT);
        putchar('\n');
        buf_deinit(&xml);
        free(content);
        free(settings);
        json_decref(in);
        json_decref(out);
        return rc;
}

int main(void)
{
        char *line = NULL;
        size_t size = 0;
        int rc = 0;

        while (rc == 0 && getline(&line, &size, stdin) > 0)
                rc = one(line);
        free(line);
        return rc == 0 ? 0 : 1;
}
