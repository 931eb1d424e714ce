# shellcheck shell=bash
# Taking down what stack.sh put up. Each step can be repeated, and finds nothing to do the second time.

teardown_begin() {
    [ "$EUID" = 0 ] || die "this needs root" "run: sudo $0"
    settings_load
    settings_recall
    mkdir -p "$RUN_DIR"
    exec 8>"$RUN_DIR/stack.lock"
    flock -n 8 || die "another stack.sh, unstack.sh or clean.sh is at work" "wait until it has ended"
}

# Destroy guests and remove bridges, namespaces, DHCP servers, rules and mounts: the agent's own
# code knows which of them are ours. It needs libvirtd to find the guests. Arguments go to it.
guests_remove() {
    if [ ! -x "$DEST/venv/bin/nova-lite-manage" ] || [ ! -e "$CONF_DIR/nova-lite.conf" ]; then return 0; fi
    if command -v virsh >/dev/null; then libvirt_start; fi
    "$DEST/venv/bin/nova-lite-manage" --config-file "$CONF_DIR/nova-lite.conf" host clean "$@" >&2 ||
        die "guests, bridges or rules could not all be removed" "the lines above say why; mend that and run $0 again"
}

# Drop our users, databases and virtual hosts, those of the tests too; a server that has one and
# does not run is started for it (and stopped with the others that we started).
accounts_remove() {
    local server name
    [ -e "$DATA/accounts" ] || return 0
    while read -r server name <&7; do
        if ! "${server}_installed"; then continue; fi
        # A server that does not come up must not keep the rest from being removed.
        ("${server}_start" && "${server}_forget" "$name" also) ||
            warn "$server does not answer: the account $name is left in it"
    done 7<"$DATA/accounts"
}

# Stop those servers that stack.sh started, and no others: services.sh's go on.
system_services_stop() {
    rabbitmq_stop
    mariadb_stop
    postgresql_stop
    if libvirt_left_running; then return 0; fi
    libvirt_stop
    libvirt_forget_hostname
}

# remove_tree PATH: remove a directory of ours; what is mounted below it is never followed.
remove_tree() {
    case "$1" in
        / | /etc | /opt | /run | /var | /var/lib | /var/log | /usr | /home | /root)
            die "refusing to remove $1" "set DATA and DEST in local.conf to directories of nova_lite's own"
            ;;
    esac
    if [ -d "$1" ]; then rm -rf --one-file-system "$1"; fi
}

files_remove() {
    local link
    for link in nova-lite nova-lite-manage; do
        if [ "$(readlink "/usr/local/bin/$link")" = "$DEST/venv/bin/$link" ]; then rm -f "/usr/local/bin/$link"; fi
    done
    if [ -e "$RABBIT_DROPIN" ]; then
        rm -f "$RABBIT_DROPIN"
        rmdir --ignore-fail-on-non-empty "$(dirname "$RABBIT_DROPIN")"
    fi
    rm -f "$LOGROTATE"
    policy_restore
    remove_tree "$DATA"
    remove_tree "$DEST"
    remove_tree "$LOG_DIR"
    remove_tree "$CONF_DIR"
    run_dir_remove
}

# What says of servers that were started by hand how they are ended stays with them.
run_dir_remove() {
    local record name
    local -a kept=()
    for record in "$RUN_DIR"/*.by; do
        name="$(basename "$record" .by)"
        if left_running "$name"; then kept+=(! -name "$name.*"); fi
    done
    if [ "${#kept[@]}" = 0 ]; then
        remove_tree "$RUN_DIR"
        return 0
    fi
    # Erlang's port mapper ends with the broker.
    find "$RUN_DIR" -mindepth 1 -maxdepth 1 ! -name epmd.ours "${kept[@]}" -exec rm -rf --one-file-system {} +
}
