"""What namespaces, tunnels and rules a state leads to, as plain data and text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_host_network_text import LEG, NETWORK, PORT, SETTINGS, SUBNET, V6, other, v6

from nova_lite.host.network_state import (
    FloatingSpec,
    GatewayLeg,
    HostState,
    NetworkSpec,
    RemotePort,
    RouterLeg,
    RouterSpec,
    SubnetSpec,
)
from nova_lite.host.networks import (
    announce,
    devices,
    leftovers,
    network_room,
    outside,
    overlay,
    plan,
    provider,
    ra,
    router_room,
    rules,
)
from nova_lite.host.networks.overlay import Tunnel
from nova_lite.host.networks.planner import Planner
from nova_lite.host.networks.rooms import Route
from nova_lite.host.ports import HostError

TUNNEL = Tunnel("192.0.2.1", 4789)
HERE = plan.Here({"public": "", "wire": "eth1"}, TUNNEL, "nl-", Path("/s"), SETTINGS)
ROUTER_LEG = RouterLeg(
    "77777777-7777-7777-7777-777777777777", NETWORK.network_id, "fa:16:3e:00:fe:01", ((SUBNET.subnet_id, "10.0.0.1"),)
)
OUT = SubnetSpec("88888888-8888-8888-8888-888888888888", "172.24.4.0/24", "172.24.4.1", False, ())
EXTERNAL = NetworkSpec(
    "99999999-9999-9999-9999-999999999999", 1 << 24, 1500, (OUT,), kind="flat", physical_network="public", external=True
)
GATEWAY = GatewayLeg(
    "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
    EXTERNAL.network_id,
    "fa:16:3e:00:ee:01",
    ((OUT.subnet_id, "172.24.4.10"),),
    ("172.24.4.1",),
)
ROUTER = RouterSpec("bbbbbbbb-bbbb-bbbb-bbbb-bbbbbbbbbbbb", (ROUTER_LEG,), GATEWAY)
NETWORKS = {NETWORK.network_id: NETWORK, EXTERNAL.network_id: EXTERNAL}
FLOATING = FloatingSpec("cccccccc-cccc-cccc-cccc-cccccccccccc", "172.24.4.100", "10.0.0.5")
REMOTE = RemotePort("fa:16:3e:00:00:09", ("10.0.0.9", "10.0.0.32/27"), "192.0.2.9", "db")


def test_names_of_devices_fit_and_are_told_apart() -> None:
    made = [
        devices.leg_name(checks_limit),
        devices.vxlan_name((1 << 24) - 1),
        devices.vlan_name(checks_limit),
        devices.router_leg_name(ROUTER_LEG.port_id),
        devices.gateway_leg_name(GATEWAY.port_id),
        devices.bridge_name(7),
        devices.device_name(PORT.port_id),
    ]
    assert all(len(name) <= 15 and leftovers.is_ours(name) for name in made)
    assert [devices.is_port_device(name) for name in made] == [False] * 6 + [True]
    assert not any(leftovers.is_ours(name) for name in ("nl-ifb1", "nl-", "eth0", "nl-br", "nl-brx", "xnl-br1"))
    assert leftovers.order(["nl-br7", "nl-vx7", "nl-dh7"]) == ["nl-dh7", "nl-vx7", "nl-br7"]


checks_limit = 9_999_999_999


def test_a_networks_namespace() -> None:
    room = network_room.room(NETWORK)
    assert room is not None and room.name == "nl-net-7"
    [leg] = room.legs
    assert (leg.name, leg.mac, leg.mtu, leg.bridge) == ("nl-dh7", LEG.mac, 1450, "nl-br7")
    assert leg.addresses == ("10.0.0.2/24", "169.254.169.254/32", "fe80::a9fe:a9fe/64")
    assert room.routes == (Route("0.0.0.0/0", "10.0.0.1", "nl-dh7"),)
    assert network_room.room(replace(NETWORK, dhcp=None)) is None


def test_a_routers_namespace() -> None:
    router = replace(ROUTER, routes=(("10.9.0.0/16", "10.0.0.7"),), floating=(FLOATING,))
    room = router_room.room(router, NETWORKS)
    assert room is not None and room.name == f"nl-rtr-{ROUTER.router_id}"
    inner, outer = room.legs
    assert (inner.name, inner.addresses, inner.announce) == ("nl-rt7777777777", ("10.0.0.1/24",), False)
    assert (outer.name, outer.addresses, outer.announce) == (
        "nl-gwaaaaaaaaaa",
        ("172.24.4.10/24", "172.24.4.100/32"),
        True,
    )
    assert room.routes == (Route("0.0.0.0/0", "172.24.4.1", "nl-gwaaaaaaaaaa"), Route("10.9.0.0/16", "10.0.0.7"))
    assert room.translated == (("172.24.4.100", "10.0.0.5"),)
    assert router_room.room(replace(router, up=False), NETWORKS) is None
    lonely = router_room.room(router, {**NETWORKS, NETWORK.network_id: replace(NETWORK, dhcp=None)})
    assert lonely is not None and "fe80::a9fe:a9fe/64" in lonely.legs[0].addresses, "somebody answers for metadata"
    with pytest.raises(HostError, match="not among the networks of this host"):
        router_room.room(router, {})


def test_nat_of_a_router() -> None:
    text = router_room.text(replace(ROUTER, floating=(FLOATING,)))
    assert "172.24.4.100 : 10.0.0.5" in text and "10.0.0.5 : 172.24.4.100" in text
    own = 'oifname "nl-gwaaaaaaaaaa" iifname != "nl-gwaaaaaaaaaa" meta nfproto ipv4 snat ip to 172.24.4.10'
    assert own in text and own not in router_room.text(replace(ROUTER, snat=False))
    assert text.index("map @fixed") < text.index(own), "a floating IP comes first"
    assert "snat" not in router_room.text(replace(ROUTER, gateway=None))


def test_a_text_is_known_by_its_stamp() -> None:
    one, same, other_ = (rules.table(body) for body in ("chain a { }\n", "chain a { }\n", "chain b { }\n"))
    assert one == same != other_
    assert one.startswith("table inet nova_lite\ndelete table inet nova_lite\ntable inet nova_lite {")
    assert rules.table("") == "table inet nova_lite\ndelete table inet nova_lite\n"


def test_router_advertisements() -> None:
    leg = replace(ROUTER_LEG, addresses=(*ROUTER_LEG.addresses, (V6.subnet_id, "fd00:1::1")))
    router = replace(ROUTER, legs=(leg,))
    for mode, word in (("slaac", "ra-only"), ("dhcpv6-stateless", "ra-stateless"), ("dhcpv6-stateful", "static")):
        argv = ra.arguments(router, {**NETWORKS, NETWORK.network_id: v6(mode)}, Path("/s"), SETTINGS)
        assert argv is not None
        assert f"--dhcp-range=set:s0,fd00:1::,{word},64,3600s" in argv
        assert "--dhcp-option=tag:s0,option6:dns-server,[fd00:1::53]" in argv
        assert "--ra-param=nl-rt7777777777,mtu:1450,60,1800" in argv and "--port=0" in argv
    assert ra.arguments(ROUTER, NETWORKS, Path("/s"), SETTINGS) is None
    silent = replace(NETWORK, subnets=(SUBNET, V6))
    assert ra.arguments(router, {**NETWORKS, NETWORK.network_id: silent}, Path("/s"), SETTINGS) is None


def test_what_a_tunnel_knows() -> None:
    network = replace(NETWORK, remote=(REMOTE,), remote_hosts=("192.0.2.9", "192.0.2.1"))
    found = overlay.wanted(network, TUNNEL, frozenset())
    assert found is not None and (found.name, found.vni, found.mtu) == ("nl-vx7", 7, 1450)
    assert found.places == {(REMOTE.mac, "192.0.2.9")}
    assert found.everybody == {"192.0.2.9"}, "not this host itself"
    assert found.neighbours == {("10.0.0.9", REMOTE.mac)}, "a range has no neighbour entry"
    here = overlay.wanted(network, TUNNEL, frozenset((REMOTE.mac,)))
    assert here is not None and not here.places, "a port that has come is here"
    assert overlay.wanted(NETWORK, TUNNEL, frozenset()) is None
    assert overlay.wanted(replace(network, kind="local"), TUNNEL, frozenset()) is None
    with pytest.raises(HostError, match="local_ip"):
        overlay.wanted(network, None, frozenset())


def test_what_is_on_every_host_stays_on_its_host() -> None:
    network = replace(NETWORK, remote=(REMOTE,), remote_hosts=("192.0.2.9",))
    state = HostState({**NETWORKS, NETWORK.network_id: network}, {PORT.port_id: PORT}, {ROUTER.router_id: ROUTER})
    plans = Planner(HERE).plan(state)
    legs = plan.anycast(state.networks, state.routers, plans.networks)
    assert legs == {7: [(LEG.mac, ("10.0.0.2",)), (ROUTER_LEG.mac, ("10.0.0.1",))]}
    text = overlay.text(TUNNEL, legs)
    assert f'"nl-vx7" . {LEG.mac}' in text and f'"nl-vx7" . {ROUTER_LEG.mac}' in text
    assert (
        f"ether saddr set {overlay.host_mac('192.0.2.1')}" in text
        and overlay.host_mac("192.0.2.1") == "fe:3e:c0:00:02:01"
    )
    assert overlay.text(TUNNEL, {}) == overlay.text(None, legs) == ""


def test_physical_networks() -> None:
    assert provider.parse(["public:", "wire:eth1"]) == {"public": "", "wire": "eth1"}
    for entry in ("public", "a:b:c", "x:eth 1", ":eth1", "x:" + "y" * 16):
        with pytest.raises(HostError, match="physical_networks"):
            provider.parse([entry])
    assert provider.is_outside(EXTERNAL, HERE.physical) and provider.wanted(EXTERNAL, HERE.physical) is None
    wired = replace(EXTERNAL, physical_network="wire")
    assert provider.wanted(wired, HERE.physical) == provider.Uplink("eth1", "nl-br16777216", 1500)
    tagged = replace(wired, kind="vlan", vlan=12)
    assert provider.wanted(tagged, HERE.physical) == provider.Uplink("eth1", "nl-br16777216", 1500, 12, "nl-vl16777216")
    with pytest.raises(HostError, match="not on the physical network elsewhere"):
        provider.wanted(replace(wired, physical_network="elsewhere"), HERE.physical)
    assert not provider.is_outside(NETWORK, HERE.physical)


def test_the_host_as_the_outside() -> None:
    assert outside.gateways(EXTERNAL) == ("172.24.4.1/24",)
    text = outside.text([outside.of(EXTERNAL)], nat=True)
    assert '"nl-br16777216" . 172.24.4.0/24' in text and "masquerade" in text
    assert "masquerade" not in outside.text([outside.of(EXTERNAL)], nat=False)
    assert outside.text([], nat=True) == ""


def test_a_network_that_can_not_be_joined_is_made_all_the_same() -> None:
    lost = replace(EXTERNAL, physical_network="elsewhere")
    plans = Planner(HERE).plan(HostState({lost.network_id: lost}))
    assert "elsewhere" in plans.networks[lost.network_id].problem
    assert plans.networks[lost.network_id].bridge.name == "nl-br16777216" and not plans.refused


def test_the_same_state_gives_the_same_plans() -> None:
    ports = {port.port_id: port for port in (PORT, other(6))}
    state = HostState(NETWORKS, ports, {ROUTER.router_id: ROUTER})
    one, two = Planner(HERE).plan(state), Planner(HERE).plan(state)
    assert one == two
    planner = Planner(HERE)
    first = planner.plan(state)
    grown = replace(state, ports={**ports, other(7).port_id: other(7)})
    second = planner.plan(grown)
    assert second.routers[ROUTER.router_id] is first.routers[ROUTER.router_id]
    assert second.networks[EXTERNAL.network_id] is first.networks[EXTERNAL.network_id]
    assert len(second.networks[NETWORK.network_id].taps) == 3


def test_what_was_refused_is_kept() -> None:
    state = HostState(NETWORKS, {PORT.port_id: PORT}, {ROUTER.router_id: ROUTER})
    kept = leftovers.of_refused(state, [NETWORK.network_id, ROUTER.router_id], "nl-")
    assert {"nl-br7", "nl-dh7", "nl-vx7", "nl-33333333-333", "nl-rt7777777777", "nl-gwaaaaaaaaaa"} <= kept.devices
    assert kept.namespaces == {"nl-net-7", f"nl-rtr-{ROUTER.router_id}"}
    assert kept.directories == {"7", f"rtr-{ROUTER.router_id}"}


def test_announcements() -> None:
    arp = announce.packet("fa:16:3e:00:00:05", "10.0.0.5")
    assert arp[:6] == b"\xff" * 6 and arp[12:14] == b"\x08\x06"
    assert arp[28:32] == arp[38:42] == bytes([10, 0, 0, 5])
    advertised = announce.packet("fa:16:3e:00:00:05", "fd00::5")
    assert advertised[12:14] == b"\x86\xdd" and advertised[54] == 136
    # A right checksum makes the whole sum to nothing.
    body = advertised[54:]
    pseudo = advertised[22:54] + len(body).to_bytes(4, "big") + (58).to_bytes(4, "big")
    assert announce._checksum(pseudo + body) == 0
