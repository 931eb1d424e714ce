# shellcheck shell=bash
# What an exercise stands on. It is a script of its own that sources this: it exits 0 when it
# passed, 77 when it can't be tried here (saying why), otherwise it failed.

set -euo pipefail

CONF_DIR="${CONF_DIR:-/etc/nova-lite}"
PREFIX="exercise-$$"

# shellcheck source=/dev/null
. "$CONF_DIR/openrc-demo"
ENDPOINT="${OS_AUTH_URL%/identity/v3}"
WORK="$(mktemp -d)"

skip() {
    printf '%s\n' "$*"
    exit 77
}

fail() {
    printf 'FAILED: %s\n' "$*"
    exit 1
}

# Whatever an exercise made goes, however it ended; everything is named after $PREFIX.
undo_all() {
    local id
    while read -r id; do nova-lite server delete --wait "$id" || true; done \
        < <(nova-lite server list -f value -c ID -c Name 2>/dev/null | sed -n "s/ $PREFIX.*//p")
    while read -r id; do nova-lite image delete "$id" || true; done \
        < <(nova-lite image list -f value -c ID -c Name 2>/dev/null | sed -n "s/ $PREFIX.*//p")
    while read -r id; do nova-lite keypair delete "$id" || true; done \
        < <(nova-lite keypair list -f value -c Name 2>/dev/null | grep "^$PREFIX" || true)
    rm -rf "$WORK"
}
trap undo_all EXIT

# expect WHAT WANTED GOT
expect() { [ "$2" = "$3" ] || fail "$1: expected $2, got $3"; }

server_field() { nova-lite server show -f value -c "$2" "$1"; }

# boot NAME IMAGE FLAVOR: boot a server on the network "private" and wait until it is ACTIVE.
boot() {
    nova-lite server create --image "$2" --flavor "$3" --network private --wait "$1"
    expect "status of $1" ACTIVE "$(server_field "$1" status)"
}

# delete NAME: delete a server, and see that it has gone.
delete() {
    nova-lite server delete --wait "$1"
    if nova-lite server show "$1" >/dev/null 2>&1; then fail "$1 is still there after its deletion"; fi
}

# The demo user's token, for requests that no client would make.
token() {
    curl -sS --noproxy '*' -D - -o /dev/null -H 'Content-Type: application/json' "$OS_AUTH_URL/auth/tokens" -d @- <<JSON |
{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "$OS_USERNAME",
 "domain": {"id": "default"}, "password": $(json_string "$OS_PASSWORD")}}},
 "scope": {"project": {"name": "$OS_PROJECT_NAME", "domain": {"id": "default"}}}}}
JSON
        tr -d '\r' | sed -n 's/^[Xx]-[Ss]ubject-[Tt]oken: //p'
}

json_string() { /usr/bin/python3 -c 'import json, sys; print(json.dumps(sys.argv[1]))' "$1"; }

# request METHOD PATH [CURL ARGUMENT…]: print the status; the body is left in $WORK/body.
request() {
    local method="$1" path="$2"
    shift 2
    curl -sS --noproxy '*' --max-time 60 -o "$WORK/body" -w '%{http_code}' -X "$method" \
        -H "X-Auth-Token: ${TOKEN:-}" "$ENDPOINT$path" "$@"
}
