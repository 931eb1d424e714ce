#!/usr/bin/env bash
# Start, stop and look at the servers that nova_lite stands on. Works with systemd and without it;
# what runs already is used as it is, and only what these scripts started is stopped. What this starts
# runs until this stops it: unstack.sh and clean.sh leave it alone.
set -euo pipefail

here="$(dirname "${BASH_SOURCE[0]}")"
# shellcheck disable=SC2034
STARTED_BY=hand
for part in paths terminal daemon passwords libvirt rabbitmq postgresql mariadb; do
    # shellcheck source=/dev/null
    . "$here/lib/$part.sh"
done

readonly TEST_NAME=nova_lite_test

usage() {
    say "usage: devstack/services.sh start|stop|status [libvirt|rabbitmq|postgresql|mariadb]…
       devstack/services.sh env     make the accounts of the tests and print their URLs"
    exit 2
}

status() {
    local service state failed=0
    for service; do
        state=stopped
        if "${service}_running"; then state=running; else failed=1; fi
        printf '%-12s %s\n' "$service" "$state"
    done
    return "$failed"
}

# Accounts of their own: a test empties its databases, and must never meet those of a stack.
print_env() {
    local secret
    secret="$(password TEST_PASSWORD)"
    if postgresql_running; then
        account_keep postgresql "$TEST_NAME"
        postgresql_provision "$TEST_NAME" "$secret" CREATEDB >&2
        printf 'export TEST_POSTGRESQL_URL=%q\n' "$(postgresql_url "$TEST_NAME" "$secret")"
    fi
    if mariadb_running; then
        account_keep mariadb "$TEST_NAME"
        mariadb_provision "$TEST_NAME" "$secret" % >&2
        printf 'export TEST_MARIADB_URL=%q\n' "$(mariadb_url "$TEST_NAME" "$secret")"
    fi
    if rabbitmq_running; then
        account_keep rabbitmq "$TEST_NAME"
        rabbitmq_provision "$TEST_NAME" "$secret" >&2
        printf 'export TEST_RABBIT_URL=%q\n' "$(rabbitmq_url "$TEST_NAME" "$secret")"
    fi
}

main() {
    local command="${1:-}" service
    shift || true
    [ "$EUID" = 0 ] || die "this needs root" "sudo $0 $command $*"
    if [ "$#" = 0 ]; then set -- libvirt rabbitmq postgresql mariadb; fi
    for service; do
        case "$service" in libvirt | rabbitmq | postgresql | mariadb) ;; *) usage ;; esac
    done
    case "$command" in
        start | stop) for service; do "${service}_$command"; done ;;
        status) status "$@" ;;
        env) print_env ;;
        *) usage ;;
    esac
}

main "$@"
