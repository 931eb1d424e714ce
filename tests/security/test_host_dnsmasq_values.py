"""Nothing with control characters reaches dnsmasq, nft or the kernel; every value has a type (CVE-2021-40085)."""

from __future__ import annotations

import sys
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite.conf import load
from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec, RemotePort, ServiceLeg, SubnetSpec
from nova_lite.host.networks import HostNetworks, checks, dhcp, plan
from nova_lite.host.networks.planner import Planner
from nova_lite.host.ports import HostError

EVIL = ["\n", "\r", "\0", ",", " ", ";", "\x1b[2J", "\n--dhcp-script=/bin/sh", '"; flush ruleset; "', "é", "\u2028"]
SUBNET = SubnetSpec(str(uuid.uuid4()), "10.0.0.0/24", "10.0.0.1", True, ("10.0.0.2",), (("10.9.0.0/16", "10.0.0.3"),))
LEG = ServiceLeg(str(uuid.uuid4()), "fa:16:3e:00:fe:02", ((SUBNET.subnet_id, "10.0.0.2"),))
NETWORK = NetworkSpec(str(uuid.uuid4()), 7, 1450, (SUBNET,), dhcp=LEG)
PORT = PortSpec(
    str(uuid.uuid4()),
    str(uuid.uuid4()),
    NETWORK.network_id,
    "fa:16:3e:00:00:05",
    "web-1",
    ((SUBNET.subnet_id, "10.0.0.5"),),
    "tap",
)


def _remote(**changes: object) -> RemotePort:
    return replace(RemotePort("fa:16:3e:00:00:09", ("10.0.0.9",), "192.0.2.9", "db"), **changes)  # type: ignore[arg-type]


SPOIL: dict[str, Callable[[str], tuple[NetworkSpec, PortSpec]]] = {
    "mac": lambda evil: (NETWORK, replace(PORT, mac=PORT.mac + evil)),
    "hostname": lambda evil: (NETWORK, replace(PORT, hostname=f"web{evil}1")),
    "hostname's end": lambda evil: (NETWORK, replace(PORT, hostname=f"web-1{evil}")),
    "hostname's second label": lambda evil: (NETWORK, replace(PORT, hostname=f"web.{evil}x")),
    "address": lambda evil: (NETWORK, replace(PORT, addresses=((SUBNET.subnet_id, f"10.0.0.5{evil}"),))),
    "port id": lambda evil: (NETWORK, replace(PORT, port_id=PORT.port_id[:-1] + evil)),
    "kind": lambda evil: (NETWORK, replace(PORT, kind=f"tap{evil}")),
    "cidr": lambda evil: (replace(NETWORK, subnets=(replace(SUBNET, cidr=f"10.0.0.0/24{evil}"),)), PORT),
    "gateway": lambda evil: (replace(NETWORK, subnets=(replace(SUBNET, gateway=f"10.0.0.1{evil}"),)), PORT),
    "dns": lambda evil: (replace(NETWORK, subnets=(replace(SUBNET, dns=(f"10.0.0.2{evil}",)),)), PORT),
    "scope": lambda evil: (replace(NETWORK, subnets=(replace(SUBNET, dns=(f"fe80::1%{evil}",)),)), PORT),
    "route": lambda evil: (
        replace(NETWORK, subnets=(replace(SUBNET, routes=((f"10.9.0.0/16{evil}", "10.0.0.3"),)),)),
        PORT,
    ),
    "next hop": lambda evil: (
        replace(NETWORK, subnets=(replace(SUBNET, routes=(("10.9.0.0/16", f"10.0.0.3{evil}"),)),)),
        PORT,
    ),
    "domain": lambda evil: (replace(NETWORK, dns_domain=f"corp{evil}test"), PORT),
    "leg's mac": lambda evil: (replace(NETWORK, dhcp=replace(LEG, mac=LEG.mac + evil)), PORT),
    "leg's address": lambda evil: (
        replace(NETWORK, dhcp=replace(LEG, addresses=((SUBNET.subnet_id, f"10.0.0.2{evil}"),))),
        PORT,
    ),
    "another host's name": lambda evil: (replace(NETWORK, remote=(_remote(hostname=f"db{evil}"),)), PORT),
    "another host's address": lambda evil: (replace(NETWORK, remote=(_remote(addresses=(f"10.0.0.9{evil}",)),)), PORT),
    "another host": lambda evil: (replace(NETWORK, remote_hosts=(f"192.0.2.1{evil}",)), PORT),
    "option's name": lambda evil: (NETWORK, replace(PORT, dhcp_options=((f"mtu{evil}", "1400", 4),))),
    "option's value": lambda evil: (
        NETWORK,
        replace(PORT, dhcp_options=(("ntp-server", f"10.0.0.9{evil}10.0.0.8x", 4),)),
    ),
    "network id": lambda evil: (
        replace(NETWORK, network_id=NETWORK.network_id + evil),
        replace(PORT, network_id=NETWORK.network_id + evil),
    ),
}


HERE = plan.Here({"public": ""}, None, "nl-", Path("/s"), dhcp.Settings("example.test", 60, "dnsmasq", "nogroup"))


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("where", SPOIL)
def test_a_spoiled_value_is_refused_before_anything_is_done(where: str, evil: str) -> None:
    network, port = SPOIL[where](evil)
    state = HostState({network.network_id: network}, {port.port_id: port})
    plans = Planner(HERE).plan(state)
    # Either the network is not planned at all, or it is without this port.
    assert plans.refused.keys() <= {network.network_id, port.port_id} and plans.refused
    assert network.network_id in plans.refused or not plans.networks[network.network_id].taps


def test_a_spoiled_port_harms_no_other() -> None:
    spoilt = replace(PORT, port_id=str(uuid.uuid4()), dhcp_options=(("mtu", "x\n", 4),))
    state = HostState({NETWORK.network_id: NETWORK}, {PORT.port_id: PORT, spoilt.port_id: spoilt})
    plans = Planner(HERE).plan(state)
    assert set(plans.refused) == {spoilt.port_id}
    assert len(plans.networks[NETWORK.network_id].taps) == 1


def test_a_spoiled_network_keeps_what_it_had() -> None:
    planner = Planner(HERE)
    before = planner.plan(HostState({NETWORK.network_id: NETWORK}, {PORT.port_id: PORT}))
    spoilt = replace(NETWORK, dns_domain="a b")
    after = planner.plan(HostState({NETWORK.network_id: spoilt}, {PORT.port_id: PORT}))
    assert after.networks == before.networks and set(after.refused) == {NETWORK.network_id}


def test_the_sound_ones_pass() -> None:
    checks.network(NETWORK)
    checks.port(PORT, NETWORK)


@given(st.text(max_size=80))
def test_whatever_the_host_name_a_line_stays_a_line(name: str) -> None:
    port = replace(PORT, hostname=name)
    try:
        checks.port(port, NETWORK)
    except HostError:
        return
    found = dhcp.files(NETWORK, [port], HERE.settings)
    assert found.hosts.count("\n") == 1
    assert found.hosts.count(",") <= 3
    assert found.names.count("\n") <= 2 and found.names.count(" ") <= 2
    assert all(32 < ord(letter) < 127 for letter in found.hosts.rstrip("\n"))


@pytest.mark.parametrize("domain", ["a b", "a\nb", "a,b", "", "-x", "a/b", "x" * 300])
def test_the_operators_domain_is_checked_too(domain: str) -> None:
    with pytest.raises(HostError), tempfile.TemporaryDirectory() as state:
        HostNetworks(load([], {"state_path": state, "network.dns_domain": domain}))


def test_no_shell_is_used() -> None:
    root = Path(sys.modules["nova_lite.host"].__path__[0])
    for path in root.rglob("*.py"):
        assert "shell=True" not in path.read_text() and "os.system" not in path.read_text()
