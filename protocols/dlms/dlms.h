#pragma once

/*
 * What all parts of the DLMS/COSEM core share: names of attributes, result codes and the one
 * list of errors (IEC 62056-5-3, DLMS UA 1000-2 "Green Book"). Pure.
 */

#include <stddef.h>
#include <stdint.h>

#include "obis.h"

enum dlms_framing {
        DLMS_FRAMING_WRAPPER, /* TCP/UDP wrapper, IEC 62056-47 */
        DLMS_FRAMING_HDLC,    /* IEC 62056-46, also carried over TCP */
};

/* Authentication mechanism, the last arc of its OID (Green Book 9.2.7.2). */
enum dlms_auth {
        DLMS_AUTH_NONE = 0,
        DLMS_AUTH_LLS = 1,
        DLMS_AUTH_HLS = 2, /* manufacturer's own */
        DLMS_AUTH_HLS_MD5 = 3,
        DLMS_AUTH_HLS_SHA1 = 4,
        DLMS_AUTH_GMAC = 5,
        DLMS_AUTH_HLS_SHA256 = 6,
        DLMS_AUTH_HLS_ECDSA = 7,
};

enum {
        DLMS_TITLE_SIZE = 8,
        DLMS_KEY_MAX = 32,
        DLMS_CHALLENGE_MAX = 64,
        DLMS_HLS_ANSWER_MAX = 96, /* f(challenge): the longest is a P-384 signature */
};

/* An attribute (or, with a method's number in id, a method) of a COSEM object. */
struct dlms_attr {
        uint16_t class_id;
        struct obis obis;
        int8_t id;
};

#define DLMS_ATTR(class, a, b, c, d, e, f, attribute)                                              \
        ((struct dlms_attr){ (class), OBIS(a, b, c, d, e, f), (attribute) })

/* The three services of logical names, numbered as ACCESS does. */
enum dlms_service { DLMS_GET = 1, DLMS_SET = 2, DLMS_ACTION = 3 };

/* Access-selection-parameters: selector 0 means none. Bytes borrowed for the call. */
struct dlms_selection {
        uint8_t selector;      /* profile generic: 1 = range, 2 = entry */
        const uint8_t *params; /* one A-XDR value; profile.h encodes the usual two */
        size_t n;
};

/* One thing asked for in a request with list or by ACCESS. Bytes borrowed. */
struct dlms_item {
        enum dlms_service service;
        struct dlms_attr attr; /* ACTION: the method */
        struct dlms_selection selection;
        const uint8_t *data; /* SET: the value; ACTION: parameters, NULL = none; one A-XDR value */
        size_t n;
};

/* Data-Access-Result (Green Book 9.5), also used for SET. */
enum dlms_access_result {
        DLMS_ACCESS_SUCCESS = 0,
        DLMS_ACCESS_HARDWARE_FAULT = 1,
        DLMS_ACCESS_TEMPORARY_FAILURE = 2,
        DLMS_ACCESS_READ_WRITE_DENIED = 3,
        DLMS_ACCESS_OBJECT_UNDEFINED = 4,
        DLMS_ACCESS_OBJECT_CLASS_INCONSISTENT = 9,
        DLMS_ACCESS_OBJECT_UNAVAILABLE = 11,
        DLMS_ACCESS_TYPE_UNMATCHED = 12,
        DLMS_ACCESS_SCOPE_VIOLATED = 13,
        DLMS_ACCESS_BLOCK_UNAVAILABLE = 14,
        DLMS_ACCESS_LONG_GET_ABORTED = 15,
        DLMS_ACCESS_NO_LONG_GET = 16,
        DLMS_ACCESS_LONG_SET_ABORTED = 17,
        DLMS_ACCESS_NO_LONG_SET = 18,
        DLMS_ACCESS_DATA_BLOCK_NUMBER_INVALID = 19,
        DLMS_ACCESS_OTHER = 250,
};

const char *dlms_access_text(unsigned result);

/* Conformance block, 24 bits, bit 0 of the standard = most significant (0x800000). */
enum dlms_conformance {
        DLMS_CONF_GENERAL_PROTECTION = 0x400000,
        DLMS_CONF_GENERAL_BLOCK_TRANSFER = 0x200000,
        DLMS_CONF_READ = 0x100000,
        DLMS_CONF_WRITE = 0x080000,
        DLMS_CONF_UNCONFIRMED_WRITE = 0x040000,
        DLMS_CONF_DELTA_VALUE = 0x020000,
        DLMS_CONF_ATTRIBUTE0_SET = 0x008000,
        DLMS_CONF_PRIORITY = 0x004000,
        DLMS_CONF_ATTRIBUTE0_GET = 0x002000,
        DLMS_CONF_BLOCK_GET = 0x001000,
        DLMS_CONF_BLOCK_SET = 0x000800,
        DLMS_CONF_BLOCK_ACTION = 0x000400,
        DLMS_CONF_MULTIPLE_REFERENCES = 0x000200,
        DLMS_CONF_INFORMATION_REPORT = 0x000100,
        DLMS_CONF_DATA_NOTIFICATION = 0x000080,
        DLMS_CONF_ACCESS = 0x000040,
        DLMS_CONF_PARAMETERIZED_ACCESS = 0x000020,
        DLMS_CONF_GET = 0x000010,
        DLMS_CONF_SET = 0x000008,
        DLMS_CONF_SELECTIVE_ACCESS = 0x000004,
        DLMS_CONF_EVENT_NOTIFICATION = 0x000002,
        DLMS_CONF_ACTION = 0x000001,
};

/* Name of conformance bit @bit (0 = reserved-zero ... 23 = action). */
const char *dlms_conformance_name(unsigned bit);

/*
 * Every way the core can fail, one name and one text for a person each. The text says what was
 * seen and what to look at. Codecs return them as positive numbers.
 */
#define DLMS_ERROR_MAP(XX)                                                                         \
        XX(OK, ok, "no error")                                                                     \
        XX(BUSY, busy, "command not possible in this state of the session")                        \
        XX(ARGUMENT, argument, "the session's settings or the command's arguments are not usable") \
        XX(TRANSPORT_CONNECT, transport_connect,                                                   \
           "no connection to the meter: check address, port and modem")                            \
        XX(TRANSPORT_CLOSED, transport_closed, "the meter or modem closed the connection")         \
        XX(TIMEOUT_CONNECT, timeout_connect,                                                       \
           "no answer to the HDLC connection request (SNRM): check HDLC address")                  \
        XX(TIMEOUT_ASSOCIATE, timeout_associate,                                                   \
           "no answer to the association request (AARQ): check client and server SAP")             \
        XX(TIMEOUT_HLS, timeout_hls,                                                               \
           "no answer to the HLS authentication: the meter may not know our key")                  \
        XX(TIMEOUT_REQUEST, timeout_request, "no answer to a request")                             \
        XX(HDLC_REFUSED, hdlc_refused,                                                             \
           "the meter refused the HDLC connection (DM): busy or wrong address")                    \
        XX(HDLC_REJECTED, hdlc_rejected, "the meter rejected an HDLC frame (FRMR)")                \
        XX(HDLC_BUSY, hdlc_busy, "the meter stays busy (receive not ready)")                       \
        XX(HDLC_SEQUENCE, hdlc_sequence, "HDLC frames arrived out of sequence")                    \
        XX(HDLC_FORMAT, hdlc_format, "not an HDLC type 3 frame")                                   \
        XX(HDLC_ADDRESS, hdlc_address, "HDLC address is not 1, 2 or 4 bytes long, or is not ours") \
        XX(HDLC_HCS, hdlc_hcs, "HDLC header check sequence does not match")                        \
        XX(HDLC_FCS, hdlc_fcs, "HDLC frame check sequence does not match")                         \
        XX(HDLC_LLC, hdlc_llc, "HDLC information field does not start with the LLC header")        \
        XX(WRAPPER_VERSION, wrapper_version, "not a DLMS TCP wrapper frame: version is not 1")     \
        XX(WRAPPER_ADDRESS, wrapper_address,                                                       \
           "wrapper frame for other ports than this association's")                                \
        XX(TRUNCATED, truncated, "message ends before its contents")                               \
        XX(TRAILING, trailing, "bytes left over behind the message")                               \
        XX(TOO_LONG, too_long, "message or reply is larger than the buffer for it")                \
        XX(DEPTH, depth, "data is nested too deeply")                                              \
        XX(TYPE, type, "A-XDR type tag is unknown or not the one expected")                        \
        XX(APDU, apdu, "APDU is unknown or malformed")                                             \
        XX(UNEXPECTED, unexpected, "the meter answered with another APDU than the one awaited")    \
        XX(INVOKE_ID, invoke_id, "the meter answered with another invoke-id than the request's")   \
        XX(BLOCK_NUMBER, block_number, "a block of the reply is missing or repeated")              \
        XX(ASSOCIATION_REJECTED, association_rejected,                                             \
           "the meter rejected the association without a reason: it may not know our client SAP")  \
        XX(ASSOCIATION_CLOSED, association_closed,                                                 \
           "the meter closed the connection on the association request: check the SAPs")           \
        XX(ASSOCIATION_CONTEXT, association_context,                                               \
           "the meter does not support the application context: check ciphered or plain")          \
        XX(ASSOCIATION_TITLE, association_title, "the meter does not recognise our system title")  \
        XX(ASSOCIATION_CALLING, association_calling,                                               \
           "the meter does not recognise our AE qualifier or user id (certificate, user list)")    \
        XX(ASSOCIATION_CALLED, association_called,                                                 \
           "the association request names another called title or qualifier than the meter's")     \
        XX(ASSOCIATION_MECHANISM, association_mechanism,                                           \
           "the meter does not support the authentication mechanism")                              \
        XX(ASSOCIATION_AUTHENTICATION, association_authentication,                                 \
           "the meter refused the password or authentication")                                     \
        XX(ASSOCIATION_REQUIRED, association_required, "the meter requires authentication")        \
        XX(ASSOCIATION_VERSION, association_version, "the meter speaks another DLMS version")      \
        XX(ASSOCIATION_INITIATE, association_initiate,                                             \
           "the meter could not accept the initiate request")                                      \
        XX(CONFORMANCE, conformance, "the meter did not grant the service this request needs")     \
        XX(HLS_REFUSED, hls_refused,                                                               \
           "the meter refused our HLS answer: wrong authentication or encryption key")             \
        XX(HLS_REFUSED_SECRET, hls_refused_secret,                                                 \
           "the meter refused our HLS answer: wrong HLS secret")                                   \
        XX(HLS_REFUSED_SIGNATURE, hls_refused_signature,                                           \
           "the meter refused our HLS signature: it holds another public key of ours")             \
        XX(HLS_SERVER, hls_server,                                                                 \
           "the meter's HLS answer does not verify: its keys are not ours")                        \
        XX(HLS_SERVER_SECRET, hls_server_secret,                                                   \
           "the meter's HLS answer does not verify: its HLS secret is not ours")                   \
        XX(HLS_SERVER_SIGNATURE, hls_server_signature,                                             \
           "the meter's HLS signature does not verify: it signs with another key")                 \
        XX(HLS_CHALLENGE, hls_challenge,                                                           \
           "the meter's challenge is missing, of a wrong length, or our own sent back")            \
        XX(EXCEPTION, exception, "the meter answered with an exception")                           \
        XX(EXCEPTION_NOT_ALLOWED, exception_not_allowed,                                           \
           "the meter does not allow the service now (not associated?)")                           \
        XX(EXCEPTION_UNKNOWN, exception_unknown, "the meter does not know the service")            \
        XX(EXCEPTION_NOT_POSSIBLE, exception_not_possible,                                         \
           "the meter cannot carry out the operation")                                             \
        XX(EXCEPTION_NOT_SUPPORTED, exception_not_supported,                                       \
           "the meter does not support the service")                                               \
        XX(EXCEPTION_TOO_LONG, exception_too_long, "the request is longer than the meter accepts") \
        XX(EXCEPTION_DECIPHERING, exception_deciphering,                                           \
           "the meter could not decipher the request: wrong key or title")                         \
        XX(EXCEPTION_COUNTER, exception_counter,                                                   \
           "the meter refused our invocation counter: it has seen a higher one")                   \
        XX(SERVICE_ERROR, service_error, "the meter answered with a confirmed service error")      \
        XX(SECURITY, security,                                                                     \
           "the security control byte is not a valid one, or protects less than agreed")           \
        XX(SUITE, suite, "protected under another security suite than the one configured")         \
        XX(COMPRESSED, compressed,                                                                 \
           "the message is compressed, which is not supported: switch compression off")            \
        XX(ENCRYPTION_KEY, encryption_key, "deciphering gives no APDU: wrong encryption key")      \
        XX(AUTHENTICATION_KEY, authentication_key,                                                 \
           "deciphered, but the tag does not verify: wrong authentication key")                    \
        XX(TITLE, title, "ciphered with another system title than the meter's")                    \
        XX(TITLE_MISSING, title_missing,                                                           \
           "the meter gave no system title and none is configured for it")                         \
        XX(RECIPIENT, recipient, "the message is for another system title than ours")              \
        XX(TAG, tag, "the tag does not verify: wrong key, or the message was altered")             \
        XX(KEY_MISSING, key_missing, "the message is protected and no key for it is known")        \
        XX(KEY_WRAP, key_wrap, "the wrapped key does not unwrap: wrong master key")                \
        XX(KEY_AGREEMENT, key_agreement,                                                           \
           "key agreement failed: the key sent is no point of the curve, or not signed by its "    \
           "sender")                                                                               \
        XX(SIGNATURE, signature,                                                                   \
           "the digital signature does not verify: wrong public key, or the message was altered")  \
        XX(NOT_SIGNED, not_signed, "the message is not signed and the association demands it")     \
        XX(REPLAY, replay, "the invocation counter did not rise: message repeated or replayed")    \
        XX(NOT_CIPHERED, not_ciphered,                                                             \
           "the meter answered in plain inside a ciphered association")                            \
        XX(COUNTER_EXHAUSTED, counter_exhausted,                                                   \
           "no invocation counter left in the reserved range: reserve more")                       \
        XX(CRYPTO, crypto, "the cryptographic library failed")

enum dlms_error {
#define XX(name, word, text) DLMS_E_##name,
        DLMS_ERROR_MAP(XX)
#undef XX
                DLMS_N_ERRORS
};

/* Lower-case name ("timeout_associate") for machines; text for persons. Static strings. */
const char *dlms_error_name(unsigned error);
const char *dlms_error_text(unsigned error);
