"""Put the containers' launcher where libvirtd may run it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from nova_lite.virt.libvirt import launcher

_MARKER = 'INSTANCES = "/var/lib/nova-lite/instances"'
_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")
# Debian's AppArmor profile of libvirtd lets it run what is here, and little else.
_CONFINED_PLACE = Path("/usr/lib/libvirt/nova-lite-lxc")


def place(state_path: Path) -> Path:
    """Return where the launcher belongs on this host."""
    try:
        confined = _APPARMOR.read_text(encoding="ascii").startswith("Y")
    except OSError:
        confined = False
    return _CONFINED_PLACE if confined else state_path / "libvirt" / "nova-lite-lxc"


def content(instances: Path) -> str:
    """Return the launcher as a program: this Python, nothing but the standard library, *instances* written in."""
    source = Path(launcher.__file__).read_text(encoding="utf-8")
    assert source.count(_MARKER) == 1
    return f"#!{sys.executable} -IS\n" + source.replace(_MARKER, f"INSTANCES = {str(instances)!r}")


def install(path: Path, instances: Path) -> None:
    """Write the launcher to *path* if it is not there as it should be. A container that starts meanwhile sees old or new."""
    wanted = content(instances)
    if path.exists() and path.read_text(encoding="utf-8") == wanted and os.access(path, os.X_OK):
        return
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=".nova-lite-lxc-")
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(wanted)
        os.fchmod(file.fileno(), 0o755)
    os.rename(part, path)
