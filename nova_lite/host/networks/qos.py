"""Bring a host's queues to the limits that ports and floating IPs shall have: compared, and only what differs set."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping

from pyroute2 import IPRoute

from nova_lite.host.network_state import HostState
from nova_lite.host.networks import bandwidth, devices, links
from nova_lite.host.networks.bandwidth import LegLimits, Queues
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError


class Qos:
    """Bandwidth limits of one host. Any thread may call.

    A device that is not there yet (libvirt makes a container's when it starts) gets its limits by :meth:`again`.

    :param room_of: names a router's namespace by its id.
    """

    def __init__(self, namespace: Namespace, room_of: Callable[[str], str] = devices.router_namespace) -> None:
        self._namespace = namespace
        self._room_of = room_of
        self._legs: dict[str, tuple[int, LegLimits, LegLimits]] = {}
        self._is_used = True
        self._lock = threading.Lock()
        self._state: HostState | None = None
        self.limited: frozenset[bytes] = frozenset()
        """Names of the devices that have limits, or shall have them once they are there."""

    def apply(self, state: HostState) -> None:
        """Have *state*'s limits on every device that is there. :raises HostError: tc refused, and what."""
        with self._lock:
            self._state = state
            self._apply(state)

    def again(self) -> None:
        """Have the limits of the last state on the devices that are there by now."""
        with self._lock:
            if self._state is not None:
                self._apply(self._state)

    def _apply(self, state: HostState) -> None:
        ports, legs = bandwidth.ports(state), bandwidth.legs(state)
        self.limited = frozenset(device.encode() + b"\0" for device in ports)
        if not ports and not legs and not self._is_used:
            return
        every = self._namespace.devices()
        present = {name: index for name, index in every.items() if name.startswith(devices.PREFIX)}
        queues = self._queues()
        fresh = self._namespace.netlink(_ensure_ifbs, {each.ifb for each in ports.values() if each.sends}, present)
        lines: list[str] = []
        for device in sorted(present):
            if devices.is_port_device(device):
                wanted = ports.get(device)
                is_fresh = wanted is not None and wanted.ifb in fresh
                lines += bandwidth.changes(wanted, device, queues, fresh_ifb=is_fresh)
        self._tc(lines)
        kept = {each.ifb for each in ports.values() if each.sends}
        for name in sorted(present):
            if name.startswith(bandwidth.IFB_PREFIX) and name not in kept:
                self._namespace.netlink(links.remove, name)
        self._limit_legs(legs, bandwidth.gateways(state), present, queues)
        self._is_used = bool(ports or legs)

    def clean(self) -> None:
        """Remove all limits."""
        self._is_used = True
        self.apply(HostState())

    def _limit_legs(
        self,
        legs: Mapping[str, tuple[str, LegLimits, LegLimits]],
        routers: Mapping[str, str],
        present: Mapping[str, int],
        queues: Mapping[str, Queues],
    ) -> None:
        """Make the queues of legs anew where they are not what was made last, or the leg is not the same device."""
        known = {device: each for device, each in self._legs.items() if present.get(device) == each[0]}
        self._legs = {}
        for device, (router_id, inner, outer) in legs.items():
            if device not in present:
                continue
            wanted = (present[device], inner, outer)
            if known.get(device) != wanted or queues.get(device, Queues()).handle != bandwidth.HANDLE:
                self._remake(self._room_of(router_id), inner)
                self._remake(None, outer)
            self._legs[device] = wanted
        for device, router_id in routers.items():
            # Both ends are made together: the outer one says that the inner one is there.
            if device not in legs and queues.get(device, Queues()).kind == "htb":
                for room in (self._room_of(router_id), None):
                    self._run(room, [f"qdisc del dev {device} root"])

    def _remake(self, room: str | None, limits: LegLimits) -> None:
        # There may be none to delete.
        self._run(room, [f"qdisc del dev {limits.device} root"])
        self._tc(limits.script(), room)

    def _queues(self) -> dict[str, Queues]:
        done = self._namespace.run(["tc", "-j", "qdisc", "show"])
        if done.returncode != 0:
            raise HostError(f"tc can't list queues: {done.stderr.strip()[:300]}")
        return bandwidth.queues(json.loads(done.stdout or "[]"))

    def _tc(self, lines: list[str], room: str | None = None) -> None:
        if lines:
            said = self._run(room, lines)
            if said:
                raise HostError(f"tc refused a limit of bandwidth: {said}")

    def _run(self, room: str | None, lines: list[str]) -> str:
        """Let tc do *lines*, each whatever became of the others; return what it complained of."""
        where = ["-n", room] if room else []
        done = self._namespace.run(["tc", *where, "-force", "-batch", "-"], stdin="\n".join(lines) + "\n")
        return (done.stderr.strip()[:300] or "no reason given") if done.returncode != 0 else ""


def _ensure_ifbs(ip: IPRoute, wanted: set[str], present: Mapping[str, int]) -> set[str]:
    """Have the ifb devices that are *wanted*; return those that were made."""
    made = wanted - present.keys()
    for name in sorted(made):
        ip.link("add", ifname=name, kind="ifb")
        links.silence_ipv6(name)
        found = links.find(ip, name)
        if found is None:
            raise HostError(f"The device {name} was removed while it was being made")
        ip.link("set", index=found.index, state="up")
    return made
