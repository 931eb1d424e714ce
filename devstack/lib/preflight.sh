# shellcheck shell=bash
# Everything that would keep a stack from being made, found before anything is changed and told at
# once, each with its cure.

declare -ga PROBLEMS=()

problem() { PROBLEMS+=("$1|$2"); }

check_root() {
    [ "$EUID" = 0 ] || problem "not run as root" "run: sudo $0"
}

check_system() {
    local ID='' VERSION_ID='' machine
    # shellcheck source=/dev/null
    if [ -r /etc/os-release ]; then . /etc/os-release; fi
    if [ "$ID" != debian ] || [ "${VERSION_ID%%.*}" -lt 12 ]; then
        warn "this is ${ID:-unknown} ${VERSION_ID:-}; nova_lite is tried on Debian 12 and newer"
    fi
    command -v apt-get >/dev/null || problem "there is no apt-get" "use Debian 12 or newer"
    machine="$(uname -m)"
    [ "$machine" = x86_64 ] ||
        problem "the architecture is $machine" "use an x86_64 machine: the guest images are made for it"
}

# In MiB: control plane, three guests and what the kernel keeps.
readonly LEAST_MEMORY=1400

check_memory() {
    local total
    total="$(awk '/^MemTotal:/ { print int($2 / 1024) }' "${MEMINFO:-/proc/meminfo}")"
    [ "$total" -ge "$LEAST_MEMORY" ] ||
        problem "too little memory: $total MiB, and $LEAST_MEMORY are needed" "give this machine 2 GiB"
}

# Print the directory that is there, PATH or the nearest above it.
nearest_directory() {
    local path="$1"
    until [ -d "$path" ]; do path="$(dirname "$path")"; done
    printf '%s\n' "$path"
}

# check_directory PATH SETTING MIB: PATH can be written, and MIB are free there.
check_directory() {
    local path="$1" key="$2" least="$3" there free
    there="$(nearest_directory "$path")"
    if [ "$there" != "$path" ] && [ -e "$there/$(basename "$path")" ]; then
        problem "$path is no directory" "move it away, or set $key in local.conf"
        return 0
    fi
    [ -w "$there" ] || problem "can't write below $there" "mount it writable, or set $key in local.conf"
    # A second run has most of it already.
    if [ -d "$DEST/venv" ]; then least=$((least / 4)); fi
    free="$(df -Pm "$there" | awk 'NR == 2 { print $4 }')"
    [ "$free" -ge "$least" ] ||
        problem "too little disk: $free MiB are free at $there, and $least are needed" \
            "free some, or set $key in local.conf to a directory elsewhere"
}

# Whether something listens on TCP port $1, on any address; the kernel's table needs no tool.
port_listening() {
    local hex
    printf -v hex '%04X' "$1"
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port=":$hex" '$4 == "0A" && $2 ~ port "$" { found = 1 } END { exit !found }'
}

check_port() {
    port_listening "$API_PORT" || return 0
    if services_running; then return 0; fi
    problem "port $API_PORT is taken by another program" \
        "end it (find it with: ss -ltnp 'sport = :$API_PORT'), or set API_PORT in local.conf"
}

check_tun() {
    local device="${TUN_DEVICE:-/dev/net/tun}"
    if [ ! -c "$device" ] && [ "$EUID" = 0 ] && [ -z "${TUN_DEVICE:-}" ]; then modprobe tun 2>/dev/null || true; fi
    [ -c "$device" ] ||
        problem "there is no $device" \
            "modprobe tun; mkdir -p /dev/net; mknod /dev/net/tun c 10 200 (in a container: pass the device in)"
}

check_privileges() {
    [ "$EUID" = 0 ] || return 0
    unshare -m -n true 2>/dev/null ||
        problem "this root may not make namespaces (an unprivileged container?)" \
            "use a virtual machine, or a privileged container"
}

check_python() {
    local python="${PYTHON:-/usr/bin/python3}"
    # Where there is none it comes with the packages.
    [ -x "$python" ] || return 0
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        problem "$("$python" --version 2>&1) is too old" "use Debian 12 or newer, whose Python is 3.11"
}

# Only when packages are missing: a machine that has them all needs no package source.
check_package_source() {
    local wanted missing words
    [ "$EUID" = 0 ] && command -v apt-get >/dev/null || return 0
    mapfile -t wanted < <(packages_wanted)
    mapfile -t missing < <(packages_missing "${wanted[@]}")
    [ "${#missing[@]}" != 0 ] || return 0
    # Reading the package lists anew changes nothing on the machine but apt's own cache.
    if ! words="$(apt_quiet -o APT::Update::Error-Mode=any update 2>&1)"; then
        warn "apt-get update: $(grep -E '^(E|W|Err)' <<<"$words" | head -n 2 | tr '\n' ' ')"
    fi
    if ! words="$(apt_can_install "${missing[@]}")"; then
        problem "packages can't be installed: $(grep -E '^ ?(E|[a-z0-9.+-]+ :)' <<<"$words" | head -n 3 | tr '\n' ' ')" \
            "check /etc/apt/sources.list*, the network and http_proxy; then: apt-get update"
    fi
}

check_settings() {
    local entry
    for entry in "${SETTING_PROBLEMS[@]}"; do problem "${entry%%|*}" "${entry#*|}"; done
}

# Check all; print each problem with its cure and fail when there is one.
preflight() {
    local entry
    check_root
    check_system
    check_settings
    check_memory
    check_directory "$DEST" DEST 1000
    check_directory "$DATA" DATA 3000
    check_port
    check_tun
    check_privileges
    check_python
    check_package_source
    [ "${#PROBLEMS[@]}" != 0 ] || return 0
    say "This machine can't carry a stack yet; nothing was changed."
    for entry in "${PROBLEMS[@]}"; do
        say "  * ${entry%%|*}"
        say "      cure: ${entry#*|}"
    done
    return 1
}
