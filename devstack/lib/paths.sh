# shellcheck shell=bash disable=SC2034
# Where everything of ours lives on a host. Each can be set from outside, so that tests and a
# second copy never meet the first.

DEVSTACK_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
CHECKOUT="$(dirname "$DEVSTACK_DIR")"
DEST="${DEST:-/opt/nova-lite}"
DATA="${DATA:-/var/lib/nova-lite}"
CONF_DIR="${CONF_DIR:-/etc/nova-lite}"
RUN_DIR="${RUN_DIR:-/run/nova-lite}"
LOG_DIR="${LOG_DIR:-/var/log/nova-lite}"
