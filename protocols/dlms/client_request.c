/* What the session asks: one request at a time, its form chosen by what the meter grants. */
#include "client_internal.h"

#include <string.h>

#include "access.h"

enum {
        HEAD = 3,                   /* tag, kind, invoke-id */
        DESCRIPTOR = 9,             /* class, OBIS code, attribute or method */
        BLOCK_FIELDS = 1 + 4 + 3,   /* last-block, block-number, length of the raw data */
        BLOCK_DATA_MIN = 16,        /* smaller blocks are not worth it */
        SEAL_GROWS = 6,             /* dlms_seal_size(): length codes of a long text */
        SCRATCH_ROOM = 96 + 4 * 48, /* before a request sealed in place */
};

static struct dlms_client_request *request(struct dlms_client *c)
{
        return &c->request;
}

const struct dlms_item *client_item(struct dlms_client *c, size_t i, struct dlms_item *buf)
{
        struct axdr_reader r;

        if (c->request.items)
                return &c->request.items[i];
        *buf = (struct dlms_item){ .service = c->request.service, .attr = c->request.attrs[i] };
        if (buf->service == DLMS_GET)
                return buf;
        axdr_reader_init(&r, c->request.values, c->request.values_len);
        for (size_t k = 0; k < i; k++)
                axdr_skip(&r);
        buf->data = r.p;
        axdr_skip(&r);
        buf->n = (size_t)(r.p - buf->data);
        if (buf->service == DLMS_ACTION && buf->n == 1 && *buf->data == AXDR_NULL)
                buf->data = NULL;
        return buf;
}

static bool is_list(const struct dlms_client *c)
{
        return c->request.form == DLMS_FORM_LIST || c->request.form == DLMS_FORM_ACCESS;
}

static enum dlms_service service(struct dlms_client *c)
{
        struct dlms_item buf;

        return client_item(c, c->request.at, &buf)->service;
}

/* ---- sizes ---- */

/* Largest APDU, protected, that fits the line and the meter. */
static size_t apdu_max(struct dlms_client *c)
{
        size_t cap;

        channel_tx(&c->channel, &cap);
        return cap < c->peer_pdu ? cap : c->peer_pdu;
}

static size_t sealed_size(struct dlms_client *c, size_t n)
{
        struct dlms_end end = client_end(c);

        return client_is_ciphered(c) ? dlms_seal_size(&end, n) : n;
}

static size_t length_size(size_t n)
{
        return n < 0x80 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : 5;
}

static size_t descriptor_size(const struct dlms_item *item)
{
        if (item->service == DLMS_ACTION)
                return DESCRIPTOR;
        return DESCRIPTOR + 1 + (item->selection.selector ? 1 + item->selection.n : 0);
}

/* Of a value as it stands in a request: a method without parameters has null-data in a list. */
static size_t value_size(struct dlms_client *c, const struct dlms_item *item)
{
        if (item->service == DLMS_GET)
                return 0;
        return item->data ? item->n : is_list(c);
}

/* All descriptors and all values of the request in its form; values with their count. */
static void measure(struct dlms_client *c, size_t *ret_descriptors, size_t *ret_values)
{
        struct dlms_client_request *q = request(c);
        struct dlms_item buf;
        const struct dlms_item *item;

        *ret_descriptors = *ret_values = 0;
        if (!is_list(c)) {
                item = client_item(c, q->at, &buf);
                *ret_descriptors = descriptor_size(item);
                *ret_values = value_size(c, item);
                return;
        }
        for (size_t i = 0; i < q->n; i++) {
                item = client_item(c, i, &buf);
                *ret_descriptors += descriptor_size(item);
                *ret_values += value_size(c, item);
        }
        *ret_descriptors += length_size(q->n);
        if (service(c) != DLMS_GET)
                *ret_values += length_size(q->n);
}

/* ---- writing ---- */

/* @n bytes of the values from @at on: what a block carries. */
static void put_values(struct dlms_client *c, struct axdr_writer *w, size_t at, size_t n)
{
        struct dlms_client_request *q = request(c);
        bool list = is_list(c);
        uint8_t count[5];
        struct axdr_writer head = axdr_writer_of(count, sizeof count);

        if (list)
                axdr_put_length(&head, q->n);
        for (size_t i = 0; i <= q->n && n > 0; i++) {
                struct dlms_item buf;
                const struct dlms_item *item;
                const uint8_t *p = count;
                size_t len = head.len, part;

                if (i > 0) {
                        item = client_item(c, list ? i - 1 : q->at, &buf);
                        p = item->data ? item->data : (const uint8_t *)"";
                        len = value_size(c, item);
                }
                if (at >= len) {
                        at -= len;
                        continue;
                }
                part = len - at < n ? len - at : n;
                axdr_put_raw(w, p + at, part);
                at = 0;
                n -= part;
        }
}

static void put_descriptors(struct dlms_client *c, struct axdr_writer *w)
{
        struct dlms_client_request *q = request(c);
        struct dlms_item buf;
        const struct dlms_item *item;

        if (!is_list(c)) {
                item = client_item(c, q->at, &buf);
                apdu_put_descriptor(w, item->service, &item->attr, &item->selection);
                return;
        }
        axdr_put_length(w, q->n);
        for (size_t i = 0; i < q->n; i++) {
                item = client_item(c, i, &buf);
                apdu_put_descriptor(w, item->service, &item->attr, &item->selection);
        }
}

static bool put_names(struct dlms_client *c, struct axdr_writer *w)
{
        struct dlms_client_request *q = request(c);
        size_t n = is_list(c) ? q->n : 1;

        sn_put_read(w, n);
        for (size_t i = 0; i < n; i++) {
                struct dlms_item buf;
                const struct dlms_item *item = client_item(c, is_list(c) ? i : q->at, &buf);
                struct sn_spec s = { .access = item->selection.selector ? SN_PARAMETERISED
                                                                        : SN_VARIABLE,
                                     .name = q->name,
                                     .selection = item->selection };

                if (!q->by_name &&
                    !sn_name_of(c->cfg.sn_objects, c->cfg.n_sn_objects, &item->attr, &s.name))
                        return false;
                sn_put_spec(w, &s);
        }
        return true;
}

static uint8_t request_tag(enum dlms_service s)
{
        return s == DLMS_GET   ? APDU_GET_REQUEST
               : s == DLMS_SET ? APDU_SET_REQUEST
                               : APDU_ACTION_REQUEST;
}

static void put_head(struct dlms_client *c, struct axdr_writer *w, uint8_t kind)
{
        apdu_put_head(w, request_tag(service(c)), kind, client_invoke(c));
}

/* The whole request, not in blocks. */
static int put_request(struct dlms_client *c, struct axdr_writer *w)
{
        struct dlms_client_request *q = request(c);
        struct dlms_item buf;
        const struct dlms_item *item = client_item(c, q->at, &buf);
        size_t descriptors, values;

        if (q->form == DLMS_FORM_ACCESS) {
                struct dlms_item items[DLMS_CLIENT_LIST_MAX];

                for (size_t i = 0; i < q->n; i++)
                        items[i] = *client_item(c, i, &buf);
                access_put_request(w, ACCESS_CONFIRMED | (uint32_t)ACCESS_PRIORITY | c->invoke_id,
                                   items, q->n);
                return 0;
        }
        if (c->cfg.short_names)
                return put_names(c, w) ? 0 : DLMS_E_ARGUMENT;
        put_head(c, w, q->form == DLMS_FORM_LIST ? APDU_LIST : APDU_NORMAL);
        put_descriptors(c, w);
        if (!is_list(c) && item->service == DLMS_ACTION)
                axdr_put_byte(w, item->data != NULL);
        measure(c, &descriptors, &values);
        put_values(c, w, 0, values);
        return 0;
}

static size_t request_size(struct dlms_client *c)
{
        struct dlms_client_request *q = request(c);
        struct dlms_item items[DLMS_CLIENT_LIST_MAX], buf;
        size_t descriptors, values;

        if (q->form == DLMS_FORM_ACCESS) {
                for (size_t i = 0; i < q->n; i++)
                        items[i] = *client_item(c, i, &buf);
                return access_request_size(items, q->n);
        }
        measure(c, &descriptors, &values);
        return HEAD + descriptors + 1 + values;
}

/* ---- blocks of SET and ACTION ---- */

/* Sends the block number c->block with as much as fits; the first one with @head_len bytes of
 * descriptors. */
static int send_block(struct dlms_client *c, size_t head_len, enum dlms_client_state next,
                      int64_t now_ms)
{
        struct dlms_client_request *q = request(c);
        bool first = c->block == 1;
        size_t add = HEAD + head_len + BLOCK_FIELDS + SEAL_GROWS + sealed_size(c, 0);
        size_t max = apdu_max(c), left = q->total - q->done;
        struct axdr_writer w = client_begin(c);

        if (max < add + BLOCK_DATA_MIN)
                return DLMS_E_TOO_LONG;
        q->part = left < max - add ? left : max - add;
        if (!first)
                put_head(c, &w, APDU_BLOCK);
        else
                put_head(c, &w, q->form == DLMS_FORM_LIST ? APDU_LIST_FIRST : APDU_FIRST);
        if (first)
                put_descriptors(c, &w);
        axdr_put_byte(&w, q->part == left);
        axdr_put_be32(&w, c->block);
        axdr_put_length(&w, q->part);
        put_values(c, &w, q->done, q->part);
        return client_send_request(c, &w, next, now_ms);
}

int client_send_next_block(struct dlms_client *c, int64_t now_ms)
{
        c->request.done += c->request.part;
        c->block++;
        return send_block(c, 0, c->state, now_ms);
}

/* ---- sending in the form chosen ---- */

static enum dlms_client_state waiting_state(struct dlms_client *c)
{
        if (c->request.form == DLMS_FORM_ACCESS)
                return DLMS_CLIENT_ACCESSING;
        if (c->cfg.short_names)
                return DLMS_CLIENT_READING;
        switch (service(c)) {
        case DLMS_SET:
                return DLMS_CLIENT_SETTING;
        case DLMS_ACTION:
                return DLMS_CLIENT_ACTING;
        case DLMS_GET:
                break;
        }
        return DLMS_CLIENT_GETTING;
}

static bool blocks_granted(struct dlms_client *c)
{
        if (c->request.form == DLMS_FORM_ACCESS || c->cfg.short_names)
                return false;
        if (service(c) == DLMS_SET)
                return client_can(c, DLMS_CONF_BLOCK_SET);
        return service(c) == DLMS_ACTION && client_can(c, DLMS_CONF_BLOCK_ACTION);
}

static bool gbt_usable(const struct dlms_client *c)
{
        return c->cfg.gbt_window && client_can(c, DLMS_CONF_GENERAL_BLOCK_TRANSFER) &&
               c->cfg.scratch && c->cfg.scratch_size > SCRATCH_ROOM;
}

/* Written in scratch and from there in general blocks. */
static int send_in_gbt(struct dlms_client *c, int64_t now_ms)
{
        struct axdr_writer w =
                axdr_writer_of(c->cfg.scratch + SCRATCH_ROOM, c->cfg.scratch_size - SCRATCH_ROOM);
        int e = put_request(c, &w);

        if (!e && w.failed)
                e = DLMS_E_TOO_LONG;
        if (!e)
                e = client_send_gbt(c, SCRATCH_ROOM, w.len);
        if (!e)
                client_enter(c, waiting_state(c), now_ms);
        return e;
}

static int send_form(struct dlms_client *c, int64_t now_ms)
{
        struct dlms_client_request *q = request(c);
        struct axdr_writer w;
        size_t size = request_size(c), descriptors;
        int e;

        c->invoke_id = c->invoke_id >= 15 ? 1 : (uint8_t)(c->invoke_id + 1);
        c->block = 1;
        c->scratch_len = 0;
        c->busy_polls = 0;
        q->blocks = false;
        q->done = q->part = 0;
        if (c->cfg.gbt_requests && gbt_usable(c))
                return send_in_gbt(c, now_ms);
        if (sealed_size(c, size) <= apdu_max(c)) {
                w = client_begin(c);
                e = put_request(c, &w);
                return e ? e : client_send_request(c, &w, waiting_state(c), now_ms);
        }
        if (blocks_granted(c)) {
                measure(c, &descriptors, &q->total);
                q->blocks = true;
                return send_block(c, descriptors, waiting_state(c), now_ms);
        }
        if (gbt_usable(c))
                return send_in_gbt(c, now_ms);
        if (is_list(c)) {
                q->form = DLMS_FORM_SINGLES;
                q->at = 0;
                return send_form(c, now_ms);
        }
        return DLMS_E_TOO_LONG;
}

int client_next_single(struct dlms_client *c, int64_t now_ms)
{
        c->request.next = false;
        c->request.at++;
        return send_form(c, now_ms);
}

/* ACCESS has no service-specific ciphering: it needs a general envelope. */
static bool access_usable(const struct dlms_client *c)
{
        bool general = c->cfg.general || c->cfg.sign || c->cfg.envelope != DLMS_ENVELOPE_SERVICE ||
                       client_can(c, DLMS_CONF_GENERAL_PROTECTION);

        return client_can(c, DLMS_CONF_ACCESS) && !c->cfg.short_names &&
               (general || !client_is_ciphered(c));
}

/* The form for the items at hand. */
static enum dlms_client_form choose(struct dlms_client *c)
{
        static const uint32_t bits[] = { 0, 0, DLMS_CONF_SET, DLMS_CONF_ACTION };
        struct dlms_client_request *q = request(c);
        bool access = access_usable(c), list;
        bool mixed = false, lacking = false;
        struct dlms_item buf;

        for (size_t i = 0; i < q->n; i++) {
                enum dlms_service s = client_item(c, i, &buf)->service;

                mixed |= s != service(c);
                lacking |= !client_can(c, bits[s]);
        }
        list = !mixed && client_can(c, DLMS_CONF_MULTIPLE_REFERENCES);
        if (access && (lacking || (q->n > 1 && (mixed || !list || c->cfg.prefer_access))))
                return DLMS_FORM_ACCESS;
        if (q->n == 1)
                return DLMS_FORM_NORMAL;
        return list ? DLMS_FORM_LIST : DLMS_FORM_SINGLES;
}

bool client_fall_back(struct dlms_client *c, bool broken, int64_t now_ms, int *ret_error)
{
        struct dlms_client_request *q = request(c);

        if (!is_list(c))
                return false;
        if (broken) {
                c->broken |= q->form == DLMS_FORM_ACCESS ? DLMS_CONF_ACCESS
                                                         : DLMS_CONF_MULTIPLE_REFERENCES;
                c->conformance &= ~c->broken;
        }
        q->form = broken ? choose(c) : DLMS_FORM_SINGLES;
        q->at = 0;
        *ret_error = send_form(c, now_ms);
        return true;
}

/* ---- commands ---- */

/* Commands wait until everything the last one brought is fetched. */
static bool ready(const struct dlms_client *c)
{
        return c->state == DLMS_CLIENT_READY && c->event.type == DLMS_EV_NONE &&
               c->list_at == c->list_n && c->channel.out_len == 0 && !c->gbt_active &&
               !c->request.next;
}

static int check_item(struct dlms_client *c, const struct dlms_item *item)
{
        static const uint32_t bits[] = { 0, 0, DLMS_CONF_SET, DLMS_CONF_ACTION };
        uint32_t select =
                c->cfg.short_names ? DLMS_CONF_PARAMETERIZED_ACCESS : DLMS_CONF_SELECTIVE_ACCESS;
        bool access = access_usable(c);

        if (item->service < DLMS_GET || item->service > DLMS_ACTION)
                return DLMS_E_ARGUMENT;
        if (item->service == DLMS_SET && !item->data)
                return DLMS_E_ARGUMENT;
        if (item->service != DLMS_GET && item->data && axdr_check(item->data, item->n))
                return DLMS_E_ARGUMENT;
        if (item->service != DLMS_GET && c->cfg.short_names)
                return DLMS_E_CONFORMANCE;
        if (!client_can(c, bits[item->service]) && !access)
                return DLMS_E_CONFORMANCE;
        return item->selection.selector && !client_can(c, select) ? DLMS_E_CONFORMANCE : 0;
}

/* request.items or .attrs are set. */
static int start(struct dlms_client *c, size_t n, int64_t now_ms)
{
        struct dlms_client_request *q = request(c);
        struct dlms_item buf;

        if (n == 0 || n > DLMS_CLIENT_LIST_MAX)
                return DLMS_E_ARGUMENT;
        q->n = (uint8_t)n;
        q->at = 0;
        for (size_t i = 0; i < n; i++) {
                int e = check_item(c, client_item(c, i, &buf));

                if (e)
                        return e;
        }
        c->list_at = c->list_n = 0;
        q->form = choose(c);
        return send_form(c, now_ms);
}

static int start_one(struct dlms_client *c, const struct dlms_item *item, int64_t now_ms)
{
        if (!ready(c))
                return DLMS_E_BUSY;
        c->request.one = *item;
        c->request.items = &c->request.one;
        c->request.by_name = false;
        return start(c, 1, now_ms);
}

int dlms_client_ask(struct dlms_client *c, const struct dlms_item *items, size_t n, int64_t now_ms)
{
        if (!ready(c))
                return DLMS_E_BUSY;
        c->request.items = items;
        c->request.by_name = false;
        return start(c, n, now_ms);
}

int dlms_client_get(struct dlms_client *c, const struct dlms_attr *attr,
                    const struct dlms_selection *selection, int64_t now_ms)
{
        struct dlms_item item = { .service = DLMS_GET, .attr = *attr };

        if (selection)
                item.selection = *selection;
        return start_one(c, &item, now_ms);
}

static int start_list(struct dlms_client *c, enum dlms_service service,
                      const struct dlms_attr *attrs, size_t n, const uint8_t *values,
                      size_t n_values, int64_t now_ms)
{
        struct dlms_client_request *q = request(c);

        if (!ready(c))
                return DLMS_E_BUSY;
        if (n == 0 || n > DLMS_CLIENT_LIST_MAX)
                return DLMS_E_ARGUMENT;
        memcpy(q->attrs, attrs, n * sizeof *attrs);
        q->items = NULL;
        q->by_name = false;
        q->service = service;
        q->values = values;
        q->values_len = n_values;
        return start(c, n, now_ms);
}

int dlms_client_get_list(struct dlms_client *c, const struct dlms_attr *attrs, size_t n,
                         int64_t now_ms)
{
        return start_list(c, DLMS_GET, attrs, n, NULL, 0, now_ms);
}

/* One value an item, and nothing behind them. */
static bool values_fit(const uint8_t *values, size_t n_values, size_t n)
{
        struct axdr_reader r;

        axdr_reader_init(&r, values, n_values);
        while (n-- > 0)
                if (!values || !axdr_skip(&r))
                        return false;
        return r.p == r.end;
}

int dlms_client_set_list(struct dlms_client *c, const struct dlms_attr *attrs, size_t n,
                         const uint8_t *values, size_t n_values, int64_t now_ms)
{
        if (!values_fit(values, n_values, n))
                return DLMS_E_ARGUMENT;
        return start_list(c, DLMS_SET, attrs, n, values, n_values, now_ms);
}

int dlms_client_action_list(struct dlms_client *c, const struct dlms_attr *methods, size_t n,
                            const uint8_t *values, size_t n_values, int64_t now_ms)
{
        if (!values_fit(values, n_values, n))
                return DLMS_E_ARGUMENT;
        return start_list(c, DLMS_ACTION, methods, n, values, n_values, now_ms);
}

int dlms_client_set(struct dlms_client *c, const struct dlms_attr *attr, const uint8_t *data,
                    size_t n, int64_t now_ms)
{
        return start_one(
                c, &(struct dlms_item){ .service = DLMS_SET, .attr = *attr, .data = data, .n = n },
                now_ms);
}

int dlms_client_action(struct dlms_client *c, const struct dlms_attr *method, const uint8_t *params,
                       size_t n, int64_t now_ms)
{
        return start_one(c,
                         &(struct dlms_item){
                                 .service = DLMS_ACTION, .attr = *method, .data = params, .n = n },
                         now_ms);
}

int dlms_client_read(struct dlms_client *c, uint16_t name, const struct dlms_selection *selection,
                     int64_t now_ms)
{
        struct dlms_client_request *q = request(c);

        if (!ready(c))
                return DLMS_E_BUSY;
        if (!c->cfg.short_names)
                return DLMS_E_ARGUMENT;
        q->one = (struct dlms_item){ .service = DLMS_GET };
        if (selection)
                q->one.selection = *selection;
        q->items = &q->one;
        q->by_name = true;
        q->name = name;
        return start(c, 1, now_ms);
}
