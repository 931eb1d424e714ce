"""The domains of one libvirt address, as far as both kinds of guest treat them alike."""

from __future__ import annotations

import contextlib
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import libvirt

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.driver import DriverError, DriverTimeout, GuestNotFound, Observed
from nova_lite.virt.libvirt import identity
from nova_lite.virt.libvirt.connection import Connection, still_wanted

T = TypeVar("T")

_POWER = {
    libvirt.VIR_DOMAIN_NOSTATE: PowerState.NOSTATE,
    libvirt.VIR_DOMAIN_RUNNING: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: PowerState.PAUSED,
    # On its way out, but its memory and devices are still in use.
    libvirt.VIR_DOMAIN_SHUTDOWN: PowerState.RUNNING,
    libvirt.VIR_DOMAIN_SHUTOFF: PowerState.SHUTDOWN,
    libvirt.VIR_DOMAIN_CRASHED: PowerState.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: PowerState.SUSPENDED,
}
_POLL_S = 0.02
_STARTING_UP = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP)
_SPECIAL = {
    _STARTING_UP: PowerState.NOSTATE,
    # QEMU ended without having been asked to.
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED): PowerState.CRASHED,
}
"""States whose reason says more."""
_START_WAIT_S = 30.0
_CUT_SHORT_S = 15.0
"""How long libvirt may take to see that the processes of a start are gone."""
_HUNG_MS = 60_000
"""After so long without an answer QEMU's monitor has hung; what takes long on purpose is a job, which is something else."""


@dataclass(frozen=True)
class DomainView:
    """A domain of ours at one moment. ``pid`` is libvirt's number of it: for LXC its controller's pid, 0 when stopped."""

    server_id: str
    kind: str
    power: PowerState
    active: bool
    saved: bool
    pid: int
    starting: bool = False
    """libvirtd is about to run it, for a caller that may have died since."""
    rescue: str = ""
    """The id of the image that it is rescued with."""
    adopted: bool = False
    """It keeps the definition that somebody else gave it."""


class Domains:
    """Look domains up by server id and act on them."""

    def __init__(
        self, connection: Connection, fallback_kind: str, logs: Path, cut_short: Callable[[str], None] | None = None
    ) -> None:
        """:param fallback_kind: what a domain that is none of ours is listed as. :param logs: where libvirt logs domains.

        :param cut_short: ends the processes of a guest, by its server's id, whose start hangs.
        """
        self._logs = logs
        self._cut_short = cut_short
        self.connection = connection
        self._fallback_kind = fallback_kind

    def view(self, server_id: str) -> DomainView | None:
        """Return the server's domain as it is now, or None.

        :raises DriverError: libvirt does not answer, or the UUID is that of a domain which is none of ours.
        """
        try:
            return self.connection.call(f"look guest {server_id} up", lambda conn: _view(conn, server_id))
        except GuestNotFound:
            return None

    def observe(self) -> Sequence[Observed]:
        """List all domains. One that vanishes while it is looked at is left out."""
        return self.connection.call("list guests", self._observe)

    def _observe(self, connection: Any) -> list[Observed]:
        seen = []
        for domain in connection.listAllDomains():
            try:
                who = identity.of(domain)
                power = power_of(tuple(domain.state()))
                if who is not None and self.is_hung(domain, who.server_id):
                    power = PowerState.NOSTATE
                seen.append(
                    Observed(
                        who.server_id if who else None, domain.name(), power, who.kind if who else self._fallback_kind
                    )
                )
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_NO_DOMAIN:
                    raise
        return seen

    def is_hung(self, domain: Any, server_id: str) -> bool:
        """Tell whether the guest's process leaves a call of ours, or of anybody's, unanswered: libvirt says that it runs."""
        if self.connection.is_stuck(server_id):
            return True
        try:
            state, _, milliseconds = domain.controlInfo()
        except libvirt.libvirtError:
            return False  # it does not run, or has nothing to control it by (LXC)
        return bool(state == libvirt.VIR_DOMAIN_CONTROL_OCCUPIED and milliseconds > _HUNG_MS)

    def on(
        self, server_id: str, what: str, work: Callable[[Any], T], timeout: float | None = None, *, ends: bool = False
    ) -> T:
        """Run ``work(domain)``; *ends*: it ends the guest. :raises GuestNotFound: there is none."""

        def on_domain(connection: Any) -> T:
            domain = connection.lookupByUUIDString(server_id)
            still_wanted()
            return work(domain)

        return self.connection.call(f"{what} guest {server_id}", on_domain, timeout, guest=server_id, ends=ends)

    def named(self, name: str, what: str, work: Callable[[Any], T]) -> T:
        """Run ``work(domain)`` for the domain of that name. :raises GuestNotFound: there is none."""
        return self.connection.call(f"{what} guest {name!r:.80}", lambda conn: work(conn.lookupByName(name)))

    def create(self, server_id: str, xml: str, flags: int = 0) -> None:
        """Define the domain anew from *xml* and start it; one that runs is left alone.

        :param flags: with which an old definition is removed where there must be none.
        :raises DriverError: libvirt refuses, or a domain that is none of ours has this UUID.
        """

        def work(connection: Any) -> None:
            _define_and_start(connection, xml, flags)

        view = self.wait_started(server_id)
        if view is None or not view.active:
            self.connection.call(f"start guest {server_id}", work, guest=server_id)

    def start_as_defined(self, server_id: str) -> None:
        """Start a guest from the definition that it has; running is success."""
        self.on(server_id, "start", lambda domain: None if domain.isActive() else domain.create())

    def go_on(self, server_id: str, what: str) -> None:
        """Let a frozen guest go on; running is success, as where an agent that has died since had asked for it."""
        self.on(server_id, what, _go_on)

    def wait_started(self, server_id: str) -> DomainView | None:
        """Return the domain once no start of it is under way: libvirtd finishes what a dead agent asked for.

        A start that hangs, as one that another libvirtd began and died of, is cut short; libvirt then takes the guest to be off.
        """
        view = self._await_start(server_id, _START_WAIT_S)
        if view is not None and view.starting and self._cut_short is not None:
            self._cut_short(server_id)
            view = self._await_start(server_id, _CUT_SHORT_S)
        if view is not None and view.starting:
            raise DriverTimeout(f"guest {server_id} has been starting for {_START_WAIT_S:.0f} s")
        return view

    def _await_start(self, server_id: str, seconds: float) -> DomainView | None:
        deadline = time.monotonic() + seconds
        while (view := self.view(server_id)) is not None and view.starting and time.monotonic() < deadline:
            time.sleep(_POLL_S)
        return view

    def size(self, server_id: str) -> tuple[int, int]:
        """Return the vCPUs and MiB of memory that the guest is defined with. :raises GuestNotFound: there is none."""
        text = self.on(server_id, "look at", lambda domain: domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        root = ET.fromstring(text)  # noqa: S314 - libvirt's own answer
        vcpu = root.find("vcpu")
        assert vcpu is not None
        memory = root.findtext("currentMemory") or root.findtext("memory") or "0"
        return int(vcpu.get("current") or vcpu.text or 0), int(memory) // 1024

    def undefine(self, server_id: str, flags: int) -> None:
        """Remove a stopped domain's definition; none there is success."""
        with contextlib.suppress(GuestNotFound):
            self.on(server_id, "remove", lambda domain: domain.undefineFlags(flags))

    def remove_log(self, server_id: str) -> None:
        """Remove libvirt's log of a domain that it has no more."""
        with contextlib.suppress(OSError):
            (self._logs / f"{identity.domain_name(server_id)}.log").unlink(missing_ok=True)

    def wait_stopped(self, server_id: str, seconds: float) -> bool:
        """Wait until the domain does not run; False: it still does after *seconds*."""
        deadline = time.monotonic() + seconds
        what = f"look at guest {server_id}"
        while True:
            try:
                if not self.connection.call(what, lambda conn: conn.lookupByUUIDString(server_id).isActive()):
                    return True
            except GuestNotFound:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)


def _define_and_start(connection: Any, xml: str, flags: int) -> None:
    domain = connection.defineXML(xml)
    still_wanted()
    try:
        domain.create()
    except libvirt.libvirtError as error:
        code = error.get_error_code()
        if code == libvirt.VIR_ERR_OPERATION_TIMEOUT and not domain.isActive():
            # A libvirtd that was killed in the middle of a job believes ever after that it is under way; it forgets that with the domain.
            still_wanted()
            domain.undefineFlags(flags)
            connection.defineXML(xml).create()
        elif code != libvirt.VIR_ERR_OPERATION_INVALID or not domain.isActive():
            raise  # else it is repeated after a connection was lost, and the first call went through


def _go_on(domain: Any) -> None:
    try:
        domain.resume()
    except libvirt.libvirtError:
        if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
            raise


def power_of(state: tuple[int, int]) -> PowerState:
    """Return what libvirt's state and reason mean."""
    if state in _SPECIAL:
        return _SPECIAL[state]
    return _POWER.get(state[0], PowerState.NOSTATE)


def _view(connection: Any, server_id: str) -> DomainView:
    domain = connection.lookupByUUIDString(server_id)
    who = identity.of(domain)
    if who is None:
        raise DriverError(f"libvirt has a domain {domain.name()} with this server's id that nova_lite did not make")
    active = bool(domain.isActive())
    try:
        saved = bool(domain.hasManagedSaveImage())
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_SUPPORT:
            raise
        saved = False
    state = tuple(domain.state())
    pid = max(domain.ID(), 0) if active else 0
    return DomainView(
        server_id, who.kind, power_of(state), active, saved, pid, state == _STARTING_UP, who.rescue, who.adopted
    )
