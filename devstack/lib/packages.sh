# shellcheck shell=bash
# Debian packages: which a feature needs, which are missing, and their installation.

export DEBIAN_FRONTEND=noninteractive

# packages_of FILE…: print the packages listed in FILEs, one a line; # begins a comment.
packages_of() { sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$@" | sort -u; }

# Print what this stack needs, by its settings.
packages_wanted() {
    local files=("$DEVSTACK_DIR/files/apt-base.txt")
    if [ -e "$DEVSTACK_DIR/images/packages.txt" ]; then files+=("$DEVSTACK_DIR/images/packages.txt"); fi
    if [ "$DATABASE" != sqlite ]; then files+=("$DEVSTACK_DIR/files/apt-$DATABASE.txt"); fi
    if [ "$BUS" = rabbit ]; then files+=("$DEVSTACK_DIR/files/apt-rabbit.txt"); fi
    packages_of "${files[@]}"
}

# packages_missing PACKAGE…: print those that are not installed. One query for all of them.
packages_missing() {
    comm -23 <(printf '%s\n' "$@" | sort -u) \
        <(dpkg-query -W -f '${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null |
            sed -n 's/^ii  *//p' | sort -u)
}

apt_quiet() { apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null; }

# Whether apt could install PACKAGES from the lists that it has; its words go to stdout.
apt_can_install() { apt-get -q -s --no-install-recommends install "$@" 2>&1 </dev/null; }

# packages_install PACKAGE…: install those that are missing. dpkg's fsync after each file is left
# out: a machine that dies in here runs dpkg --configure -a and this again.
packages_install() {
    local missing
    mapfile -t missing < <(packages_missing "$@")
    if [ "${#missing[@]}" = 0 ]; then
        say "all ${#} packages are installed"
        return 0
    fi
    say "installing: ${missing[*]}"
    apt_quiet -o Dpkg::Options::=--force-unsafe-io --no-install-recommends install "${missing[@]}"
    mkdir -p "$DATA"
    printf '%s\n' "${missing[@]}" >>"$DATA/installed-packages"
}

readonly POLICY=/usr/sbin/policy-rc.d

# Without systemd a package's init script would start its server with settings that are not ours
# (every address, no reaper), so it is told not to while we install. A policy that is there already
# is the machine owner's, and stays.
policy_refuse() {
    if systemd_is_init || [ -e "$POLICY" ]; then return 0; fi
    printf '#!/bin/sh\n# nova-lite, while stack.sh installs packages\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
}

# A run that was killed leaves its policy behind; the next one takes it away.
policy_restore() {
    if grep -qs '^# nova-lite,' "$POLICY"; then rm -f "$POLICY"; fi
}

# packages_install_noting PACKAGE…: install, and note which servers started because of it: with
# systemd Debian starts a server when it installs it, and then it is ours to stop.
packages_install_noting() {
    local service idle=()
    for service in libvirt rabbitmq postgresql mariadb; do
        if ! "${service}_running"; then idle+=("$service"); fi
    done
    rabbitmq_prepare_install
    policy_refuse
    (
        trap policy_restore EXIT
        packages_install "$@"
    )
    if systemd_is_init; then
        mkdir -p "$RUN_DIR"
        for service in "${idle[@]}"; do
            # One that answers late is left running by clean.sh: the harmless mistake.
            if "${service}_running"; then "${service}_units" >"$RUN_DIR/$service.units"; fi
        done
    fi
}
