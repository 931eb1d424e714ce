"""The migrations, on each database for real."""

from __future__ import annotations

import multiprocessing
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, select, text

import nova_lite.conf
from nova_lite.db import migrate
from nova_lite.db.models import Base, Project
from nova_lite.db.models.identity import Domain
from nova_lite.db.store import Store, connect
from nova_lite.errors import Unavailable


def test_models_and_migrated_schema_agree(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": _same_type})
        assert compare_metadata(context, Base.metadata) == []


def _same_type(_context: object, inspected: object, _model: object, found: object, wanted: object) -> bool | None:
    # MariaDB's JSON is another name for LONGTEXT with a check.
    if "JSON" in repr(wanted) and "LONGTEXT" in repr(found):
        return False
    return None


def test_upgrade_says_whether_there_was_anything(empty: Store) -> None:
    assert migrate.current(empty.engine) is None
    assert migrate.upgrade(empty.engine) is True
    assert migrate.current(empty.engine) == migrate.head()
    assert migrate.upgrade(empty.engine) is False


def _upgrade(url: str, results: object) -> None:
    engine = connect(url)
    results.put(migrate.upgrade(engine))  # type: ignore[attr-defined]
    engine.dispose()


def test_processes_that_upgrade_at_once(database_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_upgrade, args=(database_url, results)) for _ in range(3)]
    for process in processes:
        process.start()
    done = [results.get(timeout=240) for _ in processes]
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    assert sorted(done) == [False, False, True]


def test_upgrade_that_was_cut_off_runs_again(empty: Store) -> None:
    """On MariaDB what was made stays; on the others nothing does. Both must go on from there."""
    with pytest.raises(Exception, match="cut off"):
        _cut_off(empty)
    with empty.engine.connect() as connection:
        left = inspect(connection).get_table_names()
    assert bool(left) == (empty.backend == "mysql")
    assert migrate.upgrade(empty.engine) is True
    with empty.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) >= set(Base.metadata.tables)


def _cut_off(store: Store) -> None:
    from sqlalchemy import event

    def interrupt(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if re.search(r"CREATE TABLE.* ports\b", statement):
            raise RuntimeError("cut off")

    event.listen(store.engine, "before_cursor_execute", interrupt)
    try:
        migrate.upgrade(store.engine)
    finally:
        event.remove(store.engine, "before_cursor_execute", interrupt)


def test_a_database_of_a_newer_version_is_left_alone(store: Store) -> None:
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Unavailable, match="at revision 9999"):
        migrate.upgrade(store.engine)
    assert migrate.current(store.engine) == "9999"


def test_names_compare_byte_by_byte(store: Store) -> None:
    def fill(session: object) -> None:
        session.add(Domain(id="default", name="Default"))  # type: ignore[attr-defined]
        session.flush()  # type: ignore[attr-defined]
        for name in ("demo", "Demo", "demo ", "démo", "🦀"):
            session.add(Project(id=name, domain_id="default", name=name))  # type: ignore[attr-defined]

    store.transact(fill)
    with store.read() as session:
        for name in ("demo", "Demo", "demo ", "démo", "🦀"):
            assert list(session.scalars(select(Project.id).where(Project.name == name))) == [name]


def test_downgrade_leaves_nothing(store: Store) -> None:
    from alembic.config import Config

    from alembic import command

    config = Config()
    config.set_main_option("script_location", str(migrate.directory()))
    config.set_main_option("path_separator", "os")
    with store.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        connection.commit()
    with store.engine.connect() as connection:
        assert set(inspect(connection).get_table_names()) == {"alembic_version"}
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 0


def test_start_at_head_is_quick_and_without_alembic(tmp_path: Path) -> None:
    engine = connect(f"sqlite:///{tmp_path}/x.db")
    migrate.upgrade(engine)
    program = (
        "import sys, time; from nova_lite.db import migrate; from nova_lite.db.store import connect\n"
        "begun = time.process_time(); engine = connect(sys.argv[1]); changed = migrate.upgrade(engine)\n"
        "print(changed, 'alembic' in sys.modules, time.process_time() - begun)"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, f"sqlite:///{tmp_path}/x.db"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert output[:2] == ["False", "False"]
    assert float(output[2]) < 0.3, "seconds of processor time"


def test_revisions_are_named_so_that_the_newest_is_known_from_the_file_names() -> None:
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(migrate.directory()))
    assert scripts.get_heads() == [migrate.head()]
    assert not (migrate.directory() / "__init__.py").exists()


def test_sqlite_below_the_state_path_is_private(tmp_path: Path) -> None:
    conf = nova_lite.conf.load([], {"state_path": str(tmp_path / "state")})
    assert migrate.connection_url(conf) == f"sqlite:///{tmp_path}/state/nova-lite.db"
    opened = migrate.open_store(conf)
    migrate.upgrade(opened.engine)
    for path in (tmp_path / "state").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    opened.close()
