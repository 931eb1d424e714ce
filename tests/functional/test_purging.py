"""A scheduler forgets what is old by itself, now and then."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update
from whole_cloud import WholeCloud

from nova_lite.db.models import Operation, Server
from nova_lite.db.types import now
from nova_lite.scheduler import service


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WholeCloud]:
    monkeypatch.setattr(service, "PURGE_EVERY_S", 0.1)
    made = WholeCloud(tmp_path, **{"database.keep_deleted_days": 7})
    yield made
    made.close()


def test_a_server_deleted_long_ago_is_forgotten_and_a_young_one_is_not(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    old, young = cloud.boot(), cloud.boot()
    for server_id in (old, young):
        cloud.act(server_id, {"forceDelete": None})
        cloud.until(lambda server_id=server_id: cloud.server(server_id).deleted)  # type: ignore[misc]
    before = now() - datetime.timedelta(days=8)
    cloud.store.transact(
        lambda session: session.execute(update(Server).where(Server.id == old).values(deleted_at=before))
    )

    def is_forgotten() -> bool:
        with cloud.store.read() as session:
            return session.get(Server, old) is None

    cloud.until(is_forgotten)
    assert cloud.operations(old) == []
    assert cloud.server(young).deleted
    with cloud.store.read() as session:
        assert session.query(Operation).filter_by(target_id=young).count() == 2
