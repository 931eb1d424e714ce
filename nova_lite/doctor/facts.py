"""What the doctor has seen, as plain data: rows of the database, and what is on one host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nova_lite.virt.driver import Observed

Sizes = tuple[int, int, int]
"""vCPUs, memory MiB, disk GiB."""


@dataclass(frozen=True)
class ServerFact:
    """A server's row. ``busy``: an operation of it is unfinished; ``resizing``: it holds two sizes until it is confirmed."""

    server_id: str
    vm_state: str
    task_state: str | None
    host: str | None
    sizes: Sizes
    generation: int = 0
    busy: bool = False
    resizing: bool = False


@dataclass(frozen=True)
class ClaimFact:
    """What a server's row in ``allocations`` says that it holds."""

    host: str
    sizes: Sizes


@dataclass(frozen=True)
class HostFact:
    """What a host's row says is claimed of it: sizes and how many servers."""

    name: str
    used: Sizes
    servers: int


@dataclass(frozen=True)
class OperationFact:
    """An unfinished operation. ``deadline`` and ``lease_until`` are epoch seconds."""

    operation_id: int
    action: str
    target_type: str
    target_id: str
    state: str
    queue: str
    host: str | None
    deadline: float
    lease_until: float


@dataclass(frozen=True)
class PortFact:
    """A port that has a device or a host. ``addresses`` are text without prefix."""

    port_id: str
    device_id: str
    owner: str
    host: str | None
    network: int
    mac: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImageFact:
    """An image's row. ``idle_s``: seconds since its last sign of life; ``awaited``: an unfinished operation makes it."""

    image_id: str
    status: str
    idle_s: float
    awaited: bool = False


@dataclass(frozen=True)
class SumFact:
    """A quota's sum that differs from what is counted."""

    scope: str
    resource: str
    recorded: int
    counted: int


@dataclass(frozen=True)
class HostSight:
    """What is on the host that the doctor runs on.

    ``guests`` None: the driver has none that another process could see. ``directories``: names in ``instances/``;
    ``logs``: those of them that hold console logs alone, as a shelved server's does that was offloaded.
    ``devices``: name → whether something uses it (a carrier); None: this host's driver makes none. ``leases``: (number of the
    network, MAC, address). ``networks``: numbers that have files. ``namespaces``: names of network namespaces of ours. ``image_files``: name in the image store → seconds since it was
    written to; None: the store is not on this host.
    """

    name: str
    guests: tuple[Observed, ...] | None = None
    directories: frozenset[str] = frozenset()
    logs: frozenset[str] = frozenset()
    devices: Mapping[str, bool] | None = None
    leases: frozenset[tuple[int, str, str]] = frozenset()
    networks: frozenset[int] = frozenset()
    namespaces: frozenset[str] = frozenset()
    image_files: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Facts:
    """One look. ``moment`` is epoch seconds. ``deleted``: ids of deleted servers, of those that anything else names."""

    moment: float
    servers: Mapping[str, ServerFact] = field(default_factory=dict)
    deleted: frozenset[str] = frozenset()
    hosts: tuple[HostFact, ...] = ()
    claims: Mapping[str, ClaimFact] = field(default_factory=dict)
    operations: tuple[OperationFact, ...] = ()
    ports: tuple[PortFact, ...] = ()
    networks: frozenset[int] = frozenset()
    routers: frozenset[str] = frozenset()
    images: tuple[ImageFact, ...] = ()
    sums: tuple[SumFact, ...] = ()
    left_overs: frozenset[tuple[str, str]] = frozenset()
    removed_images: frozenset[str] = frozenset()
    """Images that are gone, and whose files are about to be removed."""
    """(host, id of a server of which something may be left there), for the host's agent to remove."""
    sight: HostSight | None = None
