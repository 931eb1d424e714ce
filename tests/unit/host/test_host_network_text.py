"""What dnsmasq and nft are told, as text; and who is on a network when lists are out of date."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nova_lite.host.network_state import NetworkSpec, PortSpec, SubnetSpec
from nova_lite.host.networks import checks, devices, dhcp, leases, names, nics, record, rules
from nova_lite.host.networks.members import Members
from nova_lite.host.ports import HostError

SETTINGS = dhcp.Settings("example.test", 3600, "dnsmasq", "nogroup")
SUBNET = SubnetSpec("11111111-1111-1111-1111-111111111111", "10.0.0.0/24", "10.0.0.1", True, ())
V6 = SubnetSpec("66666666-6666-6666-6666-666666666666", "fd00:1::/64", "fd00:1::1", True, ("fd00:1::53",))
NETWORK = NetworkSpec("22222222-2222-2222-2222-222222222222", 7, 1450, (SUBNET,))
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


def test_hosts_and_names() -> None:
    assert dhcp.hosts(NETWORK, [PORT]) == "fa:16:3e:00:00:05,id:*,10.0.0.5,web-1\n"
    assert dhcp.names(NETWORK, [PORT]) == "10.0.0.5 web-1\n"


@pytest.mark.parametrize("name", ["3600", "45m", "ignore", "INFINITE", "localhost"])
def test_a_name_that_dnsmasq_reads_as_something_else_stays_out_of_hosts(name: str) -> None:
    assert dhcp.hosts(NETWORK, [replace(PORT, hostname=name)]) == "fa:16:3e:00:00:05,id:*,10.0.0.5\n"


def test_a_tenant_does_not_answer_for_a_foreign_domain() -> None:
    port = replace(PORT, hostname="www.example.com")
    assert dhcp.names(NETWORK, [port]) == "10.0.0.5 www\n"
    assert dhcp.names(NETWORK, [replace(PORT, hostname="localhost")]) == ""


def test_arguments_are_bound_to_the_bridge_and_to_known_hosts() -> None:
    argv = dhcp.arguments(NETWORK, Path("/s/networks/7"), SETTINGS)
    for argument in (
        "--conf-file=/dev/null",
        "--bind-interfaces",
        "--interface=nl-br7",
        "--except-interface=lo",
        "--dhcp-ignore=tag:!known",
        "--user=dnsmasq",
        "--dhcp-range=set:s0,10.0.0.0,static,255.255.255.0,3600s",
        "--dhcp-option=tag:s0,option:router,10.0.0.1",
        "--dhcp-option=tag:s0,option:dns-server,10.0.0.1",
        "--dhcp-option-force=tag:s0,option:mtu,1450",
    ):
        assert argument in argv


def test_what_is_not_served() -> None:
    isolated = replace(NETWORK, subnets=(replace(SUBNET, gateway=None), V6))
    assert not dhcp.is_served(isolated)
    assert dhcp.hosts(isolated, [PORT]) == ""
    static = replace(NETWORK, subnets=(replace(SUBNET, enable_dhcp=False),))
    assert dhcp.is_served(static)
    assert not [argument for argument in dhcp.arguments(static, Path("/s"), SETTINGS) if "dhcp-range" in argument]


def test_a_nic_has_all_that_the_guest_needs() -> None:
    network = replace(NETWORK, subnets=(replace(SUBNET, routes=(("10.9.0.0/16", "10.0.0.2"),)), V6))
    port = replace(PORT, addresses=((V6.subnet_id, "fd00:1::5"), (SUBNET.subnet_id, "10.0.0.5")))
    nic = nics.nic(network, port)
    assert (nic.device, nic.bridge, nic.mtu) == ("nl-33333333-333", "nl-br7", 1450)
    assert nic.addresses == ("fd00:1::5/64", "10.0.0.5/24")
    assert (nic.gateway, nic.dns) == ("10.0.0.1", ("fd00:1::53", "10.0.0.1"))
    assert nic.routes == (("10.9.0.0/16", "10.0.0.2"),)
    with pytest.raises(HostError, match="on a subnet that its network has not"):
        nics.nic(replace(NETWORK, subnets=(V6,)), PORT)


def test_rules_are_one_replacement_of_our_table() -> None:
    text = rules.text([NETWORK, replace(NETWORK, number=8, subnets=(V6,))], nat=True)
    assert text.startswith("table inet nova_lite\ndelete table inet nova_lite\ntable inet nova_lite {")
    assert '"nl-br7" . 10.0.0.0/24' in text and '"nl-br7" . 10.0.0.1' in text
    assert "fd00" not in text
    assert "masquerade" in text and "masquerade" not in rules.text([NETWORK], nat=False)
    assert rules.text([], nat=True) == "table inet nova_lite\ndelete table inet nova_lite\n"


def test_lists_that_are_out_of_date() -> None:
    members = Members()
    a, b, c = other(5), other(6), other(7)
    assert members.plug(a, [a, b]) == [a, b]
    assert members.plug(c, [c]) == [a, c], "who was plugged stays, whoever came from a list is asked of the list"
    assert members.unplug(a.port_id, [a, b]) == [b, c], "who was unplugged does not come back"
    assert members.plug(b, [a, b]) == [b, c]
    taken = replace(other(9), addresses=b.addresses)
    assert members.unplug(c.port_id, [b, taken]) == [b], "an address is its newest owner's"
    members.reset([a])
    assert members.ports() == [a]


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
    leases.keep(path, {("fa:16:3e:00:00:06", "10.0.0.6")})
    assert path.read_text() == "99 fa:16:3e:00:00:06 10.0.0.6 * *\n"


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


def test_a_network_is_remembered_as_it_is(tmp_path: Path) -> None:
    network = replace(NETWORK, subnets=(replace(SUBNET, dns=("1.1.1.1",), routes=(("10.9.0.0/16", "10.0.0.2"),)), V6))
    for number in (7, 8):
        (tmp_path / str(number)).mkdir()
        record.save(tmp_path / str(number), network)
    (tmp_path / "9").mkdir()
    (tmp_path / "9/network.json").write_text("{")
    assert record.load_all(tmp_path) == {7: network}
