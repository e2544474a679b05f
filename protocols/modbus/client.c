#include "client.h"

#include <string.h>

static void put_u16(uint8_t *p, unsigned v)
{
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
}

void modbus_client_init(struct modbus_client *c, const struct modbus_client_config *config)
{
        memset(c, 0, sizeof *c);
        c->cfg = *config;
        if (c->cfg.window < 1 || c->cfg.transport == MODBUS_RTU)
                c->cfg.window = 1;
        if (c->cfg.window > MODBUS_WINDOW_MAX)
                c->cfg.window = MODBUS_WINDOW_MAX;
        if (c->cfg.timeout_ms == 0)
                c->cfg.timeout_ms = MODBUS_TIMEOUT_MS;
}

unsigned modbus_client_pending(const struct modbus_client *c)
{
        unsigned n = 0;

        for (size_t i = 0; i < MODBUS_WINDOW_MAX; i++)
                n += c->slots[i].used;
        return n;
}

/* Largest count of a function; 0 = a function we do not speak. */
static unsigned count_max(uint8_t function)
{
        switch (function) {
        case MODBUS_READ_COILS:
        case MODBUS_READ_DISCRETE:
                return MODBUS_READ_BITS_MAX;
        case MODBUS_READ_HOLDING:
        case MODBUS_READ_INPUT:
                return MODBUS_READ_REGISTERS_MAX;
        case MODBUS_WRITE_REGISTER:
                return 1;
        case MODBUS_WRITE_REGISTERS:
                return MODBUS_WRITE_REGISTERS_MAX;
        default:
                return 0;
        }
}

static bool is_write(uint8_t function)
{
        return function == MODBUS_WRITE_REGISTER || function == MODBUS_WRITE_REGISTERS;
}

static bool valid(const struct modbus_request *req)
{
        return req->count >= 1 && req->count <= count_max(req->function) &&
               (uint32_t)req->address + req->count <= 0x10000 &&
               (!is_write(req->function) || req->values);
}

static size_t put_pdu(const struct modbus_request *req, uint8_t *pdu)
{
        pdu[0] = req->function;
        put_u16(pdu + 1, req->address);
        if (req->function == MODBUS_WRITE_REGISTER) {
                put_u16(pdu + 3, req->values[0]);
                return 5;
        }
        put_u16(pdu + 3, req->count);
        if (req->function != MODBUS_WRITE_REGISTERS)
                return 5;
        pdu[5] = (uint8_t)(2 * req->count);
        for (size_t i = 0; i < req->count; i++)
                put_u16(pdu + 6 + 2 * i, req->values[i]);
        return 6 + 2 * (size_t)req->count;
}

static struct modbus_client_slot *free_slot(struct modbus_client *c)
{
        if (modbus_client_pending(c) >= c->cfg.window)
                return NULL;
        for (size_t i = 0; i < MODBUS_WINDOW_MAX; i++)
                if (!c->slots[i].used)
                        return &c->slots[i];
        return NULL;
}

enum modbus_error modbus_client_request(struct modbus_client *c, const struct modbus_request *req,
                                        int64_t now_ms)
{
        struct modbus_client_slot *slot;
        uint8_t pdu[MODBUS_PDU_MAX];

        if (c->failed)
                return MODBUS_E_CLOSED;
        if (!valid(req))
                return MODBUS_E_ARGUMENT;
        slot = free_slot(c);
        if (!slot || sizeof c->out - c->out_len < MODBUS_ADU_MAX)
                return MODBUS_E_BUSY;

        *slot = (struct modbus_client_slot){
                .used = true,
                .transaction = ++c->next_transaction,
                .unit = req->unit,
                .function = req->function,
                .address = req->address,
                /* Function 6 echoes its value where the others echo their count. */
                .count = req->function == MODBUS_WRITE_REGISTER ? req->values[0] : req->count,
                .tag = req->tag,
                .deadline_ms = now_ms + c->cfg.timeout_ms,
        };
        if (c->cfg.transport == MODBUS_RTU)
                c->in_len = 0; /* what is left on the line belongs to nobody now */
        c->out_len += modbus_frame_put(c->cfg.transport, slot->transaction, slot->unit, pdu,
                                       put_pdu(req, pdu), c->out + c->out_len);
        c->requests++;
        return MODBUS_OK;
}

static void fail(struct modbus_client *c, enum modbus_error why, int os_error)
{
        if (c->failed)
                return;
        c->failed = true;
        memset(c->slots, 0, sizeof c->slots);
        c->event = (struct modbus_event){ .type = MODBUS_EV_FAILED,
                                          .error = why,
                                          .os_error = os_error };
}

static void done(struct modbus_client *c, struct modbus_client_slot *slot, enum modbus_error error)
{
        slot->used = false;
        c->event = (struct modbus_event){
                .type = MODBUS_EV_DONE,
                .error = error,
                .tag = slot->tag,
                .unit = slot->unit,
                .function = slot->function,
                .address = slot->address,
                .count = slot->function == MODBUS_WRITE_REGISTER ? 1 : slot->count,
        };
}

/* How many bytes of data a read's answer must have. */
static size_t expected_bytes(const struct modbus_client_slot *slot)
{
        return slot->function <= MODBUS_READ_DISCRETE ? (slot->count + 7u) / 8 : 2u * slot->count;
}

static bool echoes(const struct modbus_client_slot *slot, const struct modbus_adu *adu)
{
        uint8_t want[4];

        put_u16(want, slot->address);
        put_u16(want + 2, slot->count);
        return adu->pdu_len == 5 && !memcmp(adu->pdu + 1, want, sizeof want);
}

static void on_answer(struct modbus_client *c, struct modbus_client_slot *slot,
                      const struct modbus_adu *adu)
{
        const uint8_t *pdu = adu->pdu;

        if (adu->unit != slot->unit || (pdu[0] & 0x7F) != slot->function) {
                done(c, slot, MODBUS_E_REPLY);
        } else if (pdu[0] & 0x80) {
                done(c, slot, adu->pdu_len == 2 ? MODBUS_E_EXCEPTION : MODBUS_E_REPLY);
                c->event.exception = adu->pdu_len == 2 ? pdu[1] : 0;
        } else if (is_write(slot->function)) {
                done(c, slot, echoes(slot, adu) ? MODBUS_OK : MODBUS_E_REPLY);
        } else if (adu->pdu_len < 2 || pdu[1] != expected_bytes(slot) ||
                   adu->pdu_len != 2 + (size_t)pdu[1]) {
                done(c, slot, MODBUS_E_REPLY);
        } else {
                memcpy(c->data, pdu + 2, pdu[1]);
                done(c, slot, MODBUS_OK);
                c->event.data = c->data;
                c->event.len = pdu[1];
        }
}

static void on_frame(struct modbus_client *c, const struct modbus_adu *adu)
{
        for (size_t i = 0; i < MODBUS_WINDOW_MAX; i++) {
                struct modbus_client_slot *slot = &c->slots[i];

                if (!slot->used ||
                    (c->cfg.transport == MODBUS_TCP && slot->transaction != adu->transaction))
                        continue;
                c->strays_in_row = 0;
                c->replies++;
                on_answer(c, slot, adu);
                return;
        }
        c->strays++;
        if (++c->strays_in_row > MODBUS_STRAY_MAX)
                fail(c, MODBUS_E_FRAME, 0);
}

/* A broken frame on a serial line costs the request that waits; on TCP nothing can follow it. */
static void on_broken(struct modbus_client *c, enum modbus_error why)
{
        c->in_len = 0;
        if (c->cfg.transport == MODBUS_TCP) {
                fail(c, why, 0);
                return;
        }
        for (size_t i = 0; i < MODBUS_WINDOW_MAX; i++)
                if (c->slots[i].used) {
                        done(c, &c->slots[i], why);
                        return;
                }
        c->strays++;
}

static size_t client_recv(void *core, const uint8_t *in, size_t n, int64_t now_ms)
{
        struct modbus_client *c = core;
        struct modbus_adu adu;
        enum modbus_error e;
        size_t room, before = c->in_len;

        (void)now_ms;
        if (c->event.type != MODBUS_EV_NONE)
                return 0;
        if (c->failed)
                return n;
        if (c->cfg.transport == MODBUS_RTU && modbus_client_pending(c) == 0) {
                c->strays += n > 0;
                return n;
        }

        room = sizeof c->in - c->in_len;
        memcpy(c->in + c->in_len, in, n < room ? n : room);
        c->in_len += n < room ? n : room;
        e = modbus_frame_parse(c->cfg.transport, MODBUS_RESPONSE, c->in, c->in_len, &adu);
        if (e == MODBUS_E_SHORT)
                return c->in_len - before;
        if (e) {
                on_broken(c, e);
                return n;
        }
        /* The frame was incomplete before these bytes, so it ends within them: what follows it
         * stays with the caller until the event is drained. */
        on_frame(c, &adu);
        c->in_len = 0;
        return adu.size - before;
}

static void client_expire(void *core, int64_t now_ms)
{
        struct modbus_client *c = core;

        if (c->event.type != MODBUS_EV_NONE)
                return;
        for (size_t i = 0; i < MODBUS_WINDOW_MAX; i++) {
                if (!c->slots[i].used || c->slots[i].deadline_ms > now_ms)
                        continue;
                c->timeouts++;
                if (c->cfg.transport == MODBUS_RTU)
                        c->in_len = 0;
                done(c, &c->slots[i], MODBUS_E_TIMEOUT);
                return;
        }
}

static void client_closed(void *core, int error, int64_t now_ms)
{
        (void)now_ms;
        fail(core, MODBUS_E_CLOSED, error);
}

static size_t client_output(void *core, const uint8_t **ret)
{
        struct modbus_client *c = core;

        *ret = c->out + c->out_done;
        return c->out_len - c->out_done;
}

static void client_output_done(void *core, size_t n)
{
        struct modbus_client *c = core;

        c->out_done += n;
        if (c->out_done >= c->out_len)
                c->out_done = c->out_len = 0;
}

static int64_t client_deadline(void *core)
{
        struct modbus_client *c = core;
        int64_t first = CORE_NO_DEADLINE;

        for (size_t i = 0; i < MODBUS_WINDOW_MAX; i++)
                if (c->slots[i].used && c->slots[i].deadline_ms < first)
                        first = c->slots[i].deadline_ms;
        return first;
}

bool modbus_client_next_event(struct modbus_client *c, struct modbus_event *ret)
{
        if (c->event.type == MODBUS_EV_NONE)
                return false;
        *ret = c->event;
        c->event.type = MODBUS_EV_NONE;
        return true;
}

const struct core_ops modbus_client_core = {
        .recv = client_recv,
        .expire = client_expire,
        .closed = client_closed,
        .output = client_output,
        .output_done = client_output_done,
        .deadline = client_deadline,
};
