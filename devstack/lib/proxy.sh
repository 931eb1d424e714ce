# shellcheck shell=bash
# A proxy in the environment is for the world outside: our own addresses must not go through it.

# Print the machine's own addresses, one a line. `ip` is not there on a minimal Debian.
own_addresses() {
    if command -v ip >/dev/null; then
        ip -o addr show 2>/dev/null | awk '{ sub("/.*", "", $4); print $4 }'
    else
        hostname -I 2>/dev/null | tr ' ' '\n'
    fi
}

# no_proxy_of OLD WORD…: print OLD with each WORD appended that it does not hold yet.
no_proxy_of() {
    local list="$1" word
    shift
    for word; do
        [ -n "$word" ] || continue
        case ",$list," in
            *",$word,"*) ;;
            *) list="${list:+$list,}$word" ;;
        esac
    done
    printf '%s\n' "$list"
}

# Where a proxy is set, export no_proxy with all that is ours, in both spellings: some programs
# read the one, some the other.
proxy_export() {
    local upper name own
    for name in http_proxy https_proxy no_proxy; do
        upper="${name^^}"
        if [ -z "${!name:-}" ] && [ -n "${!upper:-}" ]; then printf -v "$name" '%s' "${!upper}"; fi
    done
    if [ -z "${http_proxy:-}${https_proxy:-}" ]; then return 0; fi
    mapfile -t own < <(own_addresses)
    no_proxy="$(no_proxy_of "${no_proxy:-}" localhost 127.0.0.1 ::1 "$(hostname)" "$HOST_IP" "${own[@]}")"
    export no_proxy NO_PROXY="$no_proxy"
    if [ -n "${http_proxy:-}" ]; then export http_proxy HTTP_PROXY="$http_proxy"; fi
    if [ -n "${https_proxy:-}" ]; then export https_proxy HTTPS_PROXY="$https_proxy"; fi
}
