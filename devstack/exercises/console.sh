#!/usr/bin/env bash
# Read what a guest says on its console.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/exercise.sh"

name="$PREFIX-console"
boot "$name" hello-unikernel u1.nano
for _ in $(seq 50); do
    said="$(nova-lite server console "$name")"
    if [ -n "$said" ]; then break; fi
    sleep 0.2
done
[ -n "$said" ] || fail "the console is empty after 10 s"
printf '%s\n' "$said"
delete "$name"
