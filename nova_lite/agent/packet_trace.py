"""Answer where a packet goes on this host: asked by the API, from what the networks were made to be and what the kernel has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from nova_lite.agent.job import Tools
from nova_lite.host import trace
from nova_lite.host.ports import HasSight
from nova_lite.host.trace import Sight, Trace
from nova_lite.host.trace_rules import Packet


class PacketTrace:
    """Answers calls; nothing of the host is changed."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def answers(self) -> Mapping[str, Callable[..., Any]]:
        """Return the functions by message name."""
        return {"trace_packet": self.trace_packet, "trace_arrival": self.trace_arrival}

    def trace_packet(self, server_id: str, destination: str, protocol: int, port: int | None = None) -> dict[str, Any]:
        """Follow a connection's first packet from a server of this host."""
        found = trace.depart(self._tools.keeper.state, server_id, destination, protocol, port, self._sight())
        return _said(found)

    def trace_arrival(
        self, network_id: str, source: str, destination: str, protocol: int, port: int | None = None
    ) -> dict[str, Any]:
        """Follow a packet that comes to this host by a network's tunnel."""
        packet = Packet(source, destination, protocol, port)
        return _said(trace.arrive(self._tools.keeper.state, network_id, packet, self._sight()))

    def _sight(self) -> Sight | None:
        networks = self._tools.networks
        return networks.sight() if isinstance(networks, HasSight) else None


def _said(found: Trace) -> dict[str, Any]:
    onward = None
    if found.onward is not None:
        network_id, packet = found.onward
        onward = {"network_id": network_id, "source": packet.source, "destination": packet.destination}
    return {"hops": [asdict(hop) for hop in found.hops], "onward": onward}
