"""Say what is wrong in what was seen. Pure: facts in, findings out.

A server with an unfinished operation is left to that operation. Whatever passes between two readings is told from what
stays by a second look (:func:`lasting`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from nova_lite.compute.transitions import VmState
from nova_lite.doctor import host_diagnosis
from nova_lite.doctor.facts import Facts
from nova_lite.doctor.findings import Finding

LATE_S = 60.0
"""After so long beyond its deadline an operation has nobody who would end it."""

SAVING_S = 120.0
"""After so long without a sign of life an upload is dead: twice what the image service itself waits."""


def diagnose(facts: Facts) -> list[Finding]:
    """List every difference, in a fixed order."""
    found = [finding for look in _LOOKS for finding in look(facts)]
    if facts.sight is not None:
        found += host_diagnosis.diagnose(facts, facts.sight)
    return found


def lasting(first: Iterable[Finding], second: Iterable[Finding]) -> list[Finding]:
    """Return what both looks found just the same; what has changed since was under way."""
    before = set(first)
    return [finding for finding in second if finding in before]


def of_host(findings: Iterable[Finding], host: str) -> list[Finding]:
    """Return what concerns *host*, and nothing that belongs to another host or to none."""
    return [finding for finding in findings if finding.host == host]


_AWAY = (VmState.SHELVED_OFFLOADED, VmState.SOFT_DELETED, VmState.BUILDING, VmState.ERROR)
"""States in which a server need not hold anything of a host."""


def _stranded(facts: Facts) -> Iterator[Finding]:
    for server in facts.servers.values():
        if server.busy or (server.task_state is None and server.vm_state != VmState.BUILDING):
            continue
        yield Finding(
            "server-stranded",
            server.server_id,
            f"is {server.vm_state} with task state {server.task_state}, and nothing is at work on it",
            "set it to ERROR with a fault; then it can be rebooted, rebuilt or deleted",
            True,
            server.host,
            str(server.generation),
        )


def _operations(facts: Facts) -> Iterator[Finding]:
    for row in facts.operations:
        held = row.state == "running" and row.lease_until > facts.moment
        gone = row.target_type == "server" and row.target_id not in facts.servers
        if gone and not held:
            yield Finding(
                "operation-orphan",
                str(row.operation_id),
                f"{row.action} waits, and its server {row.target_id} is gone",
                "cancel it",
                True,
                row.host,
            )
        elif row.deadline + LATE_S < facts.moment:
            worker = "nova-lite-scheduler" if row.queue == "scheduler" else f"nova-lite-compute on {row.host}"
            yield Finding(
                "operation-late",
                str(row.operation_id),
                f"{row.action} of {row.target_type} {row.target_id} is {row.state} beyond its deadline",
                f"start {worker}, which ends it; or delete the server",
                False,
                row.host,
            )


def _sums(facts: Facts) -> Iterator[Finding]:
    held: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for claim in facts.claims.values():
        sums = held[claim.host]
        for index, amount in enumerate((*claim.sizes, 1)):
            sums[index] += amount
    for host in facts.hosts:
        recorded, counted = [*host.used, host.servers], held[host.name]
        if recorded != counted:
            yield Finding(
                "claim-sum",
                host.name,
                f"is recorded to have claimed {_amounts(recorded)}, and its allocations come to {_amounts(counted)}",
                "set the sums to what the allocations come to",
                True,
                host.name,
            )
    for row in facts.sums:
        yield Finding(
            "quota-sum",
            row.scope,
            f"{row.resource} is recorded as {row.recorded}, counted {row.counted}",
            "set recorded sums to what is counted",
            True,
        )


def _amounts(values: list[int]) -> str:
    vcpus, memory_mb, disk_gb, servers = values
    return f"{vcpus} vCPUs, {memory_mb} MiB, {disk_gb} GiB of {servers} servers"


def _claims(facts: Facts) -> Iterator[Finding]:
    for server_id, claim in facts.claims.items():
        server = facts.servers.get(server_id)
        if server is None:
            problem = f"was deleted and holds a claim on {claim.host}"
            yield Finding("claim-stale", server_id, problem, "give the claim back", True, claim.host)
        elif server.busy:
            continue
        elif server.host is None:
            yield Finding(
                "claim-stale",
                server_id,
                f"is on no host and holds a claim on {claim.host}",
                "give the claim back",
                True,
                claim.host,
                str(server.generation),
            )
        elif server.host != claim.host:
            yield Finding(
                "claim-elsewhere",
                server_id,
                f"is on {server.host} and holds its claim on {claim.host}",
                "find out which host has its guest, and set the other of the two rows",
                False,
                server.host,
                str(server.generation),
            )
        elif claim.sizes != server.sizes and not server.resizing:
            yield Finding(
                "claim-size",
                server_id,
                f"has {_sizes(server.sizes)} and holds {_sizes(claim.sizes)}",
                "hold what it has, of its host and of its project's quota",
                True,
                server.host,
                str(server.generation),
            )


def _sizes(sizes: tuple[int, int, int]) -> str:
    return f"{sizes[0]} vCPUs, {sizes[1]} MiB, {sizes[2]} GiB"


def _unclaimed(facts: Facts) -> Iterator[Finding]:
    for server in facts.servers.values():
        if server.host is None or server.busy or server.task_state or server.vm_state in _AWAY:
            continue
        if server.server_id not in facts.claims:
            yield Finding(
                "claim-missing",
                server.server_id,
                f"is on {server.host} and holds no claim there",
                "hold what it has, whether or not that much is free",
                True,
                server.host,
                str(server.generation),
            )


def _ports(facts: Facts) -> Iterator[Finding]:
    for port in facts.ports:
        if port.device_id in facts.deleted:
            yield Finding(
                "port-of-deleted-server",
                port.port_id,
                f"is bound to server {port.device_id}, which was deleted",
                "delete it if compute made it, else unbind it",
                True,
                port.host,
            )
        elif port.device_id not in facts.servers and port.owner.startswith("compute:"):
            yield Finding(
                "port-of-unknown-server",
                port.port_id,
                f"is bound to server {port.device_id}, which is not known",
                "openstack port delete, if nobody else uses it",
                False,
                port.host,
            )


def _images(facts: Facts) -> Iterator[Finding]:
    for image in facts.images:
        if image.status == "saving" and image.idle_s > SAVING_S and not image.awaited:
            yield Finding(
                "image-saving",
                image.image_id,
                "is being saved by an upload that gives no sign of life",
                "set it to queued, so that it can be uploaded to again",
                True,
            )


_LOOKS: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _stranded,
    _operations,
    _sums,
    _claims,
    _unclaimed,
    _ports,
    _images,
)
