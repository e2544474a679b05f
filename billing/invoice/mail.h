#pragma once

/* One e-mail to one address over SMTP, by libcurl. The only file of the module that talks to a
 * network; blocking, for a worker thread. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mail_server {
        const char *url;             /* "smtp://mail.example.com:587", "smtps://..." */
        const char *user, *password; /* "" for none */
        bool tls;                    /* refuse to go on without STARTTLS */
        long timeout_s;              /* of the whole conversation */
};

struct mail_part {
        const char *name, *type; /* file name, media type */
        const void *data;
        size_t n;
};

struct mail {
        const char *from, *from_name, *to, *subject, *text; /* UTF-8 */
        const char *id; /* left part of the Message-ID: the same for a repeated try */
        int64_t date;   /* UTC seconds */
        struct mail_part parts[2];
        size_t n_parts;
};

enum mail_result {
        MAIL_SENT,  /* the server took responsibility for it */
        MAIL_LATER, /* no connection, or an answer 4xx */
        MAIL_NEVER, /* an answer 5xx, or an address that is none */
};

enum { MAIL_WHY_SIZE = 256 };

/* @why is the server's last answer or what went wrong. */
enum mail_result mail_send(const struct mail_server *server, const struct mail *mail,
                           char why[static MAIL_WHY_SIZE]);

/* Whether @address is one plain address, name@host, without anything that could end a header. */
bool mail_address_ok(const char *address);
