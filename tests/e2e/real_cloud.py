"""A real cloud of the checkout on a private host: its processes, its clients, and what is left of a guest on the host."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from private_host import PrivateHost, run, wait_for
from sqlalchemy import select

from nova_lite import conf as configuration
from nova_lite.db import migrate
from nova_lite.db.models import Allocation, FixedIp, Port

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent
PORT = 8774
ENDPOINT = f"http://127.0.0.1:{PORT}"
EMBEDDED = (("nova-lite", "up"),)
DISTRIBUTED = (("nova-lite-api",), ("nova-lite-scheduler",), ("nova-lite-compute",))
ADMIN_PASSWORD = "an admin's password"
DEMO_PASSWORD = "a user's password"
USERS = {"admin": ADMIN_PASSWORD, "demo": DEMO_PASSWORD}
BOOT = {"vm": ("tiny", "m1.nano"), "unikernel": ("hello-unikernel", "u1.nano"), "container": ("busybox", "c1.tiny")}
"""Kind of guest: image and flavor."""
KINDS = tuple(BOOT)


@dataclass(frozen=True)
class Answer:
    """What the cloud answered; ``body`` is parsed JSON, or None where there is none."""

    status: int
    headers: http.client.HTTPMessage
    body: Any
    raw: bytes = b""


@dataclass
class Cloud:
    """A cloud on *host*; ``options`` are more lines of its configuration. The caller's thread must be inside the host."""

    host: PrivateHost
    programs: tuple[tuple[str, ...], ...] = EMBEDDED
    options: str = ""
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory = self.host.directory
        self.file = self.directory / "nova-lite.conf"
        self.log = self.directory / "nova-lite.log"
        self.clouds_file = self.directory / "clouds.yaml"
        self.file.write_text(
            f"[DEFAULT]\nstate_path = {self.host.state}\nhost = {self.host.name}\n[api]\nbind_port = {PORT}\n"
            "[network]\nphysical_networks = public:\n"
            f"[libvirt]\nvirt_type = qemu\n[quota]\ninstances = -1\ncores = -1\nram = -1\n{self.options}\n"
        )
        self.conf = configuration.load([str(self.file)])

    def prepare(self, images: Path) -> None:
        """Make database, accounts and clouds.yaml, start, and have flavors, images and network as stack.sh makes them."""
        for user, password in USERS.items():
            (self.directory / user).write_text(f"{password}\n")
            (self.directory / user).chmod(0o600)
        self.manage("db", "sync")
        files = [f"--{user}-password-file={self.directory / user}" for user in USERS]
        self.manage("bootstrap", *files)
        passwords = self.directory / "passwords"
        passwords.write_text(f"ADMIN_PASSWORD={ADMIN_PASSWORD}\nDEMO_PASSWORD={DEMO_PASSWORD}\n")
        credentials = str(ROOT / "devstack/credentials.py")
        run([sys.executable, credentials, str(self.directory), ENDPOINT, str(passwords)])
        self.start()
        seed = [sys.executable, str(ROOT / "devstack/seed.py"), "--cidr", "10.0.0.0/24", "--cloud", "nova-lite"]
        seed += ["--public-cidr", "172.24.4.0/24", "--user-cloud", "nova-lite-demo"]
        done = run([*seed, "--clouds", str(self.clouds_file), "--images", str(images)], check=False, timeout=300)
        assert done.returncode == 0, f"{done.stderr}; {self.tail()}"

    def manage(self, *words: str) -> str:
        """Run ``nova-lite-manage`` on the host and return what it says."""
        return self.host.run(str(PROGRAMS / "nova-lite-manage"), "--config-file", str(self.file), *words).stdout

    def start(self) -> None:
        """Start the processes that do not run and wait until the API answers."""
        running = [process.args for process in self.processes]
        for program in self.programs:
            if any(str(PROGRAMS / program[0]) in args for args in running):  # type: ignore[operator]
                continue
            line = [str(PROGRAMS / program[0]), *program[1:], "--config-file", str(self.file)]
            with self.log.open("ab") as log:
                options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
                self.processes.append(subprocess.Popen(self.host.line(line), start_new_session=True, **options))
        wait_for("the API", self._answers, 30, 0.02)

    def _answers(self) -> bool:
        ended = [process.args for process in self.processes if process.poll() is not None]
        assert not ended, f"{ended} ended: {self.tail()}"
        try:
            return self.ask("GET", "/identity/v3").status == 200
        except (OSError, http.client.HTTPException):
            return False

    def kill(self, *programs: str) -> None:
        """``kill -9`` every process of the cloud, its workers too; or those of *programs* alone."""
        paths = {str(PROGRAMS / program) for program in programs or (program[0] for program in self.programs)}
        doomed = [process for process in self.processes if paths.intersection(process.args)]  # type: ignore[arg-type]
        for process in doomed:
            process.kill()
        for process in doomed:
            process.wait(60)
            self.processes.remove(process)
        if (
            "nova-lite-api" in programs
        ):  # a worker sees a moment later that its parent is dead; it must not answer for the next life
            wait_for("the API's end", lambda: not self._is_open(), 20)

    def _is_open(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=30).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End the cloud's processes as an operator does. :raises AssertionError: one ended badly or not at all."""
        for process in self.processes:
            process.terminate()
        codes = [process.wait(120) for process in self.processes]
        self.processes.clear()
        assert not any(codes), f"{codes}: {self.tail()}"

    def tail(self) -> str:
        """Return the end of the log."""
        return self.log.read_text(errors="replace")[-4000:]

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        user: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Send a request: *body* is bytes or what becomes JSON, *user* whose token goes with it."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if content is not None else {}
        if user is not None:
            sent["X-Auth-Token"] = self.token(user)
        with closing(http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)) as connection:
            connection.request(method, path, content, sent | (headers or {}))
            answer = connection.getresponse()
            raw = answer.read()
        is_json = "json" in (answer.headers.get("Content-Type") or "")
        return Answer(answer.status, answer.headers, json.loads(raw) if raw and is_json else None, raw)

    def token(self, user: str) -> str:
        """Return a token of *user* for the project of the same name."""
        if user not in self.tokens:
            answer = self.ask("POST", "/identity/v3/auth/tokens", login(user, USERS[user]))
            assert answer.status == 201, answer
            self.tokens[user] = str(answer.headers["X-Subject-Token"])
        return self.tokens[user]

    def read(self, path: str, user: str = "demo") -> Any:
        """GET what must be there."""
        answer = self.ask("GET", path, user=user)
        assert answer.status == 200, answer
        return answer.body

    def find(self, path: str, key: str, name: str) -> str:
        """Return the id of the one thing called *name* in a listing."""
        found = [item["id"] for item in self.read(path)[key] if item["name"] == name]
        assert len(found) == 1, f"{name} in {path}: {found}"
        return str(found[0])

    def request_for(self, name: str, kind: str, **more: Any) -> dict[str, Any]:
        """Return the body that asks for a server; more may override any of it."""
        image, flavor = BOOT[kind]
        server = {
            "name": name,
            "imageRef": more.pop("imageRef", None) or self.find("/image/v2/images", "images", image),
            "flavorRef": self.find("/compute/v2.1/flavors", "flavors", flavor),
            "networks": [{"uuid": self.find("/network/v2.0/networks", "networks", "private")}],
        }
        return {"server": server | more}

    def create(self, name: str, kind: str, **more: Any) -> str:
        """Ask for a server and return its id."""
        answer = self.ask("POST", "/compute/v2.1/servers", self.request_for(name, kind, **more), user="demo")
        assert answer.status == 202, answer
        return str(answer.body["server"]["id"])

    def show(self, server_id: str) -> Any:
        """Return the server, or None when it is gone."""
        answer = self.ask("GET", f"/compute/v2.1/servers/{server_id}", user="demo")
        assert answer.status in (200, 404), answer
        return answer.body["server"] if answer.status == 200 else None

    def await_status(self, server_id: str, status: str, limit: float = 40) -> Any:
        """Wait until the server is in *status* with nothing under way, and return it; ERROR ends the wait."""

        def look() -> bool:
            server = self.show(server_id)
            assert server is not None, f"{server_id} is gone"
            if server["status"] == "ERROR" != status:
                raise AssertionError(f"{server['name']}: {server.get('fault')}; {self.tail()}")
            return server["status"] == status and server["OS-EXT-STS:task_state"] is None

        wait_for(f"{server_id} {status}", look, limit)
        return self.show(server_id)

    def delete(self, server_ids: Iterable[str], limit: float = 40) -> None:
        """Delete servers and wait until they are gone."""
        left = list(server_ids)
        for server_id in left:
            assert self.ask("DELETE", f"/compute/v2.1/servers/{server_id}", user="demo").status in (204, 404)
        wait_for(f"{left} gone", lambda: all(self.show(server_id) is None for server_id in left), limit)

    def act(self, server_id: str, **action: Any) -> Answer:
        """Ask for an action."""
        return self.ask("POST", f"/compute/v2.1/servers/{server_id}/action", action, user="demo")

    def console(self, server_id: str) -> str:
        """Return the console's text."""
        answer = self.act(server_id, **{"os-getConsoleOutput": {}})
        assert answer.status == 200, answer
        return str(answer.body["output"])

    def await_console(self, server_id: str, text: str, limit: float = 40) -> str:
        """Wait until *text* is on the console, and return all of it."""
        try:
            wait_for("", lambda: text in self.console(server_id), limit, 0.2)
        except AssertionError:
            raise AssertionError(f"no {text!r} within {limit} s on: {self.console(server_id)[-3000:]}") from None
        return self.console(server_id)

    def address(self, server_id: str) -> str:
        """Return the floating address by which the host reaches the server, given to it now if it has none."""
        port_ids = [port["id"] for port in self.ports(server_id)]
        path = "/network/v2.0/floatingips"
        found = [each for each in self.read(path)["floatingips"] if each["port_id"] in port_ids]
        if not found:
            public = self.find("/network/v2.0/networks", "networks", "public")
            body = {"floatingip": {"floating_network_id": public, "port_id": port_ids[0]}}
            answer = self.ask("POST", path, body, user="demo")
            assert answer.status == 201, answer
            found = [answer.body["floatingip"]]
        return str(found[0]["floating_ip_address"])

    def fixed_address(self, server_id: str) -> str:
        """Return the server's address on the network private."""
        found = self.show(server_id)["addresses"]["private"]
        return str(next(each["addr"] for each in found if each["OS-EXT-IPS:type"] == "fixed"))

    def ports(self, server_id: str) -> list[dict[str, Any]]:
        """Return the server's ports."""
        found: list[dict[str, Any]] = self.read(f"/network/v2.0/ports?device_id={server_id}", "admin")["ports"]
        return found

    def remove(self) -> None:
        """End everything, by force where need be."""
        self.kill()
        self.manage("host", "clean")


def login(user: str, password: str) -> dict[str, Any]:
    """Return the body of a login by password."""
    identity = {
        "methods": ["password"],
        "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}},
    }
    scope = {"project": {"name": user, "domain": {"id": "default"}}}
    return {"auth": {"identity": identity, "scope": scope}}


def await_ping(address: str, limit: float = 40) -> None:
    """Ping until the first answer."""
    line = ["ping", "-n", "-c", "1", "-W", "1", address]
    wait_for(f"an answer of {address}", lambda: run(line, check=False).returncode == 0, limit)


def fetch(address: str, limit: float = 40) -> str:
    """Return the page that a guest serves."""
    pages: list[str] = []

    def look() -> bool:
        try:
            with closing(http.client.HTTPConnection(address, 80, timeout=5)) as connection:
                connection.request("GET", "/")
                pages.append(connection.getresponse().read().decode())
        except (OSError, http.client.HTTPException):
            return False
        return True

    wait_for(f"http://{address}/", look, limit, 0.2)
    return pages[0]


@dataclass(frozen=True)
class Marks:
    """What a guest is known by on its host: its id, and its ports' devices, MACs and addresses."""

    server_id: str
    port_ids: tuple[str, ...]
    words: tuple[str, ...]


def marks_of(cloud: Cloud, server_id: str) -> Marks:
    """Note what *server_id* is known by, while it is there."""
    ports = cloud.ports(server_id)
    assert ports
    words = [port["mac_address"] for port in ports]
    words += [fixed["ip_address"] for port in ports for fixed in port["fixed_ips"]]
    return Marks(server_id, tuple(port["id"] for port in ports), tuple(words))


def traces(cloud: Cloud, marks: Marks) -> list[str]:
    """Return everything of a guest that can be found on the host or in the database."""
    host = cloud.host
    found = [f"domain {name}" for name in host.domains() if marks.server_id in name]
    devices = {f"nl-{port_id[:12]}" for port_id in marks.port_ids}
    found += [f"device {name}" for name in host.links() if name in devices]
    found += [f"process {pid}" for pid in host.pids() if marks.server_id in command_of(pid)]
    mounts = host.run("cat", "/proc/self/mountinfo").stdout
    found += [f"mount {row}" for row in mounts.splitlines() if marks.server_id in row]
    for group, directories, _ in os.walk("/sys/fs/cgroup"):
        found += [f"cgroup {group}/{name}" for name in directories if marks.server_id[:20] in name]
    found += [f"file {path}" for path in _files(host) if marks.server_id in str(path)]
    text = {path: _text(path) for path in _below(host.state / "networks")}
    found += [f"{word} in {path}" for path in text for word in marks.words if word in text[path].split()]
    found += [f"{word} in {path}" for path in text for word in marks.words if f"{word}," in text[path]]
    return found + _rows(cloud, marks)


def _files(host: PrivateHost) -> Iterable[Path]:
    # libvirt's own log of each QEMU stays, for the one who looks for what went wrong; logrotate bounds it.
    logs = host.directory / "host/var/log/libvirt"
    return (path for path in _below(host.directory) if logs not in path.parents)


def _below(top: Path) -> Iterable[Path]:
    """Give all that is in a directory; not by ``Path.rglob``, which raises where a directory goes meanwhile."""
    for directory, inner, names in os.walk(top):
        yield from (Path(directory, name) for name in (*inner, *names))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""  # a directory, or gone


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def _rows(cloud: Cloud, marks: Marks) -> list[str]:
    store = migrate.open_store(cloud.conf)
    try:
        with store.read() as session:
            claims = session.scalars(select(Allocation).where(Allocation.server_id == marks.server_id)).all()
            ports = session.scalars(select(Port).where(Port.device_id == marks.server_id)).all()
            addresses = session.scalars(select(FixedIp).where(FixedIp.port_id.in_(marks.port_ids))).all()
            return [f"row {type(row).__name__}" for row in (*claims, *ports, *addresses)]
    finally:
        store.close()


@contextmanager
def cloud_on_a_host(images: Path, **options: object) -> Iterator[Cloud]:
    """Have a cloud; the calling thread is inside its host meanwhile. ``options`` are :class:`Cloud`'s."""
    host = PrivateHost()
    try:
        host.start()
        with host.inside():
            cloud = Cloud(host, **options)  # type: ignore[arg-type]
            try:
                cloud.prepare(images)
                yield cloud
            finally:
                cloud.remove()
        left = host.domains()
        assert left == [], f"{left}: {cloud.log.read_text(errors='replace')[-60000:] if cloud.log.exists() else None}"
        assert host.links() == []
    finally:
        host.remove()
