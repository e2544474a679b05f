/* Printing in bulk: what is to be printed is listed once, in order, then written file by file; each
 * file, its list and the state are committed together, so that a job killed anywhere goes on with
 * the file it was at and writes the same bytes again. */

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "invoice.h"
#include "invoice_sql.h"
#include "render.h"
#include "zip.h"

struct print {
        char job[24], dir[512];
        bool zip, archive, paper;
        int64_t done, total;
        int per_file;
};

/* One file being written, and what is in it. */
struct part {
        char name[64];
        char path[640], temporary[660];
        FILE *file;
        struct buf out, list; /* owned */
        struct invoice_printer *printer;
        struct zip archive;
        int pages;
};

/* ---- files ---- */

static bool write_out(struct part *p)
{
        bool ok = fwrite(p->out.p, 1, p->out.len, p->file) == p->out.len;

        buf_reset(&p->out);
        return ok;
}

/* Written beside, made durable, then given its name: a file that is there is whole. */
static bool put_file(const char *path, const char *temporary, FILE *f)
{
        bool ok = fflush(f) == 0 && fsync(fileno(f)) == 0;

        ok = fclose(f) == 0 && ok && rename(temporary, path) == 0;
        if (!ok)
                unlink(temporary);
        return ok;
}

static enum hr_status cannot_write(struct hr_call *call, const char *path)
{
        return invoice_host->reject(call, 409, "cannot_write", NULL,
                                    "%s cannot be written: %s. Free space or set print_dir, then "
                                    "print again",
                                    path, strerror(errno));
}

static bool part_open(struct part *p, const struct print *pr, const char *created)
{
        memset(p, 0, sizeof *p);
        snprintf(p->name, sizeof p->name, "print-%s-%05lld.%s", pr->job,
                 (long long)(pr->done / pr->per_file + 1), pr->zip ? "zip" : "pdf");
        snprintf(p->path, sizeof p->path, "%s/%s", pr->dir, p->name);
        snprintf(p->temporary, sizeof p->temporary, "%s.part", p->path);
        buf_put_str(&p->list, "number,account,postcode,first_page,pages,sha256\r\n");
        zip_init(&p->archive, &p->out);
        p->file = fopen(p->temporary, "wb");
        return p->file &&
               (pr->zip || invoice_printer_open(&p->printer, &p->out, p->name, created) == 0);
}

static bool part_close(struct part *p, bool zip)
{
        char csv[700], temporary[720];
        FILE *list;
        int rc = zip ? zip_finish(&p->archive) : invoice_printer_close(p->printer);
        bool ok = rc == 0 && write_out(p);

        p->printer = NULL;
        ok = put_file(p->path, p->temporary, p->file) && ok;
        p->file = NULL;
        snprintf(csv, sizeof csv, "%s.csv", p->path);
        snprintf(temporary, sizeof temporary, "%s.part", csv);
        list = ok ? fopen(temporary, "wb") : NULL;
        if (!list)
                return false;
        ok = fwrite(p->list.p, 1, p->list.len, list) == p->list.len;
        return put_file(csv, temporary, list) && ok;
}

static void part_deinit(struct part *p)
{
        invoice_printer_close(p->printer);
        if (p->file) {
                fclose(p->file);
                unlink(p->temporary);
        }
        zip_deinit(&p->archive);
        buf_deinit(&p->out);
        buf_deinit(&p->list);
}

/* ---- one invoice ---- */

static void csv_field(struct buf *out, const char *s)
{
        buf_put_u8(out, '"');
        for (; *s; s++) {
                if (*s == '"')
                        buf_put_u8(out, '"');
                buf_put_u8(out, (uint8_t)*s);
        }
        buf_put_str(out, "\",");
}

static void list_row(struct part *p, const struct hr_rows *rows, size_t i, int pages,
                     const struct buf *pdf)
{
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned n = 0;

        csv_field(&p->list, invoice_host->rows_text(rows, i, "number"));
        csv_field(&p->list, invoice_host->rows_text(rows, i, "account"));
        csv_field(&p->list, invoice_host->rows_text(rows, i, "postcode"));
        buf_printf(&p->list, "%d,%d,", pages ? p->pages + 1 : 0, pages);
        if (pdf && EVP_Digest(pdf->p, pdf->len, digest, &n, EVP_sha256(), NULL) == 1)
                for (unsigned k = 0; k < n; k++)
                        buf_printf(&p->list, "%02x", digest[k]);
        buf_put_str(&p->list, "\r\n");
        p->pages += pages;
}

static enum hr_status print_one(struct hr_call *call, const struct print *pr, struct part *p,
                                const struct hr_rows *rows, size_t i)
{
        const char *number = invoice_host->rows_text(rows, i, "number");
        struct buf pdf = BUF_INIT;
        enum hr_status s = HR_OK;
        int pages = 0, rc = 0;

        if (invoice_host->rows_text(rows, i, "intact")[0] != 't')
                return invoice_host->reject(call, 409, "invoice_altered", NULL,
                                            "The stored contents of invoice %s do not match their "
                                            "hash; nothing is printed until that is cleared up",
                                            number);
        if (pr->zip || pr->archive)
                s = invoice_document(call, number, pr->archive, &pdf);
        if (s == HR_OK && pr->zip) {
                char name[128];

                snprintf(name, sizeof name, "%s.pdf", number);
                rc = zip_add(&p->archive, name, pdf.p, pdf.len);
        } else if (s == HR_OK) {
                rc = invoice_printer_add(p->printer, invoice_host->rows_text(rows, i, "content"),
                                         invoice_host->rows_text(rows, i, "template"), &pages);
        }
        if (s == HR_OK && rc == 0)
                list_row(p, rows, i, pages, pdf.len ? &pdf : NULL);
        if (s == HR_OK && rc == -EFBIG)
                s = invoice_host->reject(call, 409, "too_large", NULL,
                                         "A ZIP file cannot hold %d invoices; choose fewer a file",
                                         pr->per_file);
        else if (s == HR_OK && rc < 0)
                s = HR_FATAL;
        if (s == HR_OK && !write_out(p))
                s = cannot_write(call, p->temporary);
        buf_deinit(&pdf);
        return s;
}

/* ---- one file ---- */

static enum hr_status print_part(struct hr_call *call, struct print *pr)
{
        char from[24], to[24];
        const char *params[] = { pr->job, from, to, NULL };
        struct hr_rows *rows;
        struct part p;
        enum hr_status s;
        size_t n;

        snprintf(from, sizeof from, "%lld", (long long)pr->done);
        snprintf(to, sizeof to, "%lld", (long long)pr->done + pr->per_file);
        s = invoice_host->query(call, sql_print_batch, 3, params, &rows);
        if (s != HR_OK)
                return s;
        n = invoice_host->rows_count(rows);
        if (n == 0) {
                pr->done = pr->total;
                return HR_OK;
        }
        if (!part_open(&p, pr, invoice_host->rows_text(rows, 0, "issued_at")))
                s = cannot_write(call, p.temporary);
        for (size_t i = 0; s == HR_OK && i < n; i++)
                s = print_one(call, pr, &p, rows, i);
        if (s == HR_OK && !part_close(&p, pr->zip))
                s = cannot_write(call, p.path);
        params[3] = invoice_host->format(call, "%s", p.name);
        part_deinit(&p);
        if (s == HR_OK && pr->paper)
                s = invoice_host->query(call, sql_print_sent, 4, params, NULL);
        pr->done += (int64_t)n;
        return s;
}

/* ---- the job ---- */

static enum hr_status begin(struct hr_call *call, struct hr_job *job, struct print *pr)
{
        const char *params[] = { invoice_host->job_params(job), invoice_host->job_state(job) };
        const char *dir = invoice_host->config(call, "print_dir");
        struct hr_rows *rows;
        enum hr_status s = invoice_host->query(call, sql_print_params, 2, params, &rows);

        if (s != HR_OK)
                return s;
        snprintf(pr->job, sizeof pr->job, "%lld", (long long)invoice_host->job_id(job));
        snprintf(pr->dir, sizeof pr->dir, "%s", dir);
        if (mkdir(pr->dir, 0750) < 0 && errno != EEXIST)
                return cannot_write(call, pr->dir);
        pr->zip = strcmp(invoice_host->rows_text(rows, 0, "format"), "zip") == 0;
        pr->archive = invoice_host->rows_text(rows, 0, "archive")[0] == 't';
        pr->paper = invoice_host->rows_text(rows, 0, "paper")[0] == 't';
        pr->per_file = (int)invoice_host->rows_int(rows, 0, "per_file");
        pr->done = invoice_host->rows_int(rows, 0, "done");
        pr->total = invoice_host->rows_int(rows, 0, "total");
        if (pr->total >= 0)
                return HR_OK;
        const char *list[] = { pr->job,
                               invoice_host->rows_null(rows, 0, "branch")
                                       ? NULL
                                       : invoice_host->rows_text(rows, 0, "branch"),
                               invoice_host->rows_null(rows, 0, "run")
                                       ? NULL
                                       : invoice_host->rows_text(rows, 0, "run"),
                               invoice_host->rows_null(rows, 0, "from_day")
                                       ? NULL
                                       : invoice_host->rows_text(rows, 0, "from_day"),
                               invoice_host->rows_null(rows, 0, "until_day")
                                       ? NULL
                                       : invoice_host->rows_text(rows, 0, "until_day"),
                               invoice_host->rows_text(rows, 0, "paper"),
                               invoice_host->rows_text(rows, 0, "sort") };

        s = invoice_host->query(call, sql_print_list, 7, list, NULL);
        if (s == HR_OK)
                s = invoice_host->query(call, sql_print_count, 1, list, &rows);
        if (s == HR_OK)
                pr->total = invoice_host->rows_int(rows, 0, "n");
        return s;
}

enum hr_status invoice_job_print(struct hr_call *call, struct hr_job *job)
{
        struct print pr = { 0 };
        const char *params[] = { pr.job };
        enum hr_status s = begin(call, job, &pr);

        while (s == HR_OK && pr.done < pr.total) {
                char state[96];

                s = print_part(call, &pr);
                snprintf(state, sizeof state, "{\"done\":%lld,\"total\":%lld}", (long long)pr.done,
                         (long long)pr.total);
                if (s == HR_OK)
                        s = invoice_host->job_commit(call, job, state, pr.done, pr.total);
        }
        return s == HR_OK ? invoice_host->query(call, sql_print_end, 1, params, NULL) : s;
}

enum hr_status invoice_op_print(struct hr_call *call)
{
        const char *dir = invoice_host->config(call, "print_dir");
        struct buf reply = BUF_INIT;
        int64_t job;
        enum hr_status s =
                invoice_host->submit_job(call, "invoice.print", invoice_host->body(call), &job);

        if (s != HR_OK)
                return s;
        buf_printf(&reply, "{\"job_id\":%lld,\"print_dir\":", (long long)job);
        buf_put_json_str(&reply, dir, strlen(dir));
        buf_put_str(&reply, "}");
        invoice_host->reply_json(call, (const char *)reply.p, reply.len);
        invoice_host->reply_status(call, 202);
        buf_deinit(&reply);
        return HR_OK;
}

const struct hr_param invoice_print_params[] = {
        { "branch", HR_TEXT, HR_BODY, false, "Only this branch's" },
        { "run", HR_INT, HR_BODY, false, "Only this bill run's" },
        { "from", HR_DATE, HR_BODY, false, "Issued on this day or later" },
        { "until", HR_DATE, HR_BODY, false, "Issued on this day or earlier" },
        { "format", HR_TEXT, HR_BODY, false, "One PDF of many, or a ZIP of single ones",
          "merged|zip" },
        { "order", HR_TEXT, HR_BODY, false, "How they follow each other",
          "postcode|account|number" },
        { "per_file", HR_INT, HR_BODY, false, "Invoices a file, 1000 unless given", NULL, 1, 5000 },
        { "paper", HR_BOOL, HR_BODY, false,
          "Only what waits to go on paper, and mark it sent (true unless given)" },
        { "archive", HR_BOOL, HR_BODY, false, "Keep each in the archive (true unless given)" },
        { 0 },
};
