"""What an agent asks of its host's networks and image cache, as protocols with plain data.

The real ones are ``nova_lite.host.networks`` (bridges, dnsmasq, taps) and ``nova_lite.host.images``; beside the fake
driver stand fake ones (``nova_lite.host.fake``). As with drivers, everything may be called again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from nova_lite.errors import NovaLiteError
from nova_lite.virt.driver import LocalImage, Nic


class HostError(NovaLiteError):
    """The host refused or failed; ``message`` is fit for the server's fault."""

    default_code = "host.failed"


@dataclass(frozen=True)
class SubnetSpec:
    """A subnet as the host needs it. ``cidr`` 10.0.0.0/24."""

    subnet_id: str
    cidr: str
    gateway: str | None
    enable_dhcp: bool
    dns: tuple[str, ...]
    routes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class NetworkSpec:
    """A network as the host needs it; ``number`` names its bridge (``nl-br<number>``)."""

    network_id: str
    number: int
    mtu: int
    subnets: tuple[SubnetSpec, ...]


@dataclass(frozen=True)
class PortSpec:
    """A port of a guest on this host. ``addresses``: (subnet id, address without prefix)."""

    port_id: str
    server_id: str
    network_id: str
    mac: str
    hostname: str
    addresses: tuple[tuple[str, str], ...]
    kind: str
    """``tap`` for what QEMU runs, ``veth`` for a libvirt-LXC container."""


@dataclass(frozen=True)
class ImageSpec:
    """An image as the cache needs it; ``sha512`` is verified before anything uses the file."""

    image_id: str
    disk_format: str
    container_format: str
    size: int
    sha512: str
    kernel: ImageSpec | None = None
    ramdisk: ImageSpec | None = None


class Networks(Protocol):
    """The host's side of networks."""

    def plug(self, network: NetworkSpec, port: PortSpec, all_ports: Sequence[PortSpec]) -> Nic:
        """Have the bridge, DHCP and the port's device ready, and return the guest's interface.

        *all_ports* are the ports of *network* on this host, the new one among them: what DHCP answers to, exactly.
        """

    def unplug(self, network_number: int, port_id: str, remaining: Sequence[PortSpec]) -> None:
        """Remove the port's device and lease; with nothing *remaining*, the network's DHCP and bridge too."""

    def sync(self, wanted: Sequence[tuple[NetworkSpec, Sequence[PortSpec]]]) -> None:
        """Make the host have exactly these networks and ports: after a restart or a reboot. Traffic that should flow goes on.

        Before the agent's first operation: a port that was plugged after *wanted* was read would be taken for a left-over.
        """

    def clean(self) -> None:
        """Remove every bridge, device, process and rule of ours from the host."""


class Images(Protocol):
    """The host's image cache."""

    def fetch(self, image: ImageSpec) -> LocalImage:
        """Have *image* in the cache, verified and inspected, and return it. Two callers at once fetch once.

        :raises HostError: the bytes do not match the checksum, or the format is not what was declared.
        """

    def config_drive(self, server_id: str, files: dict[str, bytes]) -> Path:
        """Write an ISO 9660 image labelled ``config-2`` with *files* (path → bytes) and return its path, 0600.

        Written anew each time; goes when the server's directory is removed.
        """
