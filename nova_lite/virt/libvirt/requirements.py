"""What containers need of a host, found out rather than assumed; each thing that is missing has a sentence."""

from __future__ import annotations

import os
import platform
import re
import shutil
from pathlib import Path

from nova_lite.virt.libvirt import seccomp

_PROGRAMS = {"mke2fs": "e2fsprogs", "nsenter": "util-linux"}
_OVERLAY_OF_IDMAPPED = (5, 19)
_SEARCH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


def missing_for_containers(emulator: Path) -> str:
    """Return why containers can't be run here, or the empty string. libvirt's own answer is asked for elsewhere."""
    if platform.machine() != seccomp.ARCHITECTURE:
        return f"the system call filter is made for {seccomp.ARCHITECTURE} only"
    if not emulator.exists():
        return f"{emulator} is missing; install libvirt-daemon-driver-lxc"
    version = re.match(r"(\d+)\.(\d+)", platform.release())
    if version is None or (int(version[1]), int(version[2])) < _OVERLAY_OF_IDMAPPED:
        return "the kernel is older than 5.19, so an overlay can't have an idmapped layer"
    for program, package in _PROGRAMS.items():
        if shutil.which(program, path=_SEARCH) is None:
            return f"{program} is missing; install {package}"
    if not Path("/dev/loop-control").exists():
        return "there are no loop devices (modprobe loop)"
    return ""
