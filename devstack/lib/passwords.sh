# shellcheck shell=bash
# Passwords that nobody gave us: random, kept in $DATA/passwords (0600), the same at every run.

# password NAME: print the password kept for NAME; make one when there is none.
password() {
    local file="$DATA/passwords" value
    value="$({ sed -n "s/^$1=//p" "$file" 2>/dev/null || true; } | tail -n 1)"
    if [ -z "$value" ]; then
        value="$(od -An -N15 -tx1 /dev/urandom | tr -d ' \n')"
        password_keep "$1" "$value"
    fi
    printf '%s\n' "$value"
}

# password_keep NAME VALUE: keep VALUE as NAME's password.
password_keep() {
    local file="$DATA/passwords" rest
    mkdir -p "$DATA"
    rest="$(grep -v "^$1=" "$file" 2>/dev/null || true)"
    (
        umask 077
        { [ -z "$rest" ] || printf '%s\n' "$rest"; printf '%s=%s\n' "$1" "$2"; } >"$file.new"
    )
    mv "$file.new" "$file"
}

# account_keep SERVER NAME: note that NAME has an account on SERVER, for clean.sh to remove.
account_keep() {
    mkdir -p "$DATA"
    grep -qsxF "$1 $2" "$DATA/accounts" || printf '%s %s\n' "$1" "$2" >>"$DATA/accounts"
}
