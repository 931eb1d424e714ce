"""Choose a host: filters, then weights. Pure: a request and a snapshot in, a placement or a refusal out."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from nova_lite.compute.server_groups import Neighbours
from nova_lite.compute.traits import Wanted

ALTERNATIVES = 4
"""Next best hosts that a placement names, for when the best one's room is taken meanwhile."""


@dataclass(frozen=True)
class Request:
    """What a server needs: vCPUs, MiB, GiB. ``availability_zone`` and ``host`` None: any."""

    server_id: str
    kind: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    availability_zone: str | None = None
    host: str | None = None
    neighbours: Neighbours = field(default_factory=Neighbours)
    wanted_metadata: Mapping[str, str] = field(default_factory=dict)
    """What the aggregates of its host must say: the flavor's ``aggregate_instance_extra_specs:*``."""
    unmet: str = ""
    """What its flavor or image asks for that no host has; empty: nothing."""
    wanted_traits: Wanted = field(default_factory=Wanted)
    """What it asks for that some hosts may have."""


@dataclass(frozen=True)
class HostView:
    """A host as the snapshot saw it. Capacities are what may be claimed: ratios and reserves are in them already."""

    name: str
    availability_zone: str
    kinds: frozenset[str]
    enabled: bool
    up: bool
    vcpus: float
    memory_mb: float
    disk_gb: float
    used_vcpus: int = 0
    used_memory_mb: int = 0
    used_disk_gb: int = 0
    metadata: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What its aggregates say."""
    traits: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Weights:
    """Above 0: the freest host first (spread); below 0: the fullest (pack); 0: of no matter."""

    memory: float = 1.0
    vcpus: float = 1.0
    neighbours: float = 100.0


@dataclass(frozen=True)
class Placement:
    """``hosts``: the best first, then the next best ones; never empty."""

    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Refusal:
    """Why no host will do: for each filter that removed any, its words and how many; their sum is ``total``."""

    total: int
    counts: tuple[tuple[str, int], ...]

    @property
    def message(self) -> str:
        """A sentence for the server's fault, beginning as Nova's does."""
        if not self.total:
            return "No valid host was found. There is no compute host."
        reasons = ", ".join(f"{count} {words}" for words, count in self.counts)
        return f"No valid host was found. 0 of {self.total} hosts: {reasons}."


@dataclass(frozen=True)
class Filter:
    """``passes`` says whether a host will do; ``words`` says what is wrong with those that will not."""

    name: str
    passes: Callable[[HostView, Request], bool]
    words: Callable[[Request], str]


def _says(values: frozenset[str], wanted: str) -> bool:
    """Tell whether one of *values* is *wanted*, which may be several: ``<or> a <or> b``."""
    alternatives = [part.strip() for part in wanted.split("<or>") if part.strip()] or [wanted]
    return any(part in values for part in alternatives)


FILTERS = (
    Filter(
        "host",
        lambda host, request: request.host is None or host.name == request.host,
        lambda request: f"other than {request.host}, which was asked for",
    ),
    Filter("enabled", lambda host, request: host.enabled, lambda request: "disabled"),
    Filter("up", lambda host, request: host.up, lambda request: "down"),
    Filter(
        "kind",
        lambda host, request: request.kind in host.kinds,
        lambda request: f"without kind {request.kind}",
    ),
    Filter("unmet", lambda host, request: not request.unmet, lambda request: f"without {request.unmet}"),
    Filter(
        "traits",
        lambda host, request: request.wanted_traits.allows(host.traits),
        lambda request: request.wanted_traits.says(),
    ),
    Filter(
        "availability_zone",
        lambda host, request: request.availability_zone in (None, host.availability_zone),
        lambda request: f"outside availability zone {request.availability_zone}",
    ),
    Filter(
        "aggregates",
        lambda host, request: all(
            _says(host.metadata.get(key, frozenset()), wanted) for key, wanted in request.wanted_metadata.items()
        ),
        lambda request: "in no aggregate that the flavor asks for",
    ),
    Filter(
        "neighbours",
        lambda host, request: request.neighbours.allows(host.name),
        lambda request: "kept from it by its server group or hints",
    ),
    Filter(
        "vcpus",
        lambda host, request: host.used_vcpus + request.vcpus <= host.vcpus,
        lambda request: f"without {request.vcpus} free vCPUs",
    ),
    Filter(
        "memory",
        lambda host, request: host.used_memory_mb + request.memory_mb <= host.memory_mb,
        lambda request: f"without {request.memory_mb} MiB of free memory",
    ),
    Filter(
        "disk",
        lambda host, request: host.used_disk_gb + request.disk_gb <= host.disk_gb,
        lambda request: f"without {request.disk_gb} GiB of free disk",
    ),
)
"""In this order; a host counts for the first one that removes it."""


def place(request: Request, hosts: Iterable[HostView], weights: Weights | None = None) -> Placement | Refusal:
    """Choose the best of *hosts* for *request*, or say how many each filter removed."""
    removed: dict[str, int] = {}
    fit: list[HostView] = []
    total = 0
    for host in hosts:
        total += 1
        for row in FILTERS:
            if not row.passes(host, request):
                removed[row.name] = removed.get(row.name, 0) + 1
                break
        else:
            fit.append(host)
    if not fit:
        counts = tuple((row.words(request), removed[row.name]) for row in FILTERS if row.name in removed)
        return Refusal(total, counts)
    chosen = weights or Weights()
    fit.sort(key=lambda host: (-_weigh(host, request, chosen), _spread(request.server_id, host.name)))
    return Placement(tuple(host.name for host in fit[: ALTERNATIVES + 1]))


def _weigh(host: HostView, request: Request, weights: Weights) -> float:
    memory = (host.memory_mb - host.used_memory_mb) / host.memory_mb if host.memory_mb > 0 else 0.0
    vcpus = (host.vcpus - host.used_vcpus) / host.vcpus if host.vcpus > 0 else 0.0
    near = request.neighbours.attraction * request.neighbours.counts.get(host.name, 0)
    return weights.memory * memory + weights.vcpus * vcpus + weights.neighbours * near


def _spread(server_id: str, host: str) -> int:
    """Order equal hosts differently for each server, so that schedulers side by side do not all pick the same one."""
    return zlib.crc32(f"{server_id}{host}".encode())
