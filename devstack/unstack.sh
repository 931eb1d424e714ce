#!/usr/bin/env bash
# End what stack.sh started: services, guests, bridges, rules and mounts of ours. Data, images and
# virtual environment stay; stack.sh brings everything back. `--keep-guests` ends the services only.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
export LC_ALL=C.UTF-8 PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
for part in paths terminal settings daemon passwords libvirt rabbitmq postgresql mariadb \
    configuration control teardown; do
    # shellcheck source=/dev/null
    . "$here/lib/$part.sh"
done

main() {
    local keep_guests=false
    case "${1:-}" in
        '') ;;
        --keep-guests) keep_guests=true ;;
        *) die "unknown argument $1" "usage: unstack.sh [--keep-guests]" ;;
    esac
    teardown_begin
    services_stop
    if [ "$keep_guests" = true ]; then
        say "services ended; the guests go on"
        return 0
    fi
    guests_remove --keep-disks
    system_services_stop
    say "ended; the data is kept in $DATA. stack.sh brings everything back, clean.sh removes it."
}

main "$@"
