# shellcheck shell=bash
# Phases: each is a function run in a subshell of its own, its output in a log of its own, timed.
# On the terminal a phase is one line; when it fails, also the end of its log and what to do.

declare -ga PHASE_NAMES=()
declare -gA PHASE_SECONDS=() PHASE_PID=() PHASE_LOG=() PHASE_CURE=()

now_ms() { local t="${EPOCHREALTIME/[.,]/}"; printf '%s\n' "$((t / 1000))"; }

# seconds_of MS: print milliseconds as seconds with one decimal.
seconds_of() { printf '%d.%d\n' "$(($1 / 1000))" "$(($1 % 1000 / 100))"; }

# phase_time FILE BEGAN: write the milliseconds since BEGAN to FILE.
phase_time() { printf '%s\n' "$(($(now_ms) - $2))" >"$1"; }

# phase_begin NAME FUNCTION CURE: start a phase beside what comes next.
phase_begin() {
    local name="$1" function="$2" log
    PHASE_NAMES+=("$name")
    PHASE_CURE[$name]="$3"
    log="$(printf '%s/stack/%02d-%s.log' "$LOG_DIR" "${#PHASE_NAMES[@]}" "$name")"
    PHASE_LOG[$name]="$log"
    mkdir -p "$LOG_DIR/stack"
    (
        set -euo pipefail
        began="$(now_ms)"
        # Not only at a good end: the time to a failure is worth knowing as well.
        # shellcheck disable=SC2064
        trap "phase_time '$log.ms' $began" EXIT
        "$function"
    # 8 is the lock of stack.sh, which a server that is started in here must not keep.
    ) </dev/null >"$log" 2>&1 8>&- &
    PHASE_PID[$name]=$!
}

# phase_end NAME: wait for a phase; end the whole run when it failed.
phase_end() {
    local name="$1" failed=0 log="${PHASE_LOG[$1]}"
    if [ -t 2 ]; then printf '  ..  %s (log: %s)' "$name" "$log" >&2; fi
    wait "${PHASE_PID[$name]}" || failed=$?
    if [ -t 2 ]; then printf '\r\033[K' >&2; fi
    PHASE_SECONDS[$name]="$(seconds_of "$(cat "$log.ms" 2>/dev/null || echo 0)")"
    rm -f "$log.ms"
    if [ "$failed" = 0 ]; then
        printf '  ok  %-15s %6s s\n' "$name" "${PHASE_SECONDS[$name]}" >&2
        return 0
    fi
    phase_failed "$name" "$failed"
    exit 1
}

phase() {
    phase_begin "$@"
    phase_end "$1"
}

phase_failed() {
    local name="$1" log="${PHASE_LOG[$1]}" other
    say
    say "FAILED: phase $name (exit status $2, after ${PHASE_SECONDS[$name]} s). The last lines of its log:"
    tail -n 20 "$log" | sed 's/^/    | /' >&2
    say "The whole log: $log"
    say "What to do: ${PHASE_CURE[$name]}"
    say "Then run $0 again: it takes up where this run stopped."
    # The phases beside it are left to end by themselves; apt must not be killed half-way.
    for other in "${PHASE_NAMES[@]}"; do wait "${PHASE_PID[$other]}" 2>/dev/null || true; done
}

# phases_report MS: print a line per phase, and the whole (MS milliseconds on the clock).
phases_report() {
    local name
    printf 'Component timing (seconds; phases may overlap)\n'
    for name in "${PHASE_NAMES[@]}"; do printf '  %-15s %7s\n' "$name" "${PHASE_SECONDS[$name]}"; done
    printf '  %-15s %7s\n' 'TOTAL (clock)' "$(seconds_of "$1")"
}
