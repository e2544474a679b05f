/*
 * The API with given plugins on a free port, for work on the console and for tests with curl:
 *
 *   tests/db/with-pg.sh build/tests/host-serve [--console DIR] [--socket PATH] [PLUGIN.so ...]
 *
 * Prints "ready http://127.0.0.1:PORT" and serves until SIGINT or SIGTERM. The administrator is
 * "admin" with the password "headrace-demo".
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "host_fixture.h"

static struct api *api;

static void on_signal(uv_signal_t *signal, int number)
{
        (void)number;
        if (api)
                api_free(api);
        api = NULL;
        for (int i = 0; i < 2; i++)
                uv_close((uv_handle_t *)((uv_signal_t *)signal->data + i), NULL);
}

static void serve(struct fixture *f, struct api_options *o)
{
        struct buf errors = BUF_INIT;
        uv_signal_t signals[2];
        uv_loop_t loop;

        uv_loop_init(&loop);
        o->loop = &loop;
        o->host = fixture_host(f);
        o->address = "127.0.0.1";
        if (api_new(&api, o, &errors)) {
                fprintf(stderr, "%s", buf_cstr(&errors));
                exit(1);
        }
        for (int i = 0; i < 2; i++) {
                uv_signal_init(&loop, &signals[i]);
                signals[i].data = signals;
                uv_signal_start(&signals[i], on_signal, i ? SIGTERM : SIGINT);
        }
        printf("ready %s://127.0.0.1:%d\n", o->tls_cert ? "https" : "http", api_port(api));
        fflush(stdout);
        uv_run(&loop, UV_RUN_DEFAULT);
        if (uv_loop_close(&loop))
                fprintf(stderr, "the loop did not run out\n");
        buf_deinit(&errors);
}

int main(int argc, char **argv)
{
        struct api_options o = { .timeout_s = 3 };
        const char *plugins[64] = { NULL };
        size_t n = 0;
        struct fixture *f;

        for (int i = 1; i < argc; i++) {
                if (!strcmp(argv[i], "--console") && i + 1 < argc)
                        o.console_dir = argv[++i];
                else if (!strcmp(argv[i], "--socket") && i + 1 < argc)
                        o.socket = argv[++i];
                else if (!strcmp(argv[i], "--tls") && i + 2 < argc) {
                        o.tls_cert = argv[++i];
                        o.tls_key = argv[++i];
                } else if (n < 63)
                        plugins[n++] = argv[i];
        }
        f = fixture_new(plugins);
        host_bootstrap_admin(fixture_host(f), "admin", "headrace-demo");
        serve(f, &o);
        fixture_free(f);
        return 0;
}
