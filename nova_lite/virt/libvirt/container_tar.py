"""Write a container's root as a tar file, its ids shifted back; a program, run in a mount namespace where the root is.

Usage: ``container_tar.py <instance directory> <tar file> [mount]``; with ``mount`` the root is mounted first, which needs a
namespace of its own. The container is frozen or stopped, so nothing changes under our hands; links are never followed.
Device nodes and sockets are left out. Runs with the standard library and ``launcher`` alone.
"""

import importlib.util
import json
import os
import stat
import struct
import sys
import tarfile
from collections.abc import Iterator
from typing import Any

_CAPABILITY = "security.capability"
_NOBODY = 65_534
_VERSION_3, _VERSION_2, _EFFECTIVE = 0x03000000, 0x02000000, 1


def main(arguments: list[str]) -> None:
    """Read the plan in the instance's directory and write the tar file."""
    directory, target, mode = arguments
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.chdir(directory)
    with open("container.json", encoding="utf-8") as plan_file:
        plan = json.load(plan_file)
    if mode == "mount":
        mount_root(plan)
    base, count = int(plan["uid_base"]), int(plan["id_count"])
    own = "own" if "own" in plan else "rootfs"
    left = room(plan)
    with open(out, "wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, name in walk(own):
            left -= add(archive, path, name, base, count, left)


def room(plan: "dict[str, Any]") -> int:
    """Return how many bytes of files there may be: as many as the container's disk and its image can hold.

    A file with holes can seem to be far larger than any disk, and would be written here with all its zeros.
    """
    source = plan.get("own") or plan
    return os.stat(source["data"]).st_size + sum(os.lstat(path).st_size for path, _ in walk(source["lower"]))


def mount_root(plan: dict[str, object]) -> None:
    """Mount the root as the launcher beside this file does."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launcher.py")
    spec = importlib.util.spec_from_file_location("launcher", path)
    assert spec is not None
    assert spec.loader is not None
    launcher = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(launcher)
    launcher.mount_root(plan)


def walk(root: str) -> Iterator[tuple[str, str]]:
    """Give (path, name in the archive) of all that is below *root*, directories before what is in them."""
    device = os.lstat(root).st_dev
    for where, folders, files in os.walk(root):
        folders.sort()
        for name in sorted([*folders, *files]):
            path = os.path.join(where, name)
            yield path, os.path.relpath(path, root)
        # What is mounted on the root from elsewhere is none of it.
        folders[:] = [name for name in folders if os.lstat(os.path.join(where, name)).st_dev == device]


def add(archive: tarfile.TarFile, path: str, name: str, base: int, count: int, most: int) -> int:
    """Add one file as it is, but with the ids that it has inside the container; return how many bytes it has, *most* at most."""
    mode = os.lstat(path).st_mode
    if stat.S_ISSOCK(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        return 0
    entry = archive.gettarinfo(path, name)
    entry.uid = entry.uid - base if base <= entry.uid < base + count else _NOBODY
    entry.gid = entry.gid - base if base <= entry.gid < base + count else _NOBODY
    entry.uname = entry.gname = ""
    if not entry.isreg():
        archive.addfile(entry)
        return 0
    if entry.size > most:
        raise SystemExit(
            "its files have holes, and would take more in an image than its disk and its own image can hold"
        )
    capability = file_capability(path)
    if capability:
        # Bytes as text: PAX headers are UTF-8, and tarfile writes these back as they were.
        entry.pax_headers = {f"SCHILY.xattr.{_CAPABILITY}": capability.decode("utf-8", "surrogateescape")}
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        archive.addfile(entry, file)
    return entry.size


def file_capability(path: str) -> bytes:
    """Return a file's capabilities as they are seen inside: a container's own ones (version 3) name its root by the host's id.

    Source: Linux, include/uapi/linux/capability.h
    """
    try:
        value = os.getxattr(path, _CAPABILITY, follow_symlinks=False)
    except OSError:
        return b""
    magic = struct.unpack_from("<I", value)[0]
    if magic & 0xFF000000 != _VERSION_3:
        return value
    return struct.pack("<I", _VERSION_2 | (magic & _EFFECTIVE)) + value[4:20]


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except OSError as error:
        raise SystemExit(str(error)) from None  # its last words are what the user is told
