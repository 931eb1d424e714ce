#!/bin/bash
# Build the guest images from what Debian ships; each once, kept by the content of what it is made from.
#
#   build.sh [--out DIR] [image ...]        images: tiny hello-unikernel busybox (these by default), debian
#
# DIR/<image>-<key>/ holds one image's files, DIR/<image> points at the current one, DIR/images.json lists all that
# are there. A directory gets its name only when it is whole, so a run that was killed leaves nothing that counts.
# Environment: NOVA_LITE_IMAGES (DIR; default /var/lib/nova-lite/images-built), SOURCE_DATE_EPOCH.
set -euo pipefail
shopt -s inherit_errexit
export LC_ALL=C
umask 022
# /sbin and the like are missing from a plain user's PATH on Debian.
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
# Any fixed instant will do: it is the date of every file in an image.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-1735689600}

readonly all_images=(tiny hello-unikernel busybox debian)
declare -rA packages_of=(
    [tiny]="busybox-static cpio dropbear-bin e2fsprogs lz4 mtools qemu-utils syslinux"
    [hello-unikernel]="binutils gcc make"
    [busybox]="busybox-static skopeo umoci"
    [debian]="mmdebstrap skopeo umoci"
)
declare -rA source_of=([tiny]=tiny [hello-unikernel]=unikernel [busybox]=busybox [debian]=debian)

die() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
}

out=${NOVA_LITE_IMAGES:-/var/lib/nova-lite/images-built}
images=()
while [ $# -gt 0 ]; do
    case $1 in
        --out) [ $# -ge 2 ] || die "--out needs a directory"; out=$2; shift ;;
        --out=*) out=${1#--out=} ;;
        -h | --help) usage; exit 0 ;;
        -*) die "unknown option $1 (see --help)" ;;
        *)
            [ -n "${packages_of[$1]:-}" ] || die "unknown image $1; there are: ${all_images[*]}"
            images+=("$1")
            ;;
    esac
    shift
done
[ ${#images[@]} -gt 0 ] || images=(tiny hello-unikernel busybox)

# Every package that is missing is named at once.
check_packages() {
    local image wanted=() missing
    for image in "${images[@]}"; do
        read -ra more <<<"${packages_of[$image]}"
        wanted+=("${more[@]}")
    done
    missing=$(comm -13 \
        <(dpkg-query -W -f '${db:Status-Abbrev}${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^ii //p' | sort -u) \
        <(printf '%s\n' "${wanted[@]}" | sort -u) | tr '\n' ' ')
    [ -z "$missing" ] || die "Debian packages are missing: ${missing% }
    cure: apt-get install --no-install-recommends ${missing% }"
    [ "$(dpkg --print-architecture)" = amd64 ] || die "guest images are made for amd64 only"
}

# key IMAGE: a hash over the sources, the versions of the packages and whatever else decides the bytes.
key() {
    local image=$1 source=$here/${source_of[$1]}
    {
        printf '%s\n' "$SOURCE_DATE_EPOCH" "$image"
        sha256sum "$here/build.sh" | cut -d' ' -f1
        # shellcheck disable=SC2086
        dpkg-query -W -f '${Package} ${Version}\n' ${packages_of[$image]} | sort
        cd "$source"
        find . -type f ! -name '*.o' ! -name '*.d' ! -name '.*.sw?' -printf '%m %p\n' | sort -k2
        find . -type f ! -name '*.o' ! -name '*.d' ! -name '.*.sw?' -print0 | sort -z | xargs -0 sha256sum
        if [ -x inputs.sh ]; then ./inputs.sh "$out/downloads"; fi
    } | sha256sum | cut -c1-16
}

# entry KEYED-DIR NAME FILE DISK_FORMAT CONTAINER_FORMAT MIN_RAM_MIB MIN_DISK_GIB PROPERTIES: one line of images.json.
entry() {
    local sum
    sum=$(sha256sum "$work/$3")
    printf '{"name": "%s", "file": "%s", "disk_format": "%s", "container_format": "%s", "min_ram": %d, "min_disk": %d, "properties": %s, "sha256": "%s"}\n' \
        "$2" "$1/$3" "$4" "$5" "$6" "$7" "$8" "${sum%% *}"
}

make_tiny() {
    "$here/tiny/make.sh" "$work" "$out/downloads"
    local cmdline
    cmdline=$(cat "$here/tiny/cmdline")
    {
        entry "$1" tiny-kernel tiny-kernel aki aki 0 0 '{}'
        entry "$1" tiny-ramdisk tiny-ramdisk ari ari 0 0 '{}'
        entry "$1" tiny tiny.img ami ami 96 0 \
            "{\"kernel_id\": \"@tiny-kernel\", \"ramdisk_id\": \"@tiny-ramdisk\", \"os_command_line\": \"$cmdline\"}"
        entry "$1" tiny-disk tiny-disk.qcow2 qcow2 bare 96 0 '{}'
    } >"$work/entries"
}

make_hello-unikernel() {
    make --silent -C "$here/unikernel" OUT="$work"
    [ -f "$work/hello-unikernel" ] || die "devstack/images/unikernel made no hello-unikernel"
    entry "$1" hello-unikernel hello-unikernel raw bare 16 0 \
        '{"nova_lite_kind": "unikernel", "nova_lite_cmdline": "ip={address}/{prefix} gw={gateway} name={hostname}"}' \
        >"$work/entries"
}

make_busybox() {
    "$here/busybox/make.sh" "$work"
    entry "$1" busybox busybox.tar raw docker 16 0 '{"nova_lite_kind": "container"}' >"$work/entries"
}

make_debian() {
    "$here/debian/make.sh" "$work"
    entry "$1" debian debian.tar raw docker 64 0 '{"nova_lite_kind": "container"}' >"$work/entries"
}

# Everything that one image needs, in a directory of its own that is renamed at the very end.
build() {
    local image=$1 begun=${EPOCHREALTIME/./} name log status cached=
    [ -d "$here/${source_of[$image]}" ] || die "$image: its source directory ${source_of[$image]}/ is not there"
    name=$image-$(key "$image")
    if [ ! -f "$out/$name/entries" ]; then
        work=$(mktemp -d "$out/.work.XXXXXX")
        log=$out/$image.log
        # Not as a condition: bash ignores errexit inside one.
        set +e
        (set -e; "make_$image" "$name") >"$log" 2>&1
        status=$?
        set -e
        if [ "$status" -ne 0 ]; then
            tail -n 20 "$log" >&2
            die "$image could not be built; the whole log is $log"
        fi
        chmod 755 "$work"
        sync -f "$work"
        mv -T "$work" "$out/$name"
    else
        cached=" (nothing to do)"
    fi
    point_at "$image" "$name"
    printf '%-16s %6d ms%s\n' "$image" $(((${EPOCHREALTIME/./} - begun) / 1000)) "$cached"
}

# point_at IMAGE KEYED-DIR: make DIR/IMAGE name the current build, in one step.
point_at() {
    [ "$(readlink "$out/$1" || true)" = "$2" ] && return
    ln -s "$2" "$out/.link.$$"
    mv -T "$out/.link.$$" "$out/$1"
}

write_index() {
    local image
    {
        printf '[\n'
        for image in "${all_images[@]}"; do
            if [ -f "$out/$image/entries" ]; then cat "$out/$image/entries"; fi
        done | sed '$!s/$/,/; s/^/  /'
        printf ']\n'
    } >"$out/.index.$$"
    if cmp -s "$out/.index.$$" "$out/images.json"; then
        rm -f "$out/.index.$$"
    else
        mv -T "$out/.index.$$" "$out/images.json"
    fi
}

# Builds that nothing points at any more, only after the index names the new ones.
drop_old() {
    local image dir
    for image in "${all_images[@]}"; do
        for dir in "$out/$image"-*/; do
            dir=${dir%/}
            [[ ${dir##*/"$image"-} =~ ^[0-9a-f]{16}$ ]] || continue
            [ "$(readlink "$out/$image" || true)" = "${dir##*/}" ] || rm -rf "$dir"
        done
    done
}

mkdir -p "$out/downloads"
out=$(cd "$out" && pwd)
exec 9>"$out/.lock"
flock 9
# Under the lock, whatever has a temporary name belongs to a run that died.
rm -rf "$out"/.work.* "$out"/.link.* "$out"/.index.*
check_packages
for image in "${images[@]}"; do build "$image"; done
write_index
drop_old
