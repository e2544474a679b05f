#pragma once

/* What the kinds of commands share. */

#include "command.h"

enum { COMMAND_ERROR_MAX = 200, COMMAND_DATA_MAX = 2048, COMMAND_IMAGE_MAX = 8 << 20 };

struct command_ops {
        bool late;
        /* Checks the parameters: false with c->error. May be NULL. */
        bool (*begin)(struct command *c);
        void (*next)(struct command *c, struct command_step *ret);
        void (*result)(struct command *c, unsigned result, const uint8_t *data, size_t n);
};

struct command {
        const struct command_ops *ops;
        enum command_type type;
        int64_t command_id;
        uint32_t attempt;
        bool sent_before, verify_only, rekeyed, milestone;
        bool sent; /* something was sent in this attempt */
        int32_t window_wait_s;
        struct model_places places;
        json_t *params, *proof, *progress; /* owned */
        struct secret guek_next, gak_next, kek;
        uint8_t *image; /* owned */
        size_t image_len;
        char identifier[64], version[64];
        unsigned step, after_wait, tries;
        int64_t now_s;
        enum command_outcome outcome;
        int32_t again_s;
        char error[COMMAND_ERROR_MAX];
        struct axdr_writer w; /* over data */
        uint8_t data[COMMAND_DATA_MAX];
        /* of the kinds */
        int64_t offset_s; /* clock: meter minus ours */
        int offset_min;   /* clock: of the meter's local time */
        bool dst;
        uint8_t mode, control_state, tag; /* switch; limiter: A-XDR tag of the threshold */
        bool output_state;
        int64_t threshold;
        uint32_t block_size, block, n_blocks; /* firmware */
};

extern const struct command_ops command_clock_ops, command_switch_ops, command_limiter_ops,
        command_calendar_ops, command_keys_ops, command_firmware_ops;

void command_fail(struct command *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void command_again(struct command *c, int32_t after_s, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));
void command_confirm(struct command *c);
/* A GET that failed, of what every meter of the kind must have: ends the command. */
void command_refused(struct command *c, const char *what, unsigned result);
/* Nothing may be sent any more: ends it as not in effect. True when that is so. */
bool command_may_not_send(struct command *c, const char *state);

void command_get(struct command_step *ret, struct model_place place, int8_t attribute);
/* c->w holds the value. */
void command_set(struct command *c, struct command_step *ret, struct model_place place,
                 int8_t attribute);
void command_act(struct command *c, struct command_step *ret, struct model_place place,
                 int8_t method);
/* Goes on with the step @then. */
void command_wait(struct command *c, struct command_step *ret, uint32_t ms, unsigned then);
/* An empty c->w. */
struct axdr_writer *command_write(struct command *c);
void command_prove(struct command *c, const char *name, json_t *value);
void command_prove_time(struct command *c, const char *name, int64_t utc);
/* One whole number; false when it is none. */
bool command_number(const uint8_t *data, size_t n, int64_t *ret);
bool command_boolean(const uint8_t *data, size_t n, bool *ret);
