"""A whole cloud for the client: ``nova-lite up`` in a process of its own with the fake driver, and the client beside it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PASSWORD = "cli-secret-5b"
_START_S = 60
_COMMAND_S = 60


@dataclass(frozen=True)
class Answer:
    """What a command left."""

    code: int
    out: str
    err: str


@dataclass
class Cloud:
    """A running cloud."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """What its process says."""
        return self.directory / "up.log"

    def start(self) -> None:
        """Start its process; return when the API answers and the agent has told of its host."""
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                self.command("up", "--config-file", str(self.directory / "nova-lite.conf")),
                stdout=stream,
                stderr=stream,
                env=self.environment(),
            )
        deadline = time.monotonic() + _START_S
        while "nova-lite is up" not in self.log.read_text() or not self.read("hypervisor", "list"):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """End its process."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End its process as a power failure would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def environment(self, user: str = "admin", **more: str) -> dict[str, str]:
        """Return what openrc sets, and nothing else that could lead elsewhere."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "CLIFF_"))}
        return {
            **kept,
            "HOME": str(self.directory),
            "OS_AUTH_URL": f"http://127.0.0.1:{self.port}/identity/v3",
            "OS_USERNAME": user,
            "OS_PASSWORD": PASSWORD,
            "OS_PROJECT_NAME": user,
            **more,
        }

    def command(self, *words: str) -> list[str]:
        """Return the command line of *words*."""
        return [sys.executable, "-m", "nova_lite.cmd.client", *words]

    def run(self, *words: str, user: str = "admin", stdin: bytes | None = None, **variables: str) -> Answer:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(*words),
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=_COMMAND_S,
            env=self.environment(user, **variables),
            cwd=self.directory,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def do(self, *words: str, **more: Any) -> str:
        """Run a command that must succeed; return what it printed."""
        answer = self.run(*words, **more)
        assert answer.code == 0, f"{words}: {answer}"
        return answer.out

    def read(self, *words: str, **more: Any) -> Any:
        """Likewise, as JSON."""
        return json.loads(self.do(*words, "-f", "json", **more))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def cloud(directory: Path, **fake: str) -> Iterator[Cloud]:
    """Start a cloud in *directory*, and end it. :param fake: options of the fake driver."""
    made = Cloud(directory, _free_port())
    config = directory / "nova-lite.conf"
    knobs = "".join(f"{name} = {value}\n" for name, value in fake.items())
    config.write_text(
        f"[DEFAULT]\nstate_path = {directory}\nhost = host-1\n"
        f"[api]\nbind_host = 127.0.0.1\nbind_port = {made.port}\n"
        f"[database]\nconnection = sqlite:///{directory}/cloud.db\n"
        f"[identity]\nbcrypt_rounds = 4\n[image]\nkeep_free_bytes = 0\n"
        f"[compute]\ndriver = fake\n[fake]\n{knobs}"
    )
    secret = directory / "password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    manage = [sys.executable, "-c", "from nova_lite.cmd.manage import main; raise SystemExit(main())"]
    for step in (
        ["db", "sync"],
        ["bootstrap", "--admin-password-file", str(secret), "--demo-password-file", str(secret)],
    ):
        subprocess.run([*manage, "--config-file", str(config), *step], check=True, capture_output=True, timeout=120)
    try:
        made.start()
        yield made
    finally:
        made.stop()
