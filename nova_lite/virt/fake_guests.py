"""The fake driver's guests: rows, with knobs for latency, faults and capacity, and what tests do to them."""

from __future__ import annotations

import contextlib
import json
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nova_lite.compute.traits import WORDS
from nova_lite.compute.transitions import PowerState
from nova_lite.virt import refusals
from nova_lite.virt.abilities import Change
from nova_lite.virt.driver import (
    KINDS,
    DriverError,
    DriverTimeout,
    DriverUnavailable,
    GuestNotFound,
    GuestSpec,
    Inventory,
)
from nova_lite.virt.waiting import GoOn

_SCHEMA = """
CREATE TABLE IF NOT EXISTS guests (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, power INTEGER NOT NULL, saved INTEGER NOT NULL,
    ours INTEGER NOT NULL, memory_mb INTEGER NOT NULL, vcpus INTEGER NOT NULL, disk_gb INTEGER NOT NULL,
    started_at REAL NOT NULL, console TEXT NOT NULL, nics TEXT NOT NULL
)
"""
_EXTRAS_SCHEMA = """
CREATE TABLE IF NOT EXISTS extras (id TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (id, name))
"""
_CONSOLE_CHARACTERS = 65_536
_CALLS = 2_000
_LOOK_S = 0.05


@dataclass
class Faults:
    """What goes wrong, to be changed at any time while the driver is in use.

    ``rate`` is the part of actions that raise ``DriverError``; ``hang_rate`` the part that get no answer: after ``hang_s``
    seconds they raise ``DriverTimeout``. ``actions`` narrows both to some (empty: all); ``next_errors``
    gives single calls their error: action → messages, taken from the front. ``after`` says that the fault comes
    when the work is done rather than before, as when an answer is lost; ``done_rate`` is the part of faults for which
    that is so. ``unreachable`` makes every call fail.
    """

    rate: float = 0.0
    hang_rate: float = 0.0
    hang_s: float = 1.0
    done_rate: float = 0.0
    actions: frozenset[str] = frozenset()
    next_errors: dict[str, list[str]] = field(default_factory=dict)
    after: bool = False
    unreachable: bool = False


@dataclass
class Latency:
    """Seconds that each action takes: ``base`` plus up to ``jitter``, or what ``actions`` says for one of them.

    ``copy``: what the copy of a disk takes besides, in the middle of its action.
    """

    base: float = 0.0
    jitter: float = 0.0
    actions: dict[str, float] = field(default_factory=dict)
    copy: float = 0.0


class FakeGuests:
    """The guests, in memory or in a SQLite file. Safe to be used by many threads."""

    def __init__(
        self,
        *,
        capacity: Inventory | None = None,
        kinds: Sequence[str] = KINDS,
        traits: Sequence[str] = tuple(WORDS),
        latency: Latency | None = None,
        faults: Faults | None = None,
        database: Path | None = None,
        seed: int | None = None,
    ) -> None:
        """:param database: the SQLite file that keeps the guests; None: memory. :param seed: makes chance repeatable."""
        self.capacity = capacity or Inventory(vcpus=64, memory_mb=262_144, disk_gb=4096, disk_free_gb=4096)
        self.kinds = tuple(kinds)
        self.traits = tuple(traits)
        self.latency = latency or Latency()
        self.faults = faults or Faults()
        self.calls: deque[tuple[str, str]] = deque(maxlen=_CALLS)
        """(action, server id) of the last calls, oldest first."""
        self._random = random.Random(seed)  # noqa: S311 - chance for tests, not for secrets
        self._lock = threading.RLock()
        self._watchers: list[Callable[[Change], None]] = []
        if database is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(database or ":memory:", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(_SCHEMA)
        self._db.execute(_EXTRAS_SCHEMA)

    def watch(self, tell: Callable[[Change], None]) -> Callable[[], None]:
        """Tell of each guest that starts, stops, dies or vanishes in this process, by us or behind our back."""
        with self._lock:
            self._watchers.append(tell)

        def leave() -> None:
            with self._lock:
                if tell in self._watchers:
                    self._watchers.remove(tell)

        return leave

    def _tell(self, server_id: str, power: PowerState | None) -> None:
        for tell in tuple(self._watchers):
            tell(Change(server_id, power))

    # What tests do to the host behind the driver's back.

    def crash(self, server_id: str) -> None:
        """End a guest as if it had crashed."""
        self._set(server_id, power=PowerState.CRASHED)

    def power_off(self, server_id: str) -> None:
        """End a guest as if it had shut down by itself."""
        self._set(server_id, power=PowerState.SHUTDOWN)

    def lose(self, server_id: str) -> None:
        """Forget a guest as if somebody had removed it by hand."""
        with self._lock:
            gone = self._db.execute("DELETE FROM guests WHERE id = ?", (server_id,)).rowcount
            self._forget_extras(server_id)
        if gone:
            self._tell(server_id, None)

    def reboot_host(self) -> None:
        """Stop every guest; memory that was saved to disk stays."""
        with self._lock:
            self._db.execute("UPDATE guests SET power = ?", (int(PowerState.SHUTDOWN),))

    def add_foreign(self, name: str) -> None:
        """Have a running guest that is none of ours."""
        with self._lock:
            self._db.execute(
                "INSERT INTO guests VALUES (?, ?, 'vm', ?, 0, 0, 64, 1, 1, ?, '', '')",
                (f"foreign-{name}", name, int(PowerState.RUNNING), time.time()),
            )

    def _run(self, spec: GuestSpec) -> None:
        if spec.kind not in self.kinds:
            raise DriverError(f"guests of kind {spec.kind!r:.20} can't be run here")
        values = (
            spec.server_id,
            f"nl-{spec.server_id}",
            spec.kind,
            int(PowerState.RUNNING),
            spec.memory_mb,
            spec.vcpus,
        )
        nics = " ".join(nic.device for nic in spec.nics)
        says = _boot_lines(spec)
        with self._at_once():
            self._db.execute(
                "INSERT INTO guests VALUES (?, ?, ?, ?, 0, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "power = excluded.power, saved = 0, memory_mb = excluded.memory_mb, vcpus = excluded.vcpus, "
                "started_at = excluded.started_at, nics = excluded.nics, console = substr(console || excluded.console, ?) "
                "WHERE power NOT IN (?, ?)",
                (
                    *values,
                    spec.disk_gb,
                    time.time(),
                    says,
                    nics,
                    -_CONSOLE_CHARACTERS,
                    int(PowerState.RUNNING),
                    int(PowerState.PAUSED),
                ),
            )
            if self._db.execute("SELECT changes()").fetchone()[0]:
                started = {
                    "maximum": refusals.live_maximum(spec),
                    "agent": refusals.has_agent(spec),
                    "screen": refusals.has_screen(spec),
                }
                self._keep(spec.server_id, "started", started)
                self._keep(spec.server_id, "rescue", None)
                self._keep_disks(spec)
                self._tell(spec.server_id, PowerState.RUNNING)

    def _keep_disks(self, spec: GuestSpec) -> None:
        """Have the disks beside the root one; of those that were there, the first start stays noted."""
        had = self._extra(spec.server_id, "disks") or {}
        made: dict[str, object] = {}
        for index, disk in enumerate(spec.disks.ephemerals):
            name = f"ephemeral{index}"
            since = had.get(name, {}).get("since") or time.time()
            made[name] = {"gb": disk.size_gb, "format": disk.format, "since": since}
        if spec.disks.swap_mb:
            made["swap"] = {"mb": spec.disks.swap_mb}
        self._keep(spec.server_id, "disks", made or None)

    def _extra(self, server_id: str, name: str) -> Any:
        """Return what is kept beside the guest under *name*, or None."""
        with self._lock:
            row = self._db.execute("SELECT value FROM extras WHERE id = ? AND name = ?", (server_id, name)).fetchone()
        return None if row is None else json.loads(row[0])

    def _keep(self, server_id: str, name: str, value: object) -> None:
        with self._lock:
            if value is None:
                self._db.execute("DELETE FROM extras WHERE id = ? AND name = ?", (server_id, name))
            else:
                self._db.execute("INSERT OR REPLACE INTO extras VALUES (?, ?, ?)", (server_id, name, json.dumps(value)))

    @contextlib.contextmanager
    def _at_once(self) -> Iterator[None]:
        """Have all that is written in between be there or nothing of it, whenever this process dies: a real guest starts or does not."""
        with self._lock:
            if self._db.in_transaction:
                yield
                return
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.rollback()
                raise
            self._db.commit()

    def _forget_extras(self, server_id: str) -> None:
        self._db.execute("DELETE FROM extras WHERE id = ?", (server_id,))

    def _row(self, server_id: str) -> sqlite3.Row:
        with self._lock:
            row = self._db.execute("SELECT * FROM guests WHERE id = ? AND ours", (server_id,)).fetchone()
        if row is None:
            raise GuestNotFound(f"there is no guest {server_id}")
        assert isinstance(row, sqlite3.Row)
        return row

    def _need_active(self, server_id: str, what: str) -> None:
        if self._row(server_id)["power"] not in (PowerState.RUNNING, PowerState.PAUSED):
            raise DriverError(f"guest {server_id} does not run, so it can't be {what}")

    def _set(self, server_id: str, *, power: PowerState, saved: int | None = None) -> None:
        with self._lock:
            self._row(server_id)
            self._db.execute(
                "UPDATE guests SET power = ?, saved = coalesce(?, saved) WHERE id = ?", (int(power), saved, server_id)
            )
        self._tell(server_id, power)

    @contextlib.contextmanager
    def _action(self, action: str, server_id: str = "") -> Iterator[None]:
        """Take the action's time and have its fault, before or after the work."""
        with self._lock:
            self.calls.append((action, server_id))
            error = self._fault(action)
            done = error is not None and self._is_done_all_the_same()
            wait = self.latency.actions.get(action, self.latency.base) + self._random.uniform(0, self.latency.jitter)
        if isinstance(error, DriverTimeout):
            wait = self.faults.hang_s
        if wait > 0:
            time.sleep(wait)
        if error is not None and not done:
            raise error
        yield
        if error is not None:
            raise error

    def _copy(self, go_on: GoOn) -> None:
        """Take the time of a copy, for as long as it is wanted."""
        end = time.monotonic() + self.latency.copy
        while (left := end - time.monotonic()) > 0:
            go_on()
            time.sleep(min(left, _LOOK_S))

    def _fault(self, action: str) -> DriverError | None:
        faults = self.faults
        if faults.unreachable:
            return DriverUnavailable("the fake hypervisor does not answer")
        if faults.next_errors.get(action):
            return DriverError(faults.next_errors[action].pop(0))
        if faults.actions and action not in faults.actions:
            return None
        drawn = self._random.random()
        if drawn < faults.rate:
            return DriverError(f"the fake hypervisor failed at {action}, as [fake] fault_rate asks")
        if drawn < faults.rate + faults.hang_rate:
            return DriverTimeout(f"the fake hypervisor hung at {action}, as [fake] hang_rate asks")
        return None

    def _is_done_all_the_same(self) -> bool:
        faults = self.faults
        return not faults.unreachable and (faults.after or self._random.random() < faults.done_rate)


def _boot_lines(spec: GuestSpec) -> str:
    """Return what a guest writes to its console as it starts; as real ones do, more than a line."""
    lines = [
        f"{spec.name}: started, command line {spec.command_line!r}",
        f"{spec.name}: {spec.kind} of image {spec.image.image_id}",
        f"{spec.name}: {spec.vcpus} vCPUs",
        f"{spec.name}: {spec.memory_mb} MiB of memory",
        f"{spec.name}: {spec.disk_gb} GiB of disk",
        *(f"{spec.name}: {disk.size_gb} GiB of ephemeral disk" for disk in spec.disks.ephemerals),
        *([f"{spec.name}: {spec.disks.swap_mb} MiB of swap"] if spec.disks.swap_mb else []),
        *(f"{spec.name}: {nic.mac} has {', '.join(nic.addresses) or 'no address'}" for nic in spec.nics),
        f"{spec.hostname} login:",
    ]
    return "".join(f"{line}\n" for line in lines)
