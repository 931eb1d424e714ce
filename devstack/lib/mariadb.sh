# shellcheck shell=bash
# MariaDB: Debian's own server, with a user and a database of ours. Administration goes through
# the unix socket as root (unix_socket authentication); root's password is never set.

MARIADB_PORT="${MARIADB_PORT:-3306}"

mariadb_admin() { mariadb --no-defaults --user=root --protocol=socket --socket=/run/mysqld/mysqld.sock -N -B "$@"; }

mariadb_running() { mariadb_admin -e 'SELECT 1' >/dev/null 2>&1; }

mariadb_installed() { command -v mariadbd >/dev/null; }

# Where Debian's socket unit waits, a stopped server would be woken by its next client.
mariadb_units() {
    printf 'mariadb.service\n'
    if systemctl is-active --quiet mariadb.socket; then printf 'mariadb.socket\n'; fi
}

mariadb_start() {
    local units
    if mariadb_running; then return 0; fi
    if systemd_is_init; then
        mapfile -t units < <(mariadb_units)
        unit_start mariadb "${units[@]}"
    else
        install -d -o mysql -g mysql -m 755 /run/mysqld
        [ -d /var/lib/mysql/mysql ] || mariadb-install-db --user=mysql --skip-test-db >/dev/null
        daemon_start mariadb "$LOG_DIR/mariadb.log" \
            mariadbd --user=mysql --bind-address=127.0.0.1 --port="$MARIADB_PORT"
    fi
    wait_until 60 mariadb_running ||
        die "MariaDB did not start within 60 s" "read $LOG_DIR/mariadb.log (systemd: journalctl -u mariadb)"
}

mariadb_stop() {
    unit_stop mariadb
    daemon_stop mariadb 60
}

# mariadb_provision NAME PASSWORD [ALSO]: make user and database NAME; with ALSO ("%", say) the
# user owns databases whose names begin with NAME too.
mariadb_provision() {
    local name="$1" password="$2" also="${3:-}" host
    {
        # An underscore in a GRANT is a wildcard unless it is escaped.
        printf "CREATE DATABASE IF NOT EXISTS \`%s\` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;\n" "$name"
        for host in localhost 127.0.0.1; do
            printf "CREATE USER IF NOT EXISTS '%s'@'%s';\n" "$name" "$host"
            printf "ALTER USER '%s'@'%s' IDENTIFIED BY '%s';\n" "$name" "$host" "$password"
            printf "GRANT ALL ON \`%s%s\`.* TO '%s'@'%s';\n" "${name//_/\\_}" "$also" "$name" "$host"
        done
    } | mariadb_admin
}

# mariadb_forget NAME [ALSO]: drop user and database NAME; with ALSO those that begin with NAME_ too.
mariadb_forget() {
    local database
    while read -r database; do
        mariadb_admin -e "DROP DATABASE IF EXISTS \`$database\`"
    done < <(mariadb_admin -e 'SHOW DATABASES' | grep -xE "$1${2:+(_.*)?}" || true)
    mariadb_admin -e "DROP USER IF EXISTS '$1'@'localhost', '$1'@'127.0.0.1'"
}

# mariadb_url NAME PASSWORD
mariadb_url() {
    printf 'mysql+pymysql://%s:%s@127.0.0.1:%s/%s?charset=utf8mb4\n' "$1" "$2" "$MARIADB_PORT" "$1"
}
