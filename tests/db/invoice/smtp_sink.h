#pragma once

/*
 * A mail server of one thread on a free loopback port, for tests: it answers as RFC 5321 says,
 * takes what is sent, and refuses by the address: later@... with 451, never@... with 550. Messages
 * are kept as files.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct smtp_sink {
        int fd, port;
        pthread_t thread;
        char dir[64]; /* of the messages: 1.eml, 2.eml ... */
        atomic_int messages;
};

static inline void smtp_say(FILE *out, const char *line)
{
        fprintf(out, "%s\r\n", line);
        fflush(out);
}

static inline void smtp_data(struct smtp_sink *s, FILE *in, FILE *out)
{
        char path[96], line[2048];
        FILE *file;

        snprintf(path, sizeof path, "%s/%d.eml", s->dir, atomic_load(&s->messages) + 1);
        file = fopen(path, "wb");
        smtp_say(out, "354 go on");
        while (file && fgets(line, sizeof line, in) && strcmp(line, ".\r\n") != 0)
                fputs(line[0] == '.' ? line + 1 : line, file);
        if (file)
                fclose(file);
        atomic_fetch_add(&s->messages, 1);
        smtp_say(out, "250 kept");
}

static inline void smtp_talk(struct smtp_sink *s, int fd)
{
        FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
        char line[2048];

        smtp_say(out, "220 sink");
        while (fgets(line, sizeof line, in)) {
                if (strncmp(line, "RCPT TO:<later@", 15) == 0)
                        smtp_say(out, "451 4.2.2 mailbox busy, later");
                else if (strncmp(line, "RCPT TO:<never@", 15) == 0)
                        smtp_say(out, "550 5.1.1 no such user");
                else if (strncmp(line, "DATA", 4) == 0)
                        smtp_data(s, in, out);
                else if (strncmp(line, "QUIT", 4) == 0)
                        break;
                else
                        smtp_say(out, "250 fine");
        }
        smtp_say(out, "221 bye");
        fclose(in);
        fclose(out);
}

static inline void *smtp_serve(void *arg)
{
        struct smtp_sink *s = arg;
        int fd;

        while ((fd = accept(s->fd, NULL, NULL)) >= 0)
                smtp_talk(s, fd);
        return NULL;
}

static inline void smtp_sink_open(struct smtp_sink *s)
{
        struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t n = sizeof a;

        strcpy(s->dir, "/tmp/headrace-smtp.XXXXXX");
        CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(s->dir));
        s->fd = socket(AF_INET, SOCK_STREAM, 0);
        CU_ASSERT_EQUAL_FATAL(bind(s->fd, (struct sockaddr *)&a, sizeof a), 0);
        CU_ASSERT_EQUAL_FATAL(listen(s->fd, 8), 0);
        CU_ASSERT_EQUAL_FATAL(getsockname(s->fd, (struct sockaddr *)&a, &n), 0);
        s->port = ntohs(a.sin_port);
        CU_ASSERT_EQUAL_FATAL(pthread_create(&s->thread, NULL, smtp_serve, s), 0);
}

static inline void smtp_sink_close(struct smtp_sink *s)
{
        char path[96];

        shutdown(s->fd, SHUT_RDWR);
        close(s->fd);
        pthread_join(s->thread, NULL);
        for (int i = 1; i <= atomic_load(&s->messages); i++) {
                snprintf(path, sizeof path, "%s/%d.eml", s->dir, i);
                unlink(path);
        }
        rmdir(s->dir);
}
