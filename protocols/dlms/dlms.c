#include "dlms.h"

static const struct {
        const char *name, *text;
} errors[DLMS_N_ERRORS] = {
#define XX(name, word, text) [DLMS_E_##name] = { #word, text },
        DLMS_ERROR_MAP(XX)
#undef XX
};

const char *dlms_error_text(unsigned error)
{
        return error < DLMS_N_ERRORS ? errors[error].text : "unknown error";
}

const char *dlms_error_name(unsigned error)
{
        return error < DLMS_N_ERRORS ? errors[error].name : "unknown";
}

const char *dlms_access_text(unsigned result)
{
        switch (result) {
        case DLMS_ACCESS_SUCCESS:
                return "success";
        case DLMS_ACCESS_HARDWARE_FAULT:
                return "hardware fault";
        case DLMS_ACCESS_TEMPORARY_FAILURE:
                return "temporary failure";
        case DLMS_ACCESS_READ_WRITE_DENIED:
                return "read-write denied";
        case DLMS_ACCESS_OBJECT_UNDEFINED:
                return "object undefined";
        case DLMS_ACCESS_OBJECT_CLASS_INCONSISTENT:
                return "object class inconsistent";
        case DLMS_ACCESS_OBJECT_UNAVAILABLE:
                return "object unavailable";
        case DLMS_ACCESS_TYPE_UNMATCHED:
                return "type unmatched";
        case DLMS_ACCESS_SCOPE_VIOLATED:
                return "scope of access violated";
        case DLMS_ACCESS_BLOCK_UNAVAILABLE:
                return "data block unavailable";
        case DLMS_ACCESS_LONG_GET_ABORTED:
                return "long get aborted";
        case DLMS_ACCESS_NO_LONG_GET:
                return "no long get in progress";
        case DLMS_ACCESS_LONG_SET_ABORTED:
                return "long set aborted";
        case DLMS_ACCESS_NO_LONG_SET:
                return "no long set in progress";
        case DLMS_ACCESS_DATA_BLOCK_NUMBER_INVALID:
                return "data block number invalid";
        case DLMS_ACCESS_OTHER:
                return "other reason";
        default:
                return "unknown result";
        }
}

const char *dlms_conformance_name(unsigned bit)
{
        static const char *const names[24] = {
                "reserved-zero",
                "general-protection",
                "general-block-transfer",
                "read",
                "write",
                "unconfirmed-write",
                "delta-value-encoding",
                "reserved-seven",
                "attribute0-supported-with-set",
                "priority-mgmt-supported",
                "attribute0-supported-with-get",
                "block-transfer-with-get-or-read",
                "block-transfer-with-set-or-write",
                "block-transfer-with-action",
                "multiple-references",
                "information-report",
                "data-notification",
                "access",
                "parameterized-access",
                "get",
                "set",
                "selective-access",
                "event-notification",
                "action",
        };

        return bit < 24 ? names[bit] : "";
}
