"""What a kind of guest can't have is refused over the API, before anything begins, with what has it."""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

from typing import Any

import pytest
from compute_cloud import CONTAINER, IMAGE, UNIKERNEL, boot
from patient_cloud import cloud  # noqa: F401
from whole_cloud import WholeCloud

from nova_lite.compute import kinds
from nova_lite.db.models import Flavor, Image

IMAGES = {"vm": IMAGE, "unikernel": UNIKERNEL, "container": CONTAINER}
REFUSED: tuple[tuple[str, str, Any, int], ...] = (
    ("unikernel", "rescue", None, 400),
    ("unikernel", "unrescue", None, 400),
    ("unikernel", "changePassword", {"adminPass": "x"}, 409),
    ("container", "changePassword", {"adminPass": "x"}, 409),
    ("container", "trigger_crash_dump", None, 400),
    ("vm", "changePassword", {"adminPass": "x"}, 409),
)


@pytest.mark.parametrize(("kind", "name", "argument", "status"), REFUSED)
def test_what_a_kind_has_not_is_refused(cloud: WholeCloud, kind: str, name: str, argument: Any, status: int) -> None:
    server_id = cloud.boot(imageRef=IMAGES[kind])
    before = len(cloud.operations(server_id))
    reply = cloud.act(server_id, {name: argument}, status=status)
    (error,) = reply.json.values()
    assert kinds.refusal(name, kind, {}) in error["message"]
    assert f"Cannot '{name}' instance {server_id}, a {kind}: " in error["message"]
    assert len(cloud.operations(server_id)) == before
    assert cloud.server(server_id).task_state is None


def test_every_refusal_of_the_table_is_tried_here() -> None:
    tried = {(kind, name) for kind, name, _, _ in REFUSED}
    rows = [row for row in kinds.ROWS if not row.ability.startswith("console.")]
    assert {(kind, name) for row in rows for name in row.names for kind in row.refused} <= tried


def test_a_unikernel_is_not_resized_live(cloud: WholeCloud) -> None:
    flavor = Flavor(flavorid="l", name="l", vcpus=2, memory_mb=512, disk_gb=1, extra_specs={"nova_lite:live": "true"})
    cloud.store.transact(lambda session: session.add(flavor))
    server_id = cloud.boot(imageRef=UNIKERNEL)
    reply = cloud.act(server_id, {"resize": {"flavorRef": "l"}}, status=400)
    assert "resize it without nova_lite:live" in reply.json["badRequest"]["message"]
    # Stopped, it boots anew in any case.
    cloud.do(server_id, {"os-stop": None})
    assert cloud.do(server_id, {"resize": {"flavorRef": "l"}}).vm_state == "resized"


def test_an_isolation_that_there_is_not_is_refused(cloud: WholeCloud) -> None:
    flavor = Flavor(
        flavorid="v", name="v", vcpus=1, memory_mb=128, disk_gb=1, extra_specs={"nova_lite:isolation": "vm"}
    )
    cloud.store.transact(lambda session: session.add(flavor))
    reply = boot(cloud, imageRef=CONTAINER, flavorRef="v")
    assert reply.status_int == 400
    assert "there are: process" in reply.json["badRequest"]["message"]
    # Of the other kinds it says nothing.
    assert boot(cloud, imageRef=IMAGE, flavorRef="v").status_int == 202


def test_a_rebuild_does_not_change_the_isolation_to_one_that_there_is_not(cloud: WholeCloud) -> None:
    server_id = cloud.boot(imageRef=CONTAINER)

    def isolate(session: Any) -> None:
        session.get_one(Image, CONTAINER).properties = {"nova_lite_isolation": "vm"}

    cloud.store.transact(isolate)
    reply = cloud.act(server_id, {"rebuild": {"imageRef": CONTAINER}}, status=400)
    assert "there are: process" in reply.json["badRequest"]["message"]
