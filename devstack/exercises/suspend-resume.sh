#!/usr/bin/env bash
# Suspend a VM and resume it; stop it and start it again.
. "$(dirname "${BASH_SOURCE[0]}")/../lib/exercise.sh"

name="$PREFIX-suspend"
boot "$name" hello-unikernel u1.nano
nova-lite server suspend --wait "$name"
expect "status after suspend" SUSPENDED "$(server_field "$name" status)"
nova-lite server resume --wait "$name"
expect "status after resume" ACTIVE "$(server_field "$name" status)"
nova-lite server stop --wait "$name"
expect "status after stop" SHUTOFF "$(server_field "$name" status)"
nova-lite server start --wait "$name"
expect "status after start" ACTIVE "$(server_field "$name" status)"
delete "$name"
