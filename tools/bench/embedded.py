"""A cloud of the benchmarks' own: ``nova-lite up`` with the fake driver, in a directory and on a port of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cloud

PROGRAMS = Path(sys.executable).parent
ANSWERS = ("/identity/v3", "/compute/v2.1", "/image/v2/schemas/image", "/network/v2.0", "/compute/v2.1/flavors")
START_LIMIT_S = 30.0

_CONFIGURATION = """\
[DEFAULT]
state_path = {state}
host = bench
[api]
bind_port = {port}
[compute]
driver = fake
[quota]
instances = -1
cores = -1
ram = -1
[network_quota]
port = -1
[fake]
vcpus = 100000
memory_mb = 100000000
disk_gb = 10000000
"""


class Embedded:
    """One embedded cloud; a context manager that leaves nothing behind, but what failed if NOVA_LITE_BENCH_KEEP is set."""

    def __init__(self, more: str = "") -> None:
        """*more*: lines of ``[fake]``, or sections, beside the configuration of the benchmarks."""
        self.state = Path(tempfile.mkdtemp(prefix="nova-lite-bench-"))
        self.port = _free_port()
        self.password = secrets.token_urlsafe(12)
        self.database = self.state / "nova-lite.db"
        self._configuration = self.state / "nova-lite.conf"
        self._more = more
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Embedded:
        try:
            self._prepare()
            self.start()
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if kind is not None:
            log = self.state / "log"
            print(log.read_text(errors="replace")[-3000:] if log.exists() else "no log", file=sys.stderr)
            if "NOVA_LITE_BENCH_KEEP" in os.environ:
                print(f"kept: {self.state}", file=sys.stderr)
                return
        shutil.rmtree(self.state, ignore_errors=True)

    @property
    def pid(self) -> int:
        """The service's process."""
        assert self._process is not None
        return self._process.pid

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs, beside the caller's own environment without its OS_ variables and proxies."""
        kept = {key: text for key, text in os.environ.items() if not key.startswith("OS_")}
        return kept | {
            "OS_AUTH_URL": f"http://127.0.0.1:{self.port}/identity/v3",
            "OS_USERNAME": "admin",
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": "admin",
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
            "no_proxy": "127.0.0.1",
        }

    def _prepare(self) -> None:
        self._configuration.write_text(_CONFIGURATION.format(state=self.state, port=self.port) + self._more)
        secret = self.state / "password"
        secret.touch(0o600)
        secret.write_text(self.password)
        self._manage("db", "sync")
        self._manage("bootstrap", "--admin-password-file", str(secret))

    def _manage(self, *arguments: str) -> None:
        command = [str(PROGRAMS / "nova-lite-manage"), "--config-file", str(self._configuration), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)

    def start(self) -> float:
        """Start the service; return the seconds until every API answers and the host's agent has reported."""
        begun = time.perf_counter()
        command = [str(PROGRAMS / "nova-lite"), "up", "--config-file", str(self._configuration)]
        with (self.state / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        for path in ANSWERS:
            self._await(path, begun + START_LIMIT_S)
        return time.perf_counter() - begun

    def _await(self, path: str, deadline: float) -> None:
        while time.perf_counter() < deadline:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
                connection.request("GET", path)
                if connection.getresponse().status in (200, 300, 401):
                    return
            if self._process is not None and self._process.poll() is not None:
                break
            time.sleep(0.01)
        raise cloud.Failed(f"{path} did not answer")

    def stop(self) -> None:
        """End the service, if it runs."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def connect(self) -> cloud.Cloud:
        """Log in on a connection of its own."""
        os.environ.update(self.environment)
        return cloud.Cloud(auth_url=f"http://127.0.0.1:{self.port}/identity/v3")

    @contextlib.contextmanager
    def sql(self) -> Iterator[sqlite3.Connection]:
        """Give the database, for what no API makes: hosts without an agent."""
        connection = sqlite3.connect(self.database, timeout=15)
        try:
            yield connection
            connection.commit()
        finally:
            connection.close()

    def cpu_seconds(self) -> float:
        """Return the processor time that the service has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
