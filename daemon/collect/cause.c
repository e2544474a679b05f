#include "visit.h"

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
