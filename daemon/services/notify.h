#pragma once

/* What the service manager wants to hear: ready, reloading, stopping, and a sign of life. Nothing
 * happens without NOTIFY_SOCKET. */

#include <stdbool.h>
#include <uv.h>

struct notify {
        uv_timer_t watchdog;
        bool watching;
};

void notify_ready(struct notify *n, uv_loop_t *loop);
void notify_reloading(void);
void notify_reloaded(void);
/* A text people see in `systemctl status`. */
void notify_status(const char *text);
/* Also ends the sign of life; close the loop's handles afterwards as usual. */
void notify_stopping(struct notify *n);
