"""Containers that are frozen and that libvirt takes to be running.

libvirt 9 calls every container running that it finds when it starts (``virLXCProcessReconnectDomain``). One that was frozen then could not be
thawed, as libvirt thaws only what it calls paused, nor ended, as what is frozen does not take SIGKILL.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import libvirt

LOG = logging.getLogger(__name__)

_V1 = Path("/sys/fs/cgroup/freezer")
_V2 = Path("/sys/fs/cgroup")


def tell(connection: Any) -> None:
    """Have libvirt know which of its running containers are frozen; a freeze of what is frozen does nothing else.

    One that libvirt refuses is logged: it must not keep the connection from all others.
    """
    for domain in connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING):
        if is_frozen(domain.ID()):
            try:
                domain.suspend()
            except libvirt.libvirtError as error:
                if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                    LOG.warning(
                        "guest=%s event=frozen-unknown reason=%r", domain.name(), str(error)
                    )  # it has not ended


def is_frozen(pid: int) -> bool:
    """Say whether a process is in a cgroup that is frozen; not there is no."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8").splitlines()
        for line in lines:
            _, controllers, path = line.split(":", 2)
            below = path.lstrip("/")
            if controllers == "freezer":
                return (_V1 / below / "freezer.state").read_text(encoding="ascii").strip() != "THAWED"
            if not controllers and (_V2 / below / "cgroup.events").exists():
                return "frozen 1" in (_V2 / below / "cgroup.events").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    return False
