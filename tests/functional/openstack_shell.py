"""The unmodified ``openstack`` client in this very process: a command takes 0.1 s instead of the 1.5 s of a process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli_cloud import Answer, Cloud
from openstackclient.common.clientmanager import ClientManager
from openstackclient.shell import OpenStackShell
from osc_lib.clientmanager import ClientCache

HIGHEST = "2.96"
WAIT_S = 60.0


@dataclass(frozen=True)
class Client:
    """The client of one user at one microversion of the Compute API."""

    cloud: Cloud
    user: str = "admin"
    version: str = HIGHEST

    def run(self, *words: str) -> Answer:
        """Run a command to its end."""
        out, err = io.StringIO(), io.StringIO()
        _forget()
        given = self.cloud.environment(self.user, OS_COMPUTE_API_VERSION=self.version, OS_IDENTITY_API_VERSION="3")
        with _environment(given), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = OpenStackShell().run(list(words))
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
        return Answer(code or 0, out.getvalue(), err.getvalue())

    def do(self, *words: str) -> str:
        """Run a command that must succeed; return what it printed."""
        answer = self.run(*words)
        assert answer.code == 0, f"{words}: {answer}"
        return answer.out

    def read(self, *words: str) -> Any:
        """Likewise, as JSON."""
        return json.loads(self.do(*words, "-f", "json"))

    def names(self, *words: str) -> set[str]:
        """Return the names that a listing shows."""
        return set(self.do(*words, "-f", "value", "-c", "Name").split())

    def until(self, server: str, status: str) -> None:
        """Wait for a server's status; the client's own ``--wait`` looks every five seconds only."""
        deadline = time.monotonic() + WAIT_S
        while (found := self.read("server", "show", server))["status"] != status or found["OS-EXT-STS:task_state"]:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    def refused(self, *words: str) -> str:
        """Run a command that must fail; return what it said."""
        answer = self.run(*words)
        assert answer.code != 0, f"{words}: {answer}"
        return answer.err


def _forget() -> None:
    """Forget the services that an earlier command has talked to: the client keeps them for the life of its process."""
    held = [value for owner in ClientManager.__mro__ for value in vars(owner).values()]
    for attribute in held:
        if isinstance(attribute, ClientCache):
            attribute._handle = None


@contextlib.contextmanager
def _environment(wanted: Mapping[str, str]) -> Any:
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
