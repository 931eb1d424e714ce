#!/usr/bin/env bash
# Boot a container, look at it, delete it.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/exercise.sh"

boot "$PREFIX-container" busybox c1.tiny
[ -n "$(server_field "$PREFIX-container" addresses)" ] || fail "it has no address"
delete "$PREFIX-container"
