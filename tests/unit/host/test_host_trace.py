"""The way of a packet through a host, by the state that it was made to have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nova_lite.host import trace
from nova_lite.host.network_state import (
    FloatingSpec,
    GatewayLeg,
    GroupSpec,
    HostState,
    NetworkSpec,
    PortSpec,
    RemotePort,
    RouterLeg,
    RouterSpec,
    RuleSpec,
    ServiceLeg,
    SubnetSpec,
)
from nova_lite.host.trace import Sight
from nova_lite.host.trace_rules import Packet

TCP, ICMP = 6, 1


def subnet(key: str, prefix: str, **more: object) -> SubnetSpec:
    return replace(SubnetSpec(key, f"{prefix}.0/24", f"{prefix}.1", True, ()), **more)  # type: ignore[arg-type]


def network(number: int, prefix: str, **more: object) -> NetworkSpec:
    leg = ServiceLeg(f"d{number}", "fa:16:3e:00:00:02", ((f"s{number}", f"{prefix}.2"),))
    made = NetworkSpec(f"n{number}", number, 1450, (subnet(f"s{number}", prefix),), dhcp=leg)
    return replace(made, **more)  # type: ignore[arg-type]


def port(key: str, server: str, net: int, address: str, *groups: str, **more: object) -> PortSpec:
    made = PortSpec(
        key, server, f"n{net}", f"fa:16:3e:00:00:{key[-2:]}", server, ((f"s{net}", address),), "tap", group_ids=groups
    )
    return replace(made, **more)  # type: ignore[arg-type]


OUT = RuleSpec("out", "egress", 4)
WEB = RuleSpec("web", "ingress", 4, TCP, 80, 80)
FAR = RemotePort("fa:16:3e:00:00:99", ("10.0.1.9",), "192.0.2.2")
GATEWAY = GatewayLeg("g1", "n9", "fa:16:3e:00:00:77", (("s9", "172.24.4.10"),), ("172.24.4.1",))
ROUTER = RouterSpec(
    "r1234567-1",
    (
        RouterLeg("rl0000000001", "n1", "fa:16:3e:00:00:71", (("s1", "10.0.1.1"),)),
        RouterLeg("rl0000000002", "n2", "fa:16:3e:00:00:72", (("s2", "10.0.2.1"),)),
    ),
    GATEWAY,
    floating=(FloatingSpec("f1", "172.24.4.50", "10.0.2.6"),),
)
STATE = HostState(
    networks={
        "n1": network(1, "10.0.1", remote=(FAR,)),
        "n2": network(2, "10.0.2"),
        "n9": network(9, "172.24.4", dhcp=None, external=True, physical_network="public", kind="flat"),
    },
    ports={
        "p00000000-05": port("p00000000-05", "web", 1, "10.0.1.5", "default"),
        "p00000000-06": port("p00000000-06", "db", 2, "10.0.2.6", "default", "web"),
        "p00000000-07": port("p00000000-07", "peer", 1, "10.0.1.7", "default"),
    },
    routers={"r1234567-1": ROUTER},
    groups={"default": GroupSpec("default", (OUT,)), "web": GroupSpec("web", (WEB,))},
)


def went(
    state: HostState, to: str, tcp: int | None = None, server: str = "web", sight: Sight | None = None
) -> trace.Trace:
    return trace.depart(state, server, to, ICMP if tcp is None else TCP, tcp, sight)


def places(found: trace.Trace) -> list[str]:
    return [hop.where for hop in found.hops]


def test_to_a_guest_of_the_same_network() -> None:
    found = went(STATE, "10.0.1.7")
    assert found.verdict == "dropped"
    assert "no rule of group default lets it in" in found.hops[-1].what
    assert places(found) == [
        "guest",
        "nl-p00000000-05"[:15],
        "nl-p00000000-05"[:15],
        "nl-p00000000-05"[:15],
        "nl-br1",
        "nl-p00000000-07"[:15],
        "nl-p00000000-07"[:15],
    ]
    ping = RuleSpec("ping", "ingress", 4, ICMP, 8, 0)
    opened = replace(STATE, groups={**STATE.groups, "default": GroupSpec("default", (OUT, ping))})
    found = went(opened, "10.0.1.7")
    assert (found.verdict, found.hops[-2].rule_id) == ("arrives", "ping")


def test_through_a_router_to_another_network() -> None:
    found = went(STATE, "10.0.2.6", 80)
    assert found.verdict == "arrives"
    assert [place for place in places(found) if not place.startswith("nl-p")] == [
        "guest",
        "nl-br1",
        "nl-rtr-r1234567-1",
        "nl-br2",
        "guest",
    ]
    assert next(hop for hop in found.hops if hop.rule_id == "web").port_id == "p00000000-06"
    assert went(STATE, "10.0.2.6", 81).verdict == "dropped"
    down = replace(STATE, routers={"r": replace(ROUTER, up=False)})
    assert "is down" in went(down, "10.0.2.6", 80).hops[-1].what
    without = replace(STATE, routers={})
    assert "nobody has the next hop 10.0.1.1" in went(without, "10.0.2.6", 80).hops[-1].what


def test_out_by_snat_and_by_a_floating_ip() -> None:
    found = went(STATE, "9.9.9.9", 443)
    assert found.verdict == "leaves"
    assert any("router's address on this host, 172.24.4.10" in hop.what for hop in found.hops)
    assert found.hops[-1].what == "out to public by 172.24.4.1"
    found = went(STATE, "9.9.9.9", 443, server="db")
    assert any("its floating IP 172.24.4.50" in hop.what for hop in found.hops)
    closed = replace(STATE, routers={"r": replace(ROUTER, gateway=None, floating=())})
    assert "no gateway and no route" in went(closed, "9.9.9.9", 443).hops[-1].what


def test_in_by_a_floating_ip() -> None:
    found = went(STATE, "172.24.4.50", 80)
    assert found.verdict == "arrives"
    assert any("floating IP 172.24.4.50 leads to 10.0.2.6" in hop.what for hop in found.hops)
    assert went(STATE, "172.24.4.50", 22).verdict == "dropped"


def test_in_by_a_floating_ip_to_an_address_that_guests_share() -> None:
    pairs = (("", "10.0.2.99"), ("", "10.0.0.0/16"))
    ports = {**STATE.ports, "p00000000-06": replace(STATE.ports["p00000000-06"], pairs=pairs)}
    shared = replace(ROUTER, floating=(FloatingSpec("f1", "172.24.4.50", "10.0.2.99", shared=True),))
    state = replace(STATE, ports=ports, routers={"r1234567-1": shared})
    found = went(state, "172.24.4.50", 80)
    assert found.verdict == "arrives" and "comes to server db" in found.hops[-1].what
    assert any("shared by allowed pairs" in hop.what for hop in found.hops)
    # Who has an address of its own is not overlooked for a wide pair.
    ports["p00000000-05"] = replace(ports["p00000000-05"], pairs=(("", "10.0.0.0/16"),))
    assert went(replace(state, ports=ports), "10.0.1.9", 80).onward is not None


def test_over_the_tunnel_and_in_at_the_other_host() -> None:
    found = went(STATE, "10.0.1.9", 80)
    assert found.verdict == "goes on"
    assert found.onward == ("n1", Packet("10.0.1.5", "10.0.1.9", TCP, 80))
    there = replace(STATE, ports={"p00000000-09": port("p00000000-09", "far", 1, "10.0.1.9", "web")})
    arrived = trace.arrive(there, "n1", Packet("10.0.1.5", "10.0.1.9", TCP, 80))
    assert arrived.verdict == "arrives"
    assert trace.arrive(there, "n1", Packet("10.0.1.5", "10.0.1.9", TCP, 81)).verdict == "dropped"
    assert trace.arrive(there, "n7", Packet("10.0.1.5", "10.0.1.9", TCP, 81)).verdict == "dropped"


def test_to_our_own_services() -> None:
    nothing = replace(STATE, groups={"default": GroupSpec("default", ())})
    assert went(nothing, "169.254.169.254", 80).verdict == "arrives"
    assert went(nothing, "10.0.1.2", 53).verdict == "arrives"
    assert went(nothing, "10.0.1.2", 22).verdict == "dropped"
    assert went(STATE, "10.0.1.2", 22).hops[-1].what.endswith("only DHCP, DNS, metadata and ping are answered")
    assert went(STATE, "10.0.1.1").verdict == "arrives"


def test_what_is_closed_at_the_sender() -> None:
    nothing = replace(STATE, groups={"default": GroupSpec("default", ())})
    assert "lets it out" in went(nothing, "10.0.1.7").hops[-1].what
    own = STATE.ports["p00000000-05"]
    down = replace(STATE, ports={own.port_id: replace(own, up=False)})
    assert "is down" in went(down, "10.0.1.7").hops[-1].what
    alone = replace(STATE, ports={own.port_id: replace(own, group_ids=())})
    assert "in no security group" in went(alone, "10.0.1.7").hops[-1].what
    free = replace(STATE, ports={**STATE.ports, own.port_id: replace(own, secured=False, group_ids=())})
    assert "no rule of group" in went(free, "10.0.1.7").hops[-1].what  # at the receiver
    assert went(STATE, "2001:db8::1").hops[-1].what.startswith("it has no way to 2001:db8::1 (10.0.1.5")
    assert went(STATE, "10.0.1.200").hops[-1].what == "nobody on the network has 10.0.1.200"


def test_what_the_kernel_does_not_have() -> None:
    everything = frozenset({"nl-p00000000-05", "nl-br1", "nl-br2", "nl-p00000000-06", "nl-br9"})
    sight = Sight(everything, frozenset({"nl-rtr-r1234567-1"}), True)
    assert went(STATE, "10.0.2.6", 80, sight=sight).verdict == "arrives"
    for name in ("nl-p00000000-05", "nl-br2", "nl-p00000000-06"):
        less = replace(sight, devices=everything - {name})
        assert f"{name}" == went(STATE, "10.0.2.6", 80, sight=less).hops[-1].where
        assert "is not on the host" in went(STATE, "10.0.2.6", 80, sight=less).hops[-1].what
    assert went(STATE, "10.0.2.6", 80, sight=replace(sight, namespaces=frozenset())).verdict == "dropped"
    assert "not in force" in went(STATE, "10.0.2.6", 80, sight=replace(sight, guarded=False)).hops[-1].what


@pytest.mark.parametrize(
    ("rule", "passes"),
    [
        ({"remote_cidr": "10.0.1.0/24"}, True),
        ({"remote_cidr": "10.0.2.0/24"}, False),
        ({"remote_group_id": "g"}, True),
        ({"remote_address_group_id": "a"}, False),
        ({"protocol": TCP}, True),
        ({"protocol": 17}, False),
        ({"protocol": TCP, "port_min": 1, "port_max": 79}, False),
        ({"protocol": TCP, "port_min": 80, "port_max": 90}, True),
        ({"version": 6}, False),
    ],
)
def test_rules(rule: dict[str, object], passes: bool) -> None:
    one = RuleSpec("r", "ingress", 4)
    state = replace(
        STATE,
        groups={"default": GroupSpec("default", (OUT, replace(one, **rule)))},  # type: ignore[arg-type]
        members={"g": ("10.0.1.5",)},
        address_groups={"a": ("10.9.0.0/16",)},
    )
    assert (went(state, "10.0.1.7", 80).verdict == "arrives") is passes
