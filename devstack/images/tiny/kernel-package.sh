#!/bin/bash
# kernel-package.sh DOWNLOADS: print "package version" of the kernel that linux-image-cloud-amd64 stands for now.
#
# apt takes half a second to answer, so the answer is kept in DOWNLOADS/kernel until apt's lists change.
set -euo pipefail
downloads=$1
lists=$(stat -c '%n %Z' /var/lib/apt/lists /var/lib/apt/lists/*Packages* 2>/dev/null | sha256sum | cut -c1-16)
if [ -f "$downloads/kernel" ]; then
    read -r known package version <"$downloads/kernel"
    if [ "$known" = "$lists" ]; then
        printf '%s %s\n' "$package" "$version"
        exit
    fi
fi
found=$(apt-cache show --no-all-versions linux-image-cloud-amd64 2>/dev/null |
    sed -n 's/^Depends:.*\(linux-image-[0-9][^ ,]*\) (= \([^)]*\)).*/\1 \2/p')
if [ -z "$found" ]; then
    if [ -n "${package:-}" ]; then
        # Without apt's lists, the kernel that was taken last time is as good.
        printf '%s %s\n' "$package" "$version"
        exit
    fi
    echo "apt knows no linux-image-cloud-amd64; cure: apt-get update" >&2
    exit 1
fi
printf '%s %s\n' "$lists" "$found" >"$downloads/kernel.$$"
mv "$downloads/kernel.$$" "$downloads/kernel"
printf '%s\n' "$found"
