# shellcheck shell=bash
# PostgreSQL: Debian's own cluster, with a role and a database of ours. The superuser is reached by
# peer authentication as the system user postgres; its password is never touched.

# Print "VERSION NAME PORT STATUS" of the cluster that we use: one that is online, else the newest.
postgresql_cluster() {
    pg_lsclusters -h 2>/dev/null |
        awk '{ rank = ($4 ~ /^online/) ? 1 : 0; print rank, $1, $2, $3, $4 }' |
        sort -k1,1n -k2,2V | tail -n 1 | cut -d' ' -f2-
}

postgresql_port() { postgresql_cluster | cut -d' ' -f3; }

postgresql_admin() {
    runuser -u postgres -- env -C / psql -X -q -v ON_ERROR_STOP=1 -p "$(postgresql_port)" "$@"
}

postgresql_running() { [ "$(postgresql_admin -d postgres -tAc 'SELECT 1' 2>/dev/null)" = 1 ]; }

postgresql_installed() { command -v pg_ctlcluster >/dev/null; }

postgresql_units() {
    local version name rest
    read -r version name rest <<<"$(postgresql_cluster)"
    printf 'postgresql@%s-%s.service\n' "$version" "$name"
}

postgresql_start() {
    local version name rest
    if postgresql_running; then return 0; fi
    read -r version name rest <<<"$(postgresql_cluster)"
    if [ -z "${version:-}" ]; then
        version="$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -V | tail -n 1)"
        name=main
        pg_createcluster "$version" "$name" >/dev/null
    fi
    if systemd_is_init; then
        unit_start postgresql "$(postgresql_units)"
    else
        mkdir -p "$RUN_DIR"
        pg_ctlcluster "$version" "$name" start
        daemon_adopt postgresql "$(head -n 1 "/var/lib/postgresql/$version/$name/postmaster.pid")"
    fi
    wait_until 30 postgresql_running ||
        die "PostgreSQL did not start within 30 s" "read /var/log/postgresql/"
}

postgresql_stop() {
    unit_stop postgresql
    # SIGINT is PostgreSQL's "fast" way to end: it does not wait for clients.
    daemon_stop postgresql 30 INT
}

# postgresql_provision NAME PASSWORD [ATTRIBUTE…]: make role and database NAME, set the password.
postgresql_provision() {
    local name="$1" password="$2"
    shift 2
    if [ -z "$(postgresql_admin -d postgres -tAc "SELECT 1 FROM pg_roles WHERE rolname = '$name'")" ]; then
        postgresql_admin -d postgres -c "CREATE ROLE \"$name\" LOGIN"
    fi
    # By stdin: arguments can be read by every user of the host.
    printf "ALTER ROLE \"%s\" WITH LOGIN PASSWORD '%s' %s;\n" "$name" "$password" "$*" |
        postgresql_admin -d postgres
    if [ -z "$(postgresql_admin -d postgres -tAc "SELECT 1 FROM pg_database WHERE datname = '$name'")" ]; then
        postgresql_admin -d postgres -c "CREATE DATABASE \"$name\" OWNER \"$name\""
    fi
}

# Databases that a test left behind belong to the role too, and keep it from being dropped.
postgresql_forget() {
    local database
    while read -r database; do
        [ -z "$database" ] || postgresql_admin -d postgres -c "DROP DATABASE IF EXISTS \"$database\" WITH (FORCE)"
    done < <(postgresql_admin -d postgres -tAc "SELECT datname FROM pg_database d
        JOIN pg_roles r ON r.oid = d.datdba WHERE r.rolname = '$1'")
    postgresql_admin -d postgres -c "DROP ROLE IF EXISTS \"$1\"" 2>/dev/null
}

# postgresql_url NAME PASSWORD
postgresql_url() {
    printf 'postgresql+psycopg2://%s:%s@127.0.0.1:%s/%s\n' "$1" "$2" "$(postgresql_port)" "$1"
}
