#!/usr/bin/env bash
# Take everything of ours off this machine: what unstack.sh ends, and also data, images, virtual
# environment, configuration, logs and our accounts in database and broker. Debian packages stay
# (they are listed at the end), and so does the checkout with its local.conf.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
export LC_ALL=C.UTF-8 PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
for part in paths terminal settings daemon passwords packages libvirt rabbitmq postgresql mariadb \
    configuration control teardown; do
    # shellcheck source=/dev/null
    . "$here/lib/$part.sh"
done

main() {
    local packages=()
    [ "$#" = 0 ] || die "clean.sh takes no arguments"
    teardown_begin
    if [ -e "$DATA/installed-packages" ]; then mapfile -t packages < <(sort -u "$DATA/installed-packages"); fi
    services_stop
    guests_remove
    accounts_remove
    system_services_stop
    files_remove
    say "nothing of nova_lite is left here but this checkout."
    if [ "${#packages[@]}" != 0 ]; then
        say "Debian packages that stack.sh installed stay; to remove them too:"
        say "  apt-get remove --autoremove ${packages[*]}"
    fi
}

main "$@"
