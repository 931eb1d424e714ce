#!/bin/bash
# make.sh OUT: OUT/debian.tar, an OCI archive with a minimal Debian of the host's own release and package sources.
# Formats: https://github.com/opencontainers/image-spec (image-layout.md, config.md).
set -euo pipefail
out=$1
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
# shellcheck source=/dev/null
suite=$(. /etc/os-release && printf %s "$VERSION_CODENAME")
readonly out created suite

# Debian's own sources on the host, in whichever of apt's two formats; other vendors' packages don't belong in.
sources=()
for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list; do
    if [ -s "$file" ]; then sources+=("$file"); fi
done
[ ${#sources[@]} -gt 0 ] || { echo "no Debian package source in /etc/apt" >&2; exit 1; }

# shellcheck disable=SC2016
readonly command='trap "exit 0" TERM INT PWR; echo "debian: $(hostname) up"; while :; do sleep infinity & wait $!; done'

# What a container never reads stays out.
# shellcheck disable=SC2016
mmdebstrap --mode=auto --variant=minbase --include=iproute2 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='rm -f "$1"/etc/hostname "$1"/etc/resolv.conf' \
    "$suite" "$out/layer.tar" "${sources[@]}"

oci=$out/oci
umoci init --layout "$oci"
umoci new --image "$oci:latest"
umoci raw add-layer --image "$oci:latest" --history.created "$created" --history.created_by nova_lite "$out/layer.tar"
umoci config --image "$oci:latest" --no-history --created "$created" --architecture amd64 --os linux \
    --config.cmd /bin/sh --config.cmd -c --config.cmd "$command" \
    --config.workingdir / --config.env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umoci gc --layout "$oci"
tar --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    -cf "$out/debian.tar" -C "$oci" .
skopeo --insecure-policy inspect "oci-archive:$out/debian.tar" >/dev/null
rm -rf "$oci" "$out/layer.tar"
