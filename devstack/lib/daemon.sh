# shellcheck shell=bash
# Daemons with pid files, for machines whose PID 1 is not systemd.
# A pid alone may have been given to another program since; NAME.start holds the kernel's start
# time of the process, and only when both agree is the process ours.

systemd_is_init() { [ -d /run/systemd/system ]; }

# What is started by hand (services.sh) is ended by hand: unstack.sh and clean.sh leave it running.
STARTED_BY="${STARTED_BY:-stack}"

# started_note NAME: remember who started daemon or units NAME.
started_note() { printf '%s\n' "$STARTED_BY" >"$RUN_DIR/$1.by"; }

# Succeed when NAME was started by hand, still runs, and is not ours to end.
left_running() {
    local by
    [ "$STARTED_BY" != hand ] && { read -r by <"$RUN_DIR/$1.by"; } 2>/dev/null && [ "$by" = hand ] || return 1
    [ -e "$RUN_DIR/$1.units" ] || daemon_pid "$1" >/dev/null
}

# Print the start time (clock ticks since boot) of process PID; fail when there is none.
process_start_time() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The second field is the command in parentheses and may hold spaces.
    stat="${stat##*) }"
    # shellcheck disable=SC2086
    set -- $stat
    # A zombie has ended; nobody has collected it yet.
    [ "$1" != Z ] || return 1
    printf '%s\n' "${20}"
}

# Print the pid of daemon NAME when it runs and is ours.
daemon_pid() {
    local pid started
    # Not "$(<file)": bash 5.2 ends the whole shell there when the file is missing.
    { read -r pid <"$RUN_DIR/$1.pid" && read -r started <"$RUN_DIR/$1.start"; } 2>/dev/null || return 1
    [ -n "$pid" ] && [ "$(process_start_time "$pid")" = "$started" ] || return 1
    printf '%s\n' "$pid"
}

# daemon_adopt NAME PID: note a process that was started for us as daemon NAME.
daemon_adopt() {
    local started
    started="$(process_start_time "$2")" || return 1
    printf '%s\n' "$started" >"$RUN_DIR/$1.start"
    started_note "$1"
    printf '%s\n' "$2" >"$RUN_DIR/$1.pid"
}

# daemon_start NAME LOG COMMAND…: start COMMAND detached from this terminal, output to LOG.
# Does nothing when NAME runs already.
daemon_start() {
    local name="$1" log="$2" pid
    shift 2
    if daemon_pid "$name" >/dev/null; then return 0; fi
    mkdir -p "$RUN_DIR" "$(dirname "$log")"
    # The inner shell execs, so that $! is the daemon's own pid; all descriptors above 2 are
    # closed, or a caller that waits for end-of-file on a pipe would wait for the daemon.
    (
        cd /
        for fd in /proc/self/fd/*; do
            fd="${fd##*/}"
            [ "$fd" -le 2 ] || eval "exec $fd>&-"
        done
        exec setsid "$@" </dev/null >>"$log" 2>&1
    ) &
    pid=$!
    disown "$pid" 2>/dev/null || true
    daemon_adopt "$name" "$pid" || return 1
}

# daemon_stop NAME [SECONDS [SIGNAL]]: end daemon NAME, unless it was started by hand; after SECONDS
# (20) without mercy.
daemon_stop() {
    local name="$1" patience="${2:-20}" signal="${3:-TERM}" pid tick
    if left_running "$name"; then return 0; fi
    if pid="$(daemon_pid "$name")"; then
        kill -"$signal" "$pid" 2>/dev/null || true
        for ((tick = 0; tick < patience * 20; tick++)); do
            daemon_pid "$name" >/dev/null || break
            sleep 0.05
        done
        if daemon_pid "$name" >/dev/null; then
            warn "$name (pid $pid) did not end within $patience s; killing it"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    rm -f "$RUN_DIR/$name.pid" "$RUN_DIR/$name.start" "$RUN_DIR/$name.by"
}

# wait_until SECONDS COMMAND…: try COMMAND every 0.1 s; fail when it never worked.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || return 1
        sleep 0.1
    done
}

# unit_start NAME UNIT…: start systemd units; remember the ones that we had to start.
unit_start() {
    local name="$1"
    shift
    if systemctl is-active --quiet "$@"; then return 0; fi
    systemctl start "$@"
    mkdir -p "$RUN_DIR"
    started_note "$name"
    printf '%s\n' "$@" >"$RUN_DIR/$name.units"
}

# unit_stop NAME: stop the units that unit_start started for NAME, unless that was by hand.
unit_stop() {
    local units
    [ -e "$RUN_DIR/$1.units" ] && ! left_running "$1" || return 0
    mapfile -t units <"$RUN_DIR/$1.units"
    systemctl stop "${units[@]}" || true
    rm -f "$RUN_DIR/$1.units" "$RUN_DIR/$1.by"
}
