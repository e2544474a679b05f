#pragma once

/* A small meter behind the server core and the settings of both ends, for tests and the bench. */

#include "dlms/client.h"
#include "dlms/server.h"

enum { METER_ROWS = 96 };
#define METER_BEGIN INT64_C(1767225600) /* 2026-01-01T00:00:00Z */

struct meter {
        int32_t limit;  /* attribute that can be set */
        bool connected; /* disconnect control */
        unsigned gets;
};

extern const struct dlms_server_objects meter_objects;

enum meter_auth { METER_NONE, METER_LLS, METER_GMAC, METER_GMAC_PLAIN, METER_N_AUTHS };

/* Both ends' settings that fit each other. @crypto borrowed. */
void meter_settings(enum dlms_framing framing, enum meter_auth auth, bool general, bool dedicated,
                    struct dlms_crypto *crypto, struct dlms_client_config *client,
                    struct dlms_server_config *server);

extern const uint8_t meter_challenge[16];
