#!/bin/bash
# make.sh OUT DOWNLOADS: OUT/tiny-kernel, tiny-ramdisk, tiny.img (data disk), tiny-disk.qcow2 (boots by BIOS).
#
# Nothing here needs root, a mount or a loop device, and the same inputs give the same bytes.
set -euo pipefail
out=$1
downloads=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly out downloads here
readonly root=$out/root
# All guests made from this image share it; it only has to be the same each time.
readonly disk_uuid=7469e179-0000-4000-8000-6e6f76616c69

# The kernel package is fetched and unpacked, never installed.
fetch_kernel() {
    local package version deb
    read -r package version < <("$here/kernel-package.sh" "$downloads")
    deb=$downloads/${package}_${version//:/%3a}_amd64.deb
    if [ ! -f "$deb" ]; then
        mkdir "$out/download"
        (cd "$out/download" && apt-get -q -o APT::Sandbox::User=root download "$package=$version")
        rm -f "$downloads"/linux-image-*.deb
        mv "$out/download"/*.deb "$deb"
        rmdir "$out/download"
    fi
    mkdir "$out/kernel"
    # A package that a power failure cut short is fetched again by the next run.
    if ! dpkg-deb --fsys-tarfile "$deb" | tar -xf - -C "$out/kernel" --exclude='./usr/share/*'; then
        rm -f "$deb"
        return 1
    fi
    release=${package#linux-image-}
    release=$(cd "$out/kernel/lib/modules" && ls -d "$release"*)
    cp "$out/kernel/boot/vmlinuz-$release" "$out/tiny-kernel"
}

# The modules named in the list and all that they depend on, with the index that modprobe reads.
copy_modules() {
    local tree=lib/modules/$release
    /bin/busybox depmod -b "$out/kernel" "$release"
    mkdir -p "$root/$tree"
    grep -v '^#' "$here/modules" | awk -v dep="$out/kernel/$tree/modules.dep" '
        function take(path,    parts, count, i) {
            if (path in taken) return
            taken[path] = 1
            print path
            count = split(needs[path], parts, " ")
            for (i = 1; i <= count; i++) take(parts[i])
        }
        BEGIN {
            while ((getline line < dep) > 0) {
                colon = index(line, ":")
                path = substr(line, 1, colon - 1)
                needs[path] = substr(line, colon + 1)
                name = path
                sub(/.*\//, "", name); sub(/\.ko.*/, "", name); gsub(/-/, "_", name)
                path_of[name] = path
            }
        }
        {
            name = $1
            gsub(/-/, "_", name)
            if (!(name in path_of)) { print "no module " $1 " in this kernel" > "/dev/stderr"; exit 1 }
            take(path_of[name])
        }' | sort >"$out/modules"
    tar -cf - -C "$out/kernel/$tree" -T "$out/modules" | tar -xf - -C "$root/$tree"
    find "$root/$tree" -name '*.ko.xz' -exec /bin/busybox unxz {} +
    cp "$out/kernel/$tree/modules.builtin" "$root/$tree/"
    /bin/busybox depmod -b "$root" "$release"
    rm -f "$root/$tree/modules.symbols" "$root/$tree/modules.builtin"
}

copy_programs() {
    local applet library
    install -D -m 4755 /bin/busybox "$root/bin/busybox"
    /bin/busybox --list-full | while IFS= read -r applet; do
        mkdir -p "$root/$(dirname "$applet")"
        [ -e "$root/$applet" ] || ln -s /bin/busybox "$root/$applet"
    done
    install -D -m 755 /usr/sbin/dropbear "$root/usr/sbin/dropbear"
    install -D -m 755 /usr/bin/dropbearkey "$root/usr/bin/dropbearkey"
    install -D -m 755 /usr/bin/dbclient "$root/usr/bin/dbclient"
    ln -s dbclient "$root/usr/bin/ssh"
    ldd /usr/sbin/dropbear | sed -n 's/^[^/]*\(\/[^ ]*\) (.*/\1/p' | sort -u | while IFS= read -r library; do
        install -D -m 755 "$library" "$root$library"
    done
}

make_root() {
    mkdir -p "$root"/{dev,etc,home/tiny,mnt,proc,root,run,sys,tmp,usr/share/udhcpc,var/log}
    copy_programs
    copy_modules
    cp -r "$here/rootfs/." "$root/"
    ln -s /run "$root/var/run"
    ln -s /proc/mounts "$root/etc/mtab"
    find "$root" -type d -exec chmod 755 {} +
    find "$root/etc" -type f -exec chmod 644 {} +
    chmod 755 "$root/init" "$root/etc/udhcpc.script" "$root/etc/acpi/PWRF"/* "$root/lib/tiny"/*
    chmod 600 "$root/etc/shadow"
    chmod 1777 "$root/tmp"
    chmod 700 "$root/root"
    find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
    (cd "$root" && find . -print0 | sort -z |
        cpio --quiet --null --create --format=newc --owner=0:0 --reproducible) >"$out/root.cpio"
    # The kernel reads the old lz4 frame only.
    lz4 -q -l -9 "$out/root.cpio" "$out/tiny-ramdisk"
}

# An empty ext4 file system: the guest keeps its data there, at /mnt. (Files put in by -d would carry today's ctime.)
# With a journal: a hard reboot is a power failure to the guest.
make_data_disk() {
    E2FSPROGS_FAKE_TIME=$SOURCE_DATE_EPOCH mke2fs -q -F -t ext4 -L tiny -U "$disk_uuid" \
        -m 0 -J size=1 -E "hash_seed=$disk_uuid,lazy_itable_init=1,root_owner=0:0" "$out/tiny.img" 8M
}

# le32 NUMBER: four bytes as \x escapes, lowest first.
le32() {
    printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

# An MBR with one active FAT partition from 1 MiB, syslinux in it.
make_boot_disk() {
    local disk=$out/tiny-disk.raw offset=$((1024 * 1024)) content mib part
    content=$(stat -c %s "$out/tiny-kernel" "$out/tiny-ramdisk" | awk '{ sum += $1 } END { print sum }')
    mib=$((content / 1048576 + 4))
    part=$disk@@$offset
    truncate -s $((offset + mib * 1048576)) "$disk"
    dd if=/usr/lib/SYSLINUX/mbr.bin of="$disk" conv=notrunc status=none
    # Boot flag, CHS that says "use LBA", type 0x0e (FAT16 LBA), first sector, count; then the signature.
    # shellcheck disable=SC2059
    printf "\x80\xfe\xff\xff\x0e\xfe\xff\xff$(le32 2048)$(le32 $((mib * 2048)))" |
        dd of="$disk" bs=1 seek=446 conv=notrunc status=none
    printf '\x55\xaa' | dd of="$disk" bs=1 seek=510 conv=notrunc status=none
    mformat -i "$part" -c 8 -N 74696e79 -v TINY -h 64 -s 32 -H 2048 -T $((mib * 2048)) ::
    printf 'DEFAULT tiny\nPROMPT 0\nTIMEOUT 0\nLABEL tiny\n  LINUX /kernel\n  INITRD /ramdisk\n  APPEND %s\n' \
        "$(cat "$here/cmdline")" >"$out/syslinux.cfg"
    syslinux --install --offset "$offset" "$disk"
    cp "$out/tiny-kernel" "$out/kernel.bin"
    touch -d "@$SOURCE_DATE_EPOCH" "$out/kernel.bin" "$out/tiny-ramdisk" "$out/syslinux.cfg"
    mcopy -m -i "$part" "$out/kernel.bin" ::/kernel
    mcopy -m -i "$part" "$out/tiny-ramdisk" ::/ramdisk
    mcopy -m -i "$part" "$out/syslinux.cfg" ::/syslinux.cfg
    qemu-img convert -f raw -O qcow2 -c "$disk" "$out/tiny-disk.qcow2"
}

# mtools and syslinux write local time.
export TZ=UTC MTOOLS_SKIP_CHECK=1
fetch_kernel
make_root
make_data_disk
make_boot_disk
cd "$out"
rm -rf root kernel modules root.cpio kernel.bin syslinux.cfg tiny-disk.raw
