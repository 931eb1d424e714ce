#!/usr/bin/env bash
# Try the cloud that stack.sh made, as its demo user. Prints PASS, FAIL or SKIP for each exercise
# (all in devstack/exercises/, or those that are named) and ends with 1 when one failed.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)"
for part in paths terminal settings proxy phases; do
    # shellcheck source=/dev/null
    . "$here/lib/$part.sh"
done

# exercise FILE: run one, its output in a log; print its line; fail when it failed.
exercise() {
    local name log began status=0 verdict
    name="$(basename "$1" .sh)"
    log="$LOG_DIR/exercises/$name.log"
    began="$(now_ms)"
    timeout 180 "$1" </dev/null >"$log" 2>&1 || status=$?
    case "$status" in
        0) verdict=PASS ;;
        77) verdict=SKIP ;;
        *) verdict=FAIL ;;
    esac
    printf '%-5s %-20s %6s s\n' "$verdict" "$name" "$(seconds_of "$(($(now_ms) - began))")"
    case "$verdict" in
        SKIP) sed 's/^/      /' "$log" | tail -n 1 ;;
        FAIL)
            tail -n 8 "$log" | sed 's/^/      | /'
            printf '      the whole log: %s\n' "$log"
            ;;
    esac
    return "$status"
}

main() {
    local files=() name status passed=0 failed=0 skipped=0
    settings_load
    settings_recall
    proxy_export
    [ -r "$CONF_DIR/openrc-demo" ] || die "there is no readable $CONF_DIR/openrc-demo" "run $here/stack.sh first, and this as root"
    mkdir -p "$LOG_DIR/exercises"
    export PATH="$DEST/venv/bin:$PATH" CONF_DIR
    for name; do files+=("$here/exercises/${name%.sh}.sh"); done
    if [ "$#" = 0 ]; then files=("$here"/exercises/*.sh); fi
    for name in "${files[@]}"; do
        [ -x "$name" ] || die "there is no exercise $name" "ls $here/exercises"
        status=0
        exercise "$name" || status=$?
        case "$status" in
            0) passed=$((passed + 1)) ;;
            77) skipped=$((skipped + 1)) ;;
            *) failed=$((failed + 1)) ;;
        esac
    done
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" = 0 ]
}

main "$@"
