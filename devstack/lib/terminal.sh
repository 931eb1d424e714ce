# shellcheck shell=bash
# What the user reads: notes, warnings and errors. Everything goes to stderr, so that a command's
# stdout stays usable in a pipe.

say() { printf '%s\n' "$*" >&2; }

warn() { printf 'WARNING: %s\n' "$*" >&2; }

# die MESSAGE [CURE]: say what is wrong and what to do about it, and end.
die() {
    printf 'ERROR: %s\n' "$1" >&2
    if [ -n "${2:-}" ]; then printf '  Cure: %s\n' "$2" >&2; fi
    exit 1
}
