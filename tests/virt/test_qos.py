"""Limits of bandwidth, measured with real transfers between guests in namespaces."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest
from firewall_station import Guest, Inside, Station, needs_root, open_group, run, station

from nova_lite.host.network_state import FloatingSpec, GatewayLeg, HostState, QosSpec, RouterLeg, RouterSpec
from nova_lite.host.networks import devices
from nova_lite.host.networks.bandwidth import ifb_name
from nova_lite.host.networks.qos import Qos

pytestmark = needs_root
WITHIN = 0.1
UNLIMITED = 100.0
"""Less than what passes where nothing limits it, in Mbit/s; several times what the limits are."""


@pytest.fixture
def host() -> Iterator[Station]:
    with station() as made:
        yield made


def mbits(sender: Inside, receiver: Inside, to: str, seconds: float = 3.0, about: float = 0.0) -> float:
    """Measure; again, for two minutes, where a busy machine has spoiled what shall be *about* so much (0: more than ``UNLIMITED``)."""
    end = time.monotonic() + 120
    while True:
        found = measured(sender, receiver, to, seconds)
        is_so = found == pytest.approx(about, rel=WITHIN) if about else found > UNLIMITED
        if is_so or time.monotonic() > end:
            return found


def measured(sender: Inside, receiver: Inside, to: str, seconds: float) -> float:
    """Send for some seconds over TCP and return what came in, in Mbit/s of whole frames (1,514 bytes carry 1,448).

    The first half second does not count: the bucket is full when it begins.
    """
    listener = receiver.call(socket.create_server, (to, 7000))
    listener.settimeout(30)
    client = sender.call(socket.socket, socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(30)
    client.connect((to, 7000))
    connection, _ = listener.accept()
    connection.settimeout(30)
    end = time.monotonic() + seconds

    def send() -> None:
        with client, contextlib.suppress(OSError):
            while time.monotonic() < end:
                client.sendall(bytes(65_536))

    thread = threading.Thread(target=send)
    thread.start()
    begin = time.monotonic() + 0.5
    count = 0
    last = begin
    while (now := time.monotonic()) < end:
        size = len(connection.recv(65_536))
        if now >= begin:
            count += size
            last = now
    connection.close()
    listener.close()
    thread.join()
    return count * 8 / (last - begin) / 1e6 * 1514 / 1448 if last > begin else 0.0


def two(host: Station) -> tuple[Guest, Guest, Qos]:
    network = host.network(7)
    group = open_group()
    a, b = host.boot(host.port(network, 5, [group]), host.port(network, 6, [group]), groups=[group])
    return a, b, Qos(host.namespace)


def limited(host: Station, guest: Guest, qos: QosSpec | None) -> HostState:
    host.state = replace(host.state, ports={**host.state.ports, guest.port.port_id: replace(guest.port, qos=qos)})
    return host.state


def listing(host: Station) -> str:
    return run("tc", "-n", host.host, "qdisc", "show") + run(
        "ip", "-n", host.host, "-br", "link", "show", "type", "ifb"
    )


@pytest.mark.parametrize("kbps", [2_000, 20_000])
def test_what_a_guest_sends_and_gets_is_limited_to_within_a_tenth(host: Station, kbps: int) -> None:
    a, b, qos = two(host)
    qos.apply(limited(host, a, QosSpec(egress_kbps=kbps, ingress_kbps=kbps // 2)))
    sends = mbits(a.inside, b.inside, "10.0.0.6", about=kbps / 1000)
    gets = mbits(b.inside, a.inside, "10.0.0.5", about=kbps / 2000)
    assert sends == pytest.approx(kbps / 1000, rel=WITHIN)
    assert gets == pytest.approx(kbps / 2000, rel=WITHIN)


def test_limits_change_and_go_while_traffic_flows(host: Station) -> None:
    a, b, qos = two(host)
    before = listing(host)
    qos.apply(limited(host, a, QosSpec(egress_kbps=4_000)))
    assert mbits(a.inside, b.inside, "10.0.0.6", 2, about=4) == pytest.approx(4, rel=WITHIN)
    qos.apply(limited(host, a, QosSpec(egress_kbps=16_000, egress_burst_kb=800)))
    assert mbits(a.inside, b.inside, "10.0.0.6", 2, about=16) == pytest.approx(16, rel=WITHIN)
    qos.apply(limited(host, a, None))
    assert mbits(a.inside, b.inside, "10.0.0.6", 1) > UNLIMITED
    assert listing(host) == before


def test_the_same_limits_again_change_nothing_even_for_a_new_agent(
    host: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _, qos = two(host)
    state = limited(host, a, QosSpec(egress_kbps=3_333, ingress_kbps=777, ingress_burst_kb=99))
    qos.apply(state)
    for again in (qos, Qos(host.namespace)):
        sent: list[object] = []
        monkeypatch.setattr(again, "_run", lambda room, lines, sent=sent: sent.append(lines) or "")
        again.apply(state)
        assert sent == []


def test_a_device_that_comes_late_or_again_gets_its_limits(host: Station) -> None:
    a, _, qos = two(host)
    device = devices.device_name(a.port.port_id)
    state = limited(host, a, QosSpec(egress_kbps=5_000, ingress_kbps=5_000))
    qos.apply(state)
    # As when libvirt starts a container again; and an ifb that somebody removed.
    for command in ("del", "add"):
        if command == "del":
            run("ip", "-n", host.host, "link", "del", device)
            qos.apply(state)
        else:
            run(
                "ip",
                "-n",
                host.host,
                "link",
                "add",
                device,
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                a.namespace,
            )
    qos.apply(state)
    shown = run("tc", "-n", host.host, "qdisc", "show", "dev", device)
    assert "tbf" in shown
    assert "ingress" in shown
    run("ip", "-n", host.host, "link", "del", ifb_name(a.port.port_id))
    qos.apply(state)
    target = run("tc", "-n", host.host, "filter", "show", "dev", device, "parent", "ffff:")
    assert ifb_name(a.port.port_id) in target


def test_a_port_that_is_gone_leaves_no_ifb(host: Station) -> None:
    a, _, qos = two(host)
    qos.apply(limited(host, a, QosSpec(egress_kbps=5_000)))
    assert ifb_name(a.port.port_id) in listing(host)
    qos.apply(replace(host.state, ports={}))
    assert ifb_name(a.port.port_id) not in listing(host)


def test_floating_ips_are_limited_each_by_itself(host: Station) -> None:
    """A router's leg to the outside, with two floating IPs on its inner end."""
    gateway = GatewayLeg(str(uuid.uuid4()), str(uuid.uuid4()), "fa:16:3e:01:01:01", (), ())
    router_id = str(uuid.uuid4())
    room = f"{host.tag}-r"
    device = devices.gateway_leg_name(gateway.port_id)
    run("ip", "netns", "add", room)
    inside, outside = Inside(room), Inside(host.host)
    try:
        run("ip", "-n", host.host, "link", "add", device, "type", "veth", "peer", "name", device, "netns", room)
        for name in (room, host.host):
            run("ip", "-n", name, "link", "set", device, "up")
        run("ip", "-n", host.host, "address", "add", "203.0.113.1/24", "dev", device)
        for last in (5, 6):
            run("ip", "-n", room, "address", "add", f"203.0.113.{last}/24", "dev", device)
        floating = (
            FloatingSpec(str(uuid.uuid4()), "203.0.113.5", "10.0.0.5", QosSpec(ingress_kbps=4_000, egress_kbps=8_000)),
            FloatingSpec(str(uuid.uuid4()), "203.0.113.6", "10.0.0.6"),
        )
        leg = RouterLeg(str(uuid.uuid4()), str(uuid.uuid4()), "fa:16:3e:01:01:02", ())
        router = RouterSpec(router_id, (leg,), gateway, floating=floating)
        qos = Qos(host.namespace, lambda _: room)
        state = HostState(routers={router_id: router})
        qos.apply(state)
        assert mbits(outside, inside, "203.0.113.5", 2, about=4) == pytest.approx(4, rel=WITHIN)
        assert mbits(outside, inside, "203.0.113.6", 1) > UNLIMITED
        run("ip", "-n", room, "route", "replace", "203.0.113.1", "dev", device, "src", "203.0.113.5")
        assert mbits(inside, outside, "203.0.113.1", 2, about=8) == pytest.approx(8, rel=WITHIN)
        again = Qos(host.namespace, lambda _: room)
        again.apply(replace(state, routers={router_id: replace(router, floating=())}))
        for name in (room, host.host):
            assert "htb" not in run("tc", "-n", name, "qdisc", "show")
    finally:
        inside.close()
        outside.close()
        run("ip", "netns", "del", room)
