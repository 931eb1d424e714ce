#!/bin/bash
# make.sh OUT: OUT/busybox.tar, an OCI archive with a static busybox that serves a page on port 80.
# Formats: https://github.com/opencontainers/image-spec (image-layout.md, config.md).
set -euo pipefail
out=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
readonly out here created

rootfs=$out/rootfs
mkdir -p "$rootfs"/{bin,dev,etc,home,proc,root,run,sbin,srv/www,sys,tmp,usr/bin,usr/sbin,var/log,var/tmp}
chmod 1777 "$rootfs/tmp" "$rootfs/var/tmp"
chmod 700 "$rootfs/root"
ln -s ../run "$rootfs/var/run"
install -m 755 /bin/busybox "$rootfs/bin/busybox"
/bin/busybox --list-full | while IFS= read -r applet; do
    [ -e "$rootfs/$applet" ] || ln -s /bin/busybox "$rootfs/$applet"
done
install -m 755 "$here/start" "$rootfs/sbin/start"
printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'nobody:x:65534:65534:nobody:/nonexistent:/bin/false' >"$rootfs/etc/passwd"
printf '%s\n' 'root:x:0:' 'nogroup:x:65534:' >"$rootfs/etc/group"
printf '%s\n' 'root:*:19000::::::' 'nobody:*:19000::::::' >"$rootfs/etc/shadow"
chmod 600 "$rootfs/etc/shadow"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$rootfs/etc/hosts"
printf 'hosts: files dns\n' >"$rootfs/etc/nsswitch.conf"
printf 'PRETTY_NAME="busybox (nova_lite)"\nID=busybox\n' >"$rootfs/etc/os-release"
printf '<!doctype html><title>busybox</title><h1>busybox</h1>\n' >"$rootfs/srv/www/index.html"

oci=$out/oci
umoci init --layout "$oci"
umoci new --image "$oci:latest"
tar --sort=name --format=posix --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime \
    --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf "$out/layer.tar" -C "$rootfs" .
umoci raw add-layer --image "$oci:latest" --history.created "$created" --history.created_by nova_lite "$out/layer.tar"
umoci config --image "$oci:latest" --no-history --created "$created" --architecture amd64 --os linux \
    --config.entrypoint /sbin/start --config.exposedports 80/tcp --config.stopsignal SIGTERM --config.workingdir / \
    --config.env PATH=/usr/sbin:/usr/bin:/sbin:/bin
umoci gc --layout "$oci"

# What `skopeo copy oci:… oci-archive:…` writes is this tar too, but with the time of day in it.
tar --sort=name --format=ustar --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX \
    -cf "$out/busybox.tar" -C "$oci" .
skopeo --insecure-policy inspect "oci-archive:$out/busybox.tar" >/dev/null
rm -rf "$rootfs" "$oci" "$out/layer.tar"
