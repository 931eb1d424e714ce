"""The metadata server on real sockets in namespaces: who asks is known by where the connection comes in, and nothing else."""

from __future__ import annotations

import http
import ipaddress
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from descriptors import no_descriptor_left
from firewall_station import Inside, needs_root, run

from nova_lite.host.metadata_http import Request
from nova_lite.host.metadata_tree import Answer
from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec, RouterLeg, RouterSpec, ServiceLeg, SubnetSpec
from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import values
from nova_lite.host.networks.metadata_server import MOST_OF_ONE, MetadataServer
from nova_lite.host.networks.metadata_sockets import Listener

pytestmark = needs_root
METADATA = "169.254.169.254"


class Says:
    """A source that answers with the asker's port, and the request's path."""

    def __init__(self) -> None:
        self.delay_s = 0.0

    def answer(self, port_id: str, request: Request) -> Answer:
        time.sleep(self.delay_s)
        if request.path == "/fail":
            raise RuntimeError("on purpose")
        return Answer(http.HTTPStatus.OK, f"{port_id} {request.method} {request.path} {len(request.body)}".encode())


class World:
    """Two networks with the same addresses, each a namespace of ours and one of a guest, joined by a veth; and a router."""

    def __init__(self) -> None:
        self.tag = f"nlm-{uuid.uuid4().hex[:6]}"
        self.names: list[str] = []
        self.source = Says()
        self.server = MetadataServer(self.source)
        self.rooms: dict[str, str] = {}
        self.state = HostState()
        self.guests: list[Inside] = []
        for number in (7, 8):
            self._add_network(number)

    def namespace(self, name: str) -> str:
        full = f"{self.tag}-{name}"
        run("ip", "netns", "add", full)
        run(
            "ip",
            "netns",
            "exec",
            full,
            "sysctl",
            "-qw",
            "net.ipv6.conf.default.accept_dad=0",
            "net.ipv6.conf.all.accept_dad=0",
        )
        self.names.append(full)
        return full

    def _add_network(self, number: int) -> None:
        subnet = SubnetSpec(str(uuid.uuid4()), "10.0.0.0/24", "10.0.0.1", True, ())
        leg = ServiceLeg(str(uuid.uuid4()), f"fa:16:3e:ff:00:{number:02x}", ((subnet.subnet_id, "10.0.0.2"),))
        network = NetworkSpec(str(uuid.uuid4()), number, 1500, (subnet,), dhcp=leg)
        port = PortSpec(
            str(uuid.uuid4()), str(uuid.uuid4()), network.network_id, f"fa:16:3e:00:00:{number:02x}", "g",
            ((subnet.subnet_id, "10.0.0.5"),), "veth",
        )  # fmt: skip
        room, guest = self.namespace(f"n{number}"), self.namespace(f"g{number}")
        self.plug(room, devices.leg_name(number), guest, port.mac)
        self.rooms[network.network_id] = room
        self.state = replace(
            self.state,
            networks={**self.state.networks, network.network_id: network},
            ports={**self.state.ports, port.port_id: port},
        )
        self.guests.append(Inside(guest))

    def plug(self, room: str, device: str, guest: str, mac: str) -> None:
        run("ip", "-n", room, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", guest)
        run("ip", "-n", guest, "link", "set", "eth0", "address", mac)
        for address in ("10.0.0.2/24", f"{METADATA}/32", "fe80::a9fe:a9fe/64"):
            run("ip", "-n", room, "address", "add", address, "dev", device)
        run("ip", "-n", guest, "address", "add", "10.0.0.5/24", "dev", "eth0")
        for name, each in ((room, device), (guest, "eth0")):
            run("ip", "-n", name, "link", "set", each, "up")
        run("ip", "-n", guest, "route", "add", METADATA, "dev", "eth0")

    def serve(self) -> None:
        self.server.serve(self.state, self.rooms)

    def remove(self) -> None:
        self.server.close()
        for guest in self.guests:
            guest.close()
        for name in self.names:
            run("ip", "netns", "del", name, check=False)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    try:
        made.serve()
        yield made
    finally:
        made.remove()


def connected(guest: Inside, to: tuple[object, ...] = (METADATA, 80)) -> socket.socket:
    family = socket.AF_INET6 if ":" in str(to[0]) else socket.AF_INET
    made = guest.call(socket.socket, family, socket.SOCK_STREAM)
    made.settimeout(30)
    made.connect(to)
    return made


def ask(guest: Inside, request: str = "GET /x HTTP/1.1\r\n\r\n", to: tuple[object, ...] = (METADATA, 80)) -> str:
    try:
        with connected(guest, to) as made:
            made.sendall(request.encode())
            received = b""
            while data := made.recv(65_536):
                received += data
            return received.decode()
    except OSError as error:
        return type(error).__name__


def until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not what():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def port_of(world: World, number: int) -> str:
    network = next(each for each in world.state.networks.values() if each.number == number)
    return next(port.port_id for port in world.state.ports.values() if port.network_id == network.network_id)


def test_each_guest_is_known_by_its_network_and_address(world: World) -> None:
    first, second = world.guests
    assert ask(first).endswith(f"{port_of(world, 7)} GET /x 0")
    assert ask(second).endswith(f"{port_of(world, 8)} GET /x 0")
    assert ask(first, "POST /p HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").endswith("POST /p 3")


def test_a_header_says_nothing_of_who_asks(world: World) -> None:
    other = port_of(world, 8)
    lies = f"GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.9\r\nX-Instance-ID: {other}\r\nX-Neutron-Port: {other}\r\n\r\n"
    assert port_of(world, 7) in ask(world.guests[0], lies)


def test_no_descriptor_for_a_guest_is_no_reason_to_spin(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    accept, tries = MetadataServer._accept, []

    def counted(self: MetadataServer, listener: Listener) -> None:
        tries.append(time.monotonic())
        accept(self, listener)

    monkeypatch.setattr(MetadataServer, "_accept", counted)
    guest = world.guests[0]
    # Made before there is none left; what it waits for is that the server takes it.
    client = guest.call(socket.socket, socket.AF_INET, socket.SOCK_STREAM)
    client.settimeout(30)
    with closing(client):
        with no_descriptor_left():
            client.connect((METADATA, 80))
            deadline = time.monotonic() + 30
            while len(tries) < 4:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert tries[3] - tries[0] >= 0.25  # a rest between two
        client.sendall(b"GET /x HTTP/1.1\r\n\r\n")
        assert b"200 OK" in client.recv(65_536)


def test_ipv6_by_the_link_local_address(world: World) -> None:
    port = world.state.ports[port_of(world, 7)]
    own = str(values.link_local(port.mac).network_address)
    guest = world.guests[0]
    index = guest.call(socket.if_nametoindex, "eth0")
    assert ipaddress.ip_address(own).is_link_local
    # The kernel gives both ends their addresses once it has seen that there is a carrier.
    until(lambda: ask(guest, to=("fe80::a9fe:a9fe", 80, 0, index)).endswith(f"{port.port_id} GET /x 0"))


def test_a_stranger_gets_nothing(world: World) -> None:
    run("ip", "-n", f"{world.tag}-g7", "address", "add", "10.0.0.9/24", "dev", "eth0")
    run("ip", "-n", f"{world.tag}-g7", "route", "replace", METADATA, "dev", "eth0", "src", "10.0.0.9")
    assert ask(world.guests[0]) in ("", "ConnectionResetError", "BrokenPipeError")


def test_a_routers_leg_answers_too(world: World) -> None:
    network = next(iter(world.state.networks.values()))
    leg = RouterLeg(str(uuid.uuid4()), network.network_id, "fa:16:3e:01:00:01", ())
    router = RouterSpec(str(uuid.uuid4()), (leg,))
    room, guest = world.namespace("r"), world.namespace("gr")
    world.plug(room, devices.router_leg_name(leg.port_id), guest, "fa:16:3e:00:00:07")
    world.state = replace(world.state, routers={router.router_id: router})
    world.rooms[router.router_id] = room
    world.serve()
    inside = Inside(guest)
    world.guests.append(inside)
    assert ask(inside).endswith(f"{port_of(world, 7)} GET /x 0")


def test_namespaces_that_go_and_come(world: World) -> None:
    state, rooms = world.state, dict(world.rooms)
    network = next(each for each in state.networks.values() if each.number == 7)
    world.rooms = {key: room for key, room in rooms.items() if key != network.network_id}
    world.serve()
    until(lambda: ask(world.guests[0]) == "ConnectionRefusedError")
    assert "GET" in ask(world.guests[1])
    world.rooms = rooms
    world.serve()
    assert "GET" in ask(world.guests[0])
    # The device is made anew under the same name: a socket that is bound to the old one would be deaf.
    port = state.ports[port_of(world, 7)]
    run("ip", "-n", f"{world.tag}-n7", "link", "del", devices.leg_name(7))
    world.serve()
    world.plug(f"{world.tag}-n7", devices.leg_name(7), f"{world.tag}-g7", port.mac)
    world.serve()
    assert "GET" in ask(world.guests[0])


def test_a_new_server_takes_over_at_once(world: World) -> None:
    world.server.close()
    assert ask(world.guests[0]) == "ConnectionRefusedError"
    world.server = MetadataServer(world.source)
    world.serve()
    assert "GET" in ask(world.guests[0])


def test_a_source_that_fails_is_not_told_to_the_guest(world: World) -> None:
    answer = ask(world.guests[0], "GET /fail HTTP/1.1\r\n\r\n")
    assert answer.startswith("HTTP/1.1 503 ")
    assert "purpose" not in answer


def test_bad_requests_are_refused_and_large_ones_do_not_grow(world: World) -> None:
    assert ask(world.guests[0], "rubbish\r\n\r\n").startswith("HTTP/1.1 400 ")
    assert ask(world.guests[0], "GET / HTTP/1.1\r\n" + "x: y\r\n" * 2000 + "\r\n")[:13] in (
        "HTTP/1.1 431 ",
        "ConnectionRes",
        "BrokenPipeErr",
    )
    assert ask(world.guests[0], "POST / HTTP/1.1\r\nContent-Length: 9999\r\n\r\n").startswith("HTTP/1.1 413 ")


def test_who_holds_many_connections_keeps_nobody_else_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nova_lite.host.networks.metadata_server.REQUEST_S", 10.0)
    held = [connected(world.guests[0]) for _ in range(MOST_OF_ONE)]
    time.sleep(0.2)
    assert ask(world.guests[0]) in ("", "ConnectionResetError", "BrokenPipeError")
    assert "GET" in ask(world.guests[1])
    # What says nothing is ended, and there is room again.
    until(lambda: "GET" in ask(world.guests[0]))
    for each in held:
        each.close()


def test_many_at_once(world: World) -> None:
    world.source.delay_s = 0.05
    answers: list[str] = []
    threads = [threading.Thread(target=lambda g=guest: answers.append(ask(g))) for guest in world.guests * 10]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([answer for answer in answers if "GET /x" in answer]) == 20
