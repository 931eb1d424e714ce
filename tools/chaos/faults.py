"""What goes wrong beside death: a database that refuses commits, messages lost and doubled, a hypervisor that fails and hangs."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from death import Death

from nova_lite.bus import Bus
from nova_lite.db.store import Store
from nova_lite.errors import Unavailable
from nova_lite.host.fake import FakeNetworks
from nova_lite.host.network_state import HostState
from nova_lite.virt.fake import FakeDriver

LOOKS = ("capabilities", "inventory", "observe", "power", "stats", "console", "recover")
"""Driver calls that change nothing."""


@dataclass(frozen=True)
class Chances:
    """The parts of commits, messages and driver calls that go wrong."""

    refused: float = 0.0
    """Commits that the database refuses: nothing was written."""
    lost: float = 0.0
    """Commits during which the connection is lost: half of them went through."""
    unsent: float = 0.0
    dropped: float = 0.0
    doubled: float = 0.0
    """Messages that the broker does not take, that nobody gets, and that come twice."""
    failed: float = 0.0
    hung: float = 0.0
    """Driver calls that fail, and that are given up after ``hang_s``; half of each were carried out."""
    dies: float = 0.0
    """Seconds, at most, for which the hypervisor is away, again and again; 0: never."""
    hang_s: float = 0.3


NONE = Chances()


def watch_commits(store: Store, death: Death, chances: Chances, chance: random.Random) -> None:
    """Let the process die, or the commit fail, before and after each commit of *store*."""
    commit: Callable[[Any], None] = store.engine.dialect.do_commit
    database: Any = store.engine.dialect.import_dbapi()
    # SQLAlchemy tells by the driver's own error that the connection was lost: nobody then knows whether the commit went through.
    lost = sqlite3.ProgrammingError("Cannot operate on a closed database.")

    def lose(connection: Any) -> None:
        if store.backend == "sqlite":
            raise lost
        connection.dbapi_connection.close()
        commit(connection)
        raise AssertionError("a closed connection has committed")

    def do_commit(connection: Any) -> None:
        death.at("commit-before")
        drawn = chance.random()
        if drawn < chances.refused:
            raise database.OperationalError("disk I/O error")
        drawn -= chances.refused
        if drawn < chances.lost / 2:
            lose(connection)
        commit(connection)
        death.at("commit-after")
        if drawn < chances.lost:
            lose(connection)

    store.engine.dialect.do_commit = do_commit  # type: ignore[method-assign]


def disturb_messages(bus: Bus, chances: Chances, chance: random.Random) -> None:
    """Lose and double what *bus* casts, and refuse it as a broker that is away does."""
    cast = bus.cast

    def disturbed(topic: str, host: str | None = None, name: str = "wake") -> None:
        drawn = chance.random()
        if drawn < chances.unsent:
            raise Unavailable("the broker is away")
        drawn -= chances.unsent
        if drawn < chances.dropped:
            return
        cast(topic, host, name)
        if drawn < chances.dropped + chances.doubled:
            cast(topic, host, name)

    bus.cast = disturbed  # type: ignore[method-assign]


class MortalDriver(FakeDriver):
    """The fake driver in a process that may die before or after each change to a guest."""

    death: Death

    @contextmanager
    def _action(self, action: str, server_id: str = "") -> Iterator[None]:
        changes = action not in LOOKS
        if changes:
            self.death.at("driver-before", action)
        with super()._action(action, server_id):
            yield
            if changes:
                self.death.at("driver-after", action)

    def disturb(self, chances: Chances, chance: random.Random) -> None:
        """Let calls fail and hang from now on, and the hypervisor be away now and then."""
        self.faults.rate, self.faults.hang_rate, self.faults.hang_s = chances.failed, chances.hung, chances.hang_s
        self.faults.done_rate = 0.5
        if chances.dies > 0:
            threading.Thread(target=self._come_and_go, args=(chances.dies, chance), daemon=True).start()

    def _come_and_go(self, longest: float, chance: random.Random) -> None:
        while True:
            time.sleep(chance.uniform(0.1, 1.0))
            self.faults.unreachable = True
            time.sleep(chance.uniform(0, longest))
            self.faults.unreachable = False


class KeptNetworks(FakeNetworks):
    """Fake networks whose devices outlive the process, as real ones do: a file each in *directory*."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self._directory = directory
        directory.mkdir(exist_ok=True)

    def apply(self, state: HostState) -> None:
        try:
            super().apply(state)
        finally:
            for path in self._directory.iterdir():
                if path.name not in self.devices:
                    path.unlink(missing_ok=True)
            for port_id in self.devices:
                (self._directory / port_id).touch()
