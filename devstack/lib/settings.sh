# shellcheck shell=bash
# local.conf: KEY=value lines, read as data and never run as shell.

# Each setting with its default and the pattern (extended regular expression) that it must match.
# shellcheck disable=SC2054
declare -gA SETTING_DEFAULT=(
    [HOST_IP]=127.0.0.1 [API_PORT]=8774
    [DATABASE]=sqlite [BUS]=memory [API_WORKERS]=1
    [VIRT_TYPE]=auto [PRIVATE_CIDR]=10.0.0.0/24
    [PUBLIC_CIDR]=172.24.4.0/24 [PUBLIC_INTERFACE]=''
    [IMAGES]=tiny,hello-unikernel,busybox [DEMO]=true
    [ADMIN_PASSWORD]='' [DEMO_PASSWORD]='' [DATABASE_PASSWORD]='' [RABBIT_PASSWORD]=''
    [DEST]=/opt/nova-lite [DATA]=/var/lib/nova-lite
)
readonly ADDRESS='[0-9]{1,3}(\.[0-9]{1,3}){3}'
declare -gA SETTING_PATTERN=(
    [HOST_IP]="$ADDRESS" [API_PORT]='[1-9][0-9]{0,4}'
    [DATABASE]='sqlite|postgresql|mariadb' [BUS]='memory|rabbit' [API_WORKERS]='[1-9][0-9]?'
    [VIRT_TYPE]='auto|kvm|qemu' [PRIVATE_CIDR]="$ADDRESS/[0-9]{1,2}"
    [PUBLIC_CIDR]="$ADDRESS/[0-9]{1,2}" [PUBLIC_INTERFACE]='[A-Za-z0-9._-]{1,15}'
    [IMAGES]='(tiny|hello-unikernel|busybox|debian)(,(tiny|hello-unikernel|busybox|debian))*'
    [DEMO]='true|false'
    [ADMIN_PASSWORD]='.{8,}' [DEMO_PASSWORD]='.{8,}'
    [DATABASE_PASSWORD]='[A-Za-z0-9._~-]{8,}' [RABBIT_PASSWORD]='[A-Za-z0-9._~-]{8,}'
    [DEST]='/[A-Za-z0-9._/-]+' [DATA]='/[A-Za-z0-9._/-]+'
)

# What is wrong with local.conf, one text "problem|cure" each; preflight reports them all at once.
declare -ga SETTING_PROBLEMS=()

# Print VALUE without surrounding blanks and one pair of matching quotes.
setting_unquoted() {
    local value="$1"
    value="${value#"${value%%[![:space:]]*}"}"
    value="${value%"${value##*[![:space:]]}"}"
    case "$value" in
        \"*\" | \'*\') value="${value:1:${#value}-2}" ;;
    esac
    printf '%s' "$value"
}

# setting_take FILE NUMBER LINE: take one line of local.conf, or note what is wrong with it.
setting_take() {
    local where="$1 line $2" line="$3" key value
    [[ "$line" =~ ^[[:space:]]*(#|$) ]] && return 0
    if ! [[ "$line" =~ ^[[:space:]]*([A-Za-z_][A-Za-z_0-9]*)=(.*)$ ]]; then
        SETTING_PROBLEMS+=("$where is not KEY=value|write it as KEY=value, without blanks around =")
        return 0
    fi
    key="${BASH_REMATCH[1]}"
    value="$(setting_unquoted "${BASH_REMATCH[2]}")"
    if [ -z "${SETTING_PATTERN[$key]+known}" ]; then
        SETTING_PROBLEMS+=("$where: no setting is called $key|see devstack/local.conf.sample for those that exist")
        return 0
    fi
    printf -v "$key" '%s' "$value"
}

# Note each setting whose value can't be used. The values of passwords are not repeated.
settings_check() {
    local key shown
    for key in "${!SETTING_PATTERN[@]}"; do
        [ -n "${!key}" ] || [ -n "${SETTING_DEFAULT[$key]}" ] || continue
        if ! [[ "${!key}" =~ ^(${SETTING_PATTERN[$key]})$ ]]; then
            shown="${!key}"
            [[ "$key" != *PASSWORD ]] || shown='(not shown)'
            SETTING_PROBLEMS+=("$key=$shown can't be used|it must match ${SETTING_PATTERN[$key]}")
        fi
    done
    if [[ "$API_PORT" =~ ^[0-9]{1,5}$ ]] && ((API_PORT > 65535)); then
        SETTING_PROBLEMS+=("API_PORT=$API_PORT is no port|choose one up to 65535")
    fi
    if [ "$BUS" = rabbit ] && [ "$DATABASE" = sqlite ]; then
        SETTING_PROBLEMS+=("BUS=rabbit means several processes, and SQLite is for one|set DATABASE=postgresql or DATABASE=mariadb as well")
    fi
}

# Read FILE over what was set so far.
settings_read() {
    local line number=0
    [ -r "$1" ] || return 0
    # shellcheck disable=SC2094
    while IFS= read -r line || [ -n "$line" ]; do
        number=$((number + 1))
        # shellcheck disable=SC2094
        setting_take "$1" "$number" "$line"
    done <"$1"
}

# Set every setting: local.conf before the environment before the default.
settings_load() {
    local key file="${LOCAL_CONF:-$DEVSTACK_DIR/local.conf}"
    for key in "${!SETTING_DEFAULT[@]}"; do
        printf -v "$key" '%s' "${!key:-${SETTING_DEFAULT[$key]}}"
    done
    if [ -n "${LOCAL_CONF:-}" ] && [ ! -r "$LOCAL_CONF" ]; then
        SETTING_PROBLEMS+=("LOCAL_CONF=$LOCAL_CONF can't be read|make that file, or unset LOCAL_CONF")
    fi
    settings_read "$file"
    settings_check
}

# Keep what a stack was made with (no passwords), so that unstack.sh and clean.sh find the same
# things even when local.conf has changed since.
settings_keep() {
    local key
    for key in "${!SETTING_DEFAULT[@]}"; do
        [[ "$key" == *PASSWORD ]] || printf '%s=%s\n' "$key" "${!key}"
    done | sort >"$CONF_DIR/stack.settings"
}

settings_recall() { settings_read "$CONF_DIR/stack.settings"; }

# Whether API, scheduler and agent run as processes of their own.
distributed() { [ "$BUS" = rabbit ]; }

endpoint() { printf 'http://%s:%s\n' "$HOST_IP" "$API_PORT"; }
