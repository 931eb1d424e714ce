"""Hosts of a test's own: network namespaces for hosts, guests and the outside, removed with all that is in them."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from bridge_ports import wait_until_it_passes
from oslo_config import cfg
from processes import command_lines

from nova_lite.conf import load
from nova_lite.host.network_state import (
    FloatingSpec,
    GatewayLeg,
    HostState,
    NetworkSpec,
    PortSpec,
    RouterLeg,
    RouterSpec,
    ServiceLeg,
    SubnetSpec,
)
from nova_lite.host.networks import HostNetworks, devices

OUTSIDE = "198.51.100.2"
"""What lies behind the host: it routes to the host's own address only."""

UDHCPC_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
ip link set "$interface" mtu "${mtu:-1400}"
set -- $staticroutes
while [ -n "$1" ]; do
    case "$2" in
        0.0.0.0) ip route replace "$1" dev "$interface" ;;
        *) ip route replace "$1" via "$2" dev "$interface" onlink ;;
    esac
    shift 2
done
echo "ip=$ip mask=$mask router=$router dns=$dns mtu=$mtu hostname=$hostname lease=$lease bootfile=$bootfile tftp=$tftp staticroutes=$staticroutes"
"""


def run(*argv: str, check: bool = True, timeout: float = 60, stdin: str | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, input=stdin)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv} said {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Spaces:
    """Namespaces that are removed together."""

    def __init__(self) -> None:
        self.tag = f"nlt-{secrets.token_hex(3)}"
        self.namespaces: list[str] = []

    def add(self, name: str) -> str:
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        self.ip(name, "link", "set", "lo", "up")
        return name

    def ip(self, namespace: str, *argv: str) -> str:
        return run("ip", "-n", namespace, *argv)

    def inside(self, namespace: str, *argv: str, check: bool = True, timeout: float = 60) -> str:
        return run("ip", "netns", "exec", namespace, *argv, check=check, timeout=timeout)

    def pings(self, namespace: str, address: str, *options: str, wait: int = 30) -> bool:
        """Say whether a ping is answered; they are sent for *wait* seconds, as one may be lost. 1: there is one, for what must not be."""
        end = time.monotonic() + wait
        argv = ("busybox", "ping", "-c1", f"-W{min(wait, 2)}", *options, address)
        while "1 packets received" not in self.inside(namespace, *argv, check=False):
            if time.monotonic() > end or wait == 1:
                return False
        return True

    def python(self, namespace: str, code: str) -> subprocess.Popen[str]:
        argv = ["ip", "netns", "exec", namespace, sys.executable, "-u", "-c", code]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def remove(self) -> None:
        for name in self.namespaces:
            run("ip", "netns", "del", name, check=False)


class Sandbox:
    """A host ``nlt-<tag>-h<letter>`` with an outside ``-o`` (198.51.100.2) behind it, and guests on it."""

    def __init__(self, spaces: Spaces | None = None, letter: str = "", **overrides: object) -> None:
        self._own = spaces is None
        self.spaces = spaces or Spaces()
        self.tag = f"{self.spaces.tag}{letter}"
        self.host = self.spaces.add(f"{self.tag}-h")
        self.outside = self.spaces.add(f"{self.tag}-o")
        self.state = Path(tempfile.mkdtemp(prefix=f"{self.tag}-"))
        self.state.chmod(0o711)
        self.overrides = {"network.physical_networks": "public:", **overrides}
        self.conf = self.configured()
        self.ip(self.host, "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", self.outside)
        self.ip(self.host, "address", "add", "198.51.100.1/24", "dev", "up0")
        self.ip(self.host, "link", "set", "up0", "up")
        self.ip(self.host, "route", "add", "default", "via", OUTSIDE)
        self.ip(self.outside, "address", "add", f"{OUTSIDE}/24", "dev", "eth0")
        self.ip(self.outside, "link", "set", "eth0", "up")
        self.ip = self.spaces.ip
        self.inside = self.spaces.inside
        self.pings = self.spaces.pings
        self.python = self.spaces.python
        self.networks = HostNetworks(self.conf, self.host)

    def ip(self, namespace: str, *argv: str) -> str:
        return self.spaces.ip(namespace, *argv)

    def configured(self) -> cfg.ConfigOpts:
        return load([], {"state_path": str(self.state), **self.overrides})

    def restart(self) -> None:
        """Have an agent that knows nothing of what was applied."""
        self.networks.close()
        self.networks = HostNetworks(self.conf, self.host)

    def guest(self, port: PortSpec, network: NetworkSpec) -> str:
        """Put a guest where libvirt would put a container: a veth on the bridge, its other end in a namespace."""
        name = self.spaces.add(f"{self.tag}-{port.port_id[:8]}")
        device = devices.device_name(port.port_id)
        bridge = devices.bridge_name(network.number)
        self.ip(self.host, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
        self.ip(name, "link", "set", "eth0", "address", port.mac)
        self.ip(self.host, "link", "set", device, "master", bridge, "up")
        self.ip(name, "link", "set", "eth0", "mtu", str(network.mtu), "up")
        wait_until_it_passes(self.host, device)
        return name

    def settled(self, port: PortSpec, network: NetworkSpec) -> str:
        """Put a guest that has its addresses and routes without DHCP, as a container has them."""
        name = self.guest(port, network)
        nic = self.networks.nic(HostState({network.network_id: network}, {port.port_id: port}), port.port_id)
        for address in nic.addresses:
            self.ip(name, "address", "add", address, "dev", "eth0", *(["nodad"] if ":" in address else []))
        if nic.gateway:
            self.ip(name, "route", "add", "default", "via", nic.gateway)
        return name

    def dhcp(self, guest: str, *, tries: int = 30) -> dict[str, str]:
        """Ask for a lease as a guest does (busybox udhcpc); {}: nobody answered."""
        script = self.state / "udhcpc.sh"
        script.write_text(UDHCPC_SCRIPT)
        script.chmod(0o755)
        argv = ["busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-t", str(tries), "-T", "1", "-s", str(script)]
        wanted = ("mtu", "hostname", "staticroutes", "lease", "bootfile", "tftp")
        options = [part for name in wanted for part in ("-O", name)]
        said = self.inside(guest, *argv, *options, check=False)
        for line in said.splitlines():
            if line.startswith("ip="):
                head, _, routes = line.partition(" staticroutes=")
                return dict(field.partition("=")[::2] for field in head.split(" ")) | {"staticroutes": routes}
        return {}

    def links(self) -> set[str]:
        """Return the names of all devices of the host but lo and the uplinks."""
        return {link["ifname"] for link in json.loads(self.ip(self.host, "-j", "link"))} - {"lo", "up0", "tun0"}

    def rooms(self) -> set[str]:
        """Return the names of the namespaces that were made for this host, without what they begin with."""
        begin = f"{self.host}."
        return {path.name.removeprefix(begin) for path in Path("/run/netns").iterdir() if path.name.startswith(begin)}

    def room(self, name: str) -> str:
        """Return the whole name of a namespace of this host's."""
        return f"{self.host}.{name}"

    def rules(self) -> str:
        return self.inside(self.host, "nft", "list", "ruleset")

    def dnsmasqs(self) -> list[int]:
        """Return the pids of all processes whose command line names our state directory."""
        ours = f"{self.state}/".encode()
        return sorted(pid for pid, argv in command_lines() if argv.startswith(b"dnsmasq\0") and ours in argv)

    def remove(self) -> None:
        try:
            self.networks.clean()
        finally:
            self.networks.close()
            if self._own:
                self.spaces.remove()
            shutil.rmtree(self.state)


@contextmanager
def sandbox(**overrides: object) -> Iterator[Sandbox]:
    made = Sandbox(**overrides)
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def two_hosts(mtu: int = 1500) -> Iterator[tuple[Sandbox, Sandbox]]:
    """Two hosts with a wire between them: 203.0.113.1 and .2 at ``tun0``."""
    spaces = Spaces()
    hosts = []
    try:
        for letter, last in (("a", 1), ("b", 2)):
            hosts.append(Sandbox(spaces, letter, **{"network.local_ip": f"203.0.113.{last}"}))
        one, two = hosts
        spaces.ip(
            one.host, "link", "add", "tun0", "mtu", str(mtu), "type", "veth", "peer", "name", "tun0", "netns", two.host
        )
        for last, each in enumerate(hosts, 1):
            spaces.ip(each.host, "address", "add", f"203.0.113.{last}/24", "dev", "tun0")
            spaces.ip(each.host, "link", "set", "tun0", "mtu", str(mtu), "up")
        yield one, two
    finally:
        with ExitStack() as ending:
            ending.callback(spaces.remove)
            for each in hosts:
                ending.callback(each.remove)


def an_id() -> str:
    return str(uuid.uuid4())


def a_network(number: int = 5, prefix: str = "10.11.12", **changes: object) -> NetworkSpec:
    """Return a network with one subnet, whose DHCP is at .2; *changes* are the subnet's."""
    subnet = SubnetSpec(an_id(), f"{prefix}.0/24", f"{prefix}.1", True, ())
    subnet = replace(subnet, **changes)  # type: ignore[arg-type]
    leg = ServiceLeg(an_id(), f"fa:16:3e:{number & 0xFF:02x}:fe:02", ((subnet.subnet_id, f"{prefix}.2"),))
    return NetworkSpec(an_id(), number, 1450, (subnet,), dhcp=leg)


def with_v6(network: NetworkSpec, mode: str, prefix: str = "2001:db8:5") -> NetworkSpec:
    """Return *network* with a second subnet of IPv6, whose gateway is ::1 and DHCP at ::2."""
    subnet = SubnetSpec(an_id(), f"{prefix}::/64", f"{prefix}::1", True, (), ra_mode=mode, address_mode=mode)
    assert network.dhcp is not None
    leg = replace(network.dhcp, addresses=(*network.dhcp.addresses, (subnet.subnet_id, f"{prefix}::2")))
    return replace(network, subnets=(*network.subnets, subnet), dhcp=leg)


def an_outside(number: int = 1 << 24, prefix: str = "172.24.4") -> NetworkSpec:
    """Return an external network of which the host is the outside."""
    subnet = SubnetSpec(an_id(), f"{prefix}.0/24", f"{prefix}.1", False, ())
    return NetworkSpec(an_id(), number, 1500, (subnet,), kind="flat", physical_network="public", external=True)


def a_port(network: NetworkSpec, last: int, hostname: str, kind: str = "veth") -> PortSpec:
    subnet = network.subnets[0]
    addresses = [(subnet.subnet_id, subnet.cidr.rpartition(".")[0] + f".{last}")]
    addresses += [(s.subnet_id, s.cidr.partition("::")[0] + f"::{last:x}") for s in network.subnets[1:]]
    mac = f"fa:16:3e:{network.number & 0xFF:02x}:00:{last:02x}"
    # Security groups have tests of their own.
    return PortSpec(an_id(), an_id(), network.network_id, mac, hostname, tuple(addresses), kind, secured=False)


def a_router(
    networks: Sequence[NetworkSpec], external: NetworkSpec | None = None, last: int = 10, **changes: object
) -> RouterSpec:
    """Return a router at each network's gateway address, with a gateway leg at .*last* of the external network."""
    legs = tuple(
        RouterLeg(
            an_id(),
            network.network_id,
            f"fa:16:3e:{network.number & 0xFF:02x}:fe:01",
            tuple((s.subnet_id, str(s.gateway)) for s in network.subnets),
        )
        for network in networks
    )
    gateway = None
    if external is not None:
        subnet = external.subnets[0]
        address = subnet.cidr.rpartition(".")[0] + f".{last}"
        mac = f"fa:16:3e:ee:00:{last:02x}"
        gateway = GatewayLeg(an_id(), external.network_id, mac, ((subnet.subnet_id, address),), (str(subnet.gateway),))
    return replace(RouterSpec(an_id(), legs, gateway), **changes)  # type: ignore[arg-type]


def a_floating(floating: str, port: PortSpec) -> FloatingSpec:
    return FloatingSpec(an_id(), floating, port.addresses[0][1])


def a_state(
    networks: Sequence[NetworkSpec], ports: Sequence[PortSpec] = (), routers: Sequence[RouterSpec] = ()
) -> HostState:
    by_id: Mapping[str, PortSpec] = {port.port_id: port for port in sorted(ports, key=lambda each: each.port_id)}
    return HostState(
        {network.network_id: network for network in networks}, by_id, {router.router_id: router for router in routers}
    )
