"""What limits of bandwidth come to on a host's devices: pure, from the state to tc's words. Format: tc(8), tc-tbf(8), tc-htb(8).

What a guest gets leaves the host by the port's device: a token bucket there. What it sends comes in by it, where nothing can wait: it
is led through an ifb device of its own, with a bucket on that. A floating IP's traffic passes the two ends of its router's leg to the
outside, each of which sends one direction: a class for each address there, and what has no limit passes beside them.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from nova_lite.host.network_state import FloatingSpec, HostState, QosSpec
from nova_lite.host.networks import devices

HANDLE = "4e4c:"
"""Queues with this handle ("NL") are ours."""
IFB_PREFIX = "nl-qs"
_LATENCY_MS = 100
_LEAST_BURST = 10_000
_BURST_PARTS = 20
"""Where no burst was chosen it is what passes in 1/20 s."""


@dataclass(frozen=True)
class Rate:
    """``bits`` a second, in bursts of ``burst`` bytes."""

    bits: int
    burst: int

    def tbf(self) -> str:
        """Return the bucket's parameters."""
        return f"tbf rate {self.bits}bit burst {self.burst}b latency {_LATENCY_MS}ms"


@dataclass(frozen=True)
class PortLimits:
    """A port's device and its limits; ``ifb`` is the device that leads what the guest sends through a bucket."""

    device: str
    ifb: str
    gets: Rate | None
    sends: Rate | None


@dataclass(frozen=True)
class LegLimits:
    """One end of a router's leg to the outside, with the addresses whose traffic it limits. ``side`` is src or dst."""

    device: str
    side: str
    rates: tuple[tuple[str, Rate], ...]

    def script(self) -> list[str]:
        """Return tc's lines that make the queue anew."""
        lines = [f"qdisc add dev {self.device} root handle {HANDLE} htb"]
        for number, (address, rate) in enumerate(self.rates, 1):
            flow = f"{HANDLE}{number:x}"
            lines += [
                f"class add dev {self.device} parent {HANDLE} classid {flow}"
                f" htb rate {rate.bits}bit burst {rate.burst}b cburst {rate.burst}b",
                f"qdisc add dev {self.device} parent {flow} pfifo limit {_queue(rate)}",
                f"filter add dev {self.device} parent {HANDLE} protocol ip prio 1"
                f" u32 match ip {self.side} {address}/32 flowid {flow}",
            ]
        return lines


def _queue(rate: Rate) -> int:
    """Return how many packets may wait: what passes in the latency, of 1,500 bytes each, and at least 20."""
    return max(20, rate.bits * _LATENCY_MS // 8000 // 1500)


def rate(kbps: int | None, burst_kb: int) -> Rate | None:
    """Return a limit from kbit/s and kbit; None: there is none."""
    if kbps is None or kbps <= 0:
        return None
    bits = kbps * 1000
    burst = burst_kb * 125 if burst_kb > 0 else bits // 8 // _BURST_PARTS
    # A bucket that does not hold a frame passes nothing.
    return Rate(bits, max(burst, _LEAST_BURST))


def ifb_name(port_id: str) -> str:
    """Name the device that a port's outgoing traffic is led through: ``nl-qs`` and ten digits of its id."""
    return f"{IFB_PREFIX}{port_id.replace('-', '')[:10]}"


def ports(state: HostState) -> dict[str, PortLimits]:
    """Return the limits of the ports that have any, by device."""
    found = {}
    for port in state.ports.values():
        limits = port.qos or QosSpec()
        gets = rate(limits.ingress_kbps, limits.ingress_burst_kb)
        sends = rate(limits.egress_kbps, limits.egress_burst_kb)
        if gets or sends:
            device = devices.device_name(port.port_id)
            found[device] = PortLimits(device, ifb_name(port.port_id), gets, sends)
    return found


def legs(state: HostState) -> dict[str, tuple[str, LegLimits, LegLimits]]:
    """Return, by device, the router's id and the limits of the inner (sends) and outer (gets) end of its leg to the outside."""
    found = {}
    for router in state.routers.values():
        if router.gateway is None or not router.up:
            continue
        device = devices.gateway_leg_name(router.gateway.port_id)
        sends = _rates(router.floating, lambda q: rate(q.egress_kbps, q.egress_burst_kb))
        gets = _rates(router.floating, lambda q: rate(q.ingress_kbps, q.ingress_burst_kb))
        if sends or gets:
            found[device] = (router.router_id, LegLimits(device, "src", sends), LegLimits(device, "dst", gets))
    return found


def gateways(state: HostState) -> dict[str, str]:
    """Return all routers' legs to the outside, device → router's id."""
    return {
        devices.gateway_leg_name(router.gateway.port_id): router.router_id
        for router in state.routers.values()
        if router.gateway is not None
    }


def _rates(floating: Iterable[FloatingSpec], choose: Callable[[QosSpec], Rate | None]) -> tuple[tuple[str, Rate], ...]:
    found = []
    for each in floating:
        limit = choose(each.qos) if each.qos else None
        if limit is not None:
            found.append((str(ipaddress.IPv4Address(each.floating)), limit))
    return tuple(sorted(found, key=lambda pair: pair[0]))


@dataclass(frozen=True)
class Queues:
    """What a device has: the kind and handle of its root queue, a bucket's rate, and if something looks at what comes in."""

    kind: str = ""
    handle: str = ""
    rate: Rate | None = None
    looks_in: bool = False

    def holds(self, wanted: Rate) -> bool:
        """Say whether the bucket is as *wanted*; the kernel counts bursts in ticks, and rounds."""
        has = self.rate
        return (
            has is not None
            and self.handle == HANDLE
            and abs(has.bits - wanted.bits) <= 8
            and abs(has.burst - wanted.burst) <= max(wanted.burst // 100, 64)
        )


def queues(listing: Iterable[Mapping[str, object]]) -> dict[str, Queues]:
    """Read ``tc -j qdisc show``, by device."""
    found: dict[str, Queues] = {}
    for entry in listing:
        device = str(entry.get("dev", ""))
        before = found.get(device, Queues())
        if entry.get("kind") == "ingress":
            found[device] = Queues(before.kind, before.handle, before.rate, True)
        elif entry.get("root"):
            options = entry.get("options")
            bucket = None
            if entry.get("kind") == "tbf" and isinstance(options, Mapping):
                bucket = Rate(int(options.get("rate", 0)) * 8, int(options.get("burst", 0)))
            kind, handle = str(entry.get("kind", "")), str(entry.get("handle", ""))
            found[device] = Queues(kind, handle, bucket, before.looks_in)
        else:
            found.setdefault(device, before)
    return found


def changes(wanted: PortLimits | None, device: str, present: Mapping[str, Queues], *, fresh_ifb: bool) -> list[str]:
    """Return tc's lines that make a port's device as *wanted* (None: without limits)."""
    has = present.get(device, Queues())
    lines: list[str] = []
    gets = wanted.gets if wanted else None
    if gets is not None and not has.holds(gets):
        lines.append(f"qdisc replace dev {device} root handle {HANDLE} {gets.tbf()}")
    elif gets is None and has.handle == HANDLE:
        lines.append(f"qdisc del dev {device} root")
    if wanted is None or wanted.sends is None:
        return lines + ([f"qdisc del dev {device} ingress"] if has.looks_in else [])
    if not present.get(wanted.ifb, Queues()).holds(wanted.sends):
        lines.append(f"qdisc replace dev {wanted.ifb} root handle {HANDLE} {wanted.sends.tbf()}")
    if has.looks_in and not fresh_ifb:
        return lines
    return [
        *lines,
        *([f"qdisc del dev {device} ingress"] if has.looks_in else []),
        f"qdisc add dev {device} handle ffff: ingress",
        f"filter add dev {device} parent ffff: protocol all prio 1 u32 match u32 0 0"
        f" action mirred egress redirect dev {wanted.ifb}",
    ]
