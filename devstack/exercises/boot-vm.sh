#!/usr/bin/env bash
# Boot a vm, look at it, delete it.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/exercise.sh"

boot "$PREFIX-vm" tiny m1.nano
[ -n "$(server_field "$PREFIX-vm" addresses)" ] || fail "it has no address"
delete "$PREFIX-vm"
