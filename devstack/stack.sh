#!/usr/bin/env bash
# From a clean clone to a VM, a unikernel and a container that run. Run it as root; run it again
# whenever you like: it does what is missing and checks the rest. Settings: local.conf.sample.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
# A session's own settings would only make tools talk differently.
export LC_ALL=C.UTF-8 PATH="/usr/sbin:/usr/bin:/sbin:/bin:$PATH"
for part in paths terminal settings proxy daemon passwords packages libvirt rabbitmq postgresql \
    mariadb preflight phases venv configuration control; do
    # shellcheck source=/dev/null
    . "$here/lib/$part.sh"
done

install_python() { packages_install ca-certificates python3 python3-venv; }

install_packages() {
    local wanted
    mapfile -t wanted < <(packages_wanted)
    packages_install_noting "${wanted[@]}"
}

make_venv() { venv_prepare "$DEST/venv"; }

finish_venv() {
    venv_finish "$DEST/venv"
    ln -sf "$DEST/venv/bin/nova-lite" "$DEST/venv/bin/nova-lite-manage" /usr/local/bin/
}

build_images() {
    local names
    IFS=, read -ra names <<<"$IMAGES"
    "$DEVSTACK_DIR/images/build.sh" --out "$DATA/images-built" "${names[@]}"
}

start_system_services() {
    libvirt_start
    if [ "$DATABASE" != sqlite ]; then "${DATABASE}_start"; fi
    if [ "$BUS" = rabbit ]; then rabbitmq_start; fi
}

manage() { "$DEST/venv/bin/nova-lite-manage" --config-file "$CONF_DIR/nova-lite.conf" "$@"; }

# Passwords go by files that only root can read, and that are gone afterwards.
bootstrap_accounts() (
    umask 077
    trap 'rm -f "$RUN_DIR"/*_PASSWORD' EXIT
    password ADMIN_PASSWORD >"$RUN_DIR/ADMIN_PASSWORD"
    password DEMO_PASSWORD >"$RUN_DIR/DEMO_PASSWORD"
    manage bootstrap --admin-password-file "$RUN_DIR/ADMIN_PASSWORD" \
        --demo-password-file "$RUN_DIR/DEMO_PASSWORD"
)

prepare_database() {
    manage db sync
    bootstrap_accounts
    /usr/bin/python3 "$DEVSTACK_DIR/credentials.py" "$CONF_DIR" "$(endpoint)" "$DATA/passwords"
}

make_resources() {
    "$DEST/venv/bin/python" "$DEVSTACK_DIR/seed.py" --clouds "$CONF_DIR/clouds.yaml" --cloud nova-lite \
        --images "$DATA/images-built/images.json" --cidr "$PRIVATE_CIDR" \
        --public-cidr "$PUBLIC_CIDR" --user-cloud nova-lite-demo
}

boot_demo() {
    "$DEST/venv/bin/python" "$DEVSTACK_DIR/demo.py" --clouds "$CONF_DIR/clouds.yaml" \
        --cloud nova-lite-demo --admin nova-lite --report "$RUN_DIR/demo.txt"
}

# What a user wants to know at the end.
tell() {
    local elapsed="$1"
    if [ "$DEMO" = true ]; then cat "$RUN_DIR/demo.txt"; fi
    cat <<TEXT

Endpoint   $(endpoint)  (identity/v3, compute/v2.1, image/v2, network/v2.0)
Users      admin (project admin), demo (project demo)
Passwords  $DATA/passwords; ready for clients in $CONF_DIR/clouds.yaml, openrc and openrc-demo
Logs       $LOG_DIR/

What to type next:
    . $CONF_DIR/openrc-demo
    nova-lite server list
    nova-lite server create --image tiny --flavor m1.tiny --network private --wait my-vm
    nova-lite server console my-vm
    $DEVSTACK_DIR/exercise.sh    tries everything; unstack.sh stops it; clean.sh takes it away

TEXT
    phases_report "$elapsed"
}

main() {
    local began
    began="$(now_ms)"
    [ "$#" = 0 ] || die "stack.sh takes no arguments" "its settings are in local.conf; see devstack/local.conf.sample"
    settings_load
    proxy_export
    preflight || exit 1
    mkdir -p "$RUN_DIR" "$LOG_DIR"
    exec 8>"$RUN_DIR/stack.lock"
    flock -n 8 || die "another stack.sh, unstack.sh or clean.sh is at work" "wait until it has ended"
    say "nova_lite: $DATABASE, bus $BUS; logs in $LOG_DIR/stack/"
    policy_restore

    local apt_cure="look whether apt-get works by itself (sources, network, proxy, disk)"
    local pip_cure="look whether the Python package index can be reached (pip's settings, https_proxy)"
    phase python install_python "$apt_cure"
    phase_begin packages install_packages "$apt_cure"
    phase_begin venv make_venv "$pip_cure"
    phase_end packages
    phase_begin images build_images "the log names the image and its step; delete $DATA/images-built to start afresh"
    phase system-services start_system_services "read the log that is named above"
    phase_end venv
    phase nova-lite finish_venv "$pip_cure"
    phase configuration configuration_write "check local.conf, and that the database server is healthy"
    phase database prepare_database "$CONF_DIR/nova-lite.conf names the database; is it there and writable?"
    phase services services_start "read $LOG_DIR/nova-lite*.log"
    phase_end images
    phase resources make_resources "read $LOG_DIR/nova-lite*.log; the request id is in both logs"
    if [ "$DEMO" = true ]; then
        phase demo boot_demo "the fault above says why; also: $LOG_DIR/nova-lite*.log and /var/log/libvirt/"
    fi
    tell "$(($(now_ms) - began))"
}

main "$@"
