#!/usr/bin/env bash
# What is wrong is refused with the status that OpenStack gives, and leaves nothing half-made.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/exercise.sh"

json=(-H 'Content-Type: application/json')
login='{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "nobody-here",
 "domain": {"id": "default"}, "password": "not the password"}}}}}'
expect "login of an unknown user" 401 "$(request POST /identity/v3/auth/tokens "${json[@]}" -d "$login")"
expect "no token" 401 "$(request GET /compute/v2.1/servers)"

TOKEN="$(token)"
[ -n "$TOKEN" ] || fail "the demo user can't log in"
network="$(nova-lite network list -f value -c ID -c Name | sed -n 's/ private$//p')"
image="$(nova-lite image list -f value -c ID -c Name | sed -n 's/ hello-unikernel$//p')"
flavor="$(nova-lite flavor list -f value -c ID -c Name | sed -n 's/ u1.nano$//p')"
server() { printf '{"server": {"name": "%s", "imageRef": "%s", "flavorRef": "%s", "networks": [{"uuid": "%s"}]%s}}' "$@"; }

expect "unknown flavor" 400 \
    "$(request POST /compute/v2.1/servers "${json[@]}" -d "$(server "$PREFIX-x" "$image" no-such-flavor "$network" '')")"
long="$(printf 'n%.0s' $(seq 300))"
expect "name of 300 characters" 400 \
    "$(request POST /compute/v2.1/servers "${json[@]}" -d "$(server "$long" "$image" "$flavor" "$network" '')")"
expect "unknown member" 400 \
    "$(request POST /compute/v2.1/servers "${json[@]}" -d "$(server "$PREFIX-x" "$image" "$flavor" "$network" ', "host_claim": 1')")"
expect "JSON that is none" 400 "$(request POST /compute/v2.1/servers "${json[@]}" -d '{"server": ')"
expect "unknown server" 404 "$(request GET /compute/v2.1/servers/00000000-0000-0000-0000-000000000000)"

# A raw file that says of itself that it is a qcow2.
head -c 100000 /dev/zero >"$WORK/not-qcow2"
if nova-lite image create --file "$WORK/not-qcow2" --disk-format qcow2 --container-format bare "$PREFIX-image"; then
    fail "an image that is no qcow2 was taken for one"
fi
expect "servers left behind" 0 "$(nova-lite server list -f value -c Name | grep -c "^$PREFIX" || true)"
