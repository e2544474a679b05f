#pragma once

/*
 * M-Bus telegrams, wired (EN 13757-2) and wireless (EN 13757-4), and the data records inside
 * (EN 13757-3). Pure: bytes in, structs out; everything that points is borrowed from the input.
 *
 *     mbus_telegram_parse(p, n, &t)          link layer, either kind, and the transport header
 *     mbus_telegram_decrypt(&t, key, work)   only where t.encrypted
 *     mbus_reader_init(&r, &t)
 *     while ((e = mbus_next(&r, &record)) > 0) ...
 *
 * Nothing grows with what a telegram says: a record has at most ten extensions of each kind, as
 * the standard limits them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MBUS_ERROR_MAP(XX)                                                                         \
        XX(OK, ok, "no error")                                                                     \
        XX(TRUNCATED, truncated, "telegram ends before its contents")                              \
        XX(LENGTH, length, "the two length bytes of the frame differ, or do not fit the bytes")    \
        XX(START, start, "no M-Bus frame starts like this")                                        \
        XX(STOP, stop, "the frame does not end with 16")                                           \
        XX(CHECKSUM, checksum, "the frame's checksum does not match")                              \
        XX(CRC, crc, "a block's CRC does not match")                                               \
        XX(CI, ci, "the control information field is not one known here")                          \
        XX(HEADER, header, "the transport header is not complete")                                 \
        XX(APPLICATION, application, "the meter reports an application error")                     \
        XX(EXTENSIONS, extensions, "a record has more than ten extensions of one kind")            \
        XX(TYPE, type, "a record has a data type the standard reserves")                           \
        XX(KEY_MISSING, key_missing, "the telegram is encrypted and no key for it is known")       \
        XX(KEY_WRONG, key_wrong, "decrypted, but not to a telegram: wrong key")                    \
        XX(MODE, mode, "the security mode is not one known here")                                  \
        XX(COMPACT, compact,                                                                       \
           "a compact frame: its full frame, which names the records, is needed")                  \
        XX(PROPRIETARY, proprietary, "the maker's own format behind a manufacturer specific CI")   \
        XX(CRYPTO, crypto, "the cryptographic library failed")

enum mbus_error {
#define XX(name, word, text) MBUS_E_##name,
        MBUS_ERROR_MAP(XX)
#undef XX
                MBUS_N_ERRORS
};

const char *mbus_error_name(unsigned error);
const char *mbus_error_text(unsigned error);

enum { MBUS_KEY_SIZE = 16, MBUS_EXTENSIONS_MAX = 10, MBUS_VALUE_TEXT_MAX = 128 };

struct mbus_telegram {
        bool wireless;
        bool acknowledge; /* E5 or a short frame: nothing further inside */
        uint8_t control, address, ci;
        /* Link address of a wireless telegram; the transport header's own, where it has one. */
        bool has_link, has_header_address;
        uint8_t link[8];        /* maker (2), id (4), version, medium, as sent */
        uint8_t header[8];      /* the same order, whatever the header's own is */
        uint8_t access, status; /* transport header; 0 without */
        uint16_t configuration; /* security configuration word */
        uint8_t configuration_ext;
        bool has_counter; /* message counter of the authentication layer */
        uint32_t counter;
        bool fixed;     /* CI 73: two counters without records */
        bool encrypted; /* body is not readable yet */
        bool extended;  /* encrypted by the extended link layer (AES-CTR) */
        uint8_t mode;   /* security mode 5 or 7 */
        uint8_t link_control;
        uint8_t session[4]; /* extended link layer's session number, as sent */
        uint8_t application_error;
        const uint8_t *body; /* borrowed from the input or @work */
        size_t body_len;
};

/* Wired frame (68 … 16, 10 … 16, E5) or wireless telegram, with or without its CRCs (frame format
 * A or B). @work holds the telegram without CRCs and must outlive *@ret; at least @n bytes. 0 or
 * MBUS_E_*; with CI-related errors *@ret still tells link and address. */
int mbus_telegram_parse(const uint8_t *p, size_t n, uint8_t *work, struct mbus_telegram *ret);
/* Opens t->body in @work (t->body_len bytes): security modes 5 and 7, and the extended link
 * layer. 0, MBUS_E_KEY_WRONG, MBUS_E_MODE, MBUS_E_CRYPTO. */
int mbus_telegram_decrypt(struct mbus_telegram *t, const uint8_t key[static MBUS_KEY_SIZE],
                          uint8_t *work);

/* The one that names the meter: header address, else link address; NULL when there is none. */
const uint8_t *mbus_address(const struct mbus_telegram *t);
/* "KAM" of the maker's two bytes. */
void mbus_maker(const uint8_t address[static 8], char ret[static 4]);
/* Identification number, eight digits. */
void mbus_id(const uint8_t address[static 8], char ret[static 9]);
/* "Heat", "Water", ... */
const char *mbus_medium_text(uint8_t medium);

/* ---- records ---- */

enum mbus_function { MBUS_INSTANT, MBUS_MAXIMUM, MBUS_MINIMUM, MBUS_ERROR_STATE };

enum mbus_kind {
        MBUS_NOTHING, /* no data, or a value the meter marks as not available */
        MBUS_INTEGER, /* integer × 10^scaler × factor */
        MBUS_REAL,
        MBUS_DATE, /* text, "2026-11-25" */
        MBUS_DATETIME,
        MBUS_TEXT,
        MBUS_BYTES, /* text: hexadecimal */
};

struct mbus_record {
        enum mbus_function function;
        uint64_t storage;
        uint32_t tariff, subunit;
        const char *quantity; /* static, "Energy"; maker's own words in @text_quantity */
        const char *unit;     /* static, "Wh"; NULL = none */
        int8_t scaler;        /* power of ten */
        int32_t factor;       /* seconds a unit of time has; else 1 */
        uint8_t vif, vife[MBUS_EXTENSIONS_MAX], n_vife, table; /* table: 0, 0xFB, 0xFD or 0xFF */
        enum mbus_kind kind;
        bool invalid; /* date the meter marks invalid, BCD digits that are none */
        int64_t integer;
        double real;
        char text[MBUS_VALUE_TEXT_MAX];
        char text_quantity[32];
        bool manufacturer;  /* DIF 0F: what follows is the maker's own */
        bool more;          /* DIF 1F: further records in the next telegram */
        const uint8_t *raw; /* the data as sent */
        size_t raw_len;
};

struct mbus_reader {
        const uint8_t *p;
        size_t n, at;
        bool fixed;
        unsigned counter; /* fixed structure: which of the two is next */
        uint8_t medium;
        bool binary;
};

void mbus_reader_init(struct mbus_reader *r, const struct mbus_telegram *t);
/* 1 and a record, 0 at the end, -MBUS_E_*. */
int mbus_next(struct mbus_reader *r, struct mbus_record *ret);
