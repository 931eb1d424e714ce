# shellcheck shell=bash
# /etc/nova-lite/nova-lite.conf, made from the settings; the database servers' and the broker's
# accounts that it names.

readonly LOGROTATE=/etc/logrotate.d/nova-lite

# file_replace FILE MODE: write stdin to FILE in one step; leave it alone when nothing changed.
file_replace() {
    local new
    new="$(mktemp "$1.XXXXXX")"
    cat >"$new"
    chmod "$2" "$new"
    if cmp -s "$new" "$1"; then rm -f "$new"; else mv "$new" "$1"; fi
}

database_url() {
    case "$DATABASE" in
        postgresql | mariadb) "${DATABASE}_url" nova_lite "$(password DATABASE_PASSWORD)" ;;
        *) printf 'sqlite:///%s/nova-lite.db\n' "$DATA" ;;
    esac
}

bus_url() {
    if [ "$BUS" = rabbit ]; then
        rabbitmq_url nova_lite "$(password RABBIT_PASSWORD)"
    else
        printf 'kombu+memory:////\n'
    fi
}

# Passwords of local.conf win over those that were kept.
configuration_passwords() {
    local key
    for key in ADMIN_PASSWORD DEMO_PASSWORD DATABASE_PASSWORD RABBIT_PASSWORD; do
        if [ -n "${!key}" ]; then password_keep "$key" "${!key}"; fi
        password "$key" >/dev/null
    done
}

configuration_text() {
    cat <<CONF
# Written by devstack/stack.sh from local.conf; its next run writes it again.
[DEFAULT]
state_path = $DATA

[api]
bind_host = $HOST_IP
bind_port = $API_PORT
public_endpoint = $(endpoint)
workers = $API_WORKERS

[database]
connection = $(database_url)

[bus]
transport_url = $(bus_url)

[network]
physical_networks = public:$PUBLIC_INTERFACE

[libvirt]
virt_type = $VIRT_TYPE

# One machine, one owner: its room is limit enough. Without these lines they are Nova's 10, 20 and 51200.
[quota]
instances = -1
cores = -1
ram = -1
CONF
}

# Our logs stay bounded where logrotate is installed, as it is on an ordinary Debian.
logs_bound() {
    [ -d "$(dirname "$LOGROTATE")" ] || return 0
    file_replace "$LOGROTATE" 644 <<ROTATE
$LOG_DIR/*.log {
    size 20M
    rotate 3
    compress
    copytruncate
    missingok
    notifempty
}
ROTATE
}

configuration_write() {
    install -d -m 755 "$CONF_DIR" "$LOG_DIR"
    install -d -m 711 "$DATA"
    configuration_passwords
    configuration_text | file_replace "$CONF_DIR/nova-lite.conf" 600
    settings_keep
    logs_bound
    if [ "$DATABASE" != sqlite ]; then
        account_keep "$DATABASE" nova_lite
        "${DATABASE}_provision" nova_lite "$(password DATABASE_PASSWORD)"
    fi
    if [ "$BUS" = rabbit ]; then
        account_keep rabbitmq nova_lite
        rabbitmq_provision nova_lite "$(password RABBIT_PASSWORD)"
    fi
}
