"""A service's sign of life in the ``services`` table (agents have theirs in ``hosts``)."""

from __future__ import annotations

import logging
import threading

from sqlalchemy import delete, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

import nova_lite
from nova_lite.db.models import Service
from nova_lite.db.store import Store
from nova_lite.db.types import epoch, new_id, now

LOG = logging.getLogger(__name__)

KEEP_S = 86_400.0
"""Rows of services that have not been heard of for this long are removed."""


class Presence:
    """Says every *interval* seconds that *binary* (``nova-conductor``'s kind of name) lives on *host*."""

    def __init__(self, store: Store, binary: str, host: str, interval: float) -> None:
        self._store = store
        self._binary = binary
        self._host = host
        self._interval = interval
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"presence-{binary}", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End, and be seen as down at once."""
        self._stopping.set()
        if self._thread.ident is None:
            return  # it was never begun
        self._thread.join(2.0)
        try:
            self._store.transact(lambda session: self._write(session, 0.0))
        except Exception as error:
            LOG.warning("service=%s event=not-silenced reason=%r", self._binary, str(error))

    def _run(self) -> None:
        while True:
            try:
                self._store.transact(lambda session: self._write(session, epoch()))
            except Exception as error:
                LOG.warning("service=%s event=not-reported reason=%r", self._binary, str(error))
            if self._stopping.wait(self._interval):
                return

    def _write(self, session: Session, seen: float) -> None:
        mine = (Service.binary == self._binary, Service.host == self._host)
        options = {"synchronize_session": False}
        result = session.execute(
            update(Service)
            .where(*mine)
            .values(last_seen=seen, version=nova_lite.__version__, updated_at=now())
            .execution_options(**options)
        )
        assert isinstance(result, CursorResult)
        if not result.rowcount:
            session.add(
                Service(
                    uuid=new_id(),
                    binary=self._binary,
                    host=self._host,
                    last_seen=seen,
                    version=nova_lite.__version__,
                )
            )
            session.execute(delete(Service).where(Service.last_seen < epoch() - KEEP_S).execution_options(**options))
