"""The unmodified ``openstack`` client with the written clouds.yaml: what it prints as JSON is what was done."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from private_host import run, wait_for
from real_cloud import BOOT, KINDS, PROGRAMS, Cloud, await_ping

OPENSTACK = PROGRAMS / "openstack"
USER = "nova-lite-demo"
USER_DATA = "#!/bin/sh\necho the client sent this\n"


class Client:
    """The client as it is typed: :meth:`command` a command line of its own, :meth:`run` at the client's own prompt.

    To start the client takes a second or more, so most commands go to one that has been started.
    """

    def __init__(self, cloud: Cloud, home: Path) -> None:
        self.cloud = cloud
        self.home = home
        kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        mine = {"OS_CLIENT_CONFIG_FILE": str(cloud.clouds_file), "HOME": str(home), "PYTHONUNBUFFERED": "1"}
        self._environment = {key: value for key, value in kept.items() if not key.startswith("OS_")} | mine
        self._prompts: dict[str, subprocess.Popen[str]] = {}

    def command(self, *words: str, cloud: str = USER) -> Any:
        """Run a command line to its end and return the JSON that it prints, if it prints any."""
        line = [str(OPENSTACK), "--os-cloud", cloud, *words]
        done = subprocess.run(
            line,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=self._environment,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout.startswith(("{", "[")) else done.stdout

    def run(self, *words: str, cloud: str = USER) -> str:
        """Type a command at the client's prompt and return what it prints."""
        prompt = self._prompts.get(cloud) or self._start(cloud)
        assert prompt.stdin is not None
        assert prompt.stdout is not None
        end = f"end-{secrets.token_hex(8)}"
        prompt.stdin.write(f"{shlex.join(words)}\n!echo {end}\n")
        prompt.stdin.flush()
        lines: list[str] = []
        while not (line := prompt.stdout.readline()).startswith(end):
            assert line, f"the client ended at {words}: {lines}"
            lines.append(line)
        return "".join(lines).strip()

    def _start(self, cloud: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        # By the environment: at its prompt the client takes words of its command line for commands.
        chosen = self._environment | {"OS_CLOUD": cloud}
        self._prompts[cloud] = subprocess.Popen(
            [str(OPENSTACK)], stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=chosen
        )
        return self._prompts[cloud]

    def json(self, *words: str, cloud: str = USER) -> Any:
        """Type a command at the client's prompt and return the JSON that it prints."""
        said = self.run(*words, "-f", "json", cloud=cloud)
        assert said.startswith(("{", "[")), f"{words}: {said}"
        return json.loads(said)

    def close(self) -> None:
        """Let the clients end."""
        for prompt in self._prompts.values():
            prompt.communicate("quit\n", timeout=120)


@pytest.fixture
def client(cloud: Cloud, tmp_path: Path) -> Iterator[Client]:
    if not OPENSTACK.exists():
        pytest.skip("python-openstackclient is not installed")
    made = Client(cloud, tmp_path)
    yield made
    made.close()


def test_identity(client: Client) -> None:
    token = client.command("token", "issue", "-f", "json")
    assert set(token) == {"expires", "id", "project_id", "user_id"}
    catalog = {entry["Type"]: entry for entry in client.command("catalog", "list", "-f", "json")}
    assert {"identity", "compute", "image", "network"} <= set(catalog)
    versions = client.command("versions", "show", "-f", "json")
    shown = {row["Service Type"]: row for row in versions if row["Status"] == "CURRENT"}
    assert {"identity", "compute", "image", "network"} <= set(shown)
    assert shown["compute"]["Version"] == "2.1"
    assert float(shown["compute"]["Max Microversion"]) >= 2.1


def test_images(client: Client, images: Path, tmp_path: Path) -> None:
    entry = next(item for item in json.loads(images.read_text()) if item["name"] == "tiny-disk")
    file = images.parent / entry["file"]
    options = ["--disk-format", "qcow2", "--container-format", "bare", "--property", "colour=green"]
    made = client.command("image", "create", "-f", "json", "--file", str(file), *options, "mine")
    try:
        shown = client.json("image", "show", "mine")
        assert (shown["status"], shown["size"], shown["disk_format"]) == ("active", file.stat().st_size, "qcow2")
        assert shown["properties"]["colour"] == "green"
        listed = {row["Name"]: row["Status"] for row in client.json("image", "list")}
        assert listed["mine"] == "active"
        assert set(listed) >= {image for image, _ in BOOT.values()}
        client.run("image", "save", "--file", str(tmp_path / "saved"), "mine")
        assert (tmp_path / "saved").read_bytes() == file.read_bytes()
    finally:
        client.run("image", "delete", made["id"])
    assert "mine" not in {row["Name"] for row in client.json("image", "list")}


def test_flavors_keypairs_networks(client: Client) -> None:
    made = client.json("flavor", "create", "--ram", "96", "--disk", "1", "--vcpus", "1", "e2e", cloud="nova-lite")
    try:
        assert (made["ram"], made["vcpus"], made["name"]) == (96, 1, "e2e")
        shown = client.json("flavor", "show", "e2e")
        assert (shown["id"], shown["disk"]) == (made["id"], 1)
        assert {"e2e", "m1.tiny", "u1.nano", "c1.tiny"} <= {row["Name"] for row in client.json("flavor", "list")}
    finally:
        client.run("flavor", "delete", "e2e", cloud="nova-lite")
    private = client.command("keypair", "create", "e2e-made")
    assert private.startswith("-----BEGIN")
    assert [row["Name"] for row in client.json("keypair", "list") if row["Name"].startswith("e2e")] == ["e2e-made"]
    client.run("keypair", "delete", "e2e-made")
    networks = client.json("network", "list")
    assert sorted(row["Name"] for row in networks) == ["private", "public"]
    assert len(networks[0]["Subnets"]) == 1


@pytest.fixture
def key(client: Client) -> Iterator[str]:
    path = client.home / "key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)])
    client.run("keypair", "create", "--public-key", f"{path}.pub", "e2e-key")
    yield "e2e-key"
    client.run("keypair", "delete", "e2e-key")


def create(client: Client, kind: str, key: str) -> Any:
    data = client.home / "user-data"
    data.write_text(USER_DATA)
    image, flavor = BOOT[kind]
    options = ["--image", image, "--flavor", flavor, "--network", "private", "--key-name", key]
    options += ["--user-data", str(data), "--property", "purpose=test", "--wait"]
    return client.command("server", "create", "-f", "json", *options, f"osc-{kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_from_create_to_delete(client: Client, key: str, kind: str) -> None:
    name = f"osc-{kind}"
    made = create(client, kind, key)
    try:
        assert (made["name"], made["status"]) == (name, "ACTIVE")
        shown = client.json("server", "show", name)
        assert shown["key_name"] == key
        assert shown["properties"] == {"purpose": "test"}
        assert shown["OS-EXT-STS:vm_state"] == "active"
        address = shown["addresses"]["private"][0]
        row = next(row for row in client.json("server", "list", "--long") if row["Name"] == name)
        assert (row["ID"], row["Status"], row["Task State"]) == (made["id"], "ACTIVE", None)
        assert row["Networks"] == {"private": [address]}
        assert row["Properties"] == {"purpose": "test"}
        reached_by = client.cloud.address(made["id"])
        await_ping(reached_by)
        console(client, name, kind)
        power(client, name)
        await_ping(reached_by)
    finally:
        client.command("server", "delete", "--wait", name)
    assert name not in {row["Name"] for row in client.json("server", "list")}


def console(client: Client, name: str, kind: str) -> None:
    wanted = "the client sent this" if kind == "vm" else name
    wait_for(f"{wanted!r} on the console", lambda: wanted in client.run("console", "log", "show", name), 30)
    assert base64.b64encode(USER_DATA.encode()).decode() not in client.run("console", "log", "show", name)


def power(client: Client, name: str) -> None:
    """Each action, and the status that it leads to; where there is no --wait, the API is looked at until then."""
    steps: list[tuple[tuple[str, ...], str]] = [
        (("suspend",), "SUSPENDED"),
        (("resume",), "ACTIVE"),
        (("pause",), "PAUSED"),
        (("unpause",), "ACTIVE"),
        (("reboot", "--soft", "--wait"), "ACTIVE"),
        (("reboot", "--hard", "--wait"), "ACTIVE"),
        (("stop",), "SHUTOFF"),
        (("start",), "ACTIVE"),
    ]
    cloud = client.cloud
    server_id = cloud.find("/compute/v2.1/servers", "servers", name)
    for words, status in steps:
        client.run("server", *words, name)
        assert cloud.await_status(server_id, status)["status"] == status
    assert client.json("server", "show", name)["status"] == "ACTIVE"
