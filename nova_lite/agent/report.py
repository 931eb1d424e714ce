"""The host's row: what it has, what it can do, and that its agent lives."""

from __future__ import annotations

import dataclasses
import logging
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
from nova_lite.virt.driver import Capabilities, Driver, DriverError, Inventory

LOG = logging.getLogger(__name__)


class Reporter:
    """Writes the host's row. What was claimed of it (``used_*``) and whether it is enabled are not the agent's to write."""

    def __init__(self, conf: cfg.ConfigOpts, store: Store, driver: Driver, host: str) -> None:
        self._conf = conf
        self._store = store
        self._driver = driver
        self._host = host
        self._capabilities: Capabilities | None = None

    def report(self) -> None:
        """Write what the host has now. A driver that does not answer leaves the row as it is, and the host falls silent."""
        try:
            if self._capabilities is None:
                self._capabilities = self._driver.capabilities()
            inventory = self._driver.inventory()
        except DriverError as error:
            LOG.error("host=%s event=not-reported reason=%r", self._host, error.message)
            return
        values = self._values(self._capabilities, inventory)
        try:
            self._store.transact(lambda session: self._write(session, values))
        except IntegrityError:
            self._store.transact(lambda session: self._write(session, values))  # another agent's first report was first

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
