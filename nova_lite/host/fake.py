"""Networks and images that are there at once and in memory only: what the fake driver stands beside.

They hold to the protocols of :mod:`nova_lite.host.ports` as the real ones do (again and again, lists that are out of date),
and keep what they were asked for where a test can look at it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec
from nova_lite.host.networks import devices, nics
from nova_lite.host.networks.members import Members
from nova_lite.host.ports import HostError, ImageSpec
from nova_lite.virt.driver import LocalImage, Nic


class FakeNetworks:
    """Networks in memory. ``refuse``: ids of ports whose plugging fails, with the sentence to fail with."""

    def __init__(self) -> None:
        self.refuse: dict[str, str] = {}
        self.devices: dict[str, str] = {}
        """port id → device, of every port that is plugged"""
        self.state = HostState()
        """what was applied last"""
        self._lock = threading.Lock()
        self._members: dict[int, Members] = {}
        self._ports: dict[int, list[PortSpec]] = {}

    def apply(self, state: HostState) -> None:
        """Have exactly what *state* says. :raises HostError: a test asked for a port to fail, after everything else was done."""
        ports: dict[str, list[PortSpec]] = {}
        for port in state.ports.values():
            if port.port_id not in self.refuse:
                ports.setdefault(port.network_id, []).append(port)
        self.sync([(network, ports.get(network_id, [])) for network_id, network in state.networks.items()])
        self.state = state
        refused = [self.refuse[port_id] for port_id in state.ports if port_id in self.refuse]
        if refused:
            raise HostError("; ".join(refused))

    def nic(self, state: HostState, port_id: str) -> Nic:
        """Return the guest's interface of a port in *state*."""
        return nics.of_state(state, port_id)

    def tend(self) -> int:
        """Nothing dies here."""
        return 0

    def close(self) -> None:
        """Nothing to end."""

    def plug(self, network: NetworkSpec, port: PortSpec, all_ports: Sequence[PortSpec]) -> Nic:
        """Note the port. :raises HostError: a test asked for it."""
        if port.port_id in self.refuse:
            raise HostError(self.refuse[port.port_id])
        nic = nics.nic(network, port)
        with self._lock:
            members = self._members.setdefault(network.number, Members())
            self._ports[network.number] = members.plug(port, all_ports)
            self.devices[port.port_id] = nic.device
        return nic

    def unplug(self, network_number: int, port_id: str, remaining: Sequence[PortSpec]) -> None:
        """Forget the port, and with the last one the network."""
        with self._lock:
            self.devices.pop(port_id, None)
            ports = self._members.setdefault(network_number, Members()).unplug(port_id, remaining)
            self._ports[network_number] = ports
            if not ports:
                del self._members[network_number], self._ports[network_number]

    def sync(self, wanted: Sequence[tuple[NetworkSpec, Sequence[PortSpec]]]) -> None:
        """Have exactly these."""
        with self._lock:
            self._members, self._ports, self.devices = {}, {}, {}
            for network, ports in wanted:
                if ports:
                    self._members[network.number] = members = Members()
                    members.reset(ports)
                    self._ports[network.number] = members.ports()
                    self.devices |= {port.port_id: devices.device_name(port.port_id) for port in ports}

    def clean(self) -> None:
        """Forget everything."""
        self.sync([])

    def served(self, network_number: int) -> list[PortSpec]:
        """Return the ports that DHCP of the network would answer."""
        with self._lock:
            return list(self._ports.get(network_number, ()))


class FakeImages:
    """Images that are in the cache whatever they are. ``refuse``: image ids that can't be fetched, and what to say.

    :param root: what the paths begin with; nothing is written there.
    """

    def __init__(self, root: Path = Path("/nonexistent/nova-lite")) -> None:
        self.refuse: dict[str, str] = {}
        self.drives: dict[str, dict[str, bytes]] = {}
        """server id → files of its config drive, as last written"""
        self._root = root

    def fetch(self, image: ImageSpec) -> LocalImage:
        """Return the image. :raises HostError: a test asked for it."""
        if image.image_id in self.refuse:
            raise HostError(self.refuse[image.image_id])
        directory = self._root / "cache" / image.image_id
        is_container = image.container_format == "docker"
        return LocalImage(
            image_id=image.image_id,
            path=directory / "image",
            disk_format="qcow2" if image.disk_format == "qcow2" else "raw",
            virtual_size=image.size,
            kernel=self.fetch(image.kernel).path if image.kernel else None,
            ramdisk=self.fetch(image.ramdisk).path if image.ramdisk else None,
            rootfs=directory / "unpacked/rootfs" if is_container else None,
            config={"Cmd": ["/bin/sh"]} if is_container else {},
        )

    def config_drive(self, server_id: str, files: dict[str, bytes]) -> Path:
        """Keep the files; nothing is written."""
        self.drives[server_id] = dict(files)
        return self._root / "instances" / server_id / "config.iso"
