"""The fake driver: guests that are rows, with the rules of real ones and knobs for latency, faults and capacity.

It keeps the protocol's promises (idempotence, errors, power states) as the libvirt driver does, which
``tests/unit/virt/test_driver_protocol.py`` holds it to; what it leaves out is the guest. Guests are in memory, or in
a SQLite file, so that a process that is killed and started again finds them as an agent finds its host's.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

from oslo_config import cfg

from nova_lite.compute.traits import WORDS
from nova_lite.compute.transitions import PowerState
from nova_lite.virt import refusals
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
from nova_lite.virt.fake_abilities import FakeAbilities
from nova_lite.virt.fake_guests import Faults, Latency

__all__ = ["FakeDriver", "Faults", "Latency"]


class FakeDriver(FakeAbilities):
    """A driver without a hypervisor. Safe to be used by many threads."""

    @classmethod
    def from_conf(cls, conf: cfg.ConfigOpts) -> FakeDriver:
        """Make the driver that ``[fake]`` describes."""
        options = conf.fake
        return cls(
            capacity=Inventory(options.vcpus, options.memory_mb, options.disk_gb, options.disk_gb),
            kinds=options.kinds,
            traits=[name for name in WORDS if name not in options.lacking_traits],
            latency=Latency(options.latency, options.latency_jitter),
            faults=Faults(
                options.fault_rate,
                options.hang_rate,
                options.hang_seconds,
                actions=frozenset(options.faulty_actions),
            ),
            database=Path(conf.state_path) / "fake-guests.db" if options.persist else None,
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
                missing={
                    **{kind: "left out by [fake] kinds" for kind in KINDS if kind not in self.kinds},
                    **refusals.missing(self.kinds),
                },
                traits=self.traits,
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
            kept = self._extra(server_id, "console")
            try:
                text = (kept or "") + str(self._row(server_id)["console"])
            except GuestNotFound:
                if kept is None:
                    raise
                text = str(kept)
            return text.encode()[-limit:] if limit > 0 else b""
