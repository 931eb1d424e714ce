"""Remove images: the row first, then the file, which is remembered until it is gone."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from nova_lite.db.models import Image, RemovedImage
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.errors import Forbidden
from nova_lite.image import images
from nova_lite.image.files import Files
from nova_lite.image.images import Viewer
from nova_lite.image.uploads import STALE_S

LOG = logging.getLogger(__name__)

_MOST_SWEPT = 500
"""Files that one sweep removes at most."""


def inline(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run *function* here: what a process without a hub gives for *offload*."""
    return function(*arguments)


def remove(store: Store, files: Files, viewer: Viewer, image_id: str, offload: Callable[..., Any] = inline) -> None:
    """Delete an image, first its row and then its file (what a crash leaves between, :func:`sweep` removes).

    A large file may take seconds to remove: *offload(function, *args)* does so off the server's hub.

    :raises Forbidden: it is protected, or another project's.
    """

    def work(session: Session) -> None:
        image = images.get(session, viewer, image_id, locked=True)
        images.check_own(viewer, image)
        if image.protected:
            raise Forbidden(f"Image {image_id} is protected and cannot be deleted.", "image.protected")
        discard(session, Image.id == image_id)

    store.transact(work)
    _remove_files(store, files, [image_id], offload)
    LOG.info("image=%s event=deleted", image_id)


def discard(session: Session, *conditions: Any) -> None:
    """Delete the images that fit, in the caller's transaction; their files go when :func:`sweep` comes."""
    found = list(session.scalars(select(Image.id).where(*conditions).with_for_update()))
    if found:
        session.execute(delete(Image).where(Image.id.in_(found)).execution_options(synchronize_session=False))
        session.execute(insert(RemovedImage), [{"id": image_id, "created_at": now()} for image_id in found])


def sweep(store: Store, files: Files, older_than_s: float = STALE_S, offload: Callable[..., Any] = inline) -> int:
    """Remove the files of images that are gone, and what was left of uploads that died; return how many there were.

    An upload that is under way when its image goes finds out within some seconds, so only what went *older_than_s* ago is looked for.

    A file that belongs to no image, for a reason that the database does not know, is left alone; the doctor tells of it.
    """
    went = RemovedImage.created_at <= now() - datetime.timedelta(seconds=older_than_s)
    with store.read() as session:
        gone = list(
            session.scalars(select(RemovedImage.id).where(went).order_by(RemovedImage.created_at).limit(_MOST_SWEPT))
        )
    removed = _remove_files(store, files, gone, offload)
    unfinished = list(files.unfinished(time.time() - 10 * STALE_S))
    for path in unfinished:
        LOG.warning("event=unfinished-upload-removed file=%s", path.name)
        offload(path.unlink, True)
    return removed + len(unfinished)


def _remove_files(store: Store, files: Files, image_ids: list[str], offload: Callable[..., Any]) -> int:
    """Remove files and forget their images; one that can't be removed stays remembered, and keeps no other."""
    gone = []
    for image_id in image_ids:
        try:
            offload(files.remove, image_id)
        except OSError as error:
            LOG.error("image=%s event=file-not-removed reason=%r (it is tried again)", image_id, str(error))
        else:
            gone.append(image_id)
    if gone:
        done = delete(RemovedImage).where(RemovedImage.id.in_(gone))
        store.transact(lambda session: session.execute(done.execution_options(synchronize_session=False)))
        LOG.info("event=image-files-removed images=%d first=%s", len(gone), gone[0])
    return len(gone)
