#pragma once

/* The master key that meter keys are sealed under: 32 bytes, 64 hexadecimal digits as text. */

#include "buf.h"
#include "secret.h"

enum { MASTERKEY_SIZE = 32 };

/* Takes @text (from a credential) when given; otherwise reads @state_dir/master.key, which is made
 * with mode 0600 on the first start. 0, or -errno with a text for people in @error. */
int masterkey_load(struct secret *ret, const char *text, const char *state_dir, struct buf *error);
