"""Take an image's data in: one upload at a time, found out about and taken over when it dies."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.db.models import Image
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, new_id, now
from nova_lite.errors import Conflict, Invalid
from nova_lite.image import images, inspection
from nova_lite.image.files import Files
from nova_lite.image.images import Viewer

LOG = logging.getLogger(__name__)

SIGN_OF_LIFE_S = 5.0
"""How often an upload under way touches its row."""

STALE_S = 60.0
"""After so long without a sign of life an upload counts as dead, and its image may be uploaded to again."""


def upload(store: Store, files: Files, viewer: Viewer, image_id: str, chunks: Iterable[bytes], offload: Any) -> Image:
    """Take an image's data in: mark it saving, write, inspect, make it active; or leave it queued as it was.

    *offload(function, *args)* runs off the server's hub what waits for the disk.

    :raises Conflict: the image has data already, or another upload of it is alive.
    :raises nova_lite.image.inspection.FormatMismatch: the bytes are not what the image declares.
    """
    owner = f"{threading.get_ident()}-{new_id()}"
    image = store.transact(lambda session: _begin_upload(session, viewer, image_id, owner))
    try:
        written = files.write(image_id, _living(store, image_id, owner, chunks))
        try:
            offload(files.settle, written)
            facts = offload(inspection.inspect, written.path, image.disk_format, image.container_format)
            # That may have taken so long that another upload has the image by now, and its file in place.
            if not _touch(store, image_id, owner, {}):
                raise _lost(image_id)
            # From here on, the file is there before the row says so; a crash between leaves the image saving,
            # which another upload may take over.
            offload(files.keep, image_id, written)
        except BaseException:
            files.drop(written)
            raise
        values = {
            "status": "active",
            "size": written.size,
            "virtual_size": facts.virtual_size,
            "checksum": written.md5,
            "os_hash_algo": "sha512",
            "os_hash_value": written.sha512,
        }
        if not _end_upload(store, image_id, owner, values):
            _remove_if_gone(store, files, image_id)
            raise _lost(image_id)
    except BaseException:
        _end_upload(store, image_id, owner, {"status": "queued"})
        raise
    LOG.info("image=%s event=active bytes=%d", image_id, written.size)
    with store.read() as session:
        return images.get(session, viewer, image_id)


def _begin_upload(session: Session, viewer: Viewer, image_id: str, owner: str) -> Image:
    image = images.get(session, viewer, image_id)
    images.check_own(viewer, image)
    if not image.disk_format or not image.container_format:
        raise Invalid("Image needs disk_format and container_format before its data.", "image.formats_missing")
    stale = image.status == "saving" and (now() - (image.updated_at or image.created_at)).total_seconds() > STALE_S
    if image.status != "queued" and not stale:
        raise Conflict(f"Image status transition from {image.status} to saving is not allowed", "image.wrong_status")
    result = session.execute(
        update(Image)
        .where(
            Image.id == image_id,
            Image.status == image.status,
            Image.upload_owner.is_not_distinct_from(image.upload_owner),
        )
        .values(status="saving", upload_owner=owner, updated_at=now())
        .execution_options(synchronize_session=False)
    )
    if not _count(result):
        raise Conflict(f"Another upload to image {image_id} has just begun.", "image.wrong_status")
    return image


def _living(store: Store, image_id: str, owner: str, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass *chunks* on, touching the row now and then so that others see that this upload is alive."""
    seen = time.monotonic()
    for chunk in chunks:
        if time.monotonic() - seen > SIGN_OF_LIFE_S:
            seen = time.monotonic()
            if not _touch(store, image_id, owner, {}):
                raise _lost(image_id)
        yield chunk


def _lost(image_id: str) -> Conflict:
    return Conflict(f"Image {image_id} was deleted or taken over while its data came.", "image.upload_lost")


def _remove_if_gone(store: Store, files: Files, image_id: str) -> None:
    """Remove the file of an image that was deleted meanwhile; where another upload has taken the image over, the file is that one's."""
    with store.read() as session:
        is_there = session.get(Image, image_id) is not None
    if not is_there:
        files.remove(image_id)


def _end_upload(store: Store, image_id: str, owner: str, values: JsonDict) -> bool:
    return _touch(store, image_id, owner, {**values, "upload_owner": None})


def _touch(store: Store, image_id: str, owner: str, values: JsonDict) -> bool:
    return store.transact(
        lambda session: bool(
            _count(
                session.execute(
                    update(Image)
                    .where(Image.id == image_id, Image.status == "saving", Image.upload_owner == owner)
                    .values(updated_at=now(), **values)
                    .execution_options(synchronize_session=False)
                )
            )
        )
    )


def _count(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
