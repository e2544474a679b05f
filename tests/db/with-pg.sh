#!/bin/bash
# Runs a command against a private, empty PostgreSQL on a unix socket and removes it afterwards.
# usage: with-pg.sh COMMAND [ARG...]      the command sees HEADRACE_TEST_DB (a libpq connection string
# of the non-superuser role "headrace", owner of the database "headrace") and PGHOST.
set -eu
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -x "$bin/initdb" ] || { echo "SKIP: PostgreSQL is not installed"; exit 77; }
dir=$(mktemp -d /tmp/hrpg.XXXXXX)
# PostgreSQL refuses to run as root: an unprivileged owner is used then.
if [ "$(id -u)" = 0 ]; then
        chown nobody "$dir"
        as() { setpriv --reuid=nobody --regid=nogroup --clear-groups "$@"; }
else
        as() { "$@"; }
fi
stop() {
        as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
        rm -rf "$dir"
}
trap stop EXIT INT TERM
cd "$dir"
as "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/initdb.log" 2>&1 ||
        { cat "$dir/initdb.log"; exit 1; }
as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" -o "-c listen_addresses= -c unix_socket_directories=$dir \
 -c fsync=off -c max_connections=60 -c shared_buffers=64MB -c timezone=UTC" start >/dev/null ||
        { cat "$dir/log"; exit 1; }
psql -q -h "$dir" -U postgres -c "create role headrace login" -c "create database headrace owner headrace" \
        -c "\c headrace" -c "create extension btree_gist" -c "create extension pg_trgm" postgres
cd "$OLDPWD"
export PGHOST=$dir HEADRACE_TEST_DB="host=$dir user=headrace dbname=headrace" HEADRACE_TEST_PG_DIR=$dir
set +e
"$@"
rc=$?
[ $rc -eq 0 ] || [ $rc -eq 77 ] || tail -20 "$dir/log" >&2
exit $rc
