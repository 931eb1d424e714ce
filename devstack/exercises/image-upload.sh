#!/usr/bin/env bash
# Upload an image, get the same bytes back, delete it.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/exercise.sh"

name="$PREFIX-image"
head -c 3000000 /dev/zero >"$WORK/disk"
nova-lite image create --file "$WORK/disk" --disk-format raw --container-format bare "$name"
expect "status" active "$(nova-lite image show -f value -c status "$name")"
nova-lite image save --file "$WORK/back" "$name"
cmp "$WORK/disk" "$WORK/back" || fail "other bytes came back"
nova-lite image delete "$name"
if nova-lite image show "$name" >/dev/null 2>&1; then fail "it is still there after its deletion"; fi
