"""A floating IP that leads to an address which guests share (keepalived's, say): it is on the host where the address is, for real."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from host_sandbox import Sandbox, a_network, a_port, a_router, a_state, an_id, an_outside, two_hosts

from nova_lite.host.network_state import (
    FloatingSpec,
    GatewayLeg,
    HostState,
    NetworkSpec,
    PortSpec,
    RemotePort,
    RouterSpec,
)
from nova_lite.host.networks import devices

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dnsmasq", "nft", "ip", "busybox", "conntrack")),
    reason="needs root, dnsmasq, nft, ip, busybox and conntrack",
)

ENDS = ("203.0.113.1", "203.0.113.2")
SHARED, FLOATING = "10.11.12.100", "192.0.2.30"
SAYS_WHO = (
    "import socket\ns=socket.create_server(('0.0.0.0',8000))\nprint('ready')\n"
    "while True:\n c,a=s.accept()\n c.sendall(b'{who}')\n c.close()"
)


@dataclass
class Site:
    """Two hosts on a wire that leads outside, a guest on each; both guests may have the shared address."""

    hosts: tuple[Sandbox, Sandbox]
    switch: str
    network: NetworkSpec
    out: NetworkSpec
    ports: tuple[PortSpec, PortSpec]
    guests: list[str]
    routers: list[RouterSpec]

    def state(self, here: int) -> HostState:
        far = self.ports[1 - here]
        remote = RemotePort(far.mac, tuple(a for _, a in far.addresses), ENDS[1 - here])
        network = replace(self.network, remote=(remote,), remote_hosts=(ENDS[1 - here],))
        return a_state([network, self.out], [self.ports[here]], [self.routers[here]])

    def give(self, here: int, *, tell: bool = False) -> None:
        """Let a guest have the address, and say so to everybody if *tell*, as keepalived does."""
        self.hosts[here].ip(self.guests[here], "address", "add", f"{SHARED}/32", "dev", "eth0")
        if tell:
            self.hosts[here].inside(
                self.guests[here], "busybox", "arping", "-U", "-c1", "-I", "eth0", SHARED, check=False
            )

    def take(self, here: int) -> None:
        self.hosts[here].ip(self.guests[here], "address", "del", f"{SHARED}/32", "dev", "eth0")

    def answers(self, within_s: float = 1) -> str:
        """Return who answers at the floating IP, asked from outside; empty: nobody."""
        code = (
            f"import socket\ntry: s=socket.create_connection(('{FLOATING}',8000),timeout={within_s})\n"
            "except OSError: print()\nelse: print(s.recv(100).decode())"
        )
        return self.hosts[0].inside(self.switch, "python3", "-c", code).strip()

    def comes_to(self, who: str, within_s: float) -> bool:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if self.answers() == who:
                return True
        return False

    def announcing(self) -> list[int]:
        """Return which hosts have the floating IP."""
        found = []
        for here, box in enumerate(self.hosts):
            room = box.room(devices.router_namespace(self.routers[here].router_id))
            if f"{FLOATING}/32" in box.ip(room, "address"):
                found.append(here)
        return found


@pytest.fixture
def site() -> Iterator[Site]:
    with two_hosts() as hosts:
        switch = hosts[0].spaces.add(f"{hosts[0].spaces.tag}-sw")
        hosts[0].ip(switch, "link", "add", "br0", "type", "bridge")
        hosts[0].ip(switch, "address", "add", "192.0.2.1/24", "dev", "br0")
        hosts[0].ip(switch, "link", "set", "br0", "up")
        for number, box in enumerate(hosts):
            box.ip(switch, "link", "add", f"p{number}", "type", "veth", "peer", "name", "wire0", "netns", box.host)
            box.ip(switch, "link", "set", f"p{number}", "master", "br0", "up")
            box.overrides["network.physical_networks"] = "public:wire0"
            box.conf = box.configured()
            box.restart()
        out, network = an_outside(prefix="192.0.2"), a_network()
        ports = tuple(replace(a_port(network, last, f"g{last}"), pairs=(("", SHARED),)) for last in (16, 17))
        floating = FloatingSpec(an_id(), FLOATING, SHARED, shared=True)
        router = a_router([network], out, 20, floating=(floating,))
        assert router.gateway is not None
        own = ((router.gateway.addresses[0][0], "192.0.2.21"),)
        leg = GatewayLeg(an_id(), out.network_id, "fa:16:3e:ee:00:21", own, router.gateway.next_hops)
        made = Site(hosts, switch, network, out, (ports[0], ports[1]), [], [router, replace(router, gateway=leg)])
        servers = []
        for here, box in enumerate(hosts):
            box.networks.apply(made.state(here))
            guest = box.settled(ports[here], network)
            made.guests.append(guest)
            servers.append(box.python(guest, SAYS_WHO.format(who=here)))
        for server in servers:
            assert server.stdout is not None and server.stdout.readline() == "ready\n"
        yield made
        for server in servers:
            server.kill()
            server.wait()


def test_a_floating_ip_follows_an_address_that_guests_share(site: Site) -> None:
    assert site.answers() == "" and site.announcing() == [], "nobody has the address yet"
    site.give(0)
    assert site.comes_to("0", 60)
    assert site.announcing() == [0]
    # It moves, and says so.
    site.take(0)
    site.give(1, tell=True)
    assert site.comes_to("1", 60)
    end = time.monotonic() + 60
    while site.announcing() != [1] and time.monotonic() < end:
        time.sleep(0.2)
    assert site.announcing() == [1], "the other host has let it go"
    # It moves without a word.
    site.take(1)
    site.give(0)
    assert site.comes_to("0", 60)
    site.take(0)
    end = time.monotonic() + 60
    while site.announcing() and time.monotonic() < end:
        time.sleep(0.2)
    assert site.announcing() == []


def test_an_agent_that_restarts_takes_no_shared_floating_ip_away(site: Site) -> None:
    site.give(0)
    assert site.comes_to("0", 60)
    box = site.hosts[0]
    room = box.room(devices.router_namespace(site.routers[0].router_id))
    changes = box.spaces.python(room, "import os\nprint('on')\nos.execvp('ip', ['ip', 'monitor', 'address'])")
    assert changes.stdout is not None and changes.stdout.readline() == "on\n"
    time.sleep(0.5)
    box.restart()
    box.networks.apply(site.state(0))
    assert site.answers(30) == "0"
    time.sleep(1.5)
    assert site.answers(30) == "0"
    changes.kill()
    assert FLOATING not in (changes.communicate(timeout=60)[0] or "")


def test_a_router_that_goes_takes_the_questions_with_it(site: Site) -> None:
    site.give(0)
    assert site.comes_to("0", 60)
    box = site.hosts[0]
    gone = site.state(0)
    box.networks.apply(replace(gone, routers={}))
    assert not [name for name in box.rooms() if name.startswith("nl-rtr-")]
    assert site.answers() == ""
    box.networks.apply(gone)
    assert site.comes_to("0", 60), "a namespace that was made anew is asked in, too"
