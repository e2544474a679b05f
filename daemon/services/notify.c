#include "notify.h"

#include <systemd/sd-daemon.h>
#include <time.h>

/* From the loop's own timer: a loop that hangs stops it, and systemd restarts us. */
static void on_watchdog(uv_timer_t *t)
{
        (void)t;
        sd_notify(0, "WATCHDOG=1");
}

void notify_ready(struct notify *n, uv_loop_t *loop)
{
        uint64_t usec = 0;

        sd_notify(0, "READY=1");
        if (sd_watchdog_enabled(0, &usec) <= 0 || usec < 2000)
                return;
        uv_timer_init(loop, &n->watchdog);
        uv_unref((uv_handle_t *)&n->watchdog);
        uv_timer_start(&n->watchdog, on_watchdog, 0, usec / 2000);
        n->watching = true;
}

void notify_reloading(void)
{
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)ts.tv_sec * 1000000 + ts.tv_nsec / 1000);
}

void notify_reloaded(void)
{
        sd_notify(0, "READY=1");
}

void notify_status(const char *text)
{
        sd_notifyf(0, "STATUS=%s", text);
}

void notify_stopping(struct notify *n)
{
        sd_notify(0, "STOPPING=1");
        if (n->watching)
                uv_close((uv_handle_t *)&n->watchdog, NULL);
        n->watching = false;
}
