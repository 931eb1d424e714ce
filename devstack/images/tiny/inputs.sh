#!/bin/bash
# inputs.sh DOWNLOADS: print what decides tiny's bytes beside its sources: the kernel package, dropbear's libraries.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
"$here/kernel-package.sh" "$1"
ldd /usr/sbin/dropbear | sed -n 's/^[^/]*\(\/[^ ]*\) (.*/\1/p' | sort -u | xargs sha256sum /bin/busybox /usr/sbin/dropbear
