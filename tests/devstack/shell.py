"""Run functions of devstack's bash layer, in directories of the test's own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

DEVSTACK = Path(__file__).resolve().parents[2] / "devstack"


@dataclass(frozen=True)
class Shell:
    """A place to run bash in: every directory that the scripts write to is below ``root``."""

    root: Path

    def environment(self, **extra: str) -> dict[str, str]:
        """Return the environment: the caller's PATH, our directories, no proxy but what *extra* sets."""
        own = {"DEST": "dest", "DATA": "data", "CONF_DIR": "etc", "RUN_DIR": "run", "LOG_DIR": "log"}
        return {
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            **{name: str(self.root / path) for name, path in own.items()},
            **extra,
        }

    def run(self, code: str, *parts: str, **extra: str) -> subprocess.CompletedProcess[str]:
        """Run *code* after sourcing *parts* of devstack/lib, as strictly as the scripts do."""
        sources = "".join(f". '{DEVSTACK}/lib/{part}.sh'\n" for part in ("paths", "terminal", *parts))
        return self.execute(["bash", "-c", f"set -euo pipefail\n{sources}{code}"], **extra)

    def execute(self, command: list[str], **extra: str) -> subprocess.CompletedProcess[str]:
        """Run *command* and return what came of it."""
        return subprocess.run(
            command, env=self.environment(**extra), capture_output=True, text=True, timeout=180, check=False
        )
