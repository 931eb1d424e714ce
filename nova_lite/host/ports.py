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
from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec
from nova_lite.virt.driver import LocalImage, Nic


class HostError(NovaLiteError):
    """The host refused or failed; ``message`` is fit for the server's fault."""

    default_code = "host.failed"


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
    """The host's side of networks: one desired state, compared with what the host has and set."""

    def apply(self, state: HostState) -> None:
        """Make the host so: change what differs, touch nothing that is right; the same state again changes nothing.

        One network's trouble does not keep the others from being made. Calls come one at a time.

        :raises HostError: with all that failed, after everything else was done.
        """

    def nic(self, state: HostState, port_id: str) -> Nic:
        """Return the guest's interface of a port in *state*. Pure: nothing is made.

        :raises HostError: *state* has no such port, or the port has an address on no subnet of its network.
        """

    def tend(self) -> int:
        """Start what has died (DHCP servers), and return how many had. Cheap: for now and then."""

    def clean(self) -> None:
        """Remove every bridge, namespace, device, process and rule of ours from the host.

        :raises HostError: with all that failed, after everything else was done.
        """

    def close(self) -> None:
        """End the threads; the networks stay, and traffic flows on."""

    def plug(self, network: NetworkSpec, port: PortSpec, all_ports: Sequence[PortSpec]) -> Nic:
        """Have the port's device ready, as the agent asked before there was :meth:`apply`; goes with its last caller."""

    def unplug(self, network_number: int, port_id: str, remaining: Sequence[PortSpec]) -> None:
        """Remove the port's device; goes as :meth:`plug` does."""

    def sync(self, wanted: Sequence[tuple[NetworkSpec, Sequence[PortSpec]]]) -> None:
        """Make the host have exactly these; goes as :meth:`plug` does."""


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
