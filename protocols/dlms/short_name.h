#pragma once

/*
 * Short-name referencing, for reading (Green Book 9.3.14, 9.5 ReadRequest, ReadResponse; Blue Book
 * 4.4.3 Association SN). Attribute @i of an object lies 8 × (i - 1) behind its base name; the
 * association's object list says who has which base name. Pure; what is decoded is borrowed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "axdr.h"
#include "dlms.h"

enum { SN_ASSOCIATION = 0xFA00, SN_ATTRIBUTE_STEP = 8, SN_REPLY_TO_HLS = SN_ASSOCIATION + 0x58 };

/* ---- objects ---- */

struct sn_object {
        uint16_t base; /* as unsigned: FA00 is sent as a negative number */
        uint16_t class_id;
        uint8_t version;
        struct obis obis;
};

/* Attribute 2 of the association: *@ret_n objects into @out. 0, DLMS_E_TYPE, DLMS_E_TOO_LONG when
 * there are more than @cap, or as axdr. */
int sn_objects_decode(const uint8_t *data, size_t n, struct sn_object *out, size_t cap,
                      size_t *ret_n);
/* Name of an attribute; false when no such object is in the list. */
bool sn_name_of(const struct sn_object *objects, size_t n, const struct dlms_attr *attr,
                uint16_t *ret);
/* The other way; false when the name is of no attribute of these objects. */
bool sn_attr_of(const struct sn_object *objects, size_t n, uint16_t name, struct dlms_attr *ret);

/* ---- requests ---- */

/* Variable-Access-Specification. */
enum sn_access { SN_VARIABLE = 2, SN_PARAMETERISED = 4, SN_BLOCK_NUMBER = 5 };

struct sn_spec {
        enum sn_access access;
        uint16_t name;                   /* of VARIABLE and PARAMETERISED */
        struct dlms_selection selection; /* PARAMETERISED */
        uint16_t block;                  /* BLOCK_NUMBER: the one acknowledged */
};

struct sn_read {
        size_t count;
        const uint8_t *specs;
        size_t n;
};

/* 0, DLMS_E_APDU (also: write blocks, which this core does not know), or as axdr. */
int sn_read_decode(const uint8_t *p, size_t n, struct sn_read *ret);
bool sn_spec_next(struct axdr_reader *r, struct sn_spec *ret);
void sn_put_read(struct axdr_writer *w, size_t count);
void sn_put_spec(struct axdr_writer *w, const struct sn_spec *s);

/* ---- responses ---- */

enum sn_choice { SN_DATA = 0, SN_ERROR = 1, SN_DATA_BLOCK = 2, SN_NEXT = 3 };

struct sn_result {
        enum sn_choice choice;
        uint8_t error;       /* ERROR: enum dlms_access_result */
        const uint8_t *data; /* DATA: one A-XDR value; DATA_BLOCK: raw */
        size_t n;
        bool last;      /* DATA_BLOCK */
        uint16_t block; /* DATA_BLOCK, NEXT */
};

struct sn_response {
        size_t count;
        const uint8_t *results;
        size_t n;
};

int sn_response_decode(const uint8_t *p, size_t n, struct sn_response *ret);
/* The same without its tag: how joined blocks look. */
int sn_results_decode(const uint8_t *p, size_t n, struct sn_response *ret);
bool sn_result_next(struct axdr_reader *r, struct sn_result *ret);
void sn_put_response(struct axdr_writer *w, size_t count);
void sn_put_result(struct axdr_writer *w, const struct sn_result *s);
