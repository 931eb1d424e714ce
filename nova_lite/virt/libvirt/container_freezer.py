"""Containers that are frozen and that libvirt takes to be running.

libvirt 9 calls every container running that it finds when it starts (``virLXCProcessReconnectDomain``). One that was frozen then could not be
thawed, as libvirt thaws only what it calls paused, nor ended, as what is frozen does not take SIGKILL.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt

LOG = logging.getLogger(__name__)

_V1 = Path("/sys/fs/cgroup/freezer")
_V2 = Path("/sys/fs/cgroup")
_AT_ONCE = 8
_PATIENCE_S = 2.0
"""How long others wait for libvirt to be told of all; it takes milliseconds unless one of the containers hangs."""


class ContainerFreezer:
    """Tells libvirt which containers are frozen; one that libvirt refuses, or that hangs, keeps nothing from any other."""

    def __init__(self, connect: Callable[[str], Any] = libvirt.open) -> None:
        """:param connect: opens a connection to an address."""
        self._connect = connect
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def tell(self, connection: Any) -> None:
        """Have libvirt know which of its running containers are frozen; a freeze of what is frozen does nothing else.

        Over connections of their own, as a call that hangs takes one of the few that a connection may have under way. It comes back after two seconds
        at the latest; what hangs is not begun again while it does.
        """
        running = connection.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_RUNNING)
        left = self._begin([domain.UUIDString() for domain in running if is_frozen(domain.ID())])
        tellers = [
            threading.Thread(target=self._tell, args=(connection.getURI(), left), name="frozen containers", daemon=True)
            for _ in range(min(_AT_ONCE, len(left)))
        ]
        for teller in tellers:
            teller.start()
        deadline = time.monotonic() + _PATIENCE_S
        for teller in tellers:
            teller.join(max(deadline - time.monotonic(), 0))

    def _begin(self, frozen: list[str]) -> list[str]:
        with self._lock:
            found = [one for one in frozen if one not in self._under_way]
            self._under_way.update(found)
        return found

    def _tell(self, uri: str, left: list[str]) -> None:
        """Take one after the other from *left* until there is none, as other threads do beside."""
        while True:
            with self._lock:
                if not left:
                    return
                one = left.pop()
            try:
                self._suspend(uri, one)
            finally:
                with self._lock:
                    self._under_way.discard(one)

    def _suspend(self, uri: str, guest: str) -> None:
        try:
            self._connect(uri).lookupByUUIDString(guest).suspend()
        except libvirt.libvirtError as error:
            if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
                LOG.warning("server=%s event=frozen-unknown reason=%r", guest, str(error))  # it has not ended


def is_frozen(pid: int) -> bool:
    """Say whether a process is in a cgroup that is frozen; not there is no."""
    try:
        return _is_frozen(Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8"))
    except OSError:
        return False


def _is_frozen(groups: str) -> bool:
    """Look at the groups of a process, as ``/proc/<pid>/cgroup`` lists them: v1's freezer where there is one, else v2.

    :raises OSError: they have gone.
    """
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        below = path.lstrip("/")
        if controllers == "freezer":
            return (_V1 / below / "freezer.state").read_text(encoding="ascii").strip() != "THAWED"
        if not controllers and (_V2 / below / "cgroup.events").exists():
            return "frozen 1" in (_V2 / below / "cgroup.events").read_text(encoding="ascii").splitlines()
    return False
