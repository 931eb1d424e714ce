"""A long image fetch does not hold up what waits for it: a delete, a soft delete's stop, the end of the agent."""

from __future__ import annotations

import hashlib
import io
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute_cloud import IMAGE, KERNEL, ask, boot
from sqlalchemy import update
from whole_cloud import WholeCloud

from nova_lite.db.models import Allocation, Image
from nova_lite.host.images import HostImages

SIZE = 1 << 30
"""At a MiB each 0.2 s this takes more than three minutes."""


class SlowSource:
    """An image store behind a slow line."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.quick: tuple[str, ...] = (KERNEL,)

    def open(self, image_id: str) -> Any:
        if image_id in self.quick:
            return io.BytesIO(bytes(1000))
        self.opened.set()
        return self

    def fileno(self) -> int:
        raise AttributeError("no descriptor, so nothing to clone")

    def __enter__(self) -> SlowSource:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def read(self, size: int) -> bytes:
        time.sleep(0.2)
        return bytes(size)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[WholeCloud]:
    made = WholeCloud(tmp_path, **{"compute.stop_timeout": 0.3, "compute.reclaim_instance_interval": 0})
    made.source = SlowSource()  # type: ignore[attr-defined]
    made.images = HostImages(made.conf, made.source)  # type: ignore[assignment, attr-defined]
    digest = hashlib.sha512(bytes(1000)).hexdigest()
    made.store.transact(lambda session: session.execute(update(Image).values(os_hash_value=digest)))
    large = update(Image).where(Image.id == IMAGE).values(size=SIZE, disk_format="raw")
    made.store.transact(lambda session: session.execute(large))
    yield made
    made.close()


def fetching(cloud: WholeCloud) -> str:
    reply = boot(cloud)
    assert reply.status_int == 202, reply.text
    assert cloud.source.opened.wait(60)  # type: ignore[attr-defined]
    cloud.source.opened.clear()  # type: ignore[attr-defined]
    return str(reply.json["server"]["id"])


def drafts(cloud: WholeCloud) -> list[Path]:
    return list((cloud.directory / "cache").glob(".new-*"))


def test_a_delete_ends_the_fetch_of_its_server(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    server_id = fetching(cloud)
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert drafts(cloud) == []
    assert [(row.action, row.state) for row in cloud.operations(server_id)] == [
        ("create", "cancelled"),
        ("delete", "done"),
    ]
    with cloud.store.read() as session:
        assert session.query(Allocation).count() == 0


def test_a_delete_ends_the_wait_for_a_fetch_of_another_server(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    first = fetching(cloud)
    reply = boot(cloud)
    second = reply.json["server"]["id"]
    cloud.until(lambda: cloud.server(second).host is not None)
    time.sleep(0.3)
    assert ask(cloud, "DELETE", f"/servers/{second}").status_int == 204
    cloud.until(lambda: cloud.server(second).deleted)
    assert cloud.server(first).vm_state == "building"
    assert len(drafts(cloud)) == 1


def test_an_agent_that_is_stopped_hands_the_fetch_back_and_leaves_nothing_half_done(cloud: WholeCloud) -> None:
    agent = cloud.agent()
    cloud.scheduler()
    server_id = fetching(cloud)
    began = time.monotonic()
    agent.stop()
    assert time.monotonic() - began < 60
    (work,) = cloud.operations(server_id)
    assert (work.state, work.owner) == ("pending", None)
    cloud.until(lambda: drafts(cloud) == [])
    cloud._agents.remove(agent)
    cloud.agent()
    assert cloud.source.opened.wait(60)  # type: ignore[attr-defined]


def test_a_delete_ends_the_fetch_of_a_rebuild(cloud: WholeCloud) -> None:
    cloud.agent()
    cloud.scheduler()
    small = update(Image).where(Image.id == IMAGE).values(size=1000)
    cloud.store.transact(lambda session: session.execute(small))
    source: SlowSource = cloud.source  # type: ignore[attr-defined]
    source.quick = (KERNEL, IMAGE)
    server_id = cloud.boot()
    source.quick = (KERNEL,)
    large = update(Image).where(Image.id == IMAGE).values(size=SIZE)
    cloud.store.transact(lambda session: session.execute(large))
    shutil.rmtree(cloud.directory / "cache")
    assert ask(cloud, "POST", f"/servers/{server_id}/action", {"rebuild": {"imageRef": IMAGE}}).status_int == 202
    assert source.opened.wait(60)
    assert ask(cloud, "DELETE", f"/servers/{server_id}").status_int == 204
    cloud.until(lambda: cloud.server(server_id).deleted)
    assert [(row.action, row.state) for row in cloud.operations(server_id)][1:] == [
        ("rebuild", "cancelled"),
        ("delete", "done"),
    ]
