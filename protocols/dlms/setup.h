#pragma once

/*
 * Data of the methods of "Security setup" (class 64, Blue Book 4.4.7): policy, keys wrapped by the
 * master key, keys agreed between client and meter; both ends. Pure but for the nonce of a
 * signature (agreement.h). Where keys stand they are the caller's to wipe.
 *
 *     key change: dlms_setup_put_keys() -> ACTION key_transfer -> result 0 -> prove the new key
 * with a new association before the old one is forgotten agreement:  dlms_setup_put_agreement() ->
 * ACTION key_agreement -> return data
 *                 -> dlms_setup_take_agreement() -> dlms_setup_agreed_key()
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agreement.h"
#include "axdr.h"
#include "dlms.h"
#include "security.h"

/* Methods. Version 0 of the class has the first two; the second is there called
 * global_key_transfer, its data is the same. */
enum dlms_setup_method {
        DLMS_SETUP_ACTIVATE = 1,
        DLMS_SETUP_KEY_TRANSFER = 2,
        DLMS_SETUP_KEY_AGREEMENT = 3,
};

enum dlms_key_id {
        DLMS_KEY_UNICAST = 0, /* global unicast encryption key */
        DLMS_KEY_BROADCAST = 1,
        DLMS_KEY_AUTHENTICATION = 2,
        DLMS_KEY_MASTER = 3,
        DLMS_N_KEY_IDS
};

/* Method @method of the association's security setup object (0.0.43.0.@e.255). */
static inline struct dlms_attr dlms_setup_attr(enum dlms_setup_method method, uint8_t e)
{
        return DLMS_ATTR(64, 0, 0, 43, 0, e, 255, (int8_t)method);
}

/* security_policy that demands @policy, and signatures (@sign), of requests and responses alike, as
 * @version of the class writes it: 0 a number, 1 a set of bits. -1 when it cannot be said there. */
int dlms_setup_policy(unsigned version, enum dlms_policy policy, bool sign);
/* Data of security_activate. A meter never weakens its policy: it answers with an error. */
void dlms_setup_put_activate(struct axdr_writer *w, uint8_t policy);

struct dlms_new_key {
        enum dlms_key_id id;
        uint8_t key[DLMS_KEY_MAX]; /* dlms_key_size(suite) bytes */
};

/* Data of key_transfer: @n keys, each once, wrapped by @master. A new master key is wrapped by the
 * old one. 0, DLMS_E_ARGUMENT (no keys, twice the same, unknown), DLMS_E_TOO_LONG, DLMS_E_CRYPTO.
 */
int dlms_setup_put_keys(struct axdr_writer *w, unsigned suite, const uint8_t *master,
                        const struct dlms_new_key *keys, size_t n);
/* The meter's side: all keys or none. *@ret_n of at most DLMS_N_KEY_IDS. 0, DLMS_E_KEY_WRAP
 * (another master key), DLMS_E_TYPE, DLMS_E_ARGUMENT (as above), DLMS_E_TRUNCATED, DLMS_E_TRAILING.
 */
int dlms_setup_take_keys(const uint8_t *data, size_t n, unsigned suite, const uint8_t *master,
                         struct dlms_new_key keys[static DLMS_N_KEY_IDS], size_t *ret_n);

/* Data of key_agreement, C(2e,0s), suites 1 and 2: our ephemeral public key for each key asked for,
 * signed. @ephemeral holds @n private keys of dlms_ec_size() bytes, DLMS_EC_MAX apart.
 * 0, DLMS_E_ARGUMENT, DLMS_E_TOO_LONG, DLMS_E_CRYPTO. */
int dlms_setup_put_agreement(struct axdr_writer *w, unsigned suite, const uint8_t *sign,
                             const enum dlms_key_id *ids, size_t n, const uint8_t *ephemeral);

struct dlms_agreement {
        enum dlms_key_id id;
        uint8_t point[2 * DLMS_EC_MAX]; /* the peer's ephemeral public key */
};

/* The other end's part, from the method's data or its return data; every signature verified. 0,
 * DLMS_E_KEY_AGREEMENT (not signed by @peer_sign), or as dlms_setup_take_keys(). */
int dlms_setup_take_agreement(const uint8_t *data, size_t n, unsigned suite,
                              const uint8_t *peer_sign,
                              struct dlms_agreement peers[static DLMS_N_KEY_IDS], size_t *ret_n);
/* The key both ends come to. @client and @server are their titles, whichever end we are. 0,
 * DLMS_E_KEY_AGREEMENT, DLMS_E_CRYPTO. */
int dlms_setup_agreed_key(unsigned suite, const uint8_t *ephemeral,
                          const struct dlms_agreement *peer,
                          const uint8_t client[static DLMS_TITLE_SIZE],
                          const uint8_t server[static DLMS_TITLE_SIZE], uint8_t *key);
