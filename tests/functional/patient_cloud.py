"""A cloud whose resizes wait for a word and whose shelved servers keep their host, until a test says otherwise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from whole_cloud import WholeCloud

from nova_lite.db.models import Migration


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path, **{"compute.resize_confirm_window": -1, "compute.shelved_offload_time": -1})
    made.agent()
    made.scheduler()
    yield made
    made.close()


def migrations(cloud: WholeCloud) -> list[str]:
    """Read the migrations' statuses."""
    with cloud.store.read() as session:
        return list(session.scalars(select(Migration.status).order_by(Migration.id)))


def size(cloud: WholeCloud, server_id: str) -> tuple[int, int]:
    """Read the vCPUs and MiB that the guest was given."""
    row = cloud.guest(server_id)
    return row["vcpus"], row["memory_mb"]
