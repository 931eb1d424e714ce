"""Bring the database to the newest schema, and say where it stands.

The migrations are in ``alembic/`` at the repository's top, installed as ``share/nova_lite/alembic``. That directory must
never get an ``__init__.py``: it would hide the library of that name from whoever runs Python in the checkout.
Files are named ``<revision>_<slug>.py`` with a growing four-digit revision, so that the newest is known from their names: a
process that starts on a database at head neither imports alembic nor takes a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from oslo_config import cfg
from sqlalchemy import Connection, Engine, inspect, make_url, text

from nova_lite.conf import state_path
from nova_lite.db.store import Store, connect
from nova_lite.errors import Unavailable

LOG = logging.getLogger(__name__)

LOCK_WAIT_S = 120
_ADVISORY_KEY = 0x6E6F7661  # "nova"


def connection_url(conf: cfg.ConfigOpts) -> str:
    """Return the database's SQLAlchemy URL: ``[database] connection``, else SQLite below ``state_path``."""
    return str(conf.database.connection or f"sqlite:///{state_path(conf, 'nova-lite.db').absolute()}")


def open_store(conf: cfg.ConfigOpts) -> Store:
    """Open the configured database; an SQLite file that is not there yet is made, 0600."""
    url = connection_url(conf)
    _make_private(url)
    engine = connect(url, pool_size=conf.database.max_pool_size, max_overflow=conf.database.max_overflow)
    return Store(engine)


def _make_private(url: str) -> None:
    path = _sqlite_file(url)
    if path is None:
        return
    if not path.parent.exists():
        # Passable, as the guests' unprivileged user opens its disks below it; not readable.
        path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    # Also for a file that is there: -wal and -shm are made with the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)


def _sqlite_file(url: str) -> Path | None:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database)


def directory() -> Path:
    """Return the directory of the migrations.

    :raises FileNotFoundError: neither a checkout nor an installed package has one.
    """
    checkout = Path(__file__).resolve().parents[2] / "alembic"
    installed = Path(sysconfig.get_path("data")) / "share" / "nova_lite" / "alembic"
    for candidate in (checkout, installed):
        if (candidate / "env.py").is_file() and (candidate / "versions").is_dir():
            return candidate
    raise FileNotFoundError(f"There are no migrations in {checkout} or {installed}; install nova_lite again.")


def head() -> str:
    """Return the newest revision."""
    return max(entry.name.partition("_")[0] for entry in (directory() / "versions").glob("[0-9]*_*.py"))


def current(engine: Engine) -> str | None:
    """Return the revision that the database is at; None: nothing was ever applied."""
    with engine.connect() as connection:
        return _current(connection)


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if revision is None else str(revision)


def upgrade(engine: Engine) -> bool:
    """Apply what is missing; return whether there was anything.

    Safe when several processes do it at once (one works, the others wait and find it done) and when one dies half-way:
    SQLite and PostgreSQL roll back, on MariaDB each migration can be run again.

    :raises Unavailable: another process holds the lock for more than ``LOCK_WAIT_S`` seconds, or the database is at a
        revision that only a newer version of this program knows.
    :raises sqlalchemy.exc.SQLAlchemyError: the database refused.
    """
    wanted = head()
    if current(engine) == wanted:
        return False
    with _alone(engine):
        found = current(engine)
        if found == wanted:
            return False
        if found is not None and found > wanted:
            raise Unavailable(
                f"The database is at revision {found}, which this version does not know (its newest is {wanted}); "
                "install the version that the database was upgraded with.",
                "database.too_new",
            )
        LOG.info("database upgrade from=%s to=%s", found, wanted)
        _run_alembic(engine)
    return True


def _run_alembic(engine: Engine) -> None:
    from alembic.config import Config

    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(directory()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.connect().execution_options(nova_lite_write=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


@contextlib.contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Hold the lock that the database itself offers; it goes with the connection, so a dead holder blocks nobody."""
    backend = engine.url.get_backend_name()
    if backend == "sqlite":
        with _file_lock(_sqlite_file(engine.url.render_as_string(hide_password=False))):
            yield
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if backend == "postgresql":
            connection.execute(text(f"SET lock_timeout = '{LOCK_WAIT_S}s'"))
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_KEY})
            release = text("SELECT pg_advisory_unlock(:key)").bindparams(key=_ADVISORY_KEY)
        else:
            # MariaDB's named locks are the whole server's, so the name has the database in it (64 characters at most).
            name = f"nova_lite/{engine.url.database}"[:64]
            held = connection.execute(
                text("SELECT GET_LOCK(:name, :wait)"), {"name": name, "wait": LOCK_WAIT_S}
            ).scalar()
            if held != 1:
                raise Unavailable("Another process has been migrating the database for too long.")
            release = text("SELECT RELEASE_LOCK(:name)").bindparams(name=name)
        try:
            yield
        finally:
            connection.execute(release)
            if backend == "postgresql":
                connection.execute(text("RESET lock_timeout"))


@contextlib.contextmanager
def _file_lock(database: Path | None) -> Iterator[None]:
    if database is None:
        yield
        return
    with open(f"{database}.migrate", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
