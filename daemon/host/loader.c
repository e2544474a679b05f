#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host_int.h"

void host_say(struct buf *errors, const char *fmt, ...)
{
        va_list ap;

        if (!errors)
                return;
        va_start(ap, fmt);
        buf_vprintf(errors, fmt, ap);
        va_end(ap);
        buf_put_str(errors, "\n");
}

static bool word_ok(const char *s, const char *alphabet)
{
        size_t n = s ? strspn(s, alphabet) : 0;

        return n && n < 40 && !s[n] && s[0] >= 'a' && s[0] <= 'z';
}

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS  "0123456789"

static const char *operation_fault(const struct hr_operation *op)
{
        const char *why = NULL;

        if (!word_ok(op->name, LETTERS DIGITS "._"))
                return "its name is not like invoice.show";
        if (!op->method || !op->path || !op->run || !op->summary)
                return "method, path, summary or run is NULL";
        if (!op->permission && !(op->flags & HR_OP_PUBLIC))
                return "it has neither a permission nor HR_OP_PUBLIC";
        if (!strcmp(op->method, "GET") == !!(op->flags & HR_OP_WRITE))
                return "GET and HR_OP_WRITE exclude each other, and any other method needs it";
        if (!params_table_valid(op->params, op->path, &why))
                return why;
        return NULL;
}

static const char *table_fault(const struct hr_plugin *p)
{
        int version = 0;

        for (const struct hr_migration *m = p->migrations; m && m->version; m++)
                if (m->version != ++version || !m->name || !m->sql)
                        return "its migrations are not numbered 1, 2, 3 ... or one has no text";
        for (const struct hr_subscription *s = p->subscriptions; s && s->type; s++)
                if (!s->handle || strchr(s->type, ' '))
                        return "a subscription has no handler or a blank in its type";
        for (const struct hr_job_type *j = p->jobs; j && j->name; j++)
                if (!j->run || !j->permission || !word_ok(j->name, LETTERS DIGITS "._"))
                        return "a job type has no permission or run, or its name is not like a.b";
        for (const struct hr_config_key *k = p->config; k && k->name; k++)
                if (!word_ok(k->name, LETTERS DIGITS "_"))
                        return "a configuration key is not snake_case";
        return NULL;
}

int plugin_check(const struct hr_plugin *p, const char *where, struct buf *errors)
{
        const char *fault = NULL;

        if (p->magic != HR_PLUGIN_MAGIC)
                fault = "it has no Headrace descriptor (wrong magic)";
        else if (p->abi != HR_ABI_VERSION)
                fault = "it was built for another ABI version; rebuild it against this daemon's "
                        "headrace/plugin.h";
        else if (p->size < sizeof(struct hr_plugin))
                fault = "its descriptor is shorter than this daemon's; rebuild it";
        else if (!word_ok(p->name, LETTERS DIGITS))
                fault = "its name is not [a-z][a-z0-9]*";
        else if (!p->version || !p->summary)
                fault = "version or summary is NULL";
        else
                fault = table_fault(p);
        if (fault) {
                host_say(errors, "%s: %s", where, fault);
                return -EINVAL;
        }
        for (const struct hr_operation *op = p->operations; op && op->name; op++) {
                fault = operation_fault(op);
                if (fault) {
                        host_say(errors, "%s: operation %s: %s", where, op->name, fault);
                        return -EINVAL;
                }
        }
        return 0;
}

static struct host_plugin *plugin_find(struct host *h, const char *name)
{
        for (struct host_plugin *p = h->plugins; p; p = p->next)
                if (!strcmp(p->p->name, name))
                        return p;
        return NULL;
}

/* Takes @dl in any case. */
static int plugin_add(struct host *h, const struct hr_plugin *descriptor, void *dl,
                      const char *path, struct buf *errors)
{
        const char *where = path ? path : descriptor->name ? descriptor->name : "builtin";
        int r = plugin_check(descriptor, where, errors);
        struct host_plugin *twin = r ? NULL : plugin_find(h, descriptor->name), **end, *p;

        if (!r && twin) {
                host_say(errors, "%s: a plugin %s is already there (%s); remove one", where,
                         descriptor->name, twin->path ? twin->path : "builtin");
                r = -EINVAL;
        }
        if (!r && h->plugins_n == HOST_MAX_PLUGINS) {
                host_say(errors, "%s: more than %d plugins", where, HOST_MAX_PLUGINS);
                r = -EINVAL;
        }
        p = r ? NULL : calloc(1, sizeof *p);
        if (!r && p && path)
                p->path = strdup(path);
        if (!p || (path && !p->path)) {
                free(p);
                if (dl)
                        dlclose(dl);
                return r ? r : -ENOMEM;
        }
        p->p = descriptor;
        p->dl = dl;
        p->order = -1;
        for (end = &h->plugins; *end; end = &(*end)->next)
                ;
        *end = p;
        h->plugins_n++;
        return 0;
}

int host_add_builtin(struct host *h, const struct hr_plugin *plugin, struct buf *errors)
{
        return plugin_add(h, plugin, NULL, NULL, errors);
}

int host_load_file(struct host *h, const char *path, struct buf *errors)
{
        const struct hr_plugin *descriptor;
        struct stat st;
        void *dl;

        if (stat(path, &st) || !S_ISREG(st.st_mode)) {
                host_say(errors, "%s: no such file", path);
                return -ENOENT;
        }
        dl = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (!dl) {
                host_say(errors, "%s: cannot be loaded: %s", path, dlerror());
                return -EINVAL;
        }
        descriptor = dlsym(dl, HR_PLUGIN_SYMBOL);
        if (!descriptor) {
                host_say(errors, "%s: no plugin: it exports no %s", path, HR_PLUGIN_SYMBOL);
                dlclose(dl);
                return -EINVAL;
        }
        return plugin_add(h, descriptor, dl, path, errors);
}

static int is_plugin(const struct dirent *e)
{
        size_t n = strlen(e->d_name);

        return e->d_name[0] != '.' && n > 3 && !strcmp(e->d_name + n - 3, ".so");
}

int host_load_dir(struct host *h, const char *dir, struct buf *errors)
{
        struct dirent **list = NULL;
        int n = scandir(dir, &list, is_plugin, alphasort), first = 0;

        if (n < 0) {
                int e = errno;

                host_say(errors, "%s: %s", dir, strerror(e));
                return -e;
        }
        for (int i = 0; i < n; i++) {
                char path[4096];
                int r;

                snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
                r = host_load_file(h, path, errors);
                if (!first)
                        first = r;
                free(list[i]);
        }
        free(list);
        return first;
}

/* ---- start order: depth first over needs ---- */

static int visit(struct host *h, struct host_plugin *p, struct buf *errors)
{
        int r = 0;

        if (p->mark >= 2)
                return p->mark == 2 ? 0 : -EINVAL;
        if (p->mark == 1) {
                host_say(errors, "%s: it needs itself in a circle", p->p->name);
                return -EINVAL;
        }
        p->mark = 1;
        for (const char *const *need = p->p->needs; need && *need; need++) {
                struct host_plugin *other = plugin_find(h, *need);
                int e;

                if (!other) {
                        host_say(errors,
                                 "%s: it needs plugin %s, which is not there; install %s.so",
                                 p->p->name, *need, *need);
                        r = -EINVAL;
                        continue;
                }
                e = visit(h, other, errors);
                if (e) {
                        host_say(errors, "%s: it needs %s", p->p->name, *need);
                        r = e;
                }
        }
        p->mark = r ? 3 : 2;
        if (!r) {
                p->order = h->ordered_n;
                h->ordered[h->ordered_n++] = p;
        }
        return r;
}

int plugins_order(struct host *h, struct buf *errors)
{
        int r = 0;

        for (struct host_plugin *p = h->plugins; p; p = p->next) {
                int e = visit(h, p, errors);

                r = r ? r : e;
        }
        return r;
}
