/*
 * Disconnect control (class 70, Green Book 4.5.8): disconnect, reconnect, arm. Control modes say
 * what a remote reconnection does: in 2 and 4 it connects, in 1, 3, 5 and 6 it makes the meter
 * ready and a person pushes the button; in 0 nothing can be switched.
 */

#include "command_internal.h"

enum { OUTPUT_STATE = 2, CONTROL_STATE = 3, CONTROL_MODE = 4 };
enum { REMOTE_DISCONNECT = 1, REMOTE_RECONNECT = 2 };
enum { DISCONNECTED, CONNECTED, READY };
enum { RELAY_POLLS = 10, RELAY_WAIT_MS = 1000 };

enum step {
        S_MODE,
        S_STATE,
        S_OUTPUT,
        S_SEND,
        S_STATE_AFTER,
        S_OUTPUT_AFTER,
        S_PAUSE,
};

static const char *const states[] = { "disconnected", "connected", "ready_for_reconnection" };

static bool remote_connects(uint8_t mode)
{
        return mode == 2 || mode == 4;
}

static uint8_t target(const struct command *c)
{
        return c->type == COMMAND_DISCONNECT ? DISCONNECTED
               : c->type == COMMAND_ARM      ? READY
                                             : CONNECTED;
}

static bool reached(const struct command *c)
{
        return c->control_state == target(c) && c->output_state == (target(c) == CONNECTED);
}

static void prove(struct command *c)
{
        command_prove(c, "control_state", json_string(states[c->control_state]));
        command_prove(c, "output_state", json_boolean(c->output_state));
        command_prove(c, "control_mode", json_integer(c->mode));
        command_prove_time(c, "read_at", c->now_s);
}

/* Whether the meter's mode lets a remote command do what is asked. */
static bool possible(struct command *c)
{
        if (c->mode == 0)
                command_fail(c, "control mode 0: this meter cannot be switched");
        else if (c->type == COMMAND_RECONNECT && !remote_connects(c->mode))
                command_fail(c, "control mode %u: a remote command can only arm it; use arm",
                             c->mode);
        else if (c->type == COMMAND_ARM && remote_connects(c->mode))
                command_fail(c, "control mode %u: a remote command would reconnect at once",
                             c->mode);
        else
                return true;
        return false;
}

static void next(struct command *c, struct command_step *ret)
{
        switch ((enum step)c->step) {
        case S_MODE:
                command_get(ret, c->places.control, CONTROL_MODE);
                return;
        case S_STATE:
        case S_STATE_AFTER:
                command_get(ret, c->places.control, CONTROL_STATE);
                return;
        case S_OUTPUT:
        case S_OUTPUT_AFTER:
                command_get(ret, c->places.control, OUTPUT_STATE);
                return;
        case S_SEND:
                axdr_put_int8(command_write(c), 0);
                command_act(c, ret, c->places.control,
                            c->type == COMMAND_DISCONNECT ? REMOTE_DISCONNECT : REMOTE_RECONNECT);
                return;
        case S_PAUSE:
                command_wait(c, ret, RELAY_WAIT_MS, S_STATE_AFTER);
                return;
        }
}

static void on_state(struct command *c, const uint8_t *data, size_t n)
{
        int64_t v;

        if (!command_number(data, n, &v) || v < 0 || v > READY) {
                command_fail(c, "the meter's control state is not one of the standard's");
                return;
        }
        c->control_state = (uint8_t)v;
        c->step++;
}

static void on_output(struct command *c, const uint8_t *data, size_t n)
{
        if (!command_boolean(data, n, &c->output_state)) {
                command_fail(c, "the meter's output state is no boolean");
                return;
        }
        prove(c);
        if (reached(c)) {
                command_confirm(c);
        } else if (c->step == S_OUTPUT) {
                if (!command_may_not_send(c, states[c->control_state]) && possible(c))
                        c->step = S_SEND;
        } else if (c->tries < RELAY_POLLS) {
                c->step = S_PAUSE;
        } else {
                command_fail(c, "the meter took the command and is still %s, output %s",
                             states[c->control_state], c->output_state ? "on" : "off");
        }
}

static void result(struct command *c, unsigned r, const uint8_t *data, size_t n)
{
        int64_t v;

        if (r != DLMS_ACCESS_SUCCESS) {
                command_refused(c, c->step == S_SEND ? "switching" : "disconnect control", r);
                return;
        }
        switch ((enum step)c->step) {
        case S_MODE:
                if (!command_number(data, n, &v) || v < 0 || v > 255) {
                        command_fail(c, "the meter's control mode is no number");
                        return;
                }
                c->mode = (uint8_t)v;
                c->step++;
                return;
        case S_STATE:
        case S_STATE_AFTER:
                on_state(c, data, n);
                return;
        case S_OUTPUT:
        case S_OUTPUT_AFTER:
                on_output(c, data, n);
                return;
        case S_SEND:
                c->step = S_STATE_AFTER;
                return;
        case S_PAUSE:
                return;
        }
}

const struct command_ops command_switch_ops = { .next = next, .result = result };
