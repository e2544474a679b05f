#include "visit.h"

#include <string.h>

const char *visit_cause_name(enum visit_cause cause)
{
        static const char *const names[] = {
#define XX(name, word, text) #word,
                VISIT_CAUSE_MAP(XX)
#undef XX
        };

        return (unsigned)cause < VISIT_N_CAUSES ? names[cause] : "?";
}

const char *visit_cause_text(enum visit_cause cause)
{
        static const char *const texts[] = {
#define XX(name, word, text) text,
                VISIT_CAUSE_MAP(XX)
#undef XX
        };

        return (unsigned)cause < VISIT_N_CAUSES ? texts[cause] : "?";
}

const char *visit_cause_next(const char *name)
{
        static const struct {
                const char *name, *next;
        } steps[] = {
                { "not_tried", "Nothing: its turn in the schedule comes" },
                { "no_route",
                  "Check coverage and power of the modem, then the address and the way to it: "
                  "SIM, APN, tunnel" },
                { "connection_refused",
                  "The modem or gateway is there: check port and that the meter's service runs" },
                { "link_down",
                  "Mend the gateway or concentrator: its meters follow by themselves" },
                { "timeout", "Check coverage; with many retries raise [dlms] answer_timeout" },
                { "connection_lost", "Check coverage and whether another system holds the meter" },
                { "unknown_sap", "Correct client_sap, server_sap or physical in its address" },
                { "wrong_encryption_key", "Import the encryption key (guek) of this meter anew" },
                { "wrong_authentication_key",
                  "Import the authentication key (gak) of this meter anew" },
                { "wrong_key",
                  "Import this meter's keys anew; compare them with the maker's file" },
                { "counter",
                  "Another system uses the same keys, or its counter ran ahead: change the keys" },
                { "wrong_title", "The meter was exchanged, or the address is another's: check on "
                                 "site, correct the registry" },
                { "not_associated",
                  "Check auth, security and client_sap against the meter's model" },
                { "wrong_password", "Import the meter's password (lls) anew" },
                { "object", "Compare the meter's firmware with its model; correct the model" },
                { "profile_changed", "Compare capture objects and units with the model" },
                { "clock_doubtful", "Set the meter's clock (command clock), then read again" },
                { "no_data", "The meter lost the period, or has not measured: check on site" },
                { "bad_frame", "Record a session and decode it; check framing and firmware" },
                { "registry", "Complete address, model or keys of the meter in the registry" },
                { "ours", "Look at the daemon's health: disk, memory, database" },
                { "read", "" },
        };

        for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
                if (strcmp(steps[i].name, name) == 0)
                        return steps[i].next;
        return "";
}

bool visit_cause_is_link(enum visit_cause cause)
{
        return cause == VISIT_UNKNOWN_HOST || cause == VISIT_NO_ROUTE || cause == VISIT_REFUSED ||
               cause == VISIT_CONNECT_TIMEOUT;
}

enum visit_cause visit_cause_of_transport(int error, bool connected)
{
        if (connected)
                return error == UV_ETIMEDOUT ? VISIT_TIMEOUT : VISIT_LOST;
        switch (error) {
        case UV_ECONNREFUSED:
                return VISIT_REFUSED;
        case UV_ETIMEDOUT:
                return VISIT_CONNECT_TIMEOUT;
        case UV_EAI_NONAME:
        case UV_EAI_AGAIN:
        case UV_EAI_FAIL:
        case UV_EAI_NODATA:
                return VISIT_UNKNOWN_HOST;
        default:
                return VISIT_NO_ROUTE;
        }
}
