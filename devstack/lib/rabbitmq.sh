# shellcheck shell=bash
# RabbitMQ on the loopback interface, with a virtual host and a user of our own in it.

RABBIT_PORT="${RABBIT_PORT:-5672}"
RABBIT_DROPIN=/etc/systemd/system/rabbitmq-server.service.d/nova-lite.conf

# A node of our own starting is named by "localhost", so that no resolver is ever asked.
rabbitmq_node() {
    if [ -e "$RUN_DIR/rabbitmq.pid" ]; then
        printf 'rabbit@localhost\n'
    else
        printf 'rabbit@%s\n' "$(hostname -s)"
    fi
}

rabbitmq_control() { timeout 60 rabbitmqctl -q -n "$(rabbitmq_node)" "$@"; }

rabbitmq_listening() {
    { exec 9<>"/dev/tcp/127.0.0.1/$RABBIT_PORT" && exec 9>&-; } 2>/dev/null
}

# The port first: rabbitmqctl takes a second, and starts Erlang's port mapper as a side effect.
rabbitmq_running() {
    rabbitmq_listening && rabbitmq_control await_startup --timeout 5 >/dev/null 2>&1
}

# Debian's unit listens on every address. Called before the package is installed for the first
# time, because the package starts it at once; a broker that was here before keeps its settings.
rabbitmq_prepare_install() {
    systemd_is_init && [ ! -e /usr/sbin/rabbitmq-server ] || return 0
    mkdir -p "$(dirname "$RABBIT_DROPIN")"
    cat >"$RABBIT_DROPIN" <<UNIT
[Service]
Environment=RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 ERL_EPMD_ADDRESS=127.0.0.1
Environment="RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}"
UNIT
    systemctl daemon-reload
}

rabbitmq_installed() { command -v rabbitmqctl >/dev/null; }

rabbitmq_units() { printf 'rabbitmq-server.service\n'; }

rabbitmq_start() {
    if rabbitmq_running; then return 0; fi
    mkdir -p "$RUN_DIR"
    if systemd_is_init; then
        unit_start rabbitmq "$(rabbitmq_units)"
    else
        if rabbitmq_listening && ! daemon_pid rabbitmq >/dev/null; then
            die "port $RABBIT_PORT is taken by something that is not our RabbitMQ" \
                "end it, or set RABBIT_PORT"
        fi
        install -d -o rabbitmq -g rabbitmq -m 750 /var/lib/rabbitmq /var/log/rabbitmq
        if ! epmd -names >/dev/null 2>&1; then touch "$RUN_DIR/epmd.ours"; fi
        daemon_start rabbitmq "$LOG_DIR/rabbitmq.log" \
            setpriv --reuid rabbitmq --regid rabbitmq --init-groups --reset-env \
            env PATH="$PATH" HOME=/var/lib/rabbitmq \
            RABBITMQ_NODENAME=rabbit@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
            RABBITMQ_NODE_PORT="$RABBIT_PORT" ERL_EPMD_ADDRESS=127.0.0.1 \
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
            /usr/lib/rabbitmq/bin/rabbitmq-server
    fi
    wait_until 60 rabbitmq_running ||
        die "RabbitMQ did not start within 60 s" "read $LOG_DIR/rabbitmq.log and /var/log/rabbitmq/"
}

rabbitmq_stop() {
    unit_stop rabbitmq
    daemon_stop rabbitmq 30
    # Erlang's port mapper was started with the first node and stays behind it. It refuses to end
    # while a node, somebody else's say, is registered.
    if [ -e "$RUN_DIR/epmd.ours" ] && epmd -kill >/dev/null 2>&1; then rm -f "$RUN_DIR/epmd.ours"; fi
}

# rabbitmq_provision NAME PASSWORD: make virtual host and user NAME, and set the user's password.
rabbitmq_provision() {
    local known
    known="$(rabbitmq_control list_vhosts --no-table-headers)"
    grep -qxF "$1" <<<"$known" || rabbitmq_control add_vhost "$1" >/dev/null
    known="$(rabbitmq_control list_users --no-table-headers | cut -f1)"
    # The password goes by stdin: arguments can be read by every user of the host.
    if grep -qxF "$1" <<<"$known"; then
        rabbitmq_control change_password "$1" <<<"$2" >/dev/null
    else
        rabbitmq_control add_user "$1" <<<"$2" >/dev/null
    fi
    rabbitmq_control set_permissions -p "$1" "$1" '.*' '.*' '.*' >/dev/null
}

rabbitmq_forget() {
    rabbitmq_control delete_user "$1" >/dev/null 2>&1 || true
    rabbitmq_control delete_vhost "$1" >/dev/null 2>&1 || true
}

# rabbitmq_url NAME PASSWORD
rabbitmq_url() { printf 'rabbit://%s:%s@127.0.0.1:%s/%s\n' "$1" "$2" "$RABBIT_PORT" "$1"; }
