#pragma once

/*
 * The limit on disconnections, kept where the meters' keys are: a file of this process's own
 * counts them, so that whoever can write the database cannot pass it. A command counts once,
 * before it is sent for the first time, however often it is tried. One thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct caps;

/* Loads @path, made when it is not there; what is older than a day is left out. Owned result. 0,
 * -EBADMSG (damaged: nothing may be disconnected until it is looked at), -errno. */
int caps_open(struct caps **ret, const char *path, unsigned per_hour, unsigned per_day,
              int64_t now_s);
void caps_close(struct caps *c);
/* Whether @command counts already or may still be counted; else *@ret_wait_s says when to ask
 * again and @why (at least 120 bytes) which limit is reached. Nothing is written. */
bool caps_allow(struct caps *c, int64_t command, int64_t now_s, int32_t *ret_wait_s, char *why,
                size_t why_size);
/* Counts it, on disk before the return. 0, -EBUSY (a limit is reached), -errno of the disk. */
int caps_take(struct caps *c, int64_t command, int64_t now_s);
