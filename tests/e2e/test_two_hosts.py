"""Two hosts: guests of one network on both, over VXLAN; the gateway and the floating IPs of each on its own host."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from private_host import PrivateHost, run, wait_for
from real_cloud import DISTRIBUTED, PROGRAMS, Cloud, await_ping
from relay import Relay
from test_distributed import PORTS, own_database, server_url

UNDERLAY = ("198.18.0.1", "198.18.0.2")


@dataclass
class TwoHosts:
    """A cloud whose API, scheduler and first agent are on ``cloud.host``, and whose second agent is on ``second``."""

    cloud: Cloud
    second: PrivateHost
    agent: subprocess.Popen[bytes]


def join(first: PrivateHost, second: PrivateHost) -> None:
    """Lay a cable between two hosts."""
    run(
        [
            "ip",
            "link",
            "add",
            "under0",
            "netns",
            first.name,
            "type",
            "veth",
            "peer",
            "name",
            "under0",
            "netns",
            second.name,
        ]
    )
    for host, address in zip((first, second), UNDERLAY, strict=True):
        run(["ip", "-n", host.name, "address", "add", f"{address}/30", "dev", "under0"])
        run(["ip", "-n", host.name, "link", "set", "under0", "mtu", "1600", "up"])


def more_options(host: int, database: str, images: str) -> str:
    """Return the lines of a host's configuration beside the common ones; the section that is open is [network]."""
    bus = server_url("rabbit").render_as_string(hide_password=False)
    return (
        f"[network]\nlocal_ip = {UNDERLAY[host]}\n[compute]\naddress = {UNDERLAY[host]}\n"
        f"[database]\nconnection = {database}\n[bus]\ntransport_url = {bus}\n[image]\nstore_path = {images}\n"
    )


@pytest.fixture(scope="module")
def two(images: Path) -> Iterator[TwoHosts]:
    server_url("rabbit")
    with ExitStack() as stack:
        url = stack.enter_context(own_database("postgresql"))
        hosts = [PrivateHost(), PrivateHost()]
        for host in hosts:
            stack.callback(host.remove)
            host.start()
            for name in ("rabbit", "postgresql"):
                stack.callback(Relay(host, PORTS[name]).close)
        join(*hosts)
        first, second = hosts
        store = str(first.state / "images")
        with first.inside():
            cloud = Cloud(first, DISTRIBUTED, more_options(0, url, store))
            stack.callback(_remove, cloud, second)
            cloud.prepare(images)
        file = second.directory / "nova-lite.conf"
        text = (
            cloud.file.read_text().replace(more_options(0, url, store), "").replace(str(first.state), str(second.state))
        )
        file.write_text(text.replace(first.name, second.name) + more_options(1, url, store))
        line = [str(PROGRAMS / "nova-lite-compute"), "--config-file", str(file)]
        with (second.directory / "log").open("ab") as log:
            agent = subprocess.Popen(second.line(line), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        stack.callback(_end, agent)
        with first.inside():
            wait_for("the second host", lambda: len(_hypervisors(cloud)) == 2, 40)
        yield TwoHosts(cloud, second, agent)


def _end(agent: subprocess.Popen[bytes]) -> None:
    agent.terminate()
    agent.wait(120)


def _remove(cloud: Cloud, second: PrivateHost) -> None:
    with cloud.host.inside():
        cloud.remove()
    file = second.directory / "nova-lite.conf"
    if file.exists():
        second.run(str(PROGRAMS / "nova-lite-manage"), "--config-file", str(file), "host", "clean")


def _hypervisors(cloud: Cloud) -> list[str]:
    found = cloud.read("/compute/v2.1/os-hypervisors/detail", "admin")["hypervisors"]
    return [row["hypervisor_hostname"] for row in found if row["state"] == "up"]


def boot_on(cloud: Cloud, host: str, name: str, kind: str) -> str:
    """Boot a server on one host, as an administrator may say, in the demo project's network."""
    body = cloud.request_for(name, kind, availability_zone=f"nova:{host}")
    answer = cloud.ask("POST", "/compute/v2.1/servers", body, user="admin")
    assert answer.status == 202, answer
    return str(answer.body["server"]["id"])


@pytest.mark.timeout(600)
def test_guests_on_two_hosts_are_on_one_network(two: TwoHosts) -> None:
    cloud = two.cloud
    with cloud.host.inside():
        here = boot_on(cloud, cloud.host.name, "here", "container")
        there = boot_on(cloud, two.second.name, "there", "unikernel")
        path = "/compute/v2.1/servers"
        for server_id in (here, there):
            wait_for(
                "ACTIVE",
                lambda each=server_id: cloud.read(f"{path}/{each}", "admin")["server"]["status"] == "ACTIVE",
                60,
            )
        addresses = {}
        for server_id in (here, there):
            shown = cloud.read(f"{path}/{server_id}", "admin")["server"]["addresses"]["private"]
            addresses[server_id] = next(each["addr"] for each in shown if each["OS-EXT-IPS:type"] == "fixed")
        pid = _init_of(cloud, here)
        inside = ["nsenter", f"--target={pid}", "--net", "--"]
        line = [*inside, "ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", addresses[there]]
        wait_for("an answer over VXLAN", lambda: run(line, check=False).returncode == 0, 30)
        # The tenant's whole MTU goes through: 1500 in, so the underlay carries 1550.
        network = cloud.read("/network/v2.0/networks?name=private", "admin")["networks"][0]
        size = str(network["mtu"] - 28)
        line = [*inside, "ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", size, addresses[there]]
        wait_for("the answer to a whole frame", lambda: run(line, check=False).returncode == 0, 30)
        # The floating IP of the guest on this host answers on this host.
        port = cloud.ports(here)[0]["id"]
        public = cloud.find("/network/v2.0/networks", "networks", "public")
        body = {"floatingip": {"floating_network_id": public, "port_id": port}}
        floating = cloud.ask("POST", "/network/v2.0/floatingips", body, user="admin").body["floatingip"]
        await_ping(floating["floating_ip_address"])
        for server_id in (here, there):
            cloud.ask("DELETE", f"{path}/{server_id}", user="admin")
        wait_for(
            "both gone",
            lambda: all(cloud.ask("GET", f"{path}/{each}", user="admin").status == 404 for each in (here, there)),
            60,
        )
        cloud.ask("DELETE", f"/network/v2.0/floatingips/{floating['id']}", user="admin")


def _init_of(cloud: Cloud, server_id: str) -> int:
    """Return the pid of a container's first process."""
    names = [name for name in cloud.host.domains() if server_id in name]
    shown = cloud.host.run("virsh", "-q", "-c", "lxc:///system", "domid", names[0]).stdout.strip()
    children = Path(f"/proc/{shown}/task/{shown}/children").read_text().split()
    return int(children[0])
