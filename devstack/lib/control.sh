# shellcheck shell=bash
# nova_lite's own processes: one in the embedded mode, three kinds in the distributed one; systemd
# units where systemd is PID 1, daemons with pid files elsewhere.

readonly UNIT_DIR=/etc/systemd/system
readonly EVERY_PROGRAM=(nova-lite nova-lite-api nova-lite-scheduler nova-lite-compute)

# Print the names of the processes that the settings ask for, in starting order.
services_wanted() {
    if distributed; then
        printf 'nova-lite-api\nnova-lite-scheduler\nnova-lite-compute\n'
    else
        printf 'nova-lite\n'
    fi
}

# Print the command line of service NAME, one word a line.
service_command() {
    printf '%s\n' "$DEST/venv/bin/$1"
    if [ "$1" = nova-lite ]; then printf 'up\n'; fi
    printf -- '--config-file\n%s\n' "$CONF_DIR/nova-lite.conf"
}

service_running() {
    if systemd_is_init; then systemctl is-active --quiet "$1.service"; else daemon_pid "$1" >/dev/null; fi
}

# Whether all that is wanted runs.
services_running() {
    local name
    while read -r name; do service_running "$name" || return 1; done < <(services_wanted)
}

# Print a hash of configuration and code: when it changes, what runs is of yesterday.
services_key() {
    {
        services_wanted
        cat "$CONF_DIR/nova-lite.conf" "$DEST/venv/nova-lite.stamp"
        find "$CHECKOUT/nova_lite" -name '*.py' -print0 | sort -z | xargs -0 cat
    } | sha256sum | cut -d' ' -f1
}

unit_write() {
    local name="$1" command
    command="$(service_command "$name" | tr '\n' ' ')"
    sed -e "s|@NAME@|$name|" -e "s|@COMMAND@|${command% }|" -e "s|@LOG@|$LOG_DIR/$name.log|" \
        "$DEVSTACK_DIR/files/service.template" | file_replace "$UNIT_DIR/$name.service" 644
}

service_start() {
    local name="$1" command
    if systemd_is_init; then
        unit_write "$name"
        systemctl daemon-reload
        systemctl enable --quiet "$name.service"
        systemctl restart "$name.service"
    else
        mapfile -t command < <(service_command "$name")
        daemon_start "$name" "$LOG_DIR/$name.log" "${command[@]}"
    fi
}

service_stop() {
    if systemd_is_init; then
        [ -e "$UNIT_DIR/$1.service" ] || return 0
        systemctl disable --now --quiet "$1.service" || true
        rm -f "$UNIT_DIR/$1.service"
        systemctl daemon-reload
    else
        daemon_stop "$1" 30
    fi
}

# Stop every process of ours, those of the other mode too; agents before what they talk to.
services_stop() {
    local name i
    for ((i = ${#EVERY_PROGRAM[@]} - 1; i >= 0; i--)); do
        name="${EVERY_PROGRAM[i]}"
        service_stop "$name"
    done
    rm -f "$RUN_DIR/services.key"
}

api_answers() {
    curl -fsS --noproxy '*' --max-time 5 -o /dev/null "$(endpoint)/identity/v3"
}

# Wait until the API answers; a process that has died is told at once and not after a minute.
services_wait() {
    local deadline=$((SECONDS + 60)) name
    until api_answers 2>/dev/null; do
        while read -r name; do
            if ! service_running "$name"; then
                tail -n 15 "$LOG_DIR/$name.log" 2>/dev/null || true
                die "$name ended while it started" "read $LOG_DIR/$name.log"
            fi
        done < <(services_wanted)
        [ "$SECONDS" -lt "$deadline" ] || die "the API at $(endpoint) did not answer within 60 s" "read $LOG_DIR/"
        sleep 0.1
    done
}

# Start what is wanted; restart it when configuration or code changed since.
services_start() {
    local key name
    key="$(services_key)"
    if services_running && [ "$(cat "$RUN_DIR/services.key" 2>/dev/null)" = "$key" ]; then
        say "services run, and are up to date"
    else
        services_stop
        while read -r name; do service_start "$name"; done < <(services_wanted)
        printf '%s\n' "$key" >"$RUN_DIR/services.key"
    fi
    services_wait
}
