"""Nothing with control characters reaches dnsmasq, nft or the kernel; every value has a type (CVE-2021-40085)."""

from __future__ import annotations

import shutil
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite.conf import load
from nova_lite.host.network_state import NetworkSpec, PortSpec, SubnetSpec
from nova_lite.host.networks import HostNetworks, checks, dhcp
from nova_lite.host.ports import HostError

EVIL = ["\n", "\r", "\0", ",", " ", ";", "\x1b[2J", "\n--dhcp-script=/bin/sh", '"; flush ruleset; "', "é", "\u2028"]
SUBNET = SubnetSpec(str(uuid.uuid4()), "10.0.0.0/24", "10.0.0.1", True, ("10.0.0.2",), (("10.9.0.0/16", "10.0.0.3"),))
NETWORK = NetworkSpec(str(uuid.uuid4()), 7, 1450, (SUBNET,))
PORT = PortSpec(
    str(uuid.uuid4()),
    str(uuid.uuid4()),
    NETWORK.network_id,
    "fa:16:3e:00:00:05",
    "web-1",
    ((SUBNET.subnet_id, "10.0.0.5"),),
    "tap",
)

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
    "network id": lambda evil: (
        replace(NETWORK, network_id=NETWORK.network_id + evil),
        replace(PORT, network_id=NETWORK.network_id + evil),
    ),
}


@pytest.fixture(scope="module")
def networks() -> Iterator[HostNetworks]:
    state = Path(tempfile.mkdtemp(prefix="nlt-values-"))
    yield HostNetworks(load([], {"state_path": str(state)}))
    assert list(state.iterdir()) == [], "nothing was written"
    shutil.rmtree(state)


@pytest.mark.parametrize("evil", EVIL)
@pytest.mark.parametrize("where", SPOIL)
def test_a_spoiled_value_is_refused_before_anything_is_done(networks: HostNetworks, where: str, evil: str) -> None:
    network, port = SPOIL[where](evil)
    with pytest.raises(HostError):
        networks.plug(network, port, [port])
    with pytest.raises(HostError):
        # The same among the ports that are there already.
        networks.plug(network, PORT, [PORT, port])
    assert Path("/proc/sys/net/ipv4/conf/nl-br7").exists() is False


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
    assert dhcp.hosts(NETWORK, [port]).count("\n") == 1
    assert dhcp.hosts(NETWORK, [port]).count(",") <= 3
    assert dhcp.names(NETWORK, [port]).count(" ") <= 1
    assert all(32 < ord(letter) < 127 for letter in dhcp.hosts(NETWORK, [port]).rstrip("\n"))


@pytest.mark.parametrize("domain", ["a b", "a\nb", "a,b", "", "-x", "a/b", "x" * 300])
def test_the_operators_domain_is_checked_too(domain: str) -> None:
    with pytest.raises(HostError), tempfile.TemporaryDirectory() as state:
        HostNetworks(load([], {"state_path": state, "network.dns_domain": domain}))


def test_no_shell_is_used() -> None:
    root = Path(sys.modules["nova_lite.host"].__path__[0])
    for path in root.rglob("*.py"):
        assert "shell=True" not in path.read_text() and "os.system" not in path.read_text()
