"""What an agent asks of its host's networks and image cache, as protocols with plain data.

The real ones are ``nova_lite.host.networks`` (bridges, dnsmasq, taps) and ``nova_lite.host.images``; beside the fake
driver stand fake ones (``nova_lite.host.fake``). As with drivers, everything may be called again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from nova_lite.errors import NovaLiteError
from nova_lite.host.network_state import HostState
from nova_lite.virt.driver import LocalImage, Nic
from nova_lite.virt.waiting import GoOn, go_on

if TYPE_CHECKING:
    from nova_lite.host.metadata_http import Request
    from nova_lite.host.metadata_tree import Answer
    from nova_lite.host.trace import Sight


class HostError(NovaLiteError):
    """The host refused or failed; ``message`` is fit for the server's fault."""

    default_code = "host.failed"


class NetworksFailed(HostError):
    """Some of the host's networks could not be made as they shall be; the others were.

    :param failed: network, router or port id → a sentence.
    """

    def __init__(self, failed: Mapping[str, str]) -> None:
        super().__init__("; ".join(dict.fromkeys(failed.values())))
        self.failed = dict(failed)


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

    def apply(self, state: HostState) -> None:
        """Make the host's networks so. What is right already is not touched; traffic that should flow goes on.

        Called by one thread at a time.

        :raises NetworksFailed: with what could not be made, after everything else was done.
        """

    def nic(self, state: HostState, port_id: str) -> Nic:
        """Describe the interface of one of *state*'s ports as its guest's driver needs it.

        :raises HostError: the port is on a network or subnet that is not in *state*.
        """

    def tend(self) -> int:
        """Start every process of ours that has died (DHCP), and return how many had."""

    def clean(self) -> None:
        """Remove every bridge, namespace, device, process and rule of ours from the host.

        :raises HostError: with all that failed, after everything else was done.
        """

    def close(self) -> None:
        """End the threads; the networks stay, and traffic flows on."""


@runtime_checkable
class HasSight(Protocol):
    """Networks that can say what the kernel has, for a trace."""

    def sight(self) -> Sight:
        """Return the names of what is there now."""


@runtime_checkable
class TellsGuests(Protocol):
    """Networks whose guests can ask about themselves (169.254.169.254)."""

    def tell_guests(self, source: MetadataSource) -> None:
        """Let *source* answer from the next :meth:`Networks.apply` on."""


class MetadataSource(Protocol):
    """Who knows what guests are told."""

    def answer(self, port_id: str, request: Request) -> Answer:
        """Answer the guest of a port. Called by several threads at once."""


class Images(Protocol):
    """The host's image cache."""

    def fetch(self, image: ImageSpec, go_on: GoOn = go_on) -> LocalImage:
        """Have *image* in the cache, verified and inspected, and return it. Two callers at once fetch once.

        What *go_on* raises ends the fetch, with nothing of it left.

        :raises HostError: the bytes do not match the checksum, or the format is not what was declared.
        """

    def config_drive(self, server_id: str, files: dict[str, bytes]) -> Path:
        """Write an image (``[compute] config_drive_format``) labelled ``config-2`` with *files* (path → bytes) and return its path, 0600.

        Written anew each time; goes when the server's directory is removed.
        """
