"""The service processes as they are started: the whole cloud in one, the front door with workers of its own."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from free_port import free_port
from one_host import IMAGE, _seed
from sqlalchemy import select

from nova_lite import conf as configuration
from nova_lite.bus import Bus
from nova_lite.db import migrate
from nova_lite.db.models import Flavor, Host, Image, Service
from nova_lite.identity.bootstrap import Account, bootstrap

MAIN = "import sys; from nova_lite.cmd.{0} import main; sys.exit(main(sys.argv[1:]))"


class Site:
    """A configuration, a database with an admin in it, and processes."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.file = directory / "nova-lite.conf"
        self.log = directory / "log"
        self.file.write_text(
            f"[DEFAULT]\nstate_path = {directory}\nhost = h1\n[api]\nbind_port = {self.port}\nworkers = 2\n"
            "[compute]\ndriver = fake\n[identity]\nbcrypt_rounds = 4\n"
        )
        self.conf = configuration.load([str(self.file)])
        self.store = migrate.open_store(self.conf)
        migrate.upgrade(self.store.engine)
        bootstrap(self.conf, self.store, (Account("admin", "secret"),))
        self.store.transact(_prepare)
        self.processes: list[subprocess.Popen[bytes]] = []

    def run(self, command: str, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            line = [sys.executable, "-c", MAIN.format(command), "--config-file", str(self.file), *arguments]
            self.processes.append(subprocess.Popen(line, stderr=log, stdout=log))
        return self.processes[-1]

    def ask(
        self, method: str, path: str, body: Any = None, token: str = "", kind: str = "application/json"
    ) -> tuple[int, Any, Any]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            headers = ({"Content-Type": kind} if kind else {}) | ({"X-Auth-Token": token} if token else {})
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            content = response.read()
            return response.status, response.headers, json.loads(content) if content else None

    def wait(self, timeout: float = 60.0) -> None:
        deadline = time.monotonic() + timeout
        while True:
            try:
                assert self.ask("GET", "/identity/v3")[0] == 200
                return
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline, self.log.read_text()[-3000:]
                time.sleep(0.05)

    def login(self) -> str:
        user = {"name": "admin", "domain": {"id": "default"}, "password": "secret"}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        status, headers, _ = self.ask(
            "POST", "/identity/v3/auth/tokens", {"auth": {"identity": identity, "scope": scope}}
        )
        assert status == 201
        token: str = headers["X-Subject-Token"]
        return token

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(60)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.store.close()


def _prepare(session: Any) -> None:
    _seed(session)
    session.add(Flavor(flavorid="1", name="tiny", vcpus=1, memory_mb=64, disk_gb=0))
    image = session.get_one(Image, IMAGE)
    image.visibility, image.owner, image.properties = "public", "x", {"nova_lite_kind": "unikernel"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.close()


def boot_one(site: Site) -> str:
    token = site.login()
    server = {"name": "one", "imageRef": IMAGE, "flavorRef": "1"}
    status, _, body = site.ask("POST", "/compute/v2.1/servers", {"server": server}, token)
    assert status == 202, body
    path = f"/compute/v2.1/servers/{body['server']['id']}"
    deadline = time.monotonic() + 60
    while True:
        _, _, body = site.ask("GET", path, token=token)
        if body["server"]["status"] != "BUILD":
            break
        assert time.monotonic() < deadline, site.log.read_text()[-3000:]
        time.sleep(0.02)
    assert body["server"]["status"] == "ACTIVE", body
    _, _, body = site.ask("POST", path + "/action", {"os-getConsoleOutput": {}}, token)
    assert "output" in body
    return token


def memory_mib(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(text.split("Pss:")[1].split()[0]) / 1024


def processor_s(pid: int) -> float:
    """Return the processor time that a process has used, which no other makes longer."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_whole_cloud_in_one_process(site: Site) -> None:
    process = site.run("up")
    site.wait()
    assert processor_s(process.pid) < 10
    boot_one(site)
    assert memory_mib(process.pid) < 150
    process.terminate()
    assert process.wait(60) == 0
    assert f"nova-lite is up at http://127.0.0.1:{site.port}" in site.log.read_text()
    assert "Traceback" not in site.log.read_text()
    with site.store.read() as session:
        assert session.get_one(Host, "h1").last_seen == 0
        assert {row.binary for row in session.scalars(select(Service))} == {"nova-osapi_compute", "nova-scheduler"}


def test_the_front_door_with_workers(site: Site) -> None:
    parent = site.run("api")
    site.wait()
    token = site.login()
    deadline = time.monotonic() + 60
    while len(children := _children(parent.pid)) < 2:  # one is enough for an answer
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert len(children) == 2
    os.kill(children[0], signal.SIGKILL)
    while len(set(_children(parent.pid)) - {children[0]}) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for _ in range(10):
        assert site.ask("GET", "/compute/v2.1/servers", token=token)[0] == 200
    children = _children(parent.pid)
    parent.terminate()
    assert parent.wait(60) == 0
    assert not any(Path(f"/proc/{child}").exists() for child in children)


def test_a_body_whose_type_nobody_says_is_json(site: Site) -> None:
    """As for upstream's services; a server that calls it text/plain would have it refused."""
    site.run("api")
    site.wait()
    token = site.login()
    networks = "/network/v2.0/networks"
    status, _, made = site.ask("POST", networks, {"network": {"name": "a"}}, token, kind="")
    assert status == 201, made
    path = f"{networks}/{made['network']['id']}"
    status, _, changed = site.ask("PUT", path, {"network": {"name": "b"}}, token, kind="")
    assert status == 200 and changed["network"]["name"] == "b", changed
    assert site.ask("PUT", path, {"network": {"name": "c"}}, token, kind="text/plain")[0] == 415


def test_workers_end_when_their_parent_is_killed(site: Site) -> None:
    parent = site.run("api")
    site.wait()
    children = _children(parent.pid)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while any(_lives(child) for child in children):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_processes_of_their_own_over_rabbitmq(site: Site) -> None:
    url = os.environ.get("TEST_RABBIT_URL")
    if not url:
        pytest.skip("TEST_RABBIT_URL names no broker")
    with site.file.open("a") as file:
        file.write(f"[bus]\ntransport_url = {url}\n")
    processes = [site.run(command) for command in ("api", "scheduler", "compute")]
    site.wait()
    deadline = time.monotonic() + 60
    while True:
        with site.store.read() as session:
            if session.get(Host, "h1") is not None:
                break
        assert time.monotonic() < deadline, site.log.read_text()[-3000:]
        time.sleep(0.05)
    bus = Bus(configuration.load([str(site.file)]))
    bus.close()
    boot_one(site)
    for process in processes:
        process.terminate()
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert "Traceback" not in site.log.read_text(), site.log.read_text()[-3000:]


@pytest.mark.parametrize("command", ["api", "scheduler", "compute", "up"])
def test_a_missing_file_is_a_sentence(command: str, tmp_path: Path) -> None:
    line = [sys.executable, "-c", MAIN.format(command), "--config-file", str(tmp_path / "none")]
    ended = subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("command", ["api", "up"])
def test_a_taken_port_is_a_sentence(site: Site, command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", site.port))
        taken.listen()
        process = site.run(command)
        assert process.wait(60) == 1
    text = site.log.read_text()
    assert f"error: [Errno 98] 127.0.0.1:{site.port} can't be listened on" in text
    assert "Traceback" not in text


def _children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
