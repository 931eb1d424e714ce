"""A whole cloud for the client: ``nova-lite up`` in a process of its own with the fake driver, and the client beside it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from free_port import free_port

from nova_lite.cmd import client

PASSWORD = "cli-secret-5b"
_START_S = 180
_COMMAND_S = 180


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
    in_process: bool = False
    """Run commands in the test's own process: 0.1 s each instead of half a second."""

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
            self.process.wait(60)
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
        if self.in_process:
            return self._run_here(list(words), self.environment(user, **variables), stdin or b"")
        done = subprocess.run(
            self.command(*words),
            input=stdin if stdin is not None else b"",
            capture_output=True,
            timeout=_COMMAND_S,
            env=self.environment(user, **variables),
            cwd=self.directory,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def _run_here(self, words: list[str], environment: dict[str, str], stdin: bytes) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with tempfile.TemporaryFile() as source:
            source.write(stdin)
            source.seek(0)
            with (
                _place(self.directory, environment, io.TextIOWrapper(source)),
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
            ):
                try:
                    code = client.main(words)
                except SystemExit as stop:
                    code = stop.code if isinstance(stop.code, int) else 1
        return Answer(code, out.getvalue(), err.getvalue())

    def do(self, *words: str, **more: Any) -> str:
        """Run a command that must succeed; return what it printed."""
        answer = self.run(*words, **more)
        assert answer.code == 0, f"{words}: {answer}"
        return answer.out

    def read(self, *words: str, **more: Any) -> Any:
        """Likewise, as JSON."""
        return json.loads(self.do(*words, "-f", "json", **more))


@contextmanager
def _place(directory: Path, environment: Mapping[str, str], stdin: Any) -> Iterator[None]:
    """Be elsewhere for a while, as a process of one's own would be."""
    kept, place, typed, handlers = dict(os.environ), Path.cwd(), sys.stdin, list(logging.getLogger().handlers)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.stdin = stdin
    try:
        yield
    finally:
        logging.getLogger().handlers[:] = handlers
        os.environ.clear()
        os.environ.update(kept)
        os.chdir(place)
        sys.stdin = typed


@contextmanager
def cloud(directory: Path, *, compute: Mapping[str, str] | None = None, **fake: str) -> Iterator[Cloud]:
    """Start a cloud in *directory*, and end it. :param compute, fake: options of these groups."""
    made = Cloud(directory, free_port())
    config = directory / "nova-lite.conf"
    more = "".join(f"{name} = {value}\n" for name, value in (compute or {}).items())
    knobs = "".join(f"{name} = {value}\n" for name, value in fake.items())
    config.write_text(
        f"[DEFAULT]\nstate_path = {directory}\nhost = host-1\n"
        f"[api]\nbind_host = 127.0.0.1\nbind_port = {made.port}\n"
        f"[database]\nconnection = sqlite:///{directory}/cloud.db\n"
        f"[identity]\nbcrypt_rounds = 4\n[image]\nkeep_free_bytes = 0\n"
        f"[compute]\ndriver = fake\n{more}[fake]\n{knobs}"
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
