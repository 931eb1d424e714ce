"""The fake driver: guests that are rows, with the rules of real ones and knobs for latency, faults and capacity.

It keeps the protocol's promises (idempotence, errors, power states) as the libvirt driver does, which
``tests/unit/virt/test_driver_protocol.py`` holds it to; what it leaves out is the guest. Guests are in memory, or in
a SQLite file, so that a process that is killed and started again finds them as an agent finds its host's.
"""

from __future__ import annotations

import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oslo_config import cfg

from nova_lite.compute.transitions import PowerState
from nova_lite.virt.driver import (
    CONTAINER,
    KINDS,
    Capabilities,
    DriverError,
    GuestNotFound,
    GuestSpec,
    Inventory,
    Observed,
    Stats,
)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS guests (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, power INTEGER NOT NULL, saved INTEGER NOT NULL,
    ours INTEGER NOT NULL, memory_mb INTEGER NOT NULL, vcpus INTEGER NOT NULL, disk_gb INTEGER NOT NULL,
    started_at REAL NOT NULL, console TEXT NOT NULL, nics TEXT NOT NULL
)
"""
_CONSOLE_CHARACTERS = 65_536


@dataclass
class Faults:
    """What goes wrong, to be changed at any time while the driver is in use.

    ``rate`` is the part of actions that raise ``DriverError``; ``actions`` narrows it to some (empty: all); ``next_errors``
    gives single calls their error: action → messages, taken from the front. ``after`` says that the fault comes
    when the work is done rather than before, as when an answer is lost. ``unreachable`` makes every call fail.
    """

    rate: float = 0.0
    actions: frozenset[str] = frozenset()
    next_errors: dict[str, list[str]] = field(default_factory=dict)
    after: bool = False
    unreachable: bool = False


@dataclass
class Latency:
    """Seconds that each action takes: ``base`` plus up to ``jitter``, or what ``actions`` says for one of them."""

    base: float = 0.0
    jitter: float = 0.0
    actions: dict[str, float] = field(default_factory=dict)


class FakeDriver:
    """A driver without a hypervisor. Safe to be used by many threads."""

    def __init__(
        self,
        *,
        capacity: Inventory | None = None,
        kinds: Sequence[str] = KINDS,
        latency: Latency | None = None,
        faults: Faults | None = None,
        database: Path | None = None,
        seed: int | None = None,
    ) -> None:
        """:param database: the SQLite file that keeps the guests; None: memory. :param seed: makes chance repeatable."""
        self.capacity = capacity or Inventory(vcpus=64, memory_mb=262_144, disk_gb=4096, disk_free_gb=4096)
        self.kinds = tuple(kinds)
        self.latency = latency or Latency()
        self.faults = faults or Faults()
        self.calls: list[tuple[str, str]] = []
        """(action, server id) of each call, oldest first."""
        self._random = random.Random(seed)  # noqa: S311 - chance for tests, not for secrets
        self._lock = threading.RLock()
        if database is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(database or ":memory:", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute(_SCHEMA)

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> FakeDriver:
        """Make the driver that ``[fake]`` describes."""
        options = conf.fake
        return cls(
            capacity=Inventory(options.vcpus, options.memory_mb, options.disk_gb, options.disk_gb),
            kinds=options.kinds,
            latency=Latency(options.latency, options.latency_jitter),
            faults=Faults(options.fault_rate, frozenset(options.faulty_actions)),
            database=Path(conf.state_path) / "fake-guests.db" if options.persist else None,
        )

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
            self._db.execute("DELETE FROM guests WHERE id = ?", (server_id,))

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

    # The protocol.

    def capabilities(self) -> Capabilities:
        """Say what the knobs say."""
        with self._action("capabilities"):
            return Capabilities(
                driver="fake",
                kinds=self.kinds,
                virt_type="fake",
                hypervisor_type="fake",
                hypervisor_version=1_000_000,
                arch="x86_64",
                cpu_model="fake",
                missing={kind: "left out by [fake] kinds" for kind in KINDS if kind not in self.kinds},
            )

    def inventory(self) -> Inventory:
        """Say what the knobs say, less the disks of the guests."""
        with self._action("inventory"), self._lock:
            used = self._db.execute("SELECT coalesce(sum(disk_gb), 0) FROM guests").fetchone()[0]
            whole = self.capacity
            return Inventory(whole.vcpus, whole.memory_mb, whole.disk_gb, max(whole.disk_free_gb - used, 0))

    def spawn(self, spec: GuestSpec) -> None:
        """Make the guest and run it."""
        with self._action("spawn", spec.server_id):
            self._run(spec)

    def destroy(self, server_id: str) -> None:
        """Remove the guest."""
        with self._action("destroy", server_id):
            self.lose(server_id)

    def start(self, spec: GuestSpec) -> None:
        """Run the guest."""
        with self._action("start", spec.server_id):
            self._run(spec)

    def stop(self, server_id: str, grace_s: float) -> None:
        """Stop the guest; it needs no grace."""
        with self._action("stop", server_id):
            self._row(server_id)
            self._set(server_id, power=PowerState.SHUTDOWN)

    def reboot(self, spec: GuestSpec, *, hard: bool, grace_s: float) -> None:
        """Stop the guest and run it from *spec*."""
        with self._action("reboot", spec.server_id):
            with contextlib.suppress(GuestNotFound):
                self._set(spec.server_id, power=PowerState.SHUTDOWN)
            self._run(spec)

    def pause(self, server_id: str) -> None:
        """Freeze a running guest."""
        with self._action("pause", server_id):
            self._need_active(server_id, "paused")
            self._set(server_id, power=PowerState.PAUSED)

    def unpause(self, server_id: str) -> None:
        """Let a frozen guest go on."""
        with self._action("unpause", server_id):
            self._need_active(server_id, "unpaused")
            self._set(server_id, power=PowerState.RUNNING)

    def suspend(self, server_id: str) -> None:
        """Save and stop the guest; freeze a container."""
        with self._action("suspend", server_id):
            row = self._row(server_id)
            if row["saved"]:
                return
            self._need_active(server_id, "suspended")
            if row["kind"] == CONTAINER:
                self._set(server_id, power=PowerState.PAUSED)
            else:
                self._set(server_id, power=PowerState.SHUTDOWN, saved=1)

    def resume(self, spec: GuestSpec) -> None:
        """Bring back what suspend put away."""
        with self._action("resume", spec.server_id):
            row = self._row(spec.server_id)
            if row["power"] == PowerState.RUNNING:
                return
            if row["power"] != PowerState.PAUSED and not row["saved"] and row["kind"] != CONTAINER:
                raise DriverError(f"guest {spec.server_id} has no saved memory; a hard reboot starts it anew")
            self._set(spec.server_id, power=PowerState.RUNNING, saved=0)

    def recover(self, spec: GuestSpec) -> PowerState:
        """Return the guest's power state; NOSTATE is none there."""
        with self._action("recover", spec.server_id):
            try:
                return PowerState(self._row(spec.server_id)["power"])
            except GuestNotFound:
                return PowerState.NOSTATE

    def observe(self) -> Sequence[Observed]:
        """List all guests."""
        with self._action("observe"), self._lock:
            rows = self._db.execute("SELECT * FROM guests ORDER BY id").fetchall()
        return [
            Observed(row["id"] if row["ours"] else None, row["name"], PowerState(row["power"]), row["kind"])
            for row in rows
        ]

    def power(self, server_id: str) -> PowerState:
        """Return one guest's power state."""
        with self._action("power", server_id):
            return PowerState(self._row(server_id)["power"])

    def stats(self, server_id: str) -> Stats:
        """Give figures that grow with time."""
        with self._action("stats", server_id):
            row = self._row(server_id)
            if row["power"] not in (PowerState.RUNNING, PowerState.PAUSED):
                raise GuestNotFound(f"guest {server_id} does not run")
            uptime = max(time.time() - row["started_at"], 0.0)
            nics = dict.fromkeys(row["nics"].split(), (0, 0))
            return Stats(int(uptime * 1e7), row["memory_mb"], uptime, nics, {})

    def console(self, server_id: str, limit: int) -> bytes:
        """Return the end of what the guest would have said: a line for each start."""
        with self._action("console", server_id):
            text = str(self._row(server_id)["console"]).encode()
            return text[-limit:] if limit > 0 else b""

    def _run(self, spec: GuestSpec) -> None:
        if spec.kind not in self.kinds:
            raise DriverError(f"guests of kind {spec.kind!r:.20} can't be run here")
        line = f"{spec.name}: started, command line {spec.command_line!r}\n"
        values = (
            spec.server_id,
            f"nl-{spec.server_id}",
            spec.kind,
            int(PowerState.RUNNING),
            spec.memory_mb,
            spec.vcpus,
        )
        nics = " ".join(nic.device for nic in spec.nics)
        with self._lock:
            self._db.execute(
                "INSERT INTO guests VALUES (?, ?, ?, ?, 0, 1, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "power = excluded.power, saved = 0, memory_mb = excluded.memory_mb, vcpus = excluded.vcpus, "
                "started_at = excluded.started_at, nics = excluded.nics, console = substr(console || excluded.console, ?) "
                "WHERE power NOT IN (?, ?)",
                (
                    *values,
                    spec.disk_gb,
                    time.time(),
                    line,
                    nics,
                    -_CONSOLE_CHARACTERS,
                    int(PowerState.RUNNING),
                    int(PowerState.PAUSED),
                ),
            )

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

    @contextlib.contextmanager
    def _action(self, action: str, server_id: str = "") -> Iterator[None]:
        """Take the action's time and have its fault, before or after the work."""
        with self._lock:
            self.calls.append((action, server_id))
            error = self._fault(action)
            wait = self.latency.actions.get(action, self.latency.base) + self._random.uniform(0, self.latency.jitter)
        if wait > 0:
            time.sleep(wait)
        if error is not None and not self.faults.after:
            raise DriverError(error)
        yield
        if error is not None:
            raise DriverError(error)

    def _fault(self, action: str) -> str | None:
        faults = self.faults
        if faults.unreachable:
            return "the fake hypervisor does not answer"
        if faults.next_errors.get(action):
            return faults.next_errors[action].pop(0)
        if (not faults.actions or action in faults.actions) and self._random.random() < faults.rate:
            return f"the fake hypervisor failed at {action}, as [fake] fault_rate asks"
        return None
