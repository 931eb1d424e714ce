"""Bridges, namespaces and DHCP for real, in namespaces of the test's own; guests are busybox behind a veth."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from host_sandbox import OUTSIDE, Sandbox, a_network, a_port, a_router, a_state, an_id, an_outside, sandbox, with_v6

from nova_lite.host.network_state import PortSpec, SubnetSpec
from nova_lite.host.networks import devices
from nova_lite.host.ports import NetworksFailed

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(shutil.which(name) for name in ("dnsmasq", "nft", "ip", "busybox")),
    reason="needs root, dnsmasq, nft, ip and busybox",
)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with sandbox() as made:
        yield made


def resolves(box: Sandbox, guest: str, name: str, server: str, kind: str = "a") -> str:
    return box.inside(guest, "busybox", "nslookup", f"-type={kind}", name, server, check=False)


def test_a_guest_gets_its_address_name_and_options(box: Sandbox) -> None:
    network = a_network()
    ports = [a_port(network, 10, "alpha"), a_port(network, 11, "beta")]
    box.networks.apply(a_state([network], ports))
    alpha, beta = (box.guest(port, network) for port in ports)
    lease = box.dhcp(alpha)
    assert {key: lease.get(key) for key in ("ip", "mask", "router", "dns", "mtu", "hostname", "lease")} == {
        "ip": "10.11.12.10",
        "mask": "24",
        "router": "10.11.12.1",
        "dns": "10.11.12.2",
        "mtu": "1450",
        "hostname": "alpha",
        "lease": "86400",
    }
    assert lease["staticroutes"].split() == ["169.254.169.254/32", "10.11.12.2", "0.0.0.0/0", "10.11.12.1"]
    assert box.dhcp(beta)["ip"] == "10.11.12.11"
    for name in ("beta", "beta.openstacklocal"):
        assert "10.11.12.11" in resolves(box, alpha, name, "10.11.12.2")
    assert box.pings(alpha, "10.11.12.11") and box.pings(alpha, "10.11.12.2")
    assert box.pings(alpha, "169.254.169.254"), "metadata's address is there"
    assert not box.pings(alpha, OUTSIDE, wait=1), "without a router there is no way out"


def test_a_guest_reaches_nothing_of_the_host(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "alpha")
    box.networks.apply(a_state([network], [port]))
    guest = box.settled(port, network)
    box.ip(guest, "route", "replace", "default", "via", "10.11.12.2")
    for address in ("198.51.100.1", OUTSIDE):
        assert not box.pings(guest, address, wait=1)
    assert "10.11.12" not in box.ip(box.host, "address") + box.ip(box.host, "route"), "no tenant's address on the host"


def test_two_projects_may_have_the_same_addresses(box: Sandbox) -> None:
    networks = [a_network(5, "10.0.0"), a_network(6, "10.0.0")]
    names = ("one", "two")
    ports = [a_port(network, 10, name) for network, name in zip(networks, names, strict=True)]
    peers = [a_port(network, 11, f"peer-of-{name}") for network, name in zip(networks, names, strict=True)]
    box.networks.apply(a_state(networks, [*ports, *peers]))
    guests = [box.guest(port, network) for port, network in zip(ports, networks, strict=True)]
    assert [box.dhcp(guest)["ip"] for guest in guests] == ["10.0.0.10", "10.0.0.10"]
    box.settled(peers[0], networks[0])
    assert box.pings(guests[0], "10.0.0.11")
    assert not box.pings(guests[1], "10.0.0.11", wait=1), "networks do not meet"
    assert "10.0.0.11" in resolves(box, guests[0], "peer-of-one", "10.0.0.2")
    assert "10.0.0.11" not in resolves(box, guests[1], "peer-of-one", "10.0.0.2")


def test_a_stranger_gets_no_lease(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "alpha")
    stranger = replace(a_port(network, 12, "beta"), mac="fa:16:3e:99:99:99")
    box.networks.apply(a_state([network], [port]))
    assert box.dhcp(box.guest(stranger, network), tries=2) == {}


def test_an_address_goes_to_its_next_owner_at_once(box: Sandbox) -> None:
    """dnsmasq would keep it for the lease's day: the lease of the port that went is released in its name."""
    network = a_network()
    stays, first = a_port(network, 10, "stays"), a_port(network, 11, "first")
    box.networks.apply(a_state([network], [stays, first]))
    assert box.dhcp(box.guest(first, network))["ip"] == "10.11.12.11"
    [pid] = box.dnsmasqs()
    second = replace(a_port(network, 11, "second"), mac="fa:16:3e:aa:bb:cc")
    box.networks.apply(a_state([network], [stays, second]))
    guest = box.guest(second, network)
    assert box.dhcp(guest)["ip"] == "10.11.12.11"
    assert "10.11.12.11" not in resolves(box, guest, "first.openstacklocal", "10.11.12.2")
    assert box.dnsmasqs() == [pid], "the others' DHCP went on"


def test_options_reach_the_guest(box: Sandbox) -> None:
    network = a_network(dns=("192.0.2.53", "192.0.2.54"), routes=(("192.168.7.0/24", "10.11.12.9"),))
    options = (("bootfile-name", "pxe,linux 0", 4), ("66", "tftp.test", 4), ("mtu", "1400", 4))
    ports = [replace(a_port(network, 10, "3600"), dhcp_options=options), a_port(network, 11, "plain")]
    box.networks.apply(a_state([network], ports))
    lease = box.dhcp(box.guest(ports[0], network))
    assert lease["lease"] == "86400", "a host name of digits is not a lease time"
    assert lease["dns"].startswith("192.0.2.53")
    assert lease["staticroutes"].split()[:4] == ["192.168.7.0/24", "10.11.12.9", "169.254.169.254/32", "10.11.12.2"]
    assert (lease["tftp"], lease["mtu"]) == ("tftp.test", "1400")
    assert lease["bootfile"].startswith("pxe")
    other = box.dhcp(box.guest(ports[1], network))
    assert (other["tftp"], other["mtu"]) == ("", "1450"), "an option is its port's own"


def test_a_network_without_a_gateway(box: Sandbox) -> None:
    network = a_network(gateway=None)
    port = a_port(network, 10, "a")
    box.networks.apply(a_state([network], [port]))
    lease = box.dhcp(box.guest(port, network))
    assert (lease["ip"], lease["router"]) == ("10.11.12.10", "")


def test_a_subnet_that_is_added_is_served(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "a")
    box.networks.apply(a_state([network], [port]))
    box.dhcp(box.guest(port, network))
    subnet = SubnetSpec(an_id(), "10.11.99.0/24", "10.11.99.1", True, ())
    assert network.dhcp is not None
    leg = replace(network.dhcp, addresses=(*network.dhcp.addresses, (subnet.subnet_id, "10.11.99.2")))
    grown = replace(network, subnets=(*network.subnets, subnet), dhcp=leg)
    late = replace(a_port(network, 20, "late"), addresses=((subnet.subnet_id, "10.11.99.20"),))
    box.networks.apply(a_state([grown], [port, late]))
    assert box.dhcp(box.guest(late, grown))["ip"] == "10.11.99.20"


def test_dhcpv6_and_slaac(box: Sandbox) -> None:
    """Addresses by DHCPv6, routes by router advertisements, names as AAAA."""
    network = with_v6(a_network(), "dhcpv6-stateful")
    port = a_port(network, 16, "six")
    router = a_router([network])
    box.networks.apply(a_state([network], [port], [router]))
    guest = box.guest(port, network)
    box.ip(guest, "link", "set", "eth0", "mtu", "1500")
    deadline = time.monotonic() + 60
    while "default" not in box.ip(guest, "-6", "route"):
        assert time.monotonic() < deadline, box.ip(guest, "-6", "route")
        time.sleep(0.1)
    assert box.inside(guest, "cat", "/proc/sys/net/ipv6/conf/eth0/mtu").strip() == "1450"
    assert dhcpv6(box, guest, port) == "address 2001:db8:5::10\ndns 2001:db8:5::2\n"
    assert "2001:db8:5::10" in resolves(box, guest, "six.openstacklocal", "2001:db8:5::2", "aaaa")
    slaac = with_v6(a_network(6, "10.11.13"), "slaac", "2001:db8:6")
    other = a_port(slaac, 16, "auto")
    box.networks.apply(a_state([network, slaac], [port, other], [router, a_router([slaac])]))
    guest = box.guest(other, slaac)
    while "2001:db8:6:" not in box.ip(guest, "-6", "address", "show", "scope", "global", "-tentative"):
        assert time.monotonic() < deadline + 15
        time.sleep(0.1)
    assert box.pings(guest, "2001:db8:6::1"), "the gateway answers"


def test_stateless_dhcpv6_and_a_lease_that_moves(box: Sandbox) -> None:
    stateless = with_v6(a_network(), "dhcpv6-stateless")
    port = a_port(stateless, 16, "six")
    stateful = with_v6(a_network(6, "10.11.13"), "dhcpv6-stateful", "2001:db8:6")
    first = a_port(stateful, 17, "first")
    box.networks.apply(a_state([stateless, stateful], [port, first]))
    guest = box.guest(port, stateless)
    assert dhcpv6(box, guest, port, "info") == "dns 2001:db8:5::2\n"
    assert "2001:db8:6::11" in dhcpv6(box, box.guest(first, stateful), first)
    second = replace(a_port(stateful, 17, "second"), mac="fa:16:3e:aa:bb:cc")
    box.networks.apply(a_state([stateless, stateful], [port, second]))
    guest = box.guest(second, stateful)
    assert "2001:db8:6::11" in dhcpv6(box, guest, second), "an address goes to its next owner at once"


def dhcpv6(box: Sandbox, guest: str, port: PortSpec, *options: str) -> str:
    client = str(Path(__file__).with_name("dhcpv6_client.py"))
    return box.inside(guest, sys.executable, client, "eth0", port.mac, *options, check=False)


def test_an_address_range_of_the_host_is_refused(box: Sandbox) -> None:
    clash, sound = an_outside(prefix="198.51.100"), a_network(6)
    port = a_port(sound, 10, "a", "tap")
    with pytest.raises(NetworksFailed, match=r"198\.51\.100\.0/24 overlaps with 198\.51\.100\.1/24 on up0") as caught:
        box.networks.apply(a_state([clash, sound], [port]))
    assert set(caught.value.failed) == {clash.network_id}
    assert {"nl-br6", devices.device_name(port.port_id)} <= box.links(), "one network's trouble is not the others'"


def test_a_port_that_is_down_passes_nothing(box: Sandbox) -> None:
    network = a_network()
    ports = [a_port(network, 10, "a"), a_port(network, 11, "b")]
    box.networks.apply(a_state([network], ports))
    guest, _ = (box.settled(port, network) for port in ports)
    assert box.pings(guest, "10.11.12.11")
    box.networks.apply(a_state([network], [ports[0], replace(ports[1], up=False)]))
    assert not box.pings(guest, "10.11.12.11", wait=1)
    box.networks.apply(a_state([network], ports))
    assert box.pings(guest, "10.11.12.11")


def test_a_dead_dnsmasq_is_started_again(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "a")
    box.networks.apply(a_state([network], [port]))
    guest = box.guest(port, network)
    [pid] = box.dnsmasqs()
    os.kill(pid, signal.SIGKILL)
    while box.dnsmasqs():
        time.sleep(0.01)
    assert box.networks.tend() == 1
    assert box.networks.tend() == 0
    assert box.dhcp(guest)["ip"] == "10.11.12.10"


def test_a_pid_that_was_used_again_is_left_alone(box: Sandbox) -> None:
    network = a_network()
    box.networks.apply(a_state([network], [a_port(network, 10, "a")]))
    [pid] = box.dnsmasqs()
    other = subprocess.Popen(["sleep", "60"])
    try:
        (box.state / "networks/5/dnsmasq.pid").write_text(f"{other.pid}\n")
        box.restart()
        box.networks.clean()
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()
    assert pid not in box.dnsmasqs(), "it is found by its command line"


def test_a_dnsmasq_whose_pid_file_is_gone_is_replaced(box: Sandbox) -> None:
    network = a_network()
    port = a_port(network, 10, "a")
    box.networks.apply(a_state([network], [port]))
    guest = box.guest(port, network)
    [pid] = box.dnsmasqs()
    (box.state / "networks/5/dnsmasq.pid").unlink()
    box.networks.tend()
    assert len(box.dnsmasqs()) == 1 and box.dnsmasqs() != [pid]
    assert box.dhcp(guest)["ip"] == "10.11.12.10"


def test_a_tap_is_on_its_bridge_with_its_mtu(box: Sandbox) -> None:
    network = replace(a_network(), mtu=1400)
    port = a_port(network, 10, "a", "tap")
    box.networks.apply(a_state([network], [port]))
    tap, leg = (box.ip(box.host, "link", "show", name) for name in (devices.device_name(port.port_id), "nl-dh5"))
    assert "mtu 1400" in tap and "master nl-br5" in tap and "UP" in tap
    assert "mtu 1400" in leg and "mtu 1400" in box.ip(box.room("nl-net-5"), "link", "show", "nl-dh5")
    box.networks.apply(a_state([replace(network, mtu=1300)], [port]))
    assert "mtu 1300" in box.ip(box.host, "link", "show", devices.device_name(port.port_id))
    assert "mtu 1300" in box.ip(box.room("nl-net-5"), "link", "show", "nl-dh5")
