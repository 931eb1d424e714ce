"""What dnsmasq is told, as text; leases and names; what a guest is told of its interface."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite.host.network_state import NetworkSpec, PortSpec, RemotePort, ServiceLeg, SubnetSpec
from nova_lite.host.networks import checks, devices, dhcp, dhcp_options, leases, names, nics, service
from nova_lite.host.ports import HostError

SETTINGS = dhcp.Settings("example.test", 3600, "dnsmasq", "nogroup", ("192.0.2.53",))
SUBNET = SubnetSpec("11111111-1111-1111-1111-111111111111", "10.0.0.0/24", "10.0.0.1", True, ())
V6 = SubnetSpec("66666666-6666-6666-6666-666666666666", "fd00:1::/64", "fd00:1::1", True, ("fd00:1::53",))
LEG = ServiceLeg("55555555-5555-5555-5555-555555555555", "fa:16:3e:00:fe:02", ((SUBNET.subnet_id, "10.0.0.2"),))
NETWORK = NetworkSpec("22222222-2222-2222-2222-222222222222", 7, 1450, (SUBNET,), dhcp=LEG)
PORT = PortSpec(
    "33333333-3333-3333-3333-333333333333",
    "44444444-4444-4444-4444-444444444444",
    NETWORK.network_id,
    "fa:16:3e:00:00:05",
    "web-1",
    ((SUBNET.subnet_id, "10.0.0.5"),),
    "tap",
)


def other(last: int, **changes: object) -> PortSpec:
    return replace(
        PORT,
        port_id=f"33333333-3333-3333-3333-3333333333{last:02x}",
        mac=f"fa:16:3e:00:00:{last:02x}",
        addresses=((SUBNET.subnet_id, f"10.0.0.{last}"),),
        **changes,  # type: ignore[arg-type]
    )


def test_device_names_fit() -> None:
    assert devices.device_name(PORT.port_id) == "nl-33333333-333"
    assert len(devices.device_name(PORT.port_id)) == 15
    assert len(devices.bridge_name(checks.MAX_NUMBER)) == 15
    assert [devices.bridge_number(name) for name in ("nl-br7", "nl-br", "nl-33333333-333", "br7", "nl-br٣")] == [
        7,
        None,
        None,
        None,
        None,
    ]


def v6(mode: str) -> NetworkSpec:
    leg = replace(LEG, addresses=(*LEG.addresses, (V6.subnet_id, "fd00:1::2")))
    return replace(NETWORK, subnets=(SUBNET, replace(V6, ra_mode=mode, address_mode=mode)), dhcp=leg)


def hosts(network: NetworkSpec, *ports: PortSpec) -> str:
    return dhcp.files(network, ports, SETTINGS).hosts


def known_names(network: NetworkSpec, *ports: PortSpec) -> list[str]:
    return dhcp.files(network, ports, SETTINGS).names.splitlines()[:-1]


def test_hosts_and_names() -> None:
    assert hosts(NETWORK, PORT) == "fa:16:3e:00:00:05,id:*,10.0.0.5,web-1\n"
    assert known_names(NETWORK, PORT) == ["10.0.0.5 web-1"]


def test_dns_knows_ports_on_other_hosts() -> None:
    remote = (
        RemotePort("fa:16:3e:00:00:09", ("10.0.0.9",), "192.0.2.9", "db"),
        RemotePort("fa:16:3e:00:00:0a", ("10.0.0.10",), "192.0.2.9"),
    )
    network = replace(NETWORK, remote=remote)
    assert known_names(network, PORT) == ["10.0.0.5 web-1", "10.0.0.9 db"]
    assert hosts(network, PORT).count("\n") == 1, "its own host answers it"


def test_files_have_a_generation_of_their_own() -> None:
    one, same, other_ = (dhcp.files(NETWORK, [port], SETTINGS) for port in (PORT, PORT, replace(PORT, hostname="x")))
    assert one == same and one.generation != other_.generation
    assert one.names.endswith(f"169.254.169.254 {one.generation}\n")


@pytest.mark.parametrize("name", ["3600", "45m", "ignore", "INFINITE", "localhost"])
def test_a_name_that_dnsmasq_reads_as_something_else_stays_out_of_hosts(name: str) -> None:
    assert hosts(NETWORK, replace(PORT, hostname=name)) == "fa:16:3e:00:00:05,id:*,10.0.0.5\n"


def test_a_tenant_does_not_answer_for_a_foreign_domain() -> None:
    assert known_names(NETWORK, replace(PORT, hostname="www.example.com")) == ["10.0.0.5 www"]
    assert known_names(NETWORK, replace(PORT, hostname="localhost")) == []


def test_arguments_are_bound_to_the_leg_and_to_known_hosts() -> None:
    argv = dhcp.arguments(NETWORK, Path("/s/networks/7"), SETTINGS)
    for argument in (
        "--conf-file=/dev/null",
        "--no-resolv",
        "--server=192.0.2.53",
        "--interface=nl-dh7",
        "--except-interface=lo",
        "--dhcp-ignore=tag:!known",
        "--user=dnsmasq",
        "--domain=example.test",
        "--dhcp-range=set:s0,10.0.0.0,static,255.255.255.0,3600s",
        "--dhcp-option=tag:s0,option:router,10.0.0.1",
        "--dhcp-option=tag:s0,option:dns-server,10.0.0.2",
        "--dhcp-option-force=tag:s0,option:mtu,1450",
        "--dhcp-option=tag:s0,option:classless-static-route,169.254.169.254/32,10.0.0.2,0.0.0.0/0,10.0.0.1",
    ):
        assert argument in argv
    assert "--domain=corp.test" in dhcp.arguments(replace(NETWORK, dns_domain="corp.test."), Path("/s"), SETTINGS)


def test_a_network_without_a_gateway_has_no_default_route() -> None:
    network = replace(NETWORK, subnets=(replace(SUBNET, gateway=None),))
    argv = dhcp.arguments(network, Path("/s"), SETTINGS)
    assert "--dhcp-option=tag:s0,option:router" in argv
    assert "--dhcp-option=tag:s0,option:classless-static-route,169.254.169.254/32,10.0.0.2" in argv


def test_ipv6_modes() -> None:
    port = replace(PORT, addresses=((SUBNET.subnet_id, "10.0.0.5"), (V6.subnet_id, "fd00:1::5")))
    assert hosts(v6("dhcpv6-stateful"), port) == "fa:16:3e:00:00:05,id:*,10.0.0.5,[fd00:1::5],web-1\n"
    for mode in ("dhcpv6-stateless", "slaac"):
        assert hosts(v6(mode), port) == "fa:16:3e:00:00:05,id:*,10.0.0.5,web-1\n"
    only = replace(PORT, addresses=((V6.subnet_id, "fd00:1::5"),))
    assert hosts(v6("dhcpv6-stateless"), only) == "fa:16:3e:00:00:05,id:*,web-1\n"
    assert hosts(v6("slaac"), only) == ""
    assert "10.0.0.5 web-1" in known_names(v6("slaac"), port) and "fd00:1::5 web-1" in known_names(v6("slaac"), port)
    argv = dhcp.arguments(v6("dhcpv6-stateful"), Path("/s"), SETTINGS)
    assert "--dhcp-range=set:s1,fd00:1::,static,64,3600s" in argv
    assert "--dhcp-option=tag:s1,option6:dns-server,[fd00:1::53]" in argv
    assert not [a for a in dhcp.arguments(v6("slaac"), Path("/s"), SETTINGS) if "fd00" in a]


def test_what_is_not_served() -> None:
    static = replace(NETWORK, subnets=(replace(SUBNET, enable_dhcp=False),))
    assert not [argument for argument in dhcp.arguments(static, Path("/s"), SETTINGS) if "dhcp-range" in argument]
    assert hosts(static, PORT) == "" and dhcp.leases(static, [PORT]) == frozenset()


@pytest.mark.parametrize(
    ("name", "value", "version", "line"),
    [
        ("bootfile-name", "pxelinux.0", 4, "tag:t,67,pxelinux.0"),
        ("option:bootfile-name", "a b,c", 4, 'tag:t,67,"a b,c"'),
        ("67", "x", 4, "tag:t,67,x"),
        ("tftp-server", "10.0.0.9", 4, "tag:t,66,10.0.0.9"),
        ("server-ip-address", "10.0.0.9", 4, "tag:t,option:server-ip-address,10.0.0.9"),
        ("ntp-server", "10.0.0.9, 10.0.0.10", 4, "tag:t,42,10.0.0.9,10.0.0.10"),
        ("mtu", "1400", 4, "tag:t,26,1400"),
        ("classless-static-route", "10.1.0.0/16,10.0.0.9", 4, "tag:t,121,10.1.0.0/16,10.0.0.9"),
        ("domain-search", "a.test,b.test", 4, "tag:t,119,a.test,b.test"),
        ("dns-server", "fd00::1", 6, "tag:t,option6:23,[fd00::1]"),
        ("bootfile-url", "tftp://[fd00::1]/x", 6, "tag:t,option6:59,tftp://[fd00::1]/x"),
    ],
)
def test_extra_options(name: str, value: str, version: int, line: str) -> None:
    assert dhcp_options.line("t", name, value, version) == line


@pytest.mark.parametrize(
    ("name", "value", "version"),
    [
        ("mtu", "big", 4),
        ("mtu", "-1", 4),
        ("router", "fd00::1", 4),
        ("dns-server", "10.0.0.1", 6),
        ("dns-server", "fe80::1%x", 6),
        ("bootfile-name", "a\nb", 4),
        ("bootfile-name", 'a"b', 4),
        ("bootfile-name", "", 4),
        ("bootfile-name", "é", 4),
        ("classless-static-route", "10.1.0.0/16", 4),
        ("no-such", "1", 4),
        ("54", "10.0.0.1", 4),
        ("0", "1", 4),
        ("1\n", "1", 4),
        ("mtu", "1400", 5),
    ],
)
def test_extra_options_that_are_refused(name: str, value: str, version: int) -> None:
    with pytest.raises(HostError):
        dhcp_options.line("t", name, value, version)


def test_extra_options_are_one_ports_own() -> None:
    network, port = NETWORK, replace(PORT, dhcp_options=(("bootfile-name", "x", 4),))
    found = dhcp.files(network, [port, other(6)], SETTINGS)
    assert found.options == "tag:p333333333333,67,x\n"
    assert found.hosts.splitlines()[0] == "fa:16:3e:00:00:05,id:*,set:p333333333333,10.0.0.5,web-1"
    assert "set:" not in found.hosts.splitlines()[1]


def test_a_nic_has_all_that_the_guest_needs() -> None:
    network = replace(NETWORK, subnets=(replace(SUBNET, routes=(("10.9.0.0/16", "10.0.0.2"),)), V6))
    port = replace(PORT, addresses=((V6.subnet_id, "fd00:1::5"), (SUBNET.subnet_id, "10.0.0.5")))
    nic = nics.nic(network, port)
    assert (nic.device, nic.bridge, nic.mtu) == ("nl-33333333-333", "nl-br7", 1450)
    assert nic.addresses == ("fd00:1::5/64", "10.0.0.5/24")
    assert (nic.gateway, nic.dns) == ("10.0.0.1", ("fd00:1::53", "10.0.0.2"))
    assert nic.routes == (("10.9.0.0/16", "10.0.0.2"), ("169.254.169.254/32", "10.0.0.2"))
    with pytest.raises(HostError, match="on a subnet that its network has not"):
        nics.nic(replace(NETWORK, subnets=(V6,), dhcp=None), PORT)


def test_resolvers_that_a_namespace_can_ask(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    assert service.resolvers(path) == ()
    path.write_text(
        "nameserver 127.0.0.53\nnameserver 192.0.2.1 \nsearch x\nnameserver fe80::1%eth0\nnameserver fd00::9\nnameserver\n"
    )
    assert service.resolvers(path) == ("192.0.2.1", "fd00::9")


def test_leases_are_read_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "leases"
    assert leases.read(path) == []
    path.write_text(
        "99 fa:16:3e:00:00:05 10.0.0.5 web-1 01:fa:16:3e:00:00:05\n99 fa:16:3e:00:00:06 10.0.0.6 * *\nduid 00:01\nx y z 1 2\n"
    )
    assert leases.read(path) == [
        leases.Lease("fa:16:3e:00:00:05", "10.0.0.5", bytes.fromhex("01fa163e000005")),
        leases.Lease("fa:16:3e:00:00:06", "10.0.0.6", b""),
    ]
    assert leases.leased_v6(path) == set()
    with path.open("a") as file:
        file.write("99 1234 fd00:1::5 web-1 00:01:02\n99 1235 fd00:1::6 * 00:01:03\n")
    allowed = {("fa:16:3e:00:00:06", "10.0.0.6"), ("fa:16:3e:00:00:06", "fd00:1::6")}
    assert leases.leased_v6(path) == {"fd00:1::5", "fd00:1::6"}
    leases.keep(path, allowed)
    assert path.read_text() == "99 fa:16:3e:00:00:06 10.0.0.6 * *\nduid 00:01\n99 1235 fd00:1::6 * 00:01:03\n"
    leases.keep(path, allowed, ["fd00:1::6"])
    assert leases.leased_v6(path) == set()


def test_a_release_is_a_dhcp_message() -> None:
    packet = leases.release_packet(leases.Lease("fa:16:3e:00:00:05", "10.0.0.5", b"\x01ab"), "10.0.0.1")
    assert packet[:4] == b"\x01\x01\x06\x00"
    assert packet[12:16] == bytes([10, 0, 0, 5])
    assert packet[28:34] == bytes.fromhex("fa163e000005")
    assert (
        packet[236:]
        == b"\x63\x82\x53\x63" + b"\x35\x01\x07" + b"\x36\x04\x0a\x00\x00\x01" + b"\x3d\x03\x01ab" + b"\xff"
    )


def test_a_dns_answer_is_read() -> None:
    question = names.query("web-1.example.test", 4711)
    record_ = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x00\x00\x04"
    answer = question[:2] + b"\x85\x80\x00\x01\x00\x02\x00\x00\x00\x00" + question[12:]
    answer += record_ + bytes([10, 0, 0, 4]) + record_ + bytes([10, 0, 0, 5])
    assert names.holds(answer, question, "10.0.0.5") and names.holds(answer, question, "10.0.0.4")
    assert not names.holds(answer, question, "10.0.0.6")
    assert not names.holds(b"\0\0" + answer[2:], question, "10.0.0.5")
    assert not names.holds(b"", question, "10.0.0.5")
