#include "collect.h"
#include "forward.h"

static const struct config_key mqtt_keys[] = {
        { "host", CONFIG_TEXT, NULL, "Broker; unset: no MQTT", NULL, 0, 0 },
        { "port", CONFIG_INT, "1883", "Its port", NULL, 1, 65535 },
        { "client_id", CONFIG_TEXT, "headrace-collect",
          "Fixed name of this daemon in the broker: its session keeps messages while it is away",
          NULL, 0, 0 },
        { "user", CONFIG_TEXT, NULL, "Login at the broker", NULL, 0, 0 },
        { "password", CONFIG_SECRET, NULL, "Password at the broker", NULL, 0, 0 },
        { "ca_file", CONFIG_PATH, NULL, "Certificates to trust; set: TLS", NULL, 0, 0 },
        { "cert_file", CONFIG_PATH, NULL, "Own certificate", NULL, 0, 0 },
        { "key_file", CONFIG_PATH, NULL, "Its key", NULL, 0, 0 },
        { "topic", CONFIG_TEXT, "headrace/v1/+/telemetry",
          "Filter of meters' messages; the third level names the meter. With $share/GROUP/ before "
          "it several "
          "daemons share the load",
          NULL, 0, 0 },
        { "concentrators", CONFIG_TEXT, "headrace/v1/up/+", "Filter of what concentrators forward",
          NULL, 0, 0 },
        { "batch", CONFIG_INT, "2000",
          "Messages held unacknowledged at most until they are on disk", NULL, 1, 60000 },
        { 0 },
};

static const struct config_key coap_keys[] = {
        { "enabled", CONFIG_BOOL, "no", "Listen for CoAP over DTLS", NULL, 0, 0 },
        { "address", CONFIG_TEXT, "::", "Address to listen on", NULL, 0, 0 },
        { "port", CONFIG_INT, "5684", "UDP port", NULL, 1, 65535 },
        { "path", CONFIG_TEXT, "v1/telemetry", "Resource meters post to", NULL, 0, 0 },
        { "max_sessions", CONFIG_INT, "2000", "Idle DTLS sessions kept", NULL, 1, 100000 },
        { "session_timeout", CONFIG_DURATION, "5m", "Idle time before a session is dropped", NULL,
          1000, 86400000 },
        { 0 },
};

static const struct config_key push_keys[] = {
        { "tcp_port", CONFIG_INT, "0", "Listen for DLMS pushes over TCP; 0 = no", NULL, 0, 65535 },
        { "udp_port", CONFIG_INT, "0", "Listen for DLMS pushes over UDP; 0 = no", NULL, 0, 65535 },
        { "address", CONFIG_TEXT, "::", "Address to listen on", NULL, 0, 0 },
        { "max_connections", CONFIG_INT, "2000", "TCP connections at once", NULL, 1, 100000 },
        { 0 },
};

static const struct config_key sweep_keys[] = {
        { "enabled", CONFIG_BOOL, "yes", "Visit polled meters", NULL, 0, 0 },
        { "period", CONFIG_DURATION, "15m", "Time between two visits of a meter", NULL, 1000,
          86400000 },
        { "jitter", CONFIG_DURATION, "1m", "Visits are spread over so long", NULL, 0, 86400000 },
        { "max_visits", CONFIG_INT, "100", "Meters visited at once", NULL, 1, 5000 },
        { "on_demand", CONFIG_INT, "10", "Further places for reads a person waits for", NULL, 1,
          1000 },
        { "per_link", CONFIG_INT, "4", "Visits at once on one host and port", NULL, 1, 1000 },
        { "per_cell", CONFIG_INT, "0",
          "Visits at once in one cell (a meter's address names it); 0 = no limit", NULL, 0, 100000 },
        { "retry_min", CONFIG_DURATION, "30s", "First wait after a failure, doubled each time",
          NULL, 100, 86400000 },
        { "retry_max", CONFIG_DURATION, "30m", "Longest wait after a failure", NULL, 100,
          86400000 },
        { "back", CONFIG_DURATION, "7d", "How far back a meter of which nothing is stored is read",
          NULL, 0, INT64_C(400) * 86400000 },
        { "connect_timeout", CONFIG_DURATION, "10s", "For a connection", NULL, 100, 600000 },
        { 0 },
};

static const struct config_key dlms_keys[] = {
        { "system_title", CONFIG_TEXT, "4852430000000001",
          "Our system title, 16 hexadecimal digits; unique for each daemon that holds the same "
          "keys",
          NULL, 0, 0 },
        { "answer_timeout", CONFIG_DURATION, "5s", "For one answer of a meter", NULL, 100, 600000 },
        { 0 },
};

static const struct config_key clock_keys[] = {
        { "policy", CONFIG_TEXT, "record",
          "What is done by itself about a meter's clock that is off: record, shift, set", NULL, 0,
          0 },
        { "tolerance", CONFIG_DURATION, "10s", "A clock off by less is left alone", NULL, 1000,
          3600000 },
        { "shift_limit", CONFIG_DURATION, "60s", "Up to it a clock is shifted, beyond it set", NULL,
          0, 900000 },
        { 0 },
};

static const struct config_key command_keys[] = {
        { "disconnects_per_hour", CONFIG_INT, "20",
          "Disconnections this process sends at most in an hour; 0 = none at all", NULL, 0,
          1000000 },
        { "disconnects_per_day", CONFIG_INT, "100", "And in a day", NULL, 0, 1000000 },
        { 0 },
};

const struct config_section collect_config[] = {
        { "mqtt", "Telemetry from an MQTT broker", mqtt_keys },
        { "coap", "Telemetry over CoAP with DTLS pre-shared keys", coap_keys },
        { "push", "DLMS meters that connect to us", push_keys },
        { "sweep", "Schedule of polled meters", sweep_keys },
        { "dlms", "DLMS/COSEM sessions", dlms_keys },
        { "clock", "Drift of meters' clocks", clock_keys },
        { "commands", "Limits on commands to meters", command_keys },
        { "upstream", "Where a concentrator sends what it collects", forward_keys },
        { NULL, NULL, NULL },
};
