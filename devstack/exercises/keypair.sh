#!/usr/bin/env bash
# Make a key pair, find it in the list, delete it.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/exercise.sh"

name="$PREFIX-key"
nova-lite keypair create "$name" >"$WORK/key"
grep -q 'PRIVATE KEY' "$WORK/key" || fail "no private key was given"
nova-lite keypair list -f value -c Name | grep -qx "$name" || fail "it is not in the list"
nova-lite keypair delete "$name"
if nova-lite keypair show "$name" >/dev/null 2>&1; then fail "it is still there after its deletion"; fi
