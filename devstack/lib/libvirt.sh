# shellcheck shell=bash
# libvirtd and virtlogd: used as they are where they run, started where they do not.

libvirt_running() {
    timeout 20 virsh -q -c qemu:///system uri >/dev/null 2>&1
}

# systemd units; the sockets too, or a stopped libvirtd would be woken by its next client.
libvirt_units() {
    printf '%s\n' libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd.service virtlogd.service
}

# libvirt throws its cache of QEMU's capabilities away, and probes again at each create (10 s),
# when it can't use /dev/kvm as the group kvm.
libvirt_fix_kvm() {
    [ -c /dev/kvm ] && getent group kvm >/dev/null || return 0
    [ "$(stat -c %G:%a /dev/kvm)" != kvm:660 ] || return 0
    { chgrp kvm /dev/kvm && chmod 660 /dev/kvm; } || warn "can't give /dev/kvm to the group kvm"
}

# A host name that no one resolves costs libvirt 10 s a time.
libvirt_fix_hostname() {
    local name
    name="$(hostname)"
    if timeout 3 getent hosts "$name" >/dev/null; then return 0; fi
    printf '127.0.1.1 %s # nova-lite\n' "$name" >>/etc/hosts
}

readonly VIRTLOGD_CONF=/etc/libvirt/virtlogd.conf

# virtlogd keeps 8 MiB of each guest's console; with these lines about [compute] console_log_bytes
# (1 MiB): the log and one older one. What the administrator has set is left alone.
libvirt_bound_consoles() {
    [ -f "$VIRTLOGD_CONF" ] || return 0
    if grep -Eq '^ *max_(size|backups) *=' "$VIRTLOGD_CONF"; then return 0; fi
    printf '%s # nova-lite\n' 'max_size = 524288' 'max_backups = 1' >>"$VIRTLOGD_CONF"
}

libvirt_unbound_consoles() {
    [ -f "$VIRTLOGD_CONF" ] || return 0
    sed -i '/^max_.* # nova-lite$/d' "$VIRTLOGD_CONF"
}

# Run by `unshare -m`: where cgroup v1 and v2 are mounted together, libvirt's LXC driver fails at
# /sys/fs/cgroup/unified, so in its own mount namespace that one is not there. tini collects the
# QEMU processes that libvirt probes with; a slow PID 1 made libvirt wait 57 s for them.
readonly LIBVIRTD_WRAP='
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
exec tini -s -- libvirtd'

libvirt_start() {
    local units
    libvirt_fix_hostname
    if libvirt_running; then return 0; fi
    libvirt_bound_consoles
    if systemd_is_init; then
        mapfile -t units < <(libvirt_units)
        unit_start libvirt "${units[@]}"
    else
        libvirt_fix_kvm
        daemon_start virtlogd "$LOG_DIR/virtlogd.log" virtlogd
        daemon_start libvirtd "$LOG_DIR/libvirtd.log" \
            unshare -m --propagation slave -- sh -c "$LIBVIRTD_WRAP"
    fi
    wait_until 40 libvirt_running ||
        die "libvirtd did not answer within 40 s" \
            "read $LOG_DIR/libvirtd.log (systemd: journalctl -u libvirtd)"
}

libvirt_left_running() { left_running libvirt || left_running libvirtd; }

libvirt_stop() {
    if libvirt_left_running; then return 0; fi
    unit_stop libvirt
    # SIGTERM to tini is handed to libvirtd; guests go on running.
    daemon_stop libvirtd
    daemon_stop virtlogd
    libvirt_unbound_consoles
}

# Take the line back that libvirt_fix_hostname wrote. Written in place: /etc/hosts may be a bind
# mount, which can't be replaced by a rename.
libvirt_forget_hostname() {
    local kept
    grep -q ' # nova-lite$' /etc/hosts || return 0
    kept="$(grep -v ' # nova-lite$' /etc/hosts)" || true
    printf '%s\n' "$kept" >/etc/hosts
}
