#include "meter_fault.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "meter.h"

static void set(struct meter_fault *f, enum meter_stage stage, int exit, const char *advice)
{
        f->stage = stage;
        f->exit = exit;
        f->advice = advice;
}

const char *meter_stage_text(enum meter_stage stage)
{
        static const char *const texts[] = { "name",      "connection",  "optical sign-on",
                                             "HDLC link", "association", "request" };

        return texts[stage];
}

static const char *line_advice(int error)
{
        switch (error) {
        case -ENOENT:
                return "is the adapter plugged in? `ls /dev/ttyUSB* /dev/ttyACM*` lists them";
        case -EACCES:
                return "join the group that may use serial lines: sudo adduser $USER dialout, then "
                       "log in again";
        case -EBUSY:
                return "another program has the line open: end it first";
        case -ENOTTY:
                return "the path is no serial line";
        case -EINVAL:
                return "the adapter cannot do this baud rate: see --baud";
        default:
                return "check the adapter and its cable";
        }
}

static const char *tcp_advice(int error)
{
        switch (error) {
        case UV_ECONNREFUSED:
                return "something answers at this address, but not on this port: check the port "
                       "(4059 is usual), and whether the modem holds another connection";
        case UV_ETIMEDOUT:
                return "nothing answers: check the address, the SIM card and signal of the modem, "
                       "and firewalls on the way";
        case UV_EHOSTUNREACH:
        case UV_ENETUNREACH:
                return "this computer has no route to the address: check the network or VPN";
        case UV_EAI_NONAME:
        case UV_EAI_AGAIN:
        case UV_EAI_NODATA:
        case UV_EAI_FAIL:
                return "the name is not known: check its spelling and the name server";
        default:
                return "check the address and the network";
        }
}

static bool is_name_error(int error)
{
        return error == UV_EAI_NONAME || error == UV_EAI_AGAIN || error == UV_EAI_NODATA ||
               error == UV_EAI_FAIL;
}

void meter_fault_transport(struct meter_fault *f, const struct meter_options *o, int error)
{
        const struct meter_route *r = &o->route;

        f->refused = error == UV_ECONNREFUSED;
        f->timed_out = error == UV_ETIMEDOUT;
        if (r->serial) {
                set(f, METER_STAGE_CONNECT, METER_NO_ROUTE, line_advice(error));
                snprintf(f->what, sizeof f->what, "%s cannot be opened: %s", r->host,
                         strerror(-error));
                return;
        }
        set(f, is_name_error(error) ? METER_STAGE_NAME : METER_STAGE_CONNECT, METER_NO_ROUTE,
            tcp_advice(error));
        snprintf(f->what, sizeof f->what, "no connection to %s port %u: %s", r->host, r->port,
                 error ? uv_strerror(error) : "closed at once");
}

void meter_fault_sign_on(struct meter_fault *f, enum mode_e_error error, const char *identification)
{
        set(f, METER_STAGE_SIGN_ON,
            error == MODE_E_SILENT     ? METER_SILENT
            : error == MODE_E_ARGUMENT ? METER_USAGE
            : error == MODE_E_CLOSED   ? METER_NO_ROUTE
                                       : METER_BAD_ANSWER,
            error == MODE_E_SILENT
                    ? "turn the head (its cable usually points down); a battery meter needs "
                      "--wake-up"
            : error == MODE_E_NOT_OFFERED ? "read it by IEC 62056-21 mode C, or try --insist"
                                          : NULL);
        if (*identification)
                snprintf(f->what, sizeof f->what, "%s; it says \"%s\"", mode_e_error_text(error),
                         identification);
        else
                snprintf(f->what, sizeof f->what, "%s", mode_e_error_text(error));
}

/* Exit code and next step of each way a session ends. */
static void judge(struct meter_fault *f, unsigned error, const struct meter_options *o)
{
        switch (error) {
        case DLMS_E_TIMEOUT_CONNECT:
                set(f, METER_STAGE_LINK, METER_SILENT,
                    "try other HDLC addresses: --server 1 --physical 16 or 17, or the last four "
                    "digits of the serial number + 1000; `headrace scan` tries them; on a serial "
                    "line also check --baud");
                break;
        case DLMS_E_HDLC_REFUSED:
                set(f, METER_STAGE_LINK, METER_REFUSED,
                    "wait until the meter's other connection ends, or try another address");
                break;
        case DLMS_E_TIMEOUT_ASSOCIATE:
                set(f, METER_STAGE_ASSOCIATE, METER_SILENT,
                    "the connection stands but nobody at this client and server SAP answers: try "
                    "--client 1, --server 1, or `headrace scan`; a port that carries HDLC needs "
                    "hdlc://");
                break;
        case DLMS_E_TIMEOUT_HLS:
        case DLMS_E_TIMEOUT_REQUEST:
                set(f, error == DLMS_E_TIMEOUT_HLS ? METER_STAGE_ASSOCIATE : METER_STAGE_REQUEST,
                    METER_SILENT,
                    "the link is weak or the meter busy: try a longer --timeout; a meter that "
                    "falls silent when ciphered refuses the counter or the key");
                break;
        case DLMS_E_ENCRYPTION_KEY:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    "the encryption key (GUEK) is not this meter's: check the serial number "
                    "against the key list");
                break;
        case DLMS_E_AUTHENTICATION_KEY:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    "the encryption key fits, the authentication key (GAK) does not");
                break;
        case DLMS_E_HLS_REFUSED:
        case DLMS_E_HLS_REFUSED_SECRET:
        case DLMS_E_HLS_REFUSED_SIGNATURE:
        case DLMS_E_HLS_SERVER:
        case DLMS_E_HLS_SERVER_SECRET:
        case DLMS_E_HLS_SERVER_SIGNATURE:
        case DLMS_E_TAG:
        case DLMS_E_EXCEPTION_DECIPHERING:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    o->auth == DLMS_AUTH_GMAC || o->policy != DLMS_POLICY_NONE
                            ? "the keys do not fit this meter (or were changed): check GUEK and "
                              "GAK against the serial number"
                            : "the secret does not fit this meter");
                break;
        case DLMS_E_ASSOCIATION_AUTHENTICATION:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    "the password is not this client's: each client SAP has its own; after some "
                    "tries the meter may lock for a while");
                break;
        case DLMS_E_ASSOCIATION_REQUIRED:
        case DLMS_E_ASSOCIATION_MECHANISM:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    "this client must authenticate itself another way: try --auth lls or --auth "
                    "gmac, or the public client (--client 16 --auth none)");
                break;
        case DLMS_E_SUITE:
        case DLMS_E_NOT_SIGNED:
        case DLMS_E_NOT_CIPHERED:
        case DLMS_E_SECURITY:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    "the meter protects its messages another way: check --security and --suite");
                break;
        case DLMS_E_ASSOCIATION_CONTEXT:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    "try --security authenticated-encrypted, or none when it was given");
                break;
        case DLMS_E_ASSOCIATION_TITLE:
        case DLMS_E_ASSOCIATION_CALLING:
        case DLMS_E_ASSOCIATION_CALLED:
        case DLMS_E_RECIPIENT:
        case DLMS_E_TITLE:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    "check client_title and server_title in the key file");
                break;
        case DLMS_E_EXCEPTION_COUNTER:
        case DLMS_E_REPLAY:
        case DLMS_E_COUNTER_EXHAUSTED:
                set(f, METER_STAGE_ASSOCIATE, METER_COUNTER,
                    "the meter has seen a higher invocation counter than this tool's and does not "
                    "tell it: name its counter object with --counter OBIS");
                break;
        case DLMS_E_ASSOCIATION_CLOSED:
        case DLMS_E_TRANSPORT_CLOSED:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    "the meter or modem hangs up: it may be serving another connection, or nobody "
                    "has this client and server SAP (`headrace scan` tries them), or the port "
                    "carries HDLC instead of the wrapper or the other way round");
                break;
        case DLMS_E_WRAPPER_VERSION:
                set(f, METER_STAGE_ASSOCIATE, METER_BAD_ANSWER,
                    "this port does not speak the DLMS wrapper: try hdlc://");
                break;
        case DLMS_E_ASSOCIATION_REJECTED:
        case DLMS_E_ASSOCIATION_VERSION:
        case DLMS_E_ASSOCIATION_INITIATE:
        case DLMS_E_EXCEPTION_NOT_ALLOWED:
                set(f, METER_STAGE_ASSOCIATE, METER_REFUSED,
                    "check --client, --auth and --security against the meter's documents");
                break;
        default:
                set(f, METER_STAGE_REQUEST, METER_BAD_ANSWER,
                    "record the session (--record FILE) and look at it with `headrace replay`");
        }
}

void meter_fault_session(struct meter_fault *f, const struct meter_options *o,
                         const struct dlms_client *c, const struct dlms_event *ev, bool associated)
{
        judge(f, (unsigned)ev->error, o);
        if (associated) {
                f->stage = METER_STAGE_REQUEST;
                if (ev->error == DLMS_E_TRANSPORT_CLOSED)
                        set(f, METER_STAGE_REQUEST, METER_NO_ROUTE,
                            "the connection broke while the meter was read: try again; a modem "
                            "with a weak signal does this");
        }
        f->error = (unsigned)ev->error;
        f->counter = ev->counter;
        f->counter_used = dlms_client_ic(c);
        snprintf(f->what, sizeof f->what, "%s", dlms_error_text(f->error));
}

void meter_fault_settings(struct meter_fault *f, unsigned error)
{
        set(f, METER_STAGE_ASSOCIATE, METER_USAGE,
            "check --auth, --security, --suite and the keys against each other");
        snprintf(f->what, sizeof f->what, "%s", dlms_error_text(error));
}

void meter_fault_command(struct meter_fault *f, unsigned error)
{
        set(f, METER_STAGE_REQUEST,
            error == DLMS_E_COUNTER_EXHAUSTED ? METER_COUNTER : METER_FAILED, NULL);
        f->error = error;
        snprintf(f->what, sizeof f->what, "%s", dlms_error_text(error));
}

void meter_fault_counter_file(struct meter_fault *f, const char *path, int error)
{
        set(f, METER_STAGE_ASSOCIATE, METER_COUNTER,
            error == -EOVERFLOW ? "the counter has reached its end: the meter needs new keys"
                                : "give a file you may write with --counter-file");
        snprintf(f->what, sizeof f->what, "invocation counters in %.200s: %s", path,
                 error == -EBADMSG ? "this is no counter file" : strerror(-error));
}

void meter_fault_print(const struct meter_fault *f)
{
        fprintf(stderr, "headrace: %s: %s\n", meter_stage_text(f->stage), f->what);
        if (f->advice)
                fprintf(stderr, "  %s\n", f->advice);
}
