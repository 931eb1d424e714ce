"""Networks as tenants see them, with real guests of each kind: closed by default, opened by a rule, in by a floating IP, out through SNAT."""

from __future__ import annotations

import http.client
import http.server
import json
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
from oci_variant import with_program
from private_host import run, wait_for, within
from real_cloud import KINDS, Cloud, await_ping, fetch

from nova_lite.db import migrate
from nova_lite.db.models import Network

NETWORK = "/network/v2.0"
OUTSIDE = "172.24.4.250"
"""A machine beside the host on the external network."""
AT_ONCE_S = 45.0
"""Within this time rules are in force even on a loaded machine: before the agent would compare all on its own."""


@dataclass
class Tenant:
    """Networks of one project, made over the API; everything goes at the end."""

    cloud: Cloud
    user: str = "demo"
    made: list[str] = field(default_factory=list)

    def make(self, collection: str, member: str, **members: Any) -> dict[str, Any]:
        """POST and remember what was made."""
        answer = self.cloud.ask("POST", f"{NETWORK}/{collection}", {member: members}, user=self.user)
        assert answer.status == 201, answer
        made: dict[str, Any] = answer.body[member]
        self.made.append(f"{collection}/{made['id']}")
        return made

    def behind_a_router(self, name: str, cidr: str) -> dict[str, Any]:
        """Make a network with a subnet behind a router of its own with a way out."""
        public = self.cloud.find(f"{NETWORK}/networks", "networks", "public")
        network = self.make("networks", "network", name=name)
        subnet = self.make("subnets", "subnet", network_id=network["id"], cidr=cidr, ip_version=4)
        router = self.make("routers", "router", name=name, external_gateway_info={"network_id": public})
        path = f"{NETWORK}/routers/{router['id']}"
        join = {"subnet_id": subnet["id"]}
        assert self.cloud.ask("PUT", f"{path}/add_router_interface", join, user=self.user).status == 200
        self.made.append(f"routers/{router['id']}/remove_router_interface {subnet['id']}")
        return network

    def close(self) -> None:
        """Remove what was made, the last first."""
        for path in reversed(self.made):
            path, _, subnet_id = path.partition(" ")
            method, body = ("PUT", {"subnet_id": subnet_id}) if subnet_id else ("DELETE", None)
            answer = self.cloud.ask(method, f"{NETWORK}/{path}", body, user=self.user)
            assert answer.status in (200, 204, 404), (path, answer)


@pytest.fixture
def tenant(cloud: Cloud) -> Iterator[Tenant]:
    made = Tenant(cloud)
    yield made
    made.close()


@contextmanager
def server(cloud: Cloud, name: str, kind: str, **more: Any) -> Iterator[str]:
    """Have a server that is ACTIVE."""
    server_id = cloud.create(name, kind, **more)
    try:
        cloud.await_status(server_id, "ACTIVE")
        yield server_id
    finally:
        cloud.delete([server_id])


def with_image(cloud: Cloud, images: Path, archive: Path, program: str) -> str:
    """Upload the busybox container with another program; return the image's id."""
    entry = next(item for item in json.loads(images.read_text()) if item["name"] == "busybox")
    with_program(images.parent / entry["file"], archive, ["/bin/sh", "-c", program])
    body = {"name": archive.stem, "disk_format": "raw", "container_format": "docker"}
    image_id = str(cloud.ask("POST", "/image/v2/images", body, user="demo").body["id"])
    octets = {"Content-Type": "application/octet-stream"}
    path = f"/image/v2/images/{image_id}/file"
    assert cloud.ask("PUT", path, archive.read_bytes(), user="demo", headers=octets).status == 204
    return image_id


def answers(address: str) -> bool:
    return run(["ping", "-n", "-c", "1", "-W", "1", address], check=False).returncode == 0


@pytest.mark.parametrize("kind", KINDS)
def test_closed_until_a_rule_opens_it(cloud: Cloud, tenant: Tenant, kind: str) -> None:
    group = tenant.make("security-groups", "security_group", name=f"closed-{kind}")
    with (
        server(cloud, f"closed-{kind}", kind) as open_id,
        server(cloud, f"shut-{kind}", kind, security_groups=[{"name": group["name"]}]) as shut_id,
    ):
        await_ping(cloud.address(open_id))  # so the guest's kind does answer, in that time
        address = cloud.address(shut_id)
        time.sleep(3.5 if kind == "vm" else 0.5)
        assert not answers(address)
        rule = tenant.make(
            "security-group-rules",
            "security_group_rule",
            security_group_id=group["id"],
            direction="ingress",
            protocol="icmp",
        )
        began = time.monotonic()
        line = ["ping", "-n", "-c", "1", "-W", "1", "-i", "0.2", address]
        wait_for(f"an answer of {address}", lambda: run(line, check=False).returncode == 0, 20, 0.01)
        if kind != "vm":  # which may still be booting
            assert time.monotonic() - began < AT_ONCE_S
        assert cloud.ask("DELETE", f"{NETWORK}/security-group-rules/{rule['id']}", user="demo").status == 204
        wait_for("the rule to be gone", lambda: not answers(address), 5, 0.1)


def test_an_open_connection_ends_with_its_rule(cloud: Cloud, tenant: Tenant, images: Path, tmp_path: Path) -> None:
    """Through a floating IP: what the removed rule alone allowed ends, what another allows goes on."""
    image_id = with_image(cloud, images, tmp_path / "echoes.tar", "nc -ll -p 7001 -e cat & exec nc -ll -p 7002 -e cat")
    group = tenant.make("security-groups", "security_group", name="echoes")
    rules = [
        tenant.make(
            "security-group-rules",
            "security_group_rule",
            security_group_id=group["id"],
            direction="ingress",
            protocol="tcp",
            port_range_min=port,
            port_range_max=port,
        )
        for port in (7001, 7002)
    ]
    more = {"imageRef": image_id, "security_groups": [{"name": group["name"]}]}
    with server(cloud, "echoes", "container", **more) as server_id:
        address = cloud.address(server_id)
        ends, stays = (_connected(address, port) for port in (7001, 7002))
        with closing(ends), closing(stays):
            assert _echoes(ends, 60) and _echoes(stays, 60)
            began = time.monotonic()
            path = f"{NETWORK}/security-group-rules/{rules[0]['id']}"
            assert cloud.ask("DELETE", path, user="demo").status == 204
            while _echoes(ends, 0.3):
                assert time.monotonic() - began < AT_ONCE_S
                time.sleep(0.02)
            assert not _echoes(ends, 1) and _echoes(stays, 60)


def _connected(address: str, port: int) -> socket.socket:
    found: list[socket.socket] = []

    def connect() -> bool:
        with suppress(OSError):
            found.append(socket.create_connection((address, port), timeout=1))
        return bool(found)

    wait_for(f"a connection to {address} port {port}", connect, 30, 0.1)
    return found[0]


def _echoes(connection: socket.socket, wait_s: float) -> bool:
    word = secrets.token_hex(8).encode() + b"\n"
    connection.settimeout(wait_s)
    got = b""
    try:
        connection.sendall(word)
        while word not in got:
            more = connection.recv(1000)
            if not more:
                return False
            got += more
    except TimeoutError:
        return False
    return True


def test_two_projects_may_use_the_same_addresses(cloud: Cloud) -> None:
    tenants = [Tenant(cloud, "demo"), Tenant(cloud, "admin")]
    found = []
    try:
        for tenant in tenants:
            network = tenant.behind_a_router(f"same-{tenant.user}", "10.77.0.0/24")
            body = cloud.request_for(
                f"same-{tenant.user}", "unikernel", networks=[{"uuid": network["id"], "fixed_ip": "10.77.0.7"}]
            )
            answer = cloud.ask("POST", "/compute/v2.1/servers", body, user=tenant.user)
            assert answer.status == 202, answer
            found.append(str(answer.body["server"]["id"]))
        pages = []
        for tenant, server_id in zip(tenants, found, strict=True):
            path = f"/compute/v2.1/servers/{server_id}"
            wait_for(
                "ACTIVE", lambda path=path, user=tenant.user: cloud.read(path, user)["server"]["status"] == "ACTIVE", 40
            )
            port = cloud.ports(server_id)[0]
            public = cloud.find(f"{NETWORK}/networks", "networks", "public")
            floating = tenant.make("floatingips", "floatingip", floating_network_id=public, port_id=port["id"])
            pages.append(fetch(floating["floating_ip_address"]))
        assert "same-demo" in pages[0] and "same-admin" in pages[1]
    finally:
        for server_id in found:
            cloud.ask("DELETE", f"/compute/v2.1/servers/{server_id}", user="admin")
        wait_for(
            "the servers to be gone",
            lambda: all(
                cloud.ask("GET", f"/compute/v2.1/servers/{each}", user="admin").status == 404 for each in found
            ),
            40,
        )
        for tenant in tenants:
            tenant.close()


class Visitors(http.server.BaseHTTPRequestHandler):
    """Notes who comes."""

    seen: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.seen.append(self.client_address[0])
        body = b"x" * 400_000 if self.path == "/large" else b"hello\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@contextmanager
def outside(cloud: Cloud) -> Iterator[list[str]]:
    """Have a machine beside the host on the external network, with a web server; yield the addresses of its visitors."""
    Visitors.seen = []
    network = cloud.read(f"{NETWORK}/networks?name=public", "admin")["networks"][0]
    body = {"network_id": network["id"], "fixed_ips": [{"ip_address": OUTSIDE}]}
    port = cloud.ask("POST", f"{NETWORK}/ports", {"port": body}, user="admin").body["port"]
    bridge = f"nl-br{_number(cloud, network['id'])}"
    name, here = f"{cloud.host.name}-o", cloud.host.name
    run(["ip", "netns", "add", name])
    made = None
    try:
        run(["ip", "link", "add", "out0", "netns", here, "type", "veth", "peer", "name", "eth0", "netns", name])
        run(["ip", "-n", here, "link", "set", "out0", "master", bridge, "up"])
        run(["ip", "-n", name, "link", "set", "eth0", "up"])
        run(["ip", "-n", name, "address", "add", f"{OUTSIDE}/24", "dev", "eth0"])
        with within(Path("/run/netns", name)):
            # The socket stays in the namespace that it was made in, whoever serves it.
            made = http.server.ThreadingHTTPServer((OUTSIDE, 8099), Visitors)
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield Visitors.seen
    finally:
        if made is not None:
            made.shutdown()
            made.server_close()
        run(["ip", "netns", "del", name], check=False)
        cloud.ask("DELETE", f"{NETWORK}/ports/{port['id']}", user="admin")


def _number(cloud: Cloud, network_id: str) -> int:
    store = migrate.open_store(cloud.conf)
    try:
        with store.read() as session:
            return int(session.get_one(Network, network_id).segmentation_id)
    finally:
        store.close()


def test_out_through_snat_and_by_its_own_floating_ip(cloud: Cloud, images: Path, tmp_path: Path) -> None:
    loop = f"while true; do busybox timeout 5 wget -q -O - http://{OUTSIDE}:8099/ ; sleep 1; done"
    image_id = with_image(cloud, images, tmp_path / "visitor.tar", loop)
    with server(cloud, "visitor", "container", imageRef=image_id) as server_id, outside(cloud) as seen:
        wait_for("a visitor", lambda: seen, 20)
        router = cloud.read(f"{NETWORK}/routers?name=router1", "admin")["routers"][0]
        gateway = router["external_gateway_info"]["external_fixed_ips"][0]["ip_address"]
        assert set(seen) == {gateway}
        floating = cloud.address(server_id)
        wait_for("a visitor by its own address", lambda: floating in seen, 20)


def test_names_metadata_and_the_way_between_kinds(cloud: Cloud, images: Path, tmp_path: Path) -> None:
    with server(cloud, "asked", "unikernel") as asked:
        fixed = cloud.fixed_address(asked)
        program = (
            f"wget -q -O - http://{fixed}/; "
            "wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json; echo; "
            "wget -q -O - http://169.254.169.254/latest/meta-data/local-ipv4; echo; "
            "nslookup asked.openstacklocal; echo all-asked; while true; do sleep 60; done"
        )
        image_id = with_image(cloud, images, tmp_path / "asker.tar", program)
        with server(cloud, "asker", "container", imageRef=image_id) as asker:
            said = cloud.await_console(asker, "all-asked")
            assert f'"uuid":"{asker}"' in said.replace(" ", "")
            assert cloud.fixed_address(asker) in said
            assert "asked" in said and fixed in said


LARGE = 1_000_000
"""Bytes of the page that the limit is measured by."""


def test_a_limit_is_kept(cloud: Cloud, images: Path, tmp_path: Path) -> None:
    program = f"mkdir -p /tmp/www; head -c {LARGE} /dev/zero >/tmp/www/large; exec httpd -f -h /tmp/www -p 80"
    image_id = with_image(cloud, images, tmp_path / "pages.tar", program)
    admin = Tenant(cloud, "admin")
    policy = admin.make("qos/policies", "policy", name="slow", shared=True)
    try:
        rule = {"bandwidth_limit_rule": {"max_kbps": 4000, "max_burst_kbps": 200, "direction": "egress"}}
        path = f"{NETWORK}/qos/policies/{policy['id']}/bandwidth_limit_rules"
        assert cloud.ask("POST", path, rule, user="admin").status == 201
        with server(cloud, "limited", "container", imageRef=image_id) as server_id:
            address = cloud.address(server_id)
            await_ping(address)
            wait_for("the page", lambda: _seconds_for_the_page(address) < 1.0, 30, 0.2)
            port_id = cloud.ports(server_id)[0]["id"]
            change = {"port": {"qos_policy_id": policy["id"]}}
            assert cloud.ask("PUT", f"{NETWORK}/ports/{port_id}", change, user="admin").status == 200
            wait_for("the limit", lambda: _seconds_for_the_page(address) > 1.0, 20, 0.1)

            def share() -> float:
                # What is limited counts headers as well, 54 bytes in 1,514; and what was saved up goes at once.
                return LARGE * 8 / _seconds_for_the_page(address) * 1514 / 1460 / 4_000_000

            wait_for("what the limit says, to within a tenth", lambda: 0.9 < share() < 1.1, 20, 0.1)
            change = {"port": {"qos_policy_id": None}}
            assert cloud.ask("PUT", f"{NETWORK}/ports/{port_id}", change, user="admin").status == 200
            wait_for("no limit", lambda: _seconds_for_the_page(address) < 1.0, 20, 0.1)
    finally:
        admin.close()


def _seconds_for_the_page(address: str) -> float:
    began = time.monotonic()
    try:
        with closing(http.client.HTTPConnection(address, 80, timeout=10)) as connection:
            connection.request("GET", "/large")
            answer = connection.getresponse()
            if answer.status != 200 or len(answer.read()) != LARGE:
                return float("inf")
    except OSError:
        return float("inf")
    return time.monotonic() - began
