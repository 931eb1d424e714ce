"""Networks and images that are there at once and in memory only: what the fake driver stands beside.

They hold to the protocols of :mod:`nova_lite.host.ports` as the real ones do (again and again, lists that are out of date),
and keep what they were asked for where a test can look at it.
"""

from __future__ import annotations

import threading
from pathlib import Path

from nova_lite.host.network_state import HostState, PortSpec
from nova_lite.host.networks import devices, nics
from nova_lite.host.ports import HostError, ImageSpec, NetworksFailed
from nova_lite.virt.driver import LocalImage, Nic
from nova_lite.virt.waiting import GoOn, go_on

_DRIVES = 100


class FakeNetworks:
    """Networks in memory. ``refuse``: ids of ports whose plugging fails, with the sentence to fail with."""

    def __init__(self) -> None:
        self.refuse: dict[str, str] = {}
        self.devices: dict[str, str] = {}
        """port id → device, of every port that is plugged"""
        self.state = HostState()
        """What was applied last."""
        self.applied = 0
        """How often something was applied."""
        self._lock = threading.Lock()

    def apply(self, state: HostState) -> None:
        """Have exactly these. :raises NetworksFailed: a test asked for it."""
        failed = {port_id: reason for port_id, reason in self.refuse.items() if port_id in state.ports}
        with self._lock:
            self.state = state
            self.applied += 1
            there = self.devices
            self.devices = {
                port_id: there.get(port_id) or devices.device_name(port_id)
                for port_id in state.ports
                if port_id not in failed
            }
        if failed:
            raise NetworksFailed(failed)

    def nic(self, state: HostState, port_id: str) -> Nic:
        """Describe a port's interface."""
        port = state.ports[port_id]
        return nics.nic(state.networks[port.network_id], port)

    def tend(self) -> int:
        """Find nothing that has died."""
        return 0

    def close(self) -> None:
        """Have nothing to end."""

    def clean(self) -> None:
        """Forget everything."""
        self.apply(HostState())

    def served(self, network_id: str) -> list[PortSpec]:
        """Return the ports that DHCP of the network would answer."""
        with self._lock:
            return [port for port in self.state.ports.values() if port.network_id == network_id]


class FakeImages:
    """Images that are in the cache whatever they are. ``refuse``: image ids that can't be fetched, and what to say.

    :param root: what the paths begin with; nothing is written there.
    """

    def __init__(self, root: Path = Path("/nonexistent/nova-lite")) -> None:
        self.refuse: dict[str, str] = {}
        self.drives: dict[str, dict[str, bytes]] = {}
        """server id → files of its config drive, as last written; of the last servers only"""
        self._root = root
        self._lock = threading.Lock()

    def fetch(self, image: ImageSpec, go_on: GoOn = go_on) -> LocalImage:
        """Return the image. :raises HostError: a test asked for it."""
        go_on()
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
        with self._lock:
            self.drives[server_id] = dict(files)
            while len(self.drives) > _DRIVES:
                del self.drives[next(iter(self.drives))]
        return self._root / "instances" / server_id / "config.iso"
