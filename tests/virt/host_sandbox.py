"""A host of its own for a test: network namespaces for host, guests and the outside, removed with all that is in them."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from oslo_config import cfg

from nova_lite.conf import load
from nova_lite.host.network_state import NetworkSpec, PortSpec, SubnetSpec
from nova_lite.host.networks import HostNetworks, devices

OUTSIDE = "198.51.100.2"
UDHCPC_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
ip link set "$interface" mtu "${mtu:-1400}"
[ -n "$staticroutes" ] || ip route add default via "$router"
echo "ip=$ip mask=$mask router=$router dns=$dns mtu=$mtu hostname=$hostname lease=$lease staticroutes=$staticroutes"
"""


def run(*argv: str, check: bool = True, timeout: float = 20, stdin: str | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, input=stdin)
    if check and done.returncode != 0:
        raise AssertionError(f"{argv} said {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class Sandbox:
    """Namespaces ``nlt-<tag>-h`` (host), ``-o`` (outside, 198.51.100.2) and one for each guest."""

    def __init__(self, **overrides: object) -> None:
        self.tag = f"nlt-{secrets.token_hex(3)}"
        self.host = f"{self.tag}-h"
        self.outside = f"{self.tag}-o"
        self.state = Path(tempfile.mkdtemp(prefix=f"{self.tag}-"))
        self.state.chmod(0o711)
        self.namespaces: list[str] = []
        self.overrides = overrides
        self.conf = self.configured()
        for name in (self.host, self.outside):
            self.add_namespace(name)
        self.ip(self.host, "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", self.outside)
        self.ip(self.host, "address", "add", "198.51.100.1/24", "dev", "up0")
        self.ip(self.host, "link", "set", "up0", "up")
        self.ip(self.host, "route", "add", "default", "via", OUTSIDE)
        self.ip(self.outside, "address", "add", f"{OUTSIDE}/24", "dev", "eth0")
        self.ip(self.outside, "link", "set", "eth0", "up")
        self.networks = HostNetworks(self.conf, self.host)

    def configured(self) -> cfg.ConfigOpts:
        return load([], {"state_path": str(self.state), **self.overrides})

    def add_namespace(self, name: str) -> None:
        run("ip", "netns", "add", name)
        self.namespaces.append(name)
        self.ip(name, "link", "set", "lo", "up")

    def ip(self, namespace: str, *argv: str) -> str:
        return run("ip", "-n", namespace, *argv)

    def inside(self, namespace: str, *argv: str, check: bool = True, timeout: float = 20) -> str:
        return run("ip", "netns", "exec", namespace, *argv, check=check, timeout=timeout)

    def python(self, namespace: str, code: str) -> subprocess.Popen[str]:
        argv = ["ip", "netns", "exec", namespace, sys.executable, "-u", "-c", code]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def guest(self, port: PortSpec, bridge: str) -> str:
        """Put a guest where libvirt would put a container: a veth on the bridge, its other end in a namespace."""
        name = f"{self.tag}-{port.port_id[:4]}"
        device = devices.device_name(port.port_id)
        self.add_namespace(name)
        self.ip(self.host, "link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
        self.ip(name, "link", "set", "eth0", "address", port.mac)
        self.ip(self.host, "link", "set", device, "master", bridge, "up")
        self.ip(name, "link", "set", "eth0", "up")
        return name

    def dhcp(self, guest: str, *, tries: int = 5) -> dict[str, str]:
        """Ask for a lease as a guest does (busybox udhcpc); {}: nobody answered."""
        script = self.state / "udhcpc.sh"
        script.write_text(UDHCPC_SCRIPT)
        script.chmod(0o755)
        argv = ["busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-t", str(tries), "-T", "1", "-s", str(script)]
        options = [part for name in ("mtu", "hostname", "staticroutes", "lease") for part in ("-O", name)]
        said = self.inside(guest, *argv, *options, check=False)
        for line in said.splitlines():
            if line.startswith("ip="):
                head, _, routes = line.partition(" staticroutes=")
                return dict(field.partition("=")[::2] for field in head.split(" ")) | {"staticroutes": routes}
        return {}

    def links(self) -> set[str]:
        """Return the names of all devices of the host but lo and the uplink."""
        return {link["ifname"] for link in json.loads(self.ip(self.host, "-j", "link"))} - {"lo", "up0"}

    def rules(self) -> str:
        return self.inside(self.host, "nft", "list", "ruleset")

    def dnsmasqs(self) -> list[int]:
        """Return the pids of all processes whose command line names our state directory."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                argv = path.read_bytes()
            except OSError:
                continue
            if argv.startswith(b"dnsmasq\0") and f"{self.state}/".encode() in argv:
                found.append(int(path.parent.name))
        return found

    def remove(self) -> None:
        self.networks.clean()
        self.networks.close()
        for name in self.namespaces:
            run("ip", "netns", "del", name, check=False)
        shutil.rmtree(self.state)


@contextmanager
def sandbox(**overrides: object) -> Iterator[Sandbox]:
    made = Sandbox(**overrides)
    try:
        yield made
    finally:
        made.remove()


def a_network(number: int = 5, prefix: str = "10.11.12", **changes: object) -> NetworkSpec:
    subnet = SubnetSpec(str(uuid.uuid4()), f"{prefix}.0/24", f"{prefix}.1", True, ())
    subnet = replace(subnet, **changes)  # type: ignore[arg-type]
    return NetworkSpec(str(uuid.uuid4()), number, 1450, (subnet,))


def a_port(network: NetworkSpec, last: int, hostname: str, kind: str = "veth") -> PortSpec:
    subnet = network.subnets[0]
    address = subnet.cidr.rpartition(".")[0] + f".{last}"
    mac = f"fa:16:3e:{network.number & 0xFF:02x}:00:{last:02x}"
    return PortSpec(
        str(uuid.uuid4()), str(uuid.uuid4()), network.network_id, mac, hostname, ((subnet.subnet_id, address),), kind
    )


def plug_all(networks: HostNetworks, network: NetworkSpec, ports: Sequence[PortSpec]) -> str:
    """Plug *ports* and return the bridge's name."""
    for port in ports:
        networks.plug(network, port, ports)
    return devices.bridge_name(network.number)
