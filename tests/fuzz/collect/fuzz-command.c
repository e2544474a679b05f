/* A meter that answers commands with anything: kind, then for each answer a result, a length, that
 * many bytes. The command ends in bounded steps; what it would send is well-formed; it is confirmed
 * only with a proof. */
#include <stdlib.h>
#include <string.h>

#include "command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { STEPS_MAX = 3000 };

static const char *const params[COMMAND_N_TYPES] = {
        [COMMAND_LIMITER] = "{\"threshold\":100,\"over_s\":5}",
        [COMMAND_CALENDAR] =
                "{\"name\":\"A\",\"seasons\":[{\"name\":\"S\",\"start\":\"01-01\",\"week\":\"W\"}],"
                "\"weeks\":[{\"name\":\"W\",\"days\":[1,1,1,1,1,1,1]}],"
                "\"days\":[{\"id\":1,\"actions\":[{\"at\":\"00:00\",\"script\":\"0.0.10.0.100."
                "255\",\"selector\":1}]}]}",
};

static void answer(struct command *c, const uint8_t **p, size_t *left)
{
        size_t len = 0;
        unsigned result = 0;
        uint8_t *copy;

        if (*left >= 2) {
                result = (*p)[0] & 0x80 ? (*p)[0] & 0x1F : 0;
                len = (*p)[1] < *left - 2 ? (*p)[1] : *left - 2;
                *p += 2;
                *left -= 2;
        }
        copy = malloc(len ? len : 1);
        if (!copy)
                abort();
        memcpy(copy, *p, len);
        *p += len;
        *left -= len;
        command_result(c, 1790812800, result, copy, len);
        free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        static const uint8_t image[300] = { 1 };
        static struct meter_model *model;
        struct command_order o = { .image = image,
                                   .image_len = sizeof image,
                                   .identifier = "i",
                                   .version = "v",
                                   .progress = "{\"initiated\":true}" };
        struct command_step s = { .op = COMMAND_GET };
        struct command *c = NULL;
        char why[200], *proof;
        size_t left;

        if (!model &&
            model_parse(&model, "{\"model\":\"m\",\"protocol\":\"dlms\"}", why, sizeof why))
                abort();
        if (!n)
                return 0;
        o.type = (enum command_type)(data[0] % COMMAND_N_TYPES);
        o.verify_only = data[0] & 0x40;
        o.sent_before = data[0] & 0x80;
        o.params = params[o.type] ? params[o.type] : "{}";
        secret_set(&o.guek_next, "0123456789ABCDEF", 16);
        secret_set(&o.gak_next, "0123456789ABCDEF", 16);
        secret_set(&o.kek, "0123456789ABCDEF", 16);
        if (command_new(&c, &o, model, why, sizeof why))
                abort();
        left = n - 1;
        data++;
        for (int i = 0; i < STEPS_MAX && left; i++) {
                command_next(c, 1790812800, &s);
                if (s.op == COMMAND_END)
                        break;
                if (s.op == COMMAND_WAIT)
                        command_waited(c);
                else if (s.op == COMMAND_REKEY)
                        command_rekeyed(c, left & 1);
                else {
                        if (s.op != COMMAND_GET && (o.verify_only || axdr_check(s.data, s.n)))
                                abort(); /* nothing may be sent, or what is sent is garbled */
                        answer(c, &data, &left);
                }
        }
        command_cut(c, "the end of the input");
        proof = command_proof(c);
        if (command_outcome(c) == COMMAND_UNDECIDED ||
            (command_outcome(c) == COMMAND_CONFIRMED && (!proof || !strstr(proof, "proven_at"))))
                abort();
        free(proof);
        command_free(c);
        return 0;
}
