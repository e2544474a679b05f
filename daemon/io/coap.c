#include "coap.h"

#include <coap3/coap.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { KEY_MAX = 64, TOKEN_MAX = 8, MAX_PATHS = 4, OPTION_BLOCK1 = 27 };

struct coap_exchange {
        struct coap_server *server; /* NULL once the server is closing */
        struct coap_exchange *prev, *next;
        coap_session_t *session; /* referenced */
        coap_pdu_type_t type;
        uint8_t token[TOKEN_MAX];
        size_t token_len;
};

struct coap_server {
        uv_loop_t *loop;
        struct coap_handlers handlers;
        void *arg;
        coap_context_t *context;
        uv_poll_t poll;
        struct coap_exchange waiting; /* head of a ring */
        unsigned max_pending;
        bool closing;
        uint8_t key_bytes[KEY_MAX];
        coap_bin_const_t key;
        char paths[MAX_PATHS][64];
        struct coap_stats stats;
};

static const coap_bin_const_t *on_identity(coap_bin_const_t *identity, coap_session_t *session,
                                           void *arg)
{
        struct coap_server *s = arg;
        char name[COAP_IDENTITY_MAX + 1];
        size_t n = 0;

        (void)session;
        if (identity->length && identity->length <= COAP_IDENTITY_MAX &&
            !memchr(identity->s, 0, identity->length)) {
                memcpy(name, identity->s, identity->length);
                name[identity->length] = 0;
                n = s->handlers.key(s->arg, name, s->key_bytes, KEY_MAX);
        }
        if (!n) {
                s->stats.refused_identity++;
                return NULL;
        }
        s->key = (coap_bin_const_t){ .length = n, .s = s->key_bytes };
        return &s->key;
}

static int on_event(coap_session_t *session, coap_event_t event)
{
        struct coap_server *s = coap_get_app_data(coap_session_get_context(session));

        if (event == COAP_EVENT_DTLS_ERROR)
                s->stats.handshake_errors++;
        return 0;
}

static void unlink_exchange(struct coap_exchange *x)
{
        x->prev->next = x->next;
        x->next->prev = x->prev;
        if (x->server)
                x->server->stats.pending--;
}

static coap_pdu_code_t code_of(int code)
{
        return (coap_pdu_code_t)((code / 100) << 5 | code % 100);
}

static void send_separate(struct coap_exchange *x, int code, const char *text)
{
        coap_pdu_t *pdu = coap_pdu_init(x->type, code_of(code), coap_new_message_id(x->session),
                                        coap_session_max_pdu_size(x->session));

        if (!pdu)
                return;
        if (!coap_add_token(pdu, x->token_len, x->token)) {
                coap_delete_pdu(pdu);
                return;
        }
        if (text)
                coap_add_data(pdu, strlen(text), (const uint8_t *)text);
        coap_send(x->session, pdu);
}

void coap_exchange_answer(struct coap_exchange *x, int code, const char *text)
{
        struct coap_server *s = x->server;

        if (s) {
                send_separate(x, code, text);
                s->stats.answered++;
                unlink_exchange(x);
                coap_session_release(x->session);
        }
        free(x);
}

static struct coap_exchange *new_exchange(struct coap_server *s, coap_session_t *session,
                                          const coap_pdu_t *request)
{
        coap_bin_const_t token = coap_pdu_get_token(request);
        struct coap_exchange *x;

        if (token.length > TOKEN_MAX)
                return NULL;
        x = calloc(1, sizeof *x);
        if (!x)
                return NULL;
        x->server = s;
        x->session = coap_session_reference(session);
        x->type = coap_pdu_get_type(request) == COAP_MESSAGE_CON ? COAP_MESSAGE_CON
                                                                 : COAP_MESSAGE_NON;
        if (token.length)
                memcpy(x->token, token.s, token.length);
        x->token_len = token.length;
        x->next = &s->waiting;
        x->prev = s->waiting.prev;
        x->prev->next = x;
        s->waiting.prev = x;
        s->stats.pending++;
        return x;
}

static int content_format_of(const coap_pdu_t *request)
{
        coap_opt_iterator_t it;
        coap_opt_t *o = coap_check_option(request, COAP_OPTION_CONTENT_FORMAT, &it);

        return o ? (int)coap_decode_var_bytes(coap_opt_value(o), coap_opt_length(o)) : -1;
}

static void refuse(coap_pdu_t *response, int code, const char *text)
{
        coap_pdu_set_code(response, code_of(code));
        coap_add_data(response, strlen(text), (const uint8_t *)text);
}

static void on_post(coap_resource_t *resource, coap_session_t *session, const coap_pdu_t *request,
                    const coap_string_t *query, coap_pdu_t *response)
{
        struct coap_server *s = coap_get_app_data(coap_session_get_context(session));
        const coap_bin_const_t *id = coap_session_get_psk_identity(session);
        coap_str_const_t *path = coap_resource_get_uri_path(resource);
        char name[COAP_IDENTITY_MAX + 1], where[64];
        struct coap_input in = { .identity = name, .path = where };
        struct coap_exchange *x;
        coap_opt_iterator_t it;

        (void)query;
        s->stats.requests++;
        if (coap_check_option(request, OPTION_BLOCK1, &it)) {
                s->stats.refused_block++;
                refuse(response, COAP_BAD_OPTION,
                       "no blocks: send one message of at most 1152 bytes");
                return;
        }
        if (!id || id->length > COAP_IDENTITY_MAX || path->length >= sizeof where) {
                refuse(response, COAP_BAD_REQUEST, "no identity");
                return;
        }
        memcpy(name, id->s, id->length);
        name[id->length] = 0;
        memcpy(where, path->s, path->length);
        where[path->length] = 0;
        in.content_format = content_format_of(request);
        if (!coap_get_data(request, &in.len, &in.body))
                in.len = 0;
        if (in.len > COAP_BODY_MAX) {
                refuse(response, COAP_TOO_LARGE, "at most 1152 bytes");
                return;
        }
        x = s->stats.pending < s->max_pending && !s->closing ? new_exchange(s, session, request)
                                                             : NULL;
        if (!x) {
                s->stats.refused_busy++;
                refuse(response, COAP_UNAVAILABLE, "busy, try again later");
                return;
        }
        /* The code stays empty: libcoap acknowledges the message, the answer follows. */
        s->handlers.request(s->arg, x, &in);
}

static void on_readable(uv_poll_t *p, int status, int events)
{
        struct coap_server *s = p->data;

        (void)events;
        if (status == 0)
                coap_io_process(s->context, COAP_IO_NO_WAIT);
}

/* The default receive buffer holds some 125 datagrams; libcoap does not show its socket, so it is
 * found by the port it is bound to. */
static int enlarge_buffer(uint16_t port, int bytes)
{
        DIR *d = opendir("/proc/self/fd");
        struct dirent *e;
        int granted = 0;

        while (d && (e = readdir(d))) {
                int fd = atoi(e->d_name), type = 0;
                struct sockaddr_storage a;
                socklen_t n = sizeof a, tn = sizeof type;
                uint16_t p = 0;

                if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &tn) < 0 || type != SOCK_DGRAM ||
                    getsockname(fd, (struct sockaddr *)&a, &n) < 0)
                        continue;
                if (a.ss_family == AF_INET)
                        p = ntohs(((struct sockaddr_in *)&a)->sin_port);
                else if (a.ss_family == AF_INET6)
                        p = ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
                if (p != port)
                        continue;
                if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
                        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
                n = sizeof granted;
                getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &n);
        }
        if (d)
                closedir(d);
        return granted;
}

static int bind_endpoint(struct coap_server *s, const char *address, uint16_t port)
{
        struct addrinfo hints = { .ai_socktype = SOCK_DGRAM,
                                  .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV };
        struct addrinfo *a;
        coap_endpoint_t *ep;
        coap_address_t where;
        char service[8];
        int probe, r;

        snprintf(service, sizeof service, "%u", port);
        if (getaddrinfo(address ? address : "::", service, &hints, &a) != 0)
                return -EINVAL;
        coap_address_init(&where);
        where.size = a->ai_addrlen;
        memcpy(&where.addr, a->ai_addr, a->ai_addrlen);
        /* libcoap binds with SO_REUSEADDR, which lets two daemons share a port in silence. */
        probe = socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        r = probe < 0 || bind(probe, a->ai_addr, a->ai_addrlen) < 0 ? -errno : 0;
        if (probe >= 0)
                close(probe);
        freeaddrinfo(a);
        if (r < 0)
                return r;
        errno = 0;
        ep = coap_new_endpoint(s->context, &where, COAP_PROTO_DTLS);
        if (ep)
                return 0;
        return errno ? -errno : -EIO;
}

static int set_up(struct coap_server *s, const struct coap_config *c)
{
        coap_dtls_spsk_t psk = { .version = COAP_DTLS_SPSK_SETUP_VERSION };
        uint16_t port = c->port ? c->port : 5684;
        int r;

        psk.validate_id_call_back = on_identity;
        psk.id_call_back_arg = s;
        psk.psk_info.hint.s = (const uint8_t *)"headrace";
        psk.psk_info.hint.length = 8;
        /* libcoap wants a default key; a random one no client can know. */
        if (uv_random(NULL, NULL, s->key_bytes, 32, 0, NULL) < 0)
                return -EIO;
        psk.psk_info.key.s = s->key_bytes;
        psk.psk_info.key.length = 32;
        if (!coap_context_set_psk2(s->context, &psk))
                return -EIO;
        coap_context_set_max_idle_sessions(s->context,
                                           c->max_idle_sessions ? c->max_idle_sessions : 2000);
        coap_context_set_max_handshake_sessions(s->context,
                                                c->max_handshakes ? c->max_handshakes : 500);
        coap_context_set_session_timeout(s->context,
                                         c->session_timeout_s ? c->session_timeout_s : 300);
        coap_register_event_handler(s->context, on_event);
        for (size_t i = 0; c->paths && c->paths[i]; i++) {
                coap_resource_t *r0;

                if (i == MAX_PATHS || strlen(c->paths[i]) >= sizeof s->paths[i])
                        return -EINVAL;
                strcpy(s->paths[i], c->paths[i]);
                r0 = coap_resource_init(coap_make_str_const(s->paths[i]), 0);
                if (!r0)
                        return -ENOMEM;
                coap_register_request_handler(r0, COAP_REQUEST_POST, on_post);
                coap_add_resource(s->context, r0);
        }
        r = bind_endpoint(s, c->address, port);
        if (r < 0)
                return r;
        s->stats.receive_buffer =
                enlarge_buffer(port, c->receive_buffer ? c->receive_buffer : 8 << 20);
        return 0;
}

int coap_server_open(struct coap_server **ret, uv_loop_t *loop, const struct coap_config *config,
                     const struct coap_handlers *handlers, void *arg)
{
        struct coap_server *s = calloc(1, sizeof *s);
        int r, fd;

        if (!s)
                return -ENOMEM;
        coap_startup();
        coap_set_log_level(LOG_EMERG);
        coap_dtls_set_log_level(0);
        s->loop = loop;
        s->handlers = *handlers;
        s->arg = arg;
        s->max_pending = config->max_pending ? config->max_pending : 20000;
        s->waiting.prev = s->waiting.next = &s->waiting;
        s->context = coap_new_context(NULL);
        if (!s->context) {
                free(s);
                return -ENOMEM;
        }
        coap_set_app_data(s->context, s);
        r = set_up(s, config);
        fd = coap_context_get_coap_fd(s->context);
        if (r == 0)
                r = fd < 0 ? -EIO : uv_poll_init(loop, &s->poll, fd);
        if (r < 0) {
                coap_free_context(s->context);
                free(s);
                return r;
        }
        s->poll.data = s;
        uv_poll_start(&s->poll, UV_READABLE, on_readable);
        *ret = s;
        return 0;
}

void coap_server_get_stats(const struct coap_server *s, struct coap_stats *ret)
{
        *ret = s->stats;
}

static void on_poll_closed(uv_handle_t *h)
{
        struct coap_server *s = h->data;
        void (*closed)(void *) = s->handlers.closed;
        void *arg = s->arg;

        explicit_bzero(s->key_bytes, sizeof s->key_bytes);
        free(s);
        if (closed)
                closed(arg);
}

void coap_server_close(struct coap_server *s)
{
        if (!s || s->closing)
                return;
        s->closing = true;
        for (struct coap_exchange *x = s->waiting.next; x != &s->waiting; x = s->waiting.next) {
                send_separate(x, COAP_UNAVAILABLE, "closing, try again");
                unlink_exchange(x);
                /* References go before the context does. */
                coap_session_release(x->session);
                x->server = NULL;
        }
        uv_poll_stop(&s->poll);
        coap_free_context(s->context);
        uv_close((uv_handle_t *)&s->poll, on_poll_closed);
}
