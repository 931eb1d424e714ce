"""Who is on a network, when several operations each bring a list of their own that may be some moments old."""

from __future__ import annotations

from collections.abc import Sequence

from nova_lite.host.network_state import PortSpec


class Members:
    """The ports of one network on this host.

    Two guests are created at once: each operation has read the database before the other's port was there. Whoever comes last
    must not take the first one's name from DHCP, nor bring back a port that has been unplugged meanwhile.
    The caller holds the network's lock.
    """

    def __init__(self) -> None:
        self._live: dict[str, PortSpec] = {}
        self._gone: set[str] = set()

    def plug(self, port: PortSpec, listed: Sequence[PortSpec]) -> list[PortSpec]:
        """Take *port* in; return all ports by id: those *listed* and those that were plugged since."""
        self._gone.discard(port.port_id)
        self._live[port.port_id] = port
        return self._merged(listed)

    def withdraw(self, port_id: str) -> None:
        """Take back a plug that failed: from now on the lists alone say whether the port is there."""
        self._live.pop(port_id, None)

    def unplug(self, port_id: str, remaining: Sequence[PortSpec]) -> list[PortSpec]:
        """Take a port out and return who is left."""
        self._live.pop(port_id, None)
        self._gone.add(port_id)
        return self._merged(remaining)

    def reset(self, ports: Sequence[PortSpec]) -> None:
        """Have exactly *ports*."""
        self._live = {port.port_id: port for port in ports}
        self._gone = set()

    def ports(self) -> list[PortSpec]:
        """Return the ports that were plugged here, or that the last sync brought."""
        return [self._live[key] for key in sorted(self._live)]

    def _merged(self, listed: Sequence[PortSpec]) -> list[PortSpec]:
        # An address that was given to a new port is the new one's, whatever an older list says.
        taken = {address for port in self._live.values() for address in port.addresses}
        others = {
            port.port_id: port
            for port in listed
            if port.port_id not in self._gone and port.port_id not in self._live and not taken & set(port.addresses)
        }
        merged = others | self._live
        return [merged[key] for key in sorted(merged)]
