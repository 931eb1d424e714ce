"""One desired state, compared and set: nothing is touched twice, nothing is interrupted, nothing is left over, whatever was cut off."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from host_sandbox import (
    OUTSIDE,
    Sandbox,
    a_floating,
    a_network,
    a_port,
    a_router,
    a_state,
    an_outside,
    run,
    sandbox,
    with_v6,
)

from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec, RouterSpec
from nova_lite.host.networks import HostNetworks, devices
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.networks.place import Place
from nova_lite.host.ports import NetworksFailed

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dnsmasq", "nft", "ip", "busybox")),
    reason="needs root, dnsmasq, nft, ip and busybox",
)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


class Cloud:
    """Two networks (one with IPv6 too), a router, an external network; two guests, one of them by a tap."""

    def __init__(self) -> None:
        self.out: NetworkSpec = an_outside()
        self.networks = [with_v6(a_network(5, "10.0.1"), "slaac"), a_network(6, "10.0.2")]
        self.ports: list[PortSpec] = [a_port(self.networks[0], 10, "a"), a_port(self.networks[1], 11, "b", "tap")]
        router: RouterSpec = a_router(self.networks, self.out, floating=(a_floating("172.24.4.100", self.ports[0]),))
        self.routers = [router]

    @property
    def state(self) -> HostState:
        return a_state([*self.networks, self.out], self.ports, self.routers)


def everything(box: Sandbox) -> list[str]:
    """Return all that the kernel and the process table have of the host."""
    shown = [str(box.dnsmasqs()), str(sorted(box.rooms()))]
    for name in (box.host, *(box.room(each) for each in sorted(box.rooms()))):
        shown += [
            box.ip(name, *what)
            for what in (("-j", "link"), ("-j", "route"), ("-6", "route", "show", "proto", "static"))
        ]
        shown += [box.inside(name, *what) for what in (("ip", "-br", "address"), ("bridge", "fdb"))]
        shown += [box.inside(name, "nft", "-a", "list", "ruleset")]
    return shown


def at_rest(box: Sandbox) -> list[str]:
    """Return everything once it stays as it is: the kernel sees to links' carriers once a second."""
    seen = everything(box)
    for _ in range(20):
        time.sleep(1.5)
        before, seen = seen, everything(box)
        if seen == before:
            return seen
    raise AssertionError("the host does not come to rest")


def nothing_left(box: Sandbox) -> bool:
    return (
        (box.links(), box.rooms(), box.dnsmasqs()) == (set(), set(), [])
        and "172.24" not in box.rules()
        and box.inside(box.host, "sysctl", "-n", "net.ipv4.conf.up0.forwarding").strip() == "0"
    )


def test_twice_is_once(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second time no program is started and nothing of the kernel changes; nor by an agent that starts, which only looks."""
    cloud = Cloud()
    box.networks.apply(cloud.state)
    before = at_rest(box)
    programs: list[str] = []
    run_before = Place.run
    monkeypatch.setattr(
        Place, "run", lambda self, argv, stdin=None: programs.append(" ".join(argv)) or run_before(self, argv, stdin)
    )
    on_host: list[str] = []
    host_before = Namespace.run
    monkeypatch.setattr(
        Namespace,
        "run",
        lambda self, argv, stdin=None: on_host.append(" ".join(argv)) or host_before(self, argv, stdin),
    )
    box.networks.apply(cloud.state)
    assert programs == on_host == [] and everything(box) == before
    box.restart()
    monitor = subprocess.Popen(
        ["ip", "netns", "exec", box.host, "ip", "monitor", "link", "address", "route", "neigh"],
        stdout=subprocess.PIPE,
        text=True,
    )
    time.sleep(0.3)
    box.networks.apply(cloud.state)
    time.sleep(0.3)
    monitor.terminate()
    told = [line for line in monitor.communicate()[0].splitlines() if "nl-" in line]
    assert told == [], "no change was sent to anybody who listens"
    assert programs and all(line.startswith("nft --terse list table") for line in programs)
    assert on_host and not any(line == "nft -f -" or "-batch" in line for line in on_host)
    assert everything(box) == before


def test_a_change_touches_what_it_is_about(box: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = Cloud()
    box.networks.apply(cloud.state)
    pids = box.dnsmasqs()
    router = box.room(devices.router_namespace(cloud.routers[0].router_id))
    before = box.inside(router, "nft", "-a", "list", "ruleset") + box.ip(router, "-j", "address")
    cloud.ports.append(a_port(cloud.networks[0], 12, "new", "tap"))
    programs: list[str] = []
    run_before = Place.run
    monkeypatch.setattr(
        Place, "run", lambda self, argv, stdin=None: programs.append(" ".join(argv)) or run_before(self, argv, stdin)
    )
    box.networks.apply(cloud.state)
    assert programs == [], "a port more: a tap, two files and a signal"
    assert devices.device_name(cloud.ports[-1].port_id) in box.links()
    assert box.dnsmasqs() == pids
    assert box.inside(router, "nft", "-a", "list", "ruleset") + box.ip(router, "-j", "address") == before


def test_a_restart_interrupts_nothing(box: Sandbox) -> None:
    """A transfer through NAT and pings in by a floating IP go on while agents come and go, and while other things change."""
    cloud = Cloud()
    box.networks.apply(cloud.state)
    guest = box.settled(cloud.ports[0], cloud.networks[0])
    slow = (
        "import socket,time\ns=socket.create_server(('0.0.0.0',8001))\nprint('ready')\nc,_=s.accept()\n"
        "for _ in range(300): c.sendall(b'x'*1000); time.sleep(0.01)\nc.close()"
    )
    server = box.python(box.outside, slow)
    assert server.stdout is not None and server.stdout.readline() == "ready\n"
    code = f"import socket\ns=socket.create_connection(('{OUTSIDE}',8001))\nn=0\nprint('on')\nwhile (d:=s.recv(1000)): n+=len(d)\nprint(n)"
    client = box.python(guest, code)
    assert client.stdout is not None and client.stdout.readline() == "on\n"
    pings = subprocess.Popen(
        ["ip", "netns", "exec", box.host, "busybox", "ping", "-c250", "-i0.01", "-W30", "172.24.4.100"],
        stdout=subprocess.PIPE,
        text=True,
    )
    spare = a_network(9, "10.0.9")
    for turn in range(6):
        box.restart()
        box.networks.apply(cloud.state)
        more = a_port(spare, 20 + turn, f"more-{turn}", "tap")
        router = replace(cloud.routers[0], routes=((f"192.168.{turn}.0/24", "10.0.2.11"),))
        box.networks.apply(a_state([*cloud.networks, cloud.out, spare], [*cloud.ports, more], [router]))
    assert client.communicate(timeout=120)[0].strip() == "300000"
    assert " 0% packet loss" in pings.communicate(timeout=120)[0]
    server.wait(timeout=60)


def test_a_reboot_is_made_good(box: Sandbox) -> None:
    cloud = Cloud()
    box.networks.apply(cloud.state)
    for pid in box.dnsmasqs():
        os.kill(pid, 9)
    for name in sorted(box.rooms()):
        run("ip", "netns", "del", box.room(name))
    for name in sorted(box.links()):
        run("ip", "-n", box.host, "link", "del", name, check=False)
    box.inside(box.host, "nft", "flush", "ruleset")
    box.inside(box.host, "sysctl", "-qw", "net.ipv4.conf.up0.forwarding=0")
    box.restart()
    box.networks.apply(cloud.state)
    guest = box.guest(cloud.ports[0], cloud.networks[0])
    assert box.dhcp(guest)["ip"] == "10.0.1.10"
    assert box.pings(guest, OUTSIDE) and box.pings(box.host, "172.24.4.100")


def test_what_somebody_broke_is_mended(box: Sandbox) -> None:
    """At once where it is missing, and where it is only wrong when an agent starts or looks at all."""
    cloud = Cloud()
    box.networks.apply(cloud.state)
    guest = box.settled(cloud.ports[0], cloud.networks[0])
    router = box.room(devices.router_namespace(cloud.routers[0].router_id))
    tap = devices.device_name(cloud.ports[1].port_id)
    box.ip(box.host, "link", "del", tap)
    run("ip", "netns", "del", router)
    box.networks.apply(cloud.state)
    assert tap in box.links() and box.pings(guest, OUTSIDE)
    box.inside(router, "nft", "flush", "ruleset")
    box.ip(router, "route", "del", "default")
    box.ip(router, "address", "flush", "dev", devices.router_leg_name(cloud.routers[0].legs[0].port_id))
    box.ip(box.host, "link", "set", tap, "nomaster")
    box.inside(router, "sysctl", "-qw", "net.ipv4.ip_forward=0")
    assert not box.pings(guest, OUTSIDE, wait=1)
    box.restart()
    box.networks.apply(cloud.state)
    assert box.pings(guest, OUTSIDE) and "master nl-br6" in box.ip(box.host, "link", "show", tap)
    box.inside(router, "nft", "flush", "ruleset")
    box.inside(box.host, "nft", "delete", "table", "inet", "nova_lite")
    box.networks.tend()
    assert box.pings(guest, OUTSIDE)


def test_a_comparison_that_finds_nothing_says_nothing(box: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    cloud = Cloud()
    with caplog.at_level(logging.INFO):
        box.networks.apply(cloud.state)
        assert "event=networks-applied changed=4 failed=0" in caplog.text
        caplog.clear()
        for _ in range(3):
            box.networks.tend()
        assert "networks-applied" not in caplog.text
        run("ip", "netns", "del", box.room(devices.router_namespace(cloud.routers[0].router_id)))
        box.networks.tend()
        assert "event=networks-applied changed=1 failed=0" in caplog.text


def test_a_bridge_that_is_made_anew_gets_its_ports(box: Sandbox) -> None:
    cloud = Cloud()
    box.networks.apply(cloud.state)
    guest = box.settled(cloud.ports[0], cloud.networks[0])
    box.ip(box.host, "link", "del", "nl-br5")
    box.networks.apply(cloud.state)
    assert box.pings(guest, "10.0.1.1") and box.pings(guest, OUTSIDE)


def test_what_is_wanted_no_more_goes(box: Sandbox) -> None:
    cloud = Cloud()
    box.networks.apply(cloud.state)
    box.ip(box.host, "link", "add", "nl-br99", "type", "bridge")
    box.ip(box.host, "link", "add", "nl-00000000-000", "type", "bridge")
    box.ip(box.host, "link", "add", "nl-other", "type", "bridge")
    run("ip", "netns", "add", box.room("nl-net-99"))
    box.networks.apply(a_state([cloud.networks[1]], cloud.ports[1:]))
    assert box.links() == {"nl-br6", "nl-dh6", devices.device_name(cloud.ports[1].port_id), "nl-other"}
    assert box.rooms() == {"nl-net-6"} and len(box.dnsmasqs()) == 1
    assert [path.name for path in (box.state / "networks").iterdir()] == ["6"]
    box.networks.apply(HostState())
    assert box.links() == {"nl-other"} and box.rooms() == set() and box.dnsmasqs() == []
    box.ip(box.host, "link", "del", "nl-other")
    assert nothing_left(box)


def test_clean_leaves_nothing(box: Sandbox) -> None:
    box.networks.apply(Cloud().state)
    run("ip", "netns", "exec", box.host, "nft", "add", "table", "inet", "of_somebody_else")
    box.restart()
    for _ in range(2):
        box.networks.clean()
    assert nothing_left(box)
    assert box.rules().split() == ["table", "inet", "of_somebody_else", "{", "}"]
    assert not (box.state / "networks").exists()


def test_one_networks_trouble_is_its_own(box: Sandbox) -> None:
    cloud = Cloud()
    box.networks.apply(cloud.state)
    guest = box.settled(cloud.ports[0], cloud.networks[0])
    spoilt = replace(cloud.networks[1], dns_domain="a b")
    bad = replace(a_port(cloud.networks[0], 30, "bad", "tap"), dhcp_options=(("mtu", "wide", 4),))
    state = a_state([cloud.networks[0], spoilt, cloud.out], [*cloud.ports, bad], cloud.routers)
    for _ in range(2):
        with pytest.raises(NetworksFailed) as caught:
            box.networks.apply(state)
        assert set(caught.value.failed) == {spoilt.network_id, bad.port_id}
        assert "nl-br6" in box.links() and "nl-net-6" in box.rooms(), "what was there stays"
        assert box.pings(guest, OUTSIDE)
        box.restart()


def test_the_operator_is_told_of_a_firewall_that_is_in_the_way(box: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    box.inside(
        box.host,
        "nft",
        "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }",
    )
    box.networks.apply(Cloud().state)
    assert "iptables drop forwarded packets" in caplog.text


def test_killed_at_any_moment(box: Sandbox) -> None:
    """kill -9 while networks are made and removed: the next agent can make, serve and remove, whatever was half-done."""
    cloud = Cloud()
    half = a_state([cloud.networks[0]], cloud.ports[:1])
    code = (
        "import sys\nfrom nova_lite.conf import load\nfrom nova_lite.host.networks import HostNetworks\n"
        "from nova_lite.host.network_state import *\n"
        f"networks = HostNetworks(load([], {{'state_path': {str(box.state)!r}, 'network.physical_networks': 'public:'}}), {box.host!r})\n"
        f"whole, half = {cloud.state!r}, {half!r}\nprint('go', flush=True)\n"
        "while True:\n for state in (whole, half, HostState()): networks.apply(state)\n"
    )
    for turn in range(12):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None and child.stdout.readline() == "go\n"
        time.sleep(0.02 + turn * 0.06)
        child.kill()
        child.wait()
        box.restart()
        if turn % 2:
            box.networks.apply(cloud.state)
            assert box.rooms() == {"nl-net-5", "nl-net-6", devices.router_namespace(cloud.routers[0].router_id)}
            assert len(box.dnsmasqs()) == 3
            guest = box.guest(cloud.ports[0], cloud.networks[0])
            assert box.dhcp(guest)["ip"] == "10.0.1.10" and box.pings(guest, OUTSIDE)
            run("ip", "netns", "del", guest)
        box.networks.apply(HostState())
        assert nothing_left(box), (turn, box.links(), box.rooms(), box.dnsmasqs())


def test_applying_and_tending_at_once(box: Sandbox) -> None:
    cloud = Cloud()
    failures: list[Exception] = []

    def tend() -> None:
        try:
            for _ in range(20):
                box.networks.tend()
        except Exception as error:  # shown below
            failures.append(error)

    thread = threading.Thread(target=tend)
    thread.start()
    for _ in range(3):
        box.networks.apply(cloud.state)
        box.networks.apply(HostState())
    thread.join()
    assert failures == [] and nothing_left(box)


def test_a_namespace_is_made_in_20_ms(box: Sandbox) -> None:
    """The machine may be busy: the best of many."""
    from nova_lite.host.networks import netns

    times = []

    def work() -> None:
        for turn in range(100):
            began = time.monotonic()
            netns.make(box.room(f"nl-net-9{turn:02}"))
            times.append(time.monotonic() - began)
            if times[-1] < 0.02:
                return

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert min(times) < 0.02
    box.networks.apply(HostState())
    assert box.rooms() == set()


def test_a_host_that_is_not_there(box: Sandbox) -> None:
    with pytest.raises(Exception, match="no network namespace"):
        HostNetworks(box.conf, "nlt-no-such")
