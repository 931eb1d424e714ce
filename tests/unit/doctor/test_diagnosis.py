"""Each difference alone is found, and nothing else; a healthy cloud has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nova_lite.compute.transitions import PowerState
from nova_lite.doctor.cures import _CURES
from nova_lite.doctor.diagnosis import diagnose, lasting, of_host
from nova_lite.doctor.facts import (
    ClaimFact,
    Facts,
    HostFact,
    HostSight,
    ImageFact,
    OperationFact,
    PortFact,
    ServerFact,
    SumFact,
)
from nova_lite.virt.driver import Observed

NOW = 1_000_000.0
A, B, GONE, NOBODY = (f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "abcd")
PORT = "12345678-1234-4234-8234-123456789012"
SIZES = (2, 512, 3)

SIGHT = HostSight(
    name="h1",
    guests=(Observed(A, "a", PowerState.RUNNING, "vm"), Observed(None, "somebody's", PowerState.RUNNING, "vm")),
    directories=frozenset({A}),
    devices={"nl-12345678-123": True, "nl-br17": True},
    leases=frozenset({(17, "fa:16:3e:00:00:01", "10.0.0.5")}),
    networks=frozenset({17}),
    namespaces=frozenset({"nl-net-17", f"nl-rtr-{A}"}),
    image_files={"i": 9000.0},
)
A_PORT = PortFact(PORT, A, "compute:nova", "h1", 17, "fa:16:3e:00:00:01", ("10.0.0.5",))
HEALTHY = Facts(
    moment=NOW,
    servers={
        A: ServerFact(A, "active", None, "h1", SIZES),
        B: ServerFact(B, "building", "spawning", "h1", SIZES, busy=True),
    },
    deleted=frozenset({GONE}),
    hosts=(HostFact("h1", (4, 1024, 6), 2), HostFact("h2", (0, 0, 0), 0)),
    claims={A: ClaimFact("h1", SIZES), B: ClaimFact("h1", SIZES)},
    operations=(OperationFact(1, "create", "server", B, "running", "agent", "h1", NOW + 60, NOW + 20),),
    ports=(A_PORT,),
    networks=frozenset({17}),
    routers=frozenset({A}),
    images=(ImageFact("i", "active", 9000.0), ImageFact("j", "saving", 3.0), ImageFact("k", "saving", 9e9, True)),
    sight=SIGHT,
)
LATE = HEALTHY.operations[0]


def _server(**values: object) -> Facts:
    return replace(HEALTHY, servers={**HEALTHY.servers, A: replace(HEALTHY.servers[A], **values)})  # type: ignore[arg-type]


def _sight(**values: object) -> Facts:
    return replace(HEALTHY, sight=replace(SIGHT, **values))  # type: ignore[arg-type]


BROKEN: dict[str, tuple[Facts, str]] = {
    "server-stranded": (_server(task_state="rebooting"), A),
    "operation-late": (replace(HEALTHY, operations=(replace(LATE, deadline=NOW - 61),)), "1"),
    "operation-orphan": (replace(HEALTHY, operations=(replace(LATE, target_id=GONE, state="pending"),)), "1"),
    "claim-sum": (replace(HEALTHY, hosts=(HostFact("h1", (5, 1024, 6), 2),)), "h1"),
    "quota-sum": (replace(HEALTHY, sums=(SumFact("p", "cores", 3, 2),)), "p"),
    "claim-stale": (
        replace(HEALTHY, claims={**HEALTHY.claims, GONE: ClaimFact("h2", (0, 0, 0))}, hosts=HEALTHY.hosts[:1]),
        GONE,
    ),
    "claim-elsewhere": (
        replace(
            HEALTHY,
            claims={**HEALTHY.claims, A: ClaimFact("h2", SIZES)},
            hosts=(HostFact("h1", SIZES, 1), HostFact("h2", SIZES, 1)),
        ),
        A,
    ),
    "claim-size": (_server(sizes=(1, 512, 3)), A),
    "claim-missing": (
        replace(HEALTHY, claims={B: ClaimFact("h1", SIZES)}, hosts=(HostFact("h1", SIZES, 1),)),
        A,
    ),
    "port-of-deleted-server": (replace(HEALTHY, ports=(A_PORT, replace(A_PORT, device_id=GONE))), PORT),
    "port-of-unknown-server": (replace(HEALTHY, ports=(A_PORT, replace(A_PORT, device_id=NOBODY))), PORT),
    "image-saving": (replace(HEALTHY, images=(*HEALTHY.images, ImageFact("l", "saving", 121.0))), "l"),
    "guest-left-over": (_sight(guests=(*(SIGHT.guests or ()), Observed(GONE, "g", PowerState.RUNNING, "vm"))), GONE),
    "guest-unknown": (_sight(guests=(*(SIGHT.guests or ()), Observed(NOBODY, "n", PowerState.RUNNING, "vm"))), NOBODY),
    "guest-elsewhere": (
        replace(
            HEALTHY,
            servers={A: HEALTHY.servers[A], B: ServerFact(B, "stopped", None, "h2", SIZES)},
            claims={A: ClaimFact("h1", SIZES), B: ClaimFact("h2", SIZES)},
            hosts=(HostFact("h1", SIZES, 1), HostFact("h2", SIZES, 1)),
            operations=(),
            sight=replace(SIGHT, guests=(*(SIGHT.guests or ()), Observed(B, "b", PowerState.SHUTDOWN, "vm"))),
        ),
        B,
    ),
    "guest-power": (_sight(guests=(Observed(A, "a", PowerState.SHUTDOWN, "vm"),)), A),
    "guest-missing": (_sight(guests=()), A),
    "directory-left-over": (_sight(directories=frozenset({A, GONE})), GONE),
    "directory-unknown": (_sight(directories=frozenset({A, NOBODY})), NOBODY),
    "device-left-over": (_sight(devices={**(SIGHT.devices or {}), "nl-99999999-999": False}), "nl-99999999-999"),
    "device-missing": (_sight(devices={"nl-br17": True}), PORT),
    "bridge-left-over": (_sight(devices={**(SIGHT.devices or {}), "nl-br99": False}), "nl-br99"),
    "network-left-over": (_sight(networks=frozenset({17, 99})), "99"),
    "namespace-left-over": (_sight(namespaces=frozenset({"nl-net-17", "nl-rtr-99999999"})), "nl-rtr-99999999"),
    "lease-left-over": (_sight(leases=frozenset({(17, "fa:16:3e:00:00:09", "10.0.0.9")})), "10.0.0.9"),
    "image-file-left-over": (_sight(image_files={"i": 9000.0, "stray": 601.0, "fresh": 9.0}), "stray"),
    "image-file-missing": (_sight(image_files={"other": 1.0}), "i"),
}


def test_an_offloaded_servers_console_log_may_be_where_it_was() -> None:
    away = ServerFact(A, "shelved_offloaded", None, None, SIZES)
    facts = replace(HEALTHY, servers={A: away}, sight=replace(SIGHT, guests=()))
    assert "directory-elsewhere" in [finding.kind for finding in diagnose(facts)]
    logs = replace(facts, sight=replace(SIGHT, guests=(), logs=frozenset({A})))
    assert "directory-elsewhere" not in [finding.kind for finding in diagnose(logs)]


@pytest.mark.parametrize("away", ["shelved", "soft-delete"])
def test_a_guest_that_runs_though_its_server_is_put_away_is_told(away: str) -> None:
    facts = _server(vm_state=away)
    assert [finding.kind for finding in diagnose(facts)] == ["guest-power"]


def test_a_healthy_cloud_has_nothing() -> None:
    assert diagnose(HEALTHY) == []
    assert diagnose(Facts(moment=NOW)) == []


def test_a_file_that_is_about_to_be_removed_is_no_difference() -> None:
    waiting = replace(_sight(image_files={"i": 9000.0, "gone": 9000.0}), removed_images=frozenset({"gone"}))
    assert diagnose(waiting) == []


@pytest.mark.parametrize("kind", BROKEN)
def test_each_difference_is_found_alone(kind: str) -> None:
    facts, object_id = BROKEN[kind]
    assert [(row.kind, row.object_id) for row in diagnose(facts)] == [(kind, object_id)]


def test_each_kind_that_is_safe_has_its_cure_and_no_other() -> None:
    assert {kind for kind, (facts, _) in BROKEN.items() if diagnose(facts)[0].safe} == set(_CURES)


def test_a_guest_or_directory_that_is_not_known_is_never_safe() -> None:
    for kind in ("guest-unknown", "guest-elsewhere", "guest-missing", "guest-power", "directory-unknown"):
        assert not diagnose(BROKEN[kind][0])[0].safe


def test_what_is_known_to_be_left_over_goes_by_itself() -> None:
    facts, server_id = BROKEN["guest-elsewhere"]
    assert "newer disk" in diagnose(facts)[0].cure
    (finding,) = diagnose(replace(facts, left_overs=frozenset({("h1", server_id)})))
    assert "nova-lite-compute does it" in finding.cure and not finding.safe


def test_a_device_that_something_uses_is_left_alone() -> None:
    assert not diagnose(_sight(devices={**(SIGHT.devices or {}), "nl-99999999-999": True}))[0].safe


def test_what_changed_between_two_looks_was_under_way() -> None:
    first = diagnose(_server(task_state="rebooting", generation=4))
    assert lasting(first, first) == first
    assert lasting(first, diagnose(_server(task_state="rebooting", generation=5))) == []
    assert lasting(first, []) == []


def test_of_host_leaves_out_the_rest() -> None:
    found = diagnose(BROKEN["guest-missing"][0]) + diagnose(BROKEN["quota-sum"][0])
    assert [row.kind for row in of_host(found, "h1")] == ["guest-missing"]
    assert of_host(found, "h2") == []
