# shellcheck shell=bash
# The virtual environment: nova_lite from this checkout on pinned versions. The system's pip and
# site-packages are never touched.

venv_pip() {
    # The configuration of the user's own pip (an index near by, a certificate) still counts.
    "$1/bin/python" -m pip --disable-pip-version-check --no-input --cache-dir "$DEST/pip-cache" "${@:2}"
}

# Print a hash of all that decides what is in the environment.
venv_key() {
    {
        printf '%s\n' "$CHECKOUT" "${1:-}"
        /usr/bin/python3 --version
        cat "$CHECKOUT/setup.cfg" "$CHECKOUT/pyproject.toml" "$CHECKOUT/constraints.txt"
    } | sha256sum | cut -d' ' -f1
}

# venv_current VENV [EXTRA]: whether VENV has what the checkout asks for now.
venv_current() { [ "$(cat "$1/nova-lite.stamp" 2>/dev/null)" = "$(venv_key "${2:-}")" ]; }

# Print the requirements in setup.cfg, those of EXTRA too, without libvirt-python.
venv_requirements() {
    /usr/bin/python3 - "$CHECKOUT/setup.cfg" "${1:-}" <<'PYTHON'
import configparser
import sys

setup = configparser.ConfigParser()
setup.read(sys.argv[1])
lines = setup["options"]["install_requires"].split("\n")
if sys.argv[2]:
    lines += setup["options.extras_require"][sys.argv[2]].split("\n")
print("\n".join(line for line in lines if line and not line.startswith("libvirt-python")))
PYTHON
}

# venv_prepare VENV [EXTRA]: make VENV and install all but libvirt-python, which must be compiled
# and needs libvirt-dev; so this can run while apt still fetches that.
venv_prepare() {
    local venv="$1" extra="${2:-}" requirements
    if venv_current "$venv" "$extra"; then
        say "$venv is up to date"
        return 0
    fi
    if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        mkdir -p "$(dirname "$venv")"
        # Also mends one whose Python has gone, after an upgrade of Debian.
        /usr/bin/python3 -m venv --clear "$venv"
    fi
    mapfile -t requirements < <(venv_requirements "$extra")
    venv_pip "$venv" install -q -c "$CHECKOUT/constraints.txt" "${requirements[@]}"
}

# venv_finish VENV [EXTRA]: install libvirt-python and nova_lite itself.
venv_finish() {
    local venv="$1" extra="${2:-}"
    if venv_current "$venv" "$extra"; then
        say "$venv is up to date"
        return 0
    fi
    # It is generated glue: optimising and debugging it costs half a minute and gives nothing.
    CFLAGS='-O0 -g0' venv_pip "$venv" install -q -c "$CHECKOUT/constraints.txt" libvirt-python
    venv_pip "$venv" install -q -c "$CHECKOUT/constraints.txt" -e "$CHECKOUT${extra:+[$extra]}"
    venv_key "$extra" >"$venv/nova-lite.stamp"
}
