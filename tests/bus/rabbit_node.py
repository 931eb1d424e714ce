"""A RabbitMQ node of the test's own: loopback only, its own ports, directories and epmd; it can be stopped and started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections import Counter
from pathlib import Path

from free_port import free_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")


class RabbitNode:
    """Starts in about five seconds. ``guest`` may do everything, from loopback alone."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self._epmd_port = free_port()
        self._directory = directory
        self._server: subprocess.Popen[bytes] | None = None
        (directory / "plugins").write_text("[].")
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),  # the Erlang cookie is there
            "RABBITMQ_NODENAME": f"nlbus{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(directory / "log"),
            "RABBITMQ_CONFIG_FILE": str(directory / "none"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
        }
        self._epmd = subprocess.Popen(
            ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def url(self) -> str:
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    def start(self, timeout: float = 180.0) -> None:
        """Start the node and wait until it takes connections."""
        with (self._directory / "output").open("ab") as output:
            self._server = subprocess.Popen(
                [str(SERVER)], env=self._environment, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + timeout
        while not self._answers():
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise RuntimeError((self._directory / "output").read_text()[-2000:])
            time.sleep(0.1)

    def stop(self, *, kill: bool = False) -> None:
        """End the node; *kill*: as a crash would."""
        if self._server is None:
            return
        os.killpg(self._server.pid, signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self._server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait(60)
        self._server = None

    def pause(self) -> None:
        """Let the node hang, its connections open: what a cut network looks like."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a node that hangs go on."""
        assert self._server is not None
        os.killpg(self._server.pid, signal.SIGCONT)

    def consumers(self) -> Counter[str]:
        """Return how many consumers each queue has, as the broker sees it."""
        return Counter(self._ask("list_consumers", "queue_name", "--no-table-headers").split())

    def evaluate(self, expression: str) -> str:
        """Run Erlang within the broker and return what came of it."""
        return self._ask("eval", expression)

    def close_connections(self) -> None:
        """End every connection, as an administrator would."""
        self._ask("close_all_connections", "a test")

    def _ask(self, *words: str) -> str:
        command = [str(SERVER.with_name("rabbitmqctl")), "-q", "-n", self._environment["RABBITMQ_NODENAME"], *words]
        done = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, text=True, timeout=180, check=True
        )
        return str(done.stdout)

    def close(self) -> None:
        """End the node and its epmd."""
        self.stop(kill=True)
        self._epmd.terminate()
        self._epmd.wait(60)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.sendall(b"AMQP\x00\x00\x09\x01")
                return connection.recv(1) == b"\x01"
        except OSError:
            return False
