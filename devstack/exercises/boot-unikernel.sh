#!/usr/bin/env bash
# Boot a unikernel, look at it, delete it.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/exercise.sh"

boot "$PREFIX-unikernel" hello-unikernel u1.nano
[ -n "$(server_field "$PREFIX-unikernel" addresses)" ] || fail "it has no address"
delete "$PREFIX-unikernel"
