"""place() against random clouds: it never oversubscribes, and a refusal accounts for every host."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from nova_lite.compute.traits import WORDS, Wanted
from nova_lite.scheduler.place import FILTERS, HostView, Placement, Refusal, Request, Weights, place
from nova_lite.scheduler.snapshot import Snapshot
from nova_lite.virt.driver import KINDS

TRAITS = tuple(WORDS)
amounts = st.integers(0, 64)
hosts = st.lists(
    st.builds(
        HostView,
        name=st.text("abcdef", min_size=1, max_size=3),
        availability_zone=st.sampled_from(["nova", "other"]),
        kinds=st.frozensets(st.sampled_from(KINDS)),
        enabled=st.booleans(),
        up=st.booleans(),
        vcpus=st.floats(0, 64, allow_nan=False),
        memory_mb=st.floats(-8, 64, allow_nan=False),
        disk_gb=st.floats(0, 64, allow_nan=False),
        used_vcpus=amounts,
        used_memory_mb=amounts,
        used_disk_gb=amounts,
        traits=st.frozensets(st.sampled_from(TRAITS)),
    ),
    max_size=12,
    unique_by=lambda host: host.name,
)
requests = st.builds(
    Request,
    server_id=st.uuids().map(str),
    kind=st.sampled_from(KINDS),
    vcpus=st.integers(1, 16),
    memory_mb=st.integers(1, 32),
    disk_gb=st.integers(0, 16),
    availability_zone=st.sampled_from([None, "nova", "other"]),
    host=st.one_of(st.none(), st.text("abcdef", min_size=1, max_size=3)),
    wanted_traits=st.builds(
        Wanted,
        required=st.dictionaries(st.sampled_from(TRAITS[:1]), st.just("words"), max_size=1),
        forbidden=st.frozensets(st.sampled_from(TRAITS[1:]), max_size=1),
    ),
)
weights = st.builds(Weights, memory=st.floats(-2, 2), vcpus=st.floats(-2, 2))


def fits(host: HostView, request: Request) -> bool:
    """Say it in other words than the filters do."""
    return (
        host.enabled
        and host.up
        and request.kind in host.kinds
        and set(request.wanted_traits.required) <= host.traits
        and not request.wanted_traits.forbidden & host.traits
        and (request.host is None or request.host == host.name)
        and (request.availability_zone is None or request.availability_zone == host.availability_zone)
        and host.used_vcpus + request.vcpus <= host.vcpus
        and host.used_memory_mb + request.memory_mb <= host.memory_mb
        and host.used_disk_gb + request.disk_gb <= host.disk_gb
    )


@given(hosts, requests, weights)
def test_a_placement_names_fit_hosts_only_and_a_refusal_counts_each_host_once(
    cloud: list[HostView], request: Request, chosen: Weights
) -> None:
    outcome = place(request, cloud, chosen)
    fit = {host.name for host in cloud if fits(host, request)}
    if isinstance(outcome, Placement):
        assert outcome.hosts
        assert set(outcome.hosts) <= fit
        assert len(set(outcome.hosts)) == len(outcome.hosts) == min(len(fit), 5)
    else:
        assert not fit
        assert outcome.total == len(cloud)
        assert sum(count for _, count in outcome.counts) == len(cloud)
        assert all(count > 0 for _, count in outcome.counts)
        assert outcome.message.startswith("No valid host was found. ")


@given(hosts, st.lists(requests, max_size=30))
def test_claims_on_one_snapshot_never_pass_a_host_s_room(cloud: list[HostView], wanted: list[Request]) -> None:
    before = {host.name: host for host in cloud}
    snapshot = Snapshot(cloud)
    for request in wanted:
        outcome = place(request, snapshot.hosts())
        if isinstance(outcome, Placement):
            snapshot.note_claim(request, outcome.hosts[0])
    for host in snapshot.hosts():
        if host == before[host.name]:
            continue  # nothing was placed there, and it may have been full before
        assert host.used_vcpus <= host.vcpus
        assert host.used_memory_mb <= host.memory_mb
        assert host.used_disk_gb <= host.disk_gb


@given(hosts, requests)
def test_the_order_of_the_hosts_does_not_matter(cloud: list[HostView], request: Request) -> None:
    assert place(request, cloud) == place(request, list(reversed(cloud)))


@given(hosts, requests)
def test_lost_races_end(cloud: list[HostView], request: Request) -> None:
    snapshot = Snapshot(cloud)
    for _ in range(len(cloud) + 1):
        outcome = place(request, snapshot.hosts())
        if isinstance(outcome, Refusal):
            return
        for name in outcome.hosts:
            snapshot.note_full(request, name)
    raise AssertionError("a full host was offered again")


@settings(max_examples=30)
@given(requests)
def test_spread_and_pack(request: Request) -> None:
    empty = HostView("empty", "nova", frozenset(KINDS), True, True, 64, 64, 64)
    used = dataclasses.replace(empty, name="used", used_vcpus=8, used_memory_mb=8)
    free = dataclasses.replace(request, host=None, availability_zone=None, wanted_traits=Wanted())
    spread = place(free, [used, empty], Weights(1, 1))
    pack = place(free, [used, empty], Weights(-1, -1))
    assert isinstance(spread, Placement)
    assert isinstance(pack, Placement)
    assert spread.hosts[0] == "empty"
    assert pack.hosts[0] == "used"


def test_the_refusal_reads_as_a_sentence() -> None:
    base = HostView("a", "nova", frozenset({"vm"}), True, True, 4, 256, 10)
    cloud = [
        base,
        dataclasses.replace(base, name="b", up=False),
        dataclasses.replace(base, name="c", kinds=frozenset()),
    ]
    outcome = place(Request("s", "vm", 1, 512, 0), cloud)
    assert isinstance(outcome, Refusal)
    assert outcome.message == (
        "No valid host was found. 0 of 3 hosts: 1 down, 1 without kind vm, 1 without 512 MiB of free memory."
    )
    assert len({row.name for row in FILTERS}) == len(FILTERS)
