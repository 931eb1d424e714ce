#!/usr/bin/env bash
# Run every check on a machine where nothing was installed before: ruff, mypy, import-linter, pytest
# with real libvirt, RabbitMQ, PostgreSQL and MariaDB. Run it as root. Arguments go to pytest.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
export LC_ALL=C.UTF-8 PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
for part in paths terminal settings proxy daemon passwords packages libvirt rabbitmq postgresql \
    mariadb venv; do
    # shellcheck source=/dev/null
    . "$here/lib/$part.sh"
done

readonly VENV="$CHECKOUT/.venv" SERVERS=(libvirt rabbitmq postgresql mariadb)

test_packages() {
    local wanted missing
    mapfile -t wanted < <(packages_of "$here"/files/apt-*.txt "$here/images/packages.txt")
    mapfile -t missing < <(packages_missing "${wanted[@]}")
    [ "${#missing[@]}" != 0 ] || return 0
    apt_quiet update >&2
    packages_install ca-certificates python3 python3-venv >&2
    packages_install_noting "${wanted[@]}" >&2
}

test_venv() {
    # pip installs libvirt-python only after apt has brought libvirt-dev.
    venv_prepare "$VENV" test >&2
    venv_finish "$VENV" test >&2
}

declare -a STARTED=()

start_servers() {
    local server
    for server in "${SERVERS[@]}"; do
        if ! "${server}_running"; then STARTED+=("$server"); fi
        "${server}_start" >&2
    done
}

stop_servers() {
    local server
    for server in "${STARTED[@]}"; do "${server}_stop" >&2 || true; done
}

# check NAME COMMAND…: run one static check; print a line for it, and all that it said if it failed.
check() {
    local name="$1" words
    shift
    if words="$("$@" 2>&1)"; then
        printf '%-13s ok\n' "$name"
    else
        printf '%s\n%-13s FAILED\n' "$words" "$name"
        FAILED=1
    fi
}

FAILED=0

main() {
    local urls status=0
    [ "$EUID" = 0 ] || die "this needs root: the tests boot real guests" "run: sudo $0"
    settings_load
    proxy_export
    mkdir -p "$RUN_DIR"
    exec 8>"$RUN_DIR/test.lock"
    flock 8
    cd "$CHECKOUT"
    # The phases of stack.sh keep pip's cache in $DEST; a test run leaves nothing there.
    # shellcheck disable=SC2034
    DEST="$CHECKOUT/.venv"
    policy_restore
    test_packages 8>&-
    test_venv 8>&-
    export PATH="$VENV/bin:$PATH"
    check ruff ruff check .
    check ruff-format ruff format --check .
    check mypy mypy --strict nova_lite
    check import-linter lint-imports
    check shellcheck shellcheck -x devstack/*.sh devstack/lib/*.sh devstack/exercises/*.sh
    trap stop_servers EXIT
    start_servers 8>&-
    urls="$("$here/services.sh" env)"
    eval "$urls"
    export NOVA_LITE_CI_STRICT="${NOVA_LITE_CI_STRICT-1}" NOVA_LITE_SECOND_TRY="${NOVA_LITE_SECOND_TRY-1}"
    # Its own summary is the last thing that is said, also when a check before it failed.
    # One worker more than there are cores: most of a test of a cloud is waiting for it.
    pytest -m 'not slow' -n "${NOVA_LITE_TEST_WORKERS-$(($(nproc) + 1))}" --no-loadscope-reorder "$@" </dev/null 8>&- || status=$?
    stop_servers >"$RUN_DIR/test-stop.log" 2>&1
    trap - EXIT
    [ "$status" = 0 ] && [ "$FAILED" = 0 ]
}

main "$@"
