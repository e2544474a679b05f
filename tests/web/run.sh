#!/bin/bash
# The console in a real browser, against the real API and plugins on the database of with-pg.sh.
# usage: with-pg.sh run.sh
set -euo pipefail
web=$HEADRACE_SOURCE/tests/web
command -v node >/dev/null || { echo "SKIP: node is not installed"; exit 77; }
[ -d "$web/node_modules" ] || { echo "SKIP: npm ci was not run in tests/web"; exit 77; }
[ -f "$HEADRACE_BUILD/console/index.html" ] || { echo "SKIP: the console is not built (./dev build)"; exit 77; }

plugins=()
for p in crm/customer crm/service billing/ledger billing/tariff billing/vee billing/billrun billing/billops billing/invoice billing/payment; do
        so=$HEADRACE_BUILD/$p/${p##*/}.so
        [ -f "$so" ] && plugins+=("$so")
done
out=$(mktemp)
"$HEADRACE_BUILD/tests/host-serve" --console "$HEADRACE_BUILD/console" "${plugins[@]}" >"$out" &
server=$!
trap 'kill $server 2>/dev/null || true; wait $server 2>/dev/null || true; rm -f "$out"' EXIT
for _ in $(seq 300); do
        grep -q '^ready ' "$out" && break
        kill -0 $server || { echo "the server did not start"; exit 1; }
        sleep 0.1
done
base=$(sed -n 's/^ready //p' "$out")
psql -q -U headrace headrace -c \
        "insert into mdm.meter_model (model, protocol, profile) values ('TEST-DLMS', 'dlms', '{}') on conflict do nothing"
node "$web/seed.mjs" "$base" admin headrace-demo town
psql -q -U headrace headrace -v ON_ERROR_STOP=1 -f "$web/readings.sql" >/dev/null
[ -f "$HEADRACE_BUILD/billing/payment/payment.so" ] && node "$web/seed.mjs" "$base" admin headrace-demo bills
node "$web/console.mjs" "$base" admin headrace-demo "$HEADRACE_BUILD/screenshots/console"
