#pragma once

/*
 * One association between the client and the server core for tests of security: set up, then
 * changed by the test, then run from opening to release with three requests in between.
 */

#include "hr_test.h"
#include "meter.h"

#include "dlms/agreement.h"

struct association {
        struct dlms_client client;
        struct dlms_server server;
        struct dlms_client_config ccfg;
        struct dlms_server_config scfg;
        struct dlms_server_counters counters;
        struct dlms_pki cpki, spki;
        struct meter meter;
        uint8_t client_scratch[16384], server_scratch[16384], challenge[16];
        /* Called with the request on its way, and with each burst of the meter's. */
        void (*sent)(struct association *l);
        void (*said)(struct association *l, uint8_t *p, size_t n);
        int step, bursts;
        int64_t now;
        uint8_t first_tag; /* of the first request on the wire */
        bool associated, closed;
        enum dlms_error failed;
        uint32_t counter;
};

/* The one in use; also its tests change it. */
extern struct association assoc;

/* Both ends with settings and keys that fit: all symmetric ones, and key pairs in suites 1 and 2.
 */
void association_setup(enum dlms_framing framing, enum dlms_auth auth, unsigned suite,
                       enum dlms_policy policy);
/* The same, LLS over the wrapper, ciphered in @envelope, suite 1. */
void association_ciphered(enum dlms_envelope envelope);
/* From opening to the end; the error the client failed with. */
enum dlms_error association_run(void);
/* Runs, asserts that all went well, and names the case with the numbers when not. */
void association_good(const char *what, unsigned a, unsigned b, unsigned c);
