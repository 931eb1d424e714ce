"""The host's row: what it has, what it can do, and that its agent lives."""

from __future__ import annotations

import dataclasses
import logging
import time
from typing import Any

from oslo_config import cfg
from sqlalchemy import func, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

import nova_lite
from nova_lite.compute import aggregates
from nova_lite.db.models import Host
from nova_lite.db.store import Store
from nova_lite.db.types import epoch, new_id, now
from nova_lite.virt.driver import KINDS, Capabilities, Driver, DriverError, Inventory

LOG = logging.getLogger(__name__)

FIRST_AGAIN_S = 10.0
"""After how long a host is asked again what it can do that can't run every kind: what runs one may just have been starting."""
LONGEST_AGAIN_S = 600.0


class Reporter:
    """Writes the host's row. What was claimed of it (``used_*``) and whether it is enabled are not the agent's to write."""

    def __init__(self, conf: cfg.ConfigOpts, store: Store, driver: Driver, host: str) -> None:
        self._conf = conf
        self._store = store
        self._driver = driver
        self._host = host
        self._capabilities: Capabilities | None = None
        self._again_in = FIRST_AGAIN_S
        self._again_at = 0.0

    def report(self) -> None:
        """Write what the host has now. A driver that does not answer leaves the row as it is, and the host falls silent."""
        try:
            capabilities = self._capabilities = self._able_to()
            inventory = self._driver.inventory()
        except DriverError as error:
            LOG.error("host=%s event=not-reported reason=%r", self._host, error.message)
            return
        values = self._values(capabilities, inventory)
        try:
            self._store.transact(lambda session: self._write(session, values))
        except IntegrityError:
            self._store.transact(lambda session: self._write(session, values))  # another agent's first report was first

    def _able_to(self) -> Capabilities:
        """Return what the host can do: asked once, and where a kind is missing again, more and more seldom."""
        known = self._capabilities
        if known is not None and (set(known.kinds) >= set(KINDS) or time.monotonic() < self._again_at):
            return known
        found = self._driver.capabilities()
        self._again_at = time.monotonic() + self._again_in
        self._again_in = min(2 * self._again_in, LONGEST_AGAIN_S)
        if known is not None and found.kinds != known.kinds:
            LOG.info("host=%s event=kinds-changed kinds=%s before=%s", self._host, found.kinds, known.kinds)
        return found

    def silence(self) -> None:
        """Say that the agent is leaving: the host counts as down at once."""
        self._store.transact(
            lambda session: session.execute(
                update(Host)
                .where(Host.name == self._host)
                .values(last_seen=0.0)
                .execution_options(synchronize_session=False)
            )
        )

    def _write(self, session: Session, values: dict[str, Any]) -> None:
        # The zone that an aggregate gives the host is stronger than its own.
        zone = func.coalesce(aggregates.zone_of(self._host), values["own_zone"])
        result = session.execute(
            update(Host)
            .where(Host.name == self._host)
            .values(updated_at=now(), availability_zone=zone, **values)
            .execution_options(synchronize_session=False)
        )
        assert isinstance(result, CursorResult)
        if not result.rowcount:
            session.add(Host(name=self._host, uuid=new_id(), availability_zone=values["own_zone"], **values))
            session.flush()

    def _values(self, capabilities: Capabilities, inventory: Inventory) -> dict[str, Any]:
        options = self._conf.compute
        return {
            "vcpus": inventory.vcpus,
            "memory_mb": inventory.memory_mb,
            "disk_gb": inventory.disk_gb,
            "reserved_memory_mb": options.reserved_memory_mb,
            "vcpus_ratio": options.vcpus_ratio,
            "memory_ratio": options.memory_ratio,
            "disk_ratio": options.disk_ratio,
            "own_zone": options.availability_zone,
            "kinds": list(capabilities.kinds),
            "traits": list(capabilities.traits),
            "capabilities": dataclasses.asdict(capabilities)
            | {"disk_free_gb": inventory.disk_free_gb, "tunnel_ip": self._tunnel_ip()},
            "address": options.address or ("127.0.0.1" if _is_embedded(self._conf) else None),
            "last_seen": epoch(),
            "version": nova_lite.__version__,
        }

    def _tunnel_ip(self) -> str | None:
        """Return where other hosts send what is for this host's guests; None: a host of fake guests has no tunnels."""
        if self._conf.compute.driver == "fake":
            return None
        from nova_lite.host.networks import tunnels

        return tunnels.local_address(self._conf)


def _is_embedded(conf: cfg.ConfigOpts) -> bool:
    """Tell whether everything runs in this process: the host is then reached by itself alone."""
    return str(conf.bus.transport_url).startswith("kombu+memory:")
