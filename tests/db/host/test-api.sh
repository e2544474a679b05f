#!/bin/bash
# The API as strangers use it: curl and raw sockets against a served host. Run under with-pg.sh.
# usage: test-api.sh HOST-SERVE
set -u
serve=$1
dir=$(mktemp -d /tmp/hrapi.XXXXXX)
failed=0
passed=0
mkdir -p "$dir/console/assets"
echo '<h1>console</h1>' >"$dir/console/index.html"
echo 'let x = 1' >"$dir/console/assets/app-0a1b2c3d4e.js"
echo 'let x = 1' | gzip -9 >"$dir/console/assets/app-0a1b2c3d4e.js.gz"
echo 'hidden' >"$dir/console/.htpasswd"
echo 'outside' >"$dir/secret.txt"
ln -s ../secret.txt "$dir/console/link.txt"

"$serve" --console "$dir/console" --socket "$dir/api.sock" tests/db/host/plug.so >"$dir/out" 2>"$dir/err" &
pid=$!
trap 'kill $pid 2>/dev/null; rm -rf "$dir"' EXIT
for _ in $(seq 100); do grep -q ^ready "$dir/out" && break; sleep 0.1; done
url=$(sed -n 's/^ready //p' "$dir/out")
port=${url##*:}
[ -n "$port" ] || { cat "$dir/out" "$dir/err"; exit 1; }

ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); echo "FAILED: $*"; }
# expect NAME STATUS TEXT curl-arguments...: status and a piece of header or body
expect() {
        local name=$1 status=$2 text=$3 got
        shift 3
        got=$(curl -s -i -m 20 "$@" | tr -d '\r')
        if [[ $(head -1 <<<"$got") == "HTTP/1.1 $status"* && $got == *"$text"* ]]; then ok
        else bad "$name: wanted $status with '$text', got: $got"; fi
}
json='content-type: application/json'

expect "console" 200 "<h1>console</h1>" "$url/"
expect "console's own routes" 200 "<h1>console</h1>" "$url/customers/7"
expect "hashed file is kept" 200 "immutable" "$url/assets/app-0a1b2c3d4e.js"
expect "compressed file" 200 "content-encoding: gzip" --compressed "$url/assets/app-0a1b2c3d4e.js"
expect "policy" 200 "content-security-policy: default-src 'none'" "$url/"
etag=$(curl -s -i "$url/" | tr -d '\r' | sed -n 's/^etag: //p')
expect "unchanged file" 304 "" -H "if-none-match: $etag" "$url/"
for path in /../secret.txt /%2e%2e/secret.txt /..%2fsecret.txt /assets/../../secret.txt \
            /assets/%2e%2e/%2e%2e/secret.txt //secret.txt /.htpasswd /link.txt '/assets\..\..\secret.txt' \
            /%00 /assets/; do
        got=$(curl -s -m 10 --path-as-is "$url$path")
        if [[ $got == *outside* || $got == *hidden* ]]; then bad "traversal: $path gave $got"; else ok; fi
done
expect "writing a page" 405 method_not_allowed -X POST -d x=1 "$url/"

expect "no login" 401 '"code":"unauthenticated"' "$url/v1/plug"
expect "no login tells how" 401 'www-authenticate: Bearer' "$url/v1/plug"
expect "wrong token" 401 '"code":"bad_token"' -H "authorization: Bearer hr_0" "$url/v1/plug"
expect "wrong password" 401 '"code":"login_refused"' -H "$json" -d '{"user":"admin","password":"x"}' "$url/v1/login"
token=$(curl -s -H "$json" -d '{"user":"admin","password":"headrace-demo"}' "$url/v1/login" |
        sed 's/.*"token": *"\([^"]*\)".*/\1/')
auth="authorization: Bearer $token"
expect "with token" 200 '"user":"admin"' -H "$auth" "$url/v1/me"
expect "branch" 201 '"branch_id":1' -H "$auth" -H "$json" -d '{"code":"HN","name":"Hà Nội","currency":"VND","minor_digits":0}' "$url/v1/branches"
expect "branch's name is kept" 200 'Hà Nội' -H "$auth" "$url/v1/branches"
expect "item" 201 '"item_id":1' -H "$auth" -H "$json" -d '{"branch_id":1,"name":"one"}' "$url/v1/plug"

expect "unknown route" 404 '"code":"unknown_route"' -H "$auth" "$url/v1/nothing"
expect "wrong method" 405 'allow: POST, GET' -X DELETE -H "$auth" "$url/v1/plug"
expect "unknown parameter" 422 'is limit meant?' -H "$auth" "$url/v1/jobs?limt=1"
expect "parameter out of range" 422 '"param":"limit"' -H "$auth" "$url/v1/jobs?limit=100000"
expect "parameter of another type" 422 'must be a whole number' -H "$auth" "$url/v1/jobs/abc"
expect "request id" 422 '"request_id":"' -H "$auth" "$url/v1/jobs/abc"
expect "malformed JSON" 400 '"code":"malformed_json"' -H "$auth" -H "$json" -d '{"branch_id":1,' "$url/v1/plug"
expect "duplicate member" 400 'duplicate object key' -H "$auth" -H "$json" -d '{"name":"a","name":"b"}' "$url/v1/plug"
expect "number beyond 64 bits" 400 'too big integer' -H "$auth" -H "$json" -d '{"branch_id":99999999999999999999,"name":"b"}' "$url/v1/plug"
expect "no UTF-8" 400 'malformed_json' -H "$auth" -H "$json" --data-binary $'{"branch_id":1,"name":"\xff"}' "$url/v1/plug"
expect "NUL in text" 400 'malformed_json' -H "$auth" -H "$json" -d '{"branch_id":1,"name":"a\u0000b"}' "$url/v1/plug"
expect "missing parameter" 422 'name is missing' -H "$auth" -H "$json" -d '{"branch_id":1}' "$url/v1/plug"
expect "deep JSON" 400 'malformed_json' -H "$auth" -H "$json" -d "$(printf '[%.0s' $(seq 5000))" "$url/v1/plug"
expect "form instead of JSON" 415 'application/json' -H "$auth" -d 'name=a' "$url/v1/plug"
expect "chunked" 501 'Content-Length' -H "$auth" -H "$json" -H 'transfer-encoding: chunked' -d '{}' "$url/v1/plug"
head -c 10000000 /dev/zero | tr '\0' ' ' >"$dir/big"
expect "10 MB body" 413 'larger than the 1048576 bytes' -H "$auth" -H "$json" --data-binary "@$dir/big" "$url/v1/plug"
expect "10 MB body at once" 413 'larger than the 1048576 bytes' -H 'expect:' -H "$auth" -H "$json" --data-binary "@$dir/big" "$url/v1/plug"
expect "10 MB import" 404 'unknown_route' -H "$auth" -H "$json" --data-binary "@$dir/big" "$url/v1/nothing/import"
expect "POST without a body" 404 'unknown_job' -X POST -H "$auth" "$url/v1/jobs/77/cancel"
expect "blank and plus in a query" 422 "must be one of" -H "$auth" "$url/v1/jobs?status=a+b%2Bc"

# The same key does it once.
for _ in 1 2 3; do
        expect "idempotency" 201 '"name":"two"' -H "$auth" -H "$json" -H 'idempotency-key: k1' -d '{"branch_id":1,"name":"two"}' "$url/v1/plug"
done
expect "another body under the key" 422 'idempotency_key_reused' -H "$auth" -H "$json" -H 'idempotency-key: k1' -d '{"branch_id":1,"name":"three"}' "$url/v1/plug"
expect "all of it" 200 '"names":"one,two"' -H "$auth" "$url/v1/plug"

# A session cookie, and what a foreign page could do with it.
cookie=$(curl -s -i -H "$json" -d '{"user":"admin","password":"headrace-demo","cookie":true}' "$url/v1/login" | tr -d '\r')
[[ $cookie == *"HttpOnly; SameSite=Strict"* && $cookie != *'"token"'* ]] && ok || bad "cookie: $cookie"
cookie=$(sed -n 's/^set-cookie: \([^;]*\);.*/\1/p' <<<"$cookie")
expect "cookie reads" 200 '"user":"admin"' -b "$cookie" "$url/v1/me"
expect "cookie write without origin" 403 'forged_request' -b "$cookie" -H "$json" -d '{"branch_id":1,"name":"x1"}' "$url/v1/plug"
expect "cookie write from elsewhere" 403 'forged_request' -b "$cookie" -H 'origin: http://evil.example' -H 'x-headrace: 1' -H "$json" -d '{"branch_id":1,"name":"x1"}' "$url/v1/plug"
expect "cookie write from here" 201 'x2' -b "$cookie" -H "origin: $url" -H "$json" -d '{"branch_id":1,"name":"x2"}' "$url/v1/plug"
expect "logout" 200 'Max-Age=0' -X POST -b "$cookie" -H 'x-headrace: 1' "$url/v1/logout"
expect "after logout" 401 'bad_token' -b "$cookie" "$url/v1/me"

expect "unix socket: the superuser's or the daemon's own" 200 '"user":"local"' --unix-socket "$dir/api.sock" http://x/v1/me
if [ "$(id -u)" = 0 ]; then
        chmod 755 "$dir"
        got=$(setpriv --reuid=nobody --regid=nogroup --clear-groups curl -s --unix-socket "$dir/api.sock" http://x/v1/me)
        [[ $got == *unauthenticated* ]] && ok || bad "unix socket: somebody else got $got"
fi
expect "metrics" 200 'headrace_operations_total{operation="plug.create",result="ok"}' "$url/metrics"
expect "operations" 200 '"cli":"plug create NAME"' "$url/v1/operations"
curl -s "$url/v1/openapi.json" | python3 -c 'import json,sys; d = json.load(sys.stdin); assert d["openapi"] == "3.1.0" and "/v1/plug" in d["paths"]' &&
        ok || bad "openapi"

# Events as they come, and from a number on.
curl -s -N -m 4 -H "$auth" -H 'accept: text/event-stream' "$url/v1/events" >"$dir/live" &
live=$!
sleep 1
curl -s -o "$dir/null" -H "$auth" -H "$json" -d '{"branch_id":1,"name":"live"}' "$url/v1/plug"
wait $live
[[ $(cat "$dir/live") == *'event: plug.created'*'"key":"live"'* && $(cat "$dir/live") != *'"key":"one"'* ]] && ok || bad "live events: $(cat "$dir/live")"
curl -s -N -m 2 -H "$auth" -H 'accept: text/event-stream' -H 'last-event-id: 0' "$url/v1/events" >"$dir/all"
[[ $(grep -c '^event: plug.created' "$dir/all") = 4 ]] && ok || bad "events from 0: $(cat "$dir/all")"
expect "events without login" 401 unauthenticated -H 'accept: text/event-stream' "$url/v1/events"

# Raw: floods, smuggling, half requests. Each costs only itself.
raw() { # raw NAME BYTES: sends, then waits for the server to close; prints what came
        timeout "${raw_timeout:-12}" bash -c "exec 3<>/dev/tcp/127.0.0.1/$port; printf '$1' >&3; cat <&3" 2>/dev/null
}
flood=$(printf 'X-Flood-%d: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\\r\\n' $(seq 1000))
got=$(raw "GET /v1/me HTTP/1.1\r\nHost: x\r\n$flood\r\n")
[[ $got != *"HTTP/1.1 200"* ]] && ok || bad "header flood: $got"
got=$(raw "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/operations HTTP/1.1\r\nHost: x\r\n\r\n")
[[ $(grep -c '^HTTP/1.1' <<<"$got") -le 1 && $got != *"HTTP/1.1 200"* ]] && ok || bad "smuggling: $got"
got=$(raw "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n")
[[ $got != *"HTTP/1.1 200"* ]] && ok || bad "negative length: $got"
got=$(raw "GET /v1/me HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
[[ $got != *" 101 "* ]] && ok || bad "websocket: $got"
got=$(raw "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
[[ $got != *"HTTP/1.1 200"* ]] && ok || bad "HTTP/2: $got"
# The daemon lets go of them by itself, long before our own patience ends.
raw_timeout=40
begun=$SECONDS
raw "POST /v1/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{" >"$dir/null" &
raw "GET /v1/me HTT" >"$dir/null" &
slow="$! $(jobs -p)"
expect "others while somebody is slow" 200 '"user":"admin"' -H "$auth" "$url/v1/me"
for p in $(jobs -p); do [ "$p" = "$pid" ] || wait "$p"; done
[ $((SECONDS - begun)) -lt 35 ] && ok || bad "slow senders were kept for $((SECONDS - begun)) s"
expect "still there" 200 '"user":"admin"' -H "$auth" "$url/v1/me"

# The database goes away and comes back.
if [ -n "${HEADRACE_TEST_PG_DIR:-}" ]; then
        bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -1)
        pg() {
                if [ "$(id -u)" = 0 ]; then
                        (cd / && setpriv --reuid=nobody --regid=nogroup --clear-groups "$bin/pg_ctl" -D "$HEADRACE_TEST_PG_DIR/data" "$@")
                else
                        "$bin/pg_ctl" -D "$HEADRACE_TEST_PG_DIR/data" "$@"
                fi >"$dir/null" 2>&1
        }
        pg -m immediate -w stop
        expect "database away" 503 'database_away' -H "$auth" "$url/v1/plug"
        expect "database away: when to come back" 503 'retry-after' -H "$auth" "$url/v1/plug"
        expect "database away: status says so" 200 '"database":{"state":"failed"' --unix-socket "$dir/api.sock" http://x/v1/status
        expect "database away: metrics" 200 'headrace_component_up{component="database"} 0' "$url/metrics"
        expect "database away: console" 200 '<h1>console</h1>' "$url/"
        pg -w -l "$HEADRACE_TEST_PG_DIR/log" -o "-c listen_addresses= -c unix_socket_directories=$HEADRACE_TEST_PG_DIR -c fsync=off -c max_connections=60" start
        expect "database back" 200 '"names":"live,one,two,x2"' -H "$auth" "$url/v1/plug"
        expect "database back: writes" 201 'back' -H "$auth" -H "$json" -d '{"branch_id":1,"name":"back"}' "$url/v1/plug"
fi

kill -TERM $pid
wait $pid
rc=$?
[ $rc = 0 ] && ok || { bad "ended with $rc"; cat "$dir/err"; }
grep -q "ERROR: AddressSanitizer\|runtime error" "$dir/err" && { bad sanitizer; cat "$dir/err"; }

# The same over TLS.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -keyout "$dir/key.pem" -out "$dir/cert.pem" >"$dir/null" 2>&1
"$serve" --tls "$dir/cert.pem" "$dir/key.pem" tests/db/host/plug.so >"$dir/out" 2>"$dir/err" &
pid=$!
for _ in $(seq 100); do grep -q ^ready "$dir/out" && break; sleep 0.1; done
url=$(sed -n 's/^ready //p' "$dir/out")
expect "TLS" 401 'strict-transport-security' -k "$url/v1/me"
expect "TLS, cookie" 200 'SameSite=Strict; Max-Age=43200; Secure' -k -H "$json" -d '{"user":"admin","password":"headrace-demo","cookie":true}' "$url/v1/login"
got=$(curl -s -k --http2 -o "$dir/null" -w '%{http_version}' "$url/v1/me")
[ "$got" = 1.1 ] && ok || bad "HTTP/2 was taken up: $got"
curl -s -k --tls-max 1.1 -m 5 -o "$dir/null" "$url/v1/me" && bad "TLS 1.1 was accepted" || ok
got=$(timeout 5 curl -s -m 4 "http${url#https}/v1/me")
[[ $got != *unauthenticated* ]] && ok || bad "plain HTTP on the TLS port: $got"
kill -TERM $pid
wait $pid
rc=$?
[ $rc = 0 ] && ok || { bad "ended with $rc"; cat "$dir/err"; }

echo "$passed passed, $failed failed"
[ $failed = 0 ]
