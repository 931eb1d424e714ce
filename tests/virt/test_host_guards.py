"""Groups, anti-spoofing, metadata and limits as the whole of a host's networks brings them."""

from __future__ import annotations

import http
import ipaddress
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from host_sandbox import OUTSIDE, Sandbox, a_network, a_port, a_router, a_state, an_outside, run, sandbox, with_v6

from nova_lite.host import trace
from nova_lite.host.metadata_http import Request
from nova_lite.host.metadata_tree import Answer
from nova_lite.host.network_state import GroupSpec, HostState, NetworkSpec, PortSpec, QosSpec, RuleSpec
from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import values

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dnsmasq", "nft", "ip", "busybox")),
    reason="needs root, dnsmasq, nft, ip and busybox",
)
GROUP = "6f1c2a0e-0000-4000-8000-000000000001"
RULE = "6f1c2a0e-0000-4000-8000-00000000000{}"
METADATA = "http://169.254.169.254/"


class Says:
    """A source that answers with the asker's port."""

    def answer(self, port_id: str, request: Request) -> Answer:
        return Answer(http.HTTPStatus.OK, f"{port_id} {request.path}\n".encode())


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        made.networks.tell_guests(Says())
        yield made


def guarded(network: NetworkSpec, last: int, name: str, **changes: object) -> PortSpec:
    return replace(a_port(network, last, name), secured=True, group_ids=(GROUP,), **changes)  # type: ignore[arg-type]


def with_group(state: HostState, *more: RuleSpec) -> HostState:
    out = tuple(RuleSpec(RULE.format(version), "egress", version) for version in (4, 6))
    return replace(state, groups={GROUP: GroupSpec(GROUP, (*out, *more))})


PING = RuleSpec(RULE.format(1), "ingress", 4, 1)


def fetched(box: Sandbox, guest: str, url: str = METADATA + "x") -> str:
    # Not busybox's wget: linked statically it dies in the resolver here and there.
    code = (
        "import urllib.request as r; "
        f"print(r.build_opener(r.ProxyHandler({{}})).open('{url}', timeout=30).read().decode())"
    )
    return box.inside(guest, "python3", "-c", code, check=False).strip()


def test_a_guarded_guest_has_dhcp_and_metadata_and_is_closed_until_a_rule(box: Sandbox) -> None:
    network = a_network()
    ports = [guarded(network, 10, "alpha"), guarded(network, 11, "beta")]
    state = with_group(a_state([network], ports))
    box.networks.apply(state)
    alpha, beta = (box.guest(port, network) for port in ports)
    assert box.dhcp(alpha)["ip"] == "10.11.12.10"
    assert box.dhcp(beta)["ip"] == "10.11.12.11"
    assert fetched(box, alpha) == f"{ports[0].port_id} /x"
    assert fetched(box, beta) == f"{ports[1].port_id} /x"
    assert not box.pings(alpha, "10.11.12.11", wait=1)
    box.networks.apply(with_group(state, PING))
    assert box.pings(alpha, "10.11.12.11")
    # A new agent, and the same again.
    box.restart()
    box.networks.tell_guests(Says())
    box.networks.apply(with_group(state, PING))
    assert box.pings(alpha, "10.11.12.11")
    assert fetched(box, alpha) == f"{ports[0].port_id} /x"


def test_metadata_by_the_router_and_by_ipv6(box: Sandbox) -> None:
    network = with_v6(a_network(), "slaac")
    external = an_outside()
    port = guarded(network, 10, "alpha")
    state = with_group(a_state([network, external], [port], [a_router([network], external)]))
    box.networks.apply(state)
    guest = box.settled(port, network)
    # By the default route, as a guest goes that has its address without DHCP.
    assert fetched(box, guest) == f"{port.port_id} /x"
    # By the link-local address, once the guest has its own.
    assert within(60, lambda: "fe80:" in box.ip(guest, "-6", "address", "show", "dev", "eth0", "-tentative"))
    script = (
        "import socket; s = socket.create_connection(('fe80::a9fe:a9fe%eth0', 80), 30);"
        "s.sendall(b'GET /v6 HTTP/1.0\\r\\n\\r\\n');\nwhile d := s.recv(999): print(d.decode(), end='')"
    )
    assert f"{port.port_id} /v6" in box.inside(guest, "python3", "-c", script, check=False)


def test_two_networks_with_the_same_addresses_read_of_themselves(box: Sandbox) -> None:
    networks = [a_network(5, "10.0.0"), a_network(6, "10.0.0")]
    ports = [guarded(network, 10, "same") for network in networks]
    box.networks.apply(with_group(a_state(networks, ports)))
    for port, network in zip(ports, networks, strict=True):
        guest = box.guest(port, network)
        box.dhcp(guest)
        assert fetched(box, guest) == f"{port.port_id} /x"


def test_limits_of_a_port(box: Sandbox) -> None:
    network = a_network()
    port = replace(guarded(network, 10, "alpha", kind="tap"), qos=QosSpec(egress_kbps=1000, ingress_kbps=2000))
    state = with_group(a_state([network], [port]))
    box.networks.apply(state)
    device = devices.device_name(port.port_id)
    assert "tbf" in box.inside(box.host, "tc", "qdisc", "show", "dev", device)
    box.networks.apply(replace(state, ports={port.port_id: replace(port, qos=None)}))
    assert "tbf" not in box.inside(box.host, "tc", "qdisc", "show")
    assert box.links() == {device, devices.bridge_name(5), devices.leg_name(5)}


def test_a_host_that_is_cleaned_has_no_rules_left(box: Sandbox) -> None:
    network = a_network()
    port = replace(guarded(network, 10, "alpha", kind="tap"), qos=QosSpec(egress_kbps=1000))
    box.networks.apply(with_group(a_state([network], [port])))
    assert "nova_lite_sg" in box.rules()
    box.networks.clean()
    assert "nova_lite_sg" not in box.rules()
    assert box.links() == set()


def test_a_trace_says_what_the_kernel_does(box: Sandbox) -> None:
    """What the trace says of each packet, real packets do; and a device or namespace that is missing is named."""
    network, other, external = a_network(), a_network(6, "10.11.13"), an_outside()
    ports = [guarded(network, 10, "alpha"), guarded(network, 11, "beta"), guarded(other, 10, "gamma")]
    router = a_router([network, other], external)
    state = with_group(a_state([network, other, external], ports, [router]))
    box.networks.apply(state)
    guest, *_ = [box.settled(port, n) for port, n in zip(ports, (network, network, other), strict=True)]
    ways = ("10.11.12.11", "10.11.13.10", "10.11.12.1", "10.11.12.2", "10.11.12.200", OUTSIDE)
    for current in (state, with_group(state, PING)):
        box.networks.apply(current)
        for address in ways:
            said = trace.depart(current, ports[0].server_id, address, 1, None, box.networks.sight())
            passes = said.verdict in ("arrives", "leaves")
            assert box.pings(guest, address, wait=30 if passes else 1) is passes, (address, said.hops)
    current = with_group(state, PING)
    for name, namespace in (
        (devices.device_name(ports[2].port_id), ""),
        ("nl-br6", ""),
        ("", f"nl-rtr-{router.router_id}"),
    ):
        if name:
            box.ip(box.host, "link", "del", name)
        else:
            box.inside(box.host, "true")
            run("ip", "netns", "del", box.room(namespace))
        said = trace.depart(current, ports[0].server_id, "10.11.13.10", 1, None, box.networks.sight())
        assert said.verdict == "dropped"
        assert said.hops[-1].where in (name, box.room(namespace))
        assert "is not on the host" in said.hops[-1].what


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def test_rules_that_are_flushed_are_back_at_once(box: Sandbox) -> None:
    """As ``systemctl restart nftables`` flushes them."""
    network = a_network()
    ports = [guarded(network, 10, "alpha"), guarded(network, 11, "beta")]
    box.networks.apply(with_group(a_state([network], ports)))
    guest, _ = [box.settled(port, network) for port in ports]
    before = box.inside(box.host, "nft", "list", "table", "inet", "nova_lite_sg")
    for command in (("flush", "ruleset"), ("delete", "table", "bridge", "nova_lite")):
        box.inside(box.host, "nft", *command)
        assert within(
            60,
            lambda: (
                "chain version-" in box.inside(box.host, "nft", "list", "table", "bridge", "nova_lite", check=False)
            ),
        )
        assert box.inside(box.host, "nft", "list", "table", "inet", "nova_lite_sg") == before
        assert not box.pings(guest, "10.11.12.11", wait=1)


def test_a_container_that_starts_gets_its_limit_at_once(box: Sandbox) -> None:
    """libvirt makes its device when it starts, and another one when it starts again; no pass of the agent's comes then."""
    network = a_network()
    port = guarded(network, 10, "alpha", qos=QosSpec(egress_kbps=1000, ingress_kbps=2000))
    box.networks.apply(with_group(a_state([network], [port])))
    device = devices.device_name(port.port_id)

    def is_limited() -> bool:
        shown = box.inside(box.host, "tc", "qdisc", "show", "dev", device, check=False)
        return "tbf" in shown and "ingress" in shown

    for _ in range(2):
        box.guest(port, network)
        assert within(60, is_limited)
        box.ip(box.host, "link", "del", device)
        box.inside(box.host, "true")
        run("ip", "netns", "del", box.spaces.namespaces.pop())


def test_a_guarded_guest_configures_its_ipv6_address_by_itself(box: Sandbox) -> None:
    """Router advertisements of ours come in, and what SLAAC makes of the MAC (RFC 4291, appendix A) is the port's address."""
    network = with_v6(a_network(), "slaac")
    port = guarded(network, 10, "alpha")
    interface = int(values.link_local(port.mac).network_address) & (1 << 64) - 1
    own = str(ipaddress.IPv6Network(network.subnets[1].cidr)[interface])
    port = replace(port, addresses=(port.addresses[0], (network.subnets[1].subnet_id, own)))
    state = with_group(a_state([network], [port], [a_router([network])]))
    box.networks.apply(state)
    guest = box.guest(port, network)
    assert within(
        60,
        lambda: f"{own}/64" in box.ip(guest, "-6", "address", "show", "dev", "eth0", "scope", "global", "-tentative"),
    )
    assert box.pings(guest, str(network.subnets[1].gateway), "-6")
    assert box.pings(guest, str(network.subnets[1].gateway), "-6", "-I", own)
    # Another address on the same link is not the port's.
    box.ip(guest, "address", "add", "2001:db8:5::bad/64", "dev", "eth0", "nodad", "preferred_lft", "forever")
    assert not box.pings(guest, str(network.subnets[1].gateway), "-6", "-I", "2001:db8:5::bad", wait=1)
