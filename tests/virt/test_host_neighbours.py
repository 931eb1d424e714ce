"""Room in the kernel's table of neighbours, which is one for all namespaces; and who takes it up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from host_sandbox import a_network, a_port, a_router, a_state, an_outside, sandbox

from nova_lite.host.network_state import HostState, RemotePort
from nova_lite.host.networks import neighbours
from nova_lite.host.networks.namespace import Namespace

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dnsmasq", "nft", "ip", "busybox")),
    reason="needs root, dnsmasq, nft, ip and busybox",
)
LIMITS = [
    Path(f"/proc/sys/net/{family}/neigh/default/{name}")
    for family in ("ipv4", "ipv6")
    for name in ("gc_thresh2", "gc_thresh3")
]


def limits() -> list[int]:
    return [int(path.read_text()) for path in LIMITS]


@pytest.fixture
def machine() -> Iterator[Namespace]:
    """The machine's own namespace; its limits are what they were afterwards."""
    before = limits()
    namespace = Namespace()
    yield namespace
    namespace.close()
    for path, value in zip(LIMITS, before, strict=True):
        path.write_text(str(value))


def test_room_for_each_guest_here_and_elsewhere() -> None:
    network = a_network()
    far = RemotePort("fa:16:3e:77:00:01", ("10.11.12.9",), "203.0.113.2")
    assert neighbours.needed(HostState()) == 1024
    full = a_state([replace(network, remote=(far,) * 1000)], [a_port(network, 10, "a")] * 1)
    assert neighbours.needed(full) == 8192


def test_limits_are_raised_and_set_back(machine: Namespace, tmp_path: Path) -> None:
    record = tmp_path / "neighbours.json"
    before = limits()
    more = max(before) * 4
    neighbours.make_room(machine, more, record)
    assert limits() == [more // 2, more] * 2
    neighbours.make_room(machine, more * 2, record)
    neighbours.make_room(machine, 1024, record)
    assert limits() == [more, more * 2] * 2, "raised again, and never lowered"
    neighbours.restore(machine, record)
    assert limits() == before and not record.exists()
    neighbours.restore(machine, record)
    assert limits() == before


def test_routers_learn_nothing_of_each_other_outside() -> None:
    """Each announces its address to the outside; a hundred that remembered each other would fill the table."""
    with sandbox() as box:
        out = an_outside()
        networks = [a_network(5 + n, f"10.0.{n + 1}") for n in range(4)]
        ports = [a_port(network, 10, "a") for network in networks]
        routers = [a_router([network], out, 10 + n) for n, network in enumerate(networks)]
        box.networks.apply(a_state([*networks, out], ports, routers))
        for router in routers:
            shown = box.ip(box.room(f"nl-rtr-{router.router_id}"), "neigh")
            assert not [line for line in shown.splitlines() if "172.24.4.1" in line and "172.24.4.1 " not in line], (
                shown
            )
