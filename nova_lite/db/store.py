"""Engines and transactions: one way to read, one way to write.

Everything that changes state goes through :meth:`Store.transact`, which takes a function, so that a
deadlock or a lost connection is answered by running the whole transaction again.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from nova_lite.errors import Unavailable

LOG = logging.getLogger(__name__)
T = TypeVar("T")

ATTEMPTS = 8
SILENCE_S = 25
"""After how long a connection is lost whose server's host has gone without a word: by themselves, kernels wait for hours."""

_IDLE_S, _INTERVAL_S, _PROBES = 10, 5, 3
_SILENCE_POSTGRESQL = {
    "keepalives": 1,
    "keepalives_idle": _IDLE_S,
    "keepalives_interval": _INTERVAL_S,
    "keepalives_count": _PROBES,
    "tcp_user_timeout": SILENCE_S * 1000,
}
_SILENCE_TCP = {
    socket.TCP_KEEPIDLE: _IDLE_S,
    socket.TCP_KEEPINTVL: _INTERVAL_S,
    socket.TCP_KEEPCNT: _PROBES,
    socket.TCP_USER_TIMEOUT: SILENCE_S * 1000,
}
# Lock wait timeout, deadlock, record changed since last read; no such savepoint: a deadlock took the whole transaction.
_RETRIABLE_MYSQL = {1205, 1213, 1020, 1305}
_RETRIABLE_POSTGRESQL = {"40001", "40P01"}  # serialization failure, deadlock detected


def _dumps(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def connect(url: str, *, pool_size: int = 10, max_overflow: int = 20) -> Engine:
    """Make an engine for *url*, set up so that the three databases behave alike.

    SQLite: WAL, ``synchronous=FULL`` (nothing that was answered may be lost on a power failure), foreign
    keys, and transactions begun by us rather than by the driver. MariaDB: READ COMMITTED, as PostgreSQL
    has it, so that a compare-and-swap sees what others committed.
    """
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    arguments: dict[str, Any] = {"json_serializer": _dumps, "json_deserializer": orjson.loads}
    if backend == "sqlite":
        if parsed.database and parsed.database != ":memory:":
            arguments |= {"pool_size": pool_size, "max_overflow": max_overflow}
        arguments["connect_args"] = {"check_same_thread": False, "timeout": 15, "isolation_level": None}
    else:
        arguments |= {
            "pool_size": pool_size,
            "max_overflow": max_overflow,
            "pool_recycle": 1800,
            "pool_pre_ping": True,
            "isolation_level": "READ COMMITTED",
        }
        arguments["connect_args"] = {"connect_timeout": 5}
        if backend == "postgresql":
            arguments["connect_args"] |= _SILENCE_POSTGRESQL
    engine = create_engine(parsed, **arguments)
    if backend == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    if backend in ("mysql", "mariadb"):
        event.listen(engine, "connect", _notice_silence)
    return engine


def _notice_silence(dbapi_connection: Any, _record: Any) -> None:
    """Do for PyMySQL what ``_SILENCE_POSTGRESQL`` asks libpq for."""
    connected = dbapi_connection._sock
    if connected.family != socket.AF_UNIX:
        for option, value in _SILENCE_TCP.items():
            connected.setsockopt(socket.IPPROTO_TCP, option, value)


def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:
    cursor = dbapi_connection.cursor()
    # Pages are in the kernel's cache anyway, and each of the pool's connections has a cache of its own: 8 MB for each would be
    # most of the process's memory once the database has grown, and a look-up is no faster for it (7 us, either way).
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-2000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that will write says so at once: one that is upgraded in the middle fails with
    # SQLITE_BUSY whenever another has written meanwhile.
    writing = connection.get_execution_options().get("nova_lite_write")
    begin = "BEGIN IMMEDIATE" if writing else "BEGIN"
    try:
        # Past SQLAlchemy, which takes longer over it than over a query by key; each read and each write begins so.
        connection.connection.dbapi_connection.execute(begin)  # type: ignore[union-attr]
    except sqlite3.Error as error:
        raise OperationalError(begin, None, error) from error


_JOINED: ContextVar[tuple[Store, Connection] | None] = ContextVar("joined", default=None)
"""The transaction that :meth:`Store.together` holds open in this context, and whose it is."""


class Store:
    """The database as the rest of the system sees it.

    :param engine: from :func:`connect`.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.backend = engine.url.get_backend_name()
        # SQLite has one writer; waiting for it in a fair queue of our own beats its busy handler, which
        # sleeps ever longer.
        self._writer: contextlib.AbstractContextManager[Any] = (
            threading.Lock() if self.backend == "sqlite" else contextlib.nullcontext()
        )

    @contextlib.contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session to read in; what it returns stays usable after it is closed."""
        joined = self._joined()
        if joined is not None:
            with Session(
                joined, autoflush=False, expire_on_commit=False, join_transaction_mode="rollback_only"
            ) as session:
                yield session
            return
        with Session(self.engine, autoflush=False, expire_on_commit=False) as session:
            yield session

    def transact(self, work: Callable[[Session], T]) -> T:
        """Run *work* in one write transaction and commit it; return what it returned.

        *work* may run more than once (a deadlock, a lost connection before the commit), so it must keep
        its effects to the session. Whatever it raises rolls everything back.
        """
        joined = self._joined()
        if joined is not None:
            # A savepoint: what raises here takes back this part alone, as it would by itself.
            with Session(
                joined, autoflush=True, expire_on_commit=False, join_transaction_mode="create_savepoint"
            ) as session:
                result = work(session)
                session.commit()
                return result
        return self._retried(work)

    def together(self, work: Callable[[], T], last: Callable[[Session, T], None]) -> T:
        """Run *work*, with every :meth:`read` and :meth:`transact` in it, in one transaction that *last* ends.

        What *work* returned is given to *last* and returned. *work* may run more than once, as :meth:`transact` says; it
        must ask nobody else who writes, as SQLite's one writer is held all the while. Joins what runs in the same
        context only: other threads have their own transactions. Within another such transaction it is a part of that.
        """
        if self._joined() is not None:

            def part(session: Session) -> T:
                result = work()
                last(session, result)
                return result

            return self.transact(part)

        def whole(session: Session) -> T:
            mark = _JOINED.set((self, session.connection()))
            try:
                result = work()
            finally:
                _JOINED.reset(mark)
            last(session, result)
            return result

        return self._retried(whole)

    def _joined(self) -> Connection | None:
        joined = _JOINED.get()
        return joined[1] if joined is not None and joined[0] is self else None

    def _retried(self, work: Callable[[Session], T]) -> T:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(work)
            except DBAPIError as error:
                if attempt == ATTEMPTS or not _may_retry(error):
                    raise
                LOG.info("transaction retried attempt=%d reason=%s", attempt, type(error.orig).__name__)
                time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 (a delay is no secret)
        raise AssertionError("unreachable")

    def _once(self, work: Callable[[Session], T]) -> T:
        with self._writer, Session(self.engine, autoflush=True, expire_on_commit=False) as session:
            session.connection(execution_options={"nova_lite_write": True})
            result = work(session)
            session.flush()
            try:
                session.commit()
            except DBAPIError as error:
                if error.connection_invalidated:
                    # Nobody knows whether it was committed, so running it again could do it twice.
                    raise Unavailable("The database went away during a commit; look before asking again.") from error
                raise
            return result

    def ping(self) -> None:
        """Raise ``sqlalchemy.exc.DBAPIError`` when the database does not answer."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _may_retry(error: DBAPIError) -> bool:
    if error.connection_invalidated:
        return True
    code = getattr(error.orig, "pgcode", None)
    if code in _RETRIABLE_POSTGRESQL:
        return True
    arguments = getattr(error.orig, "args", ())
    if arguments and arguments[0] in _RETRIABLE_MYSQL:
        return True
    return isinstance(error, OperationalError) and "database is locked" in str(error.orig)
