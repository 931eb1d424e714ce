"""Addresses of routers outside are announced so that somebody hears it, for real: in namespaces of the test's own."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from firewall_station import Inside
from host_sandbox import Sandbox, a_floating, a_network, a_port, a_router, a_state, an_outside, sandbox

from nova_lite.host.networks import announce, building, devices, legs, links
from nova_lite.host.networks.rooms import Leg

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dnsmasq", "nft", "ip", "busybox")),
    reason="needs root, dnsmasq, nft, ip and busybox",
)
FLOATING = "172.24.4.100"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


class Neighbour:
    """Who listens on the outside's bridge, and counts how often an address of IPv4 is announced there."""

    def __init__(self, box: Sandbox, bridge: str) -> None:
        self._inside = Inside(box.host)
        self._raw = self._inside.call(socket.socket, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
        self._raw.bind((bridge, 0x0806))

    def heard(self, address: str, wait_s: float, wanted: int = 0) -> int:
        """Return how often it was said, since the last question and within *wait_s* from when it was *wanted* times, or 60 s at most."""
        end = time.monotonic() + (60 if wanted else wait_s)
        found = 0
        while (left := end - time.monotonic()) > 0:
            self._raw.settimeout(left)
            try:
                frame = self._raw.recv(2000)
            except TimeoutError:
                break
            if frame[28:32] == frame[38:42] == socket.inet_aton(address):
                found += 1
                if found == wanted:
                    end = time.monotonic() + wait_s
        return found

    def close(self) -> None:
        self._raw.close()
        self._inside.close()


class Site:
    """A network with its router, and a neighbour on the outside."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.network, self.out = a_network(), an_outside()
        self.port = a_port(self.network, 16, "a")
        self.router = a_router([self.network], self.out, 20)
        box.networks.apply(a_state([self.network, self.out], [self.port], []))
        self.neighbour = Neighbour(box, devices.bridge_name(self.out.number))

    def give(self, *floating: str) -> None:
        router = replace(self.router, floating=tuple(a_floating(each, self.port) for each in floating))
        self.box.networks.apply(a_state([self.network, self.out], [self.port], [router]))


@pytest.fixture
def site(box: Sandbox) -> Iterator[Site]:
    made = Site(box)
    yield made
    made.neighbour.close()


def test_an_address_is_announced_twice(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 5227, 2.3; also by a router that comes with it, and by one that is there already."""
    monkeypatch.setattr(building, "PASSING_S", 30)
    site.give()
    for address in ("172.24.4.20", FLOATING):
        if address == FLOATING:
            site.give(FLOATING)
        assert site.neighbour.heard(address, 1, wanted=2) == 2


def test_an_address_that_moved_on_is_not_announced_again(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "PASSING_S", 30)
    monkeypatch.setattr(announce, "INTERVAL_S", 5.0)
    site.give(FLOATING)
    site.give()
    assert site.neighbour.heard(FLOATING, 0.2, wanted=1) > 0
    assert site.neighbour.heard(FLOATING, announce.INTERVAL_S + 1) == 0


def test_what_is_said_waits_for_a_bridge_that_does_not_listen_yet(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel tells a bridge late of a leg that is up; here, the leg is up late."""
    gateway = site.router.gateway
    assert gateway is not None
    name = devices.gateway_leg_name(gateway.port_id)
    ensure, late = legs.ensure, []

    def ensure_late(ip: object, leg: Leg, namespace: int, is_inside: bool) -> bool:
        made = ensure(ip, leg, namespace, is_inside)  # type: ignore[arg-type]
        if leg.name == name:
            ip.link("set", index=links.index_of(name), state="down")  # type: ignore[attr-defined]
            late.append(threading.Timer(0.4, site.box.ip, (site.box.host, "link", "set", name, "up")))
            late[0].start()
        return made

    monkeypatch.setattr(legs, "ensure", ensure_late)
    monkeypatch.setattr(announce, "INTERVAL_S", 600)
    monkeypatch.setattr(building, "PASSING_S", 30)
    site.give(FLOATING)
    late[0].join()
    assert site.neighbour.heard(FLOATING, 0.5, wanted=1) == 1


def test_the_end_does_not_wait_for_what_is_still_to_be_said(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "INTERVAL_S", 3600)
    site.give(FLOATING)
    site.box.restart()
    assert not [each for each in threading.enumerate() if each.name == "announcements"]
