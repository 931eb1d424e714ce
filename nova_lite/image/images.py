"""Image records: create, list, change, delete, and taking data in.

Visibility and statuses are Glance's: https://docs.openstack.org/api-ref/image/v2/
"""

from __future__ import annotations

import datetime
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, delete, insert, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.db.models import Image, RemovedImage
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, new_id, now
from nova_lite.errors import Conflict, Forbidden, Invalid, NotFound
from nova_lite.image import inspection
from nova_lite.image.files import Files

LOG = logging.getLogger(__name__)

SIGN_OF_LIFE_S = 5.0
"""How often an upload under way touches its row."""

STALE_S = 60.0
"""After so long without a sign of life an upload counts as dead, and its image may be uploaded to again."""

_MOST_SWEPT = 500


@dataclass(frozen=True)
class Viewer:
    """Who looks: their project, and whether they see everybody's."""

    project_id: str | None
    is_admin: bool = False


@dataclass(frozen=True)
class Listing:
    """What to list and how. ``conditions`` are SQLAlchemy conditions on :class:`Image` made by the caller's filters.

    ``sort`` is (column name, ascending) pairs; ``id`` is added so that pages never overlap.
    """

    conditions: tuple[Any, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    hidden: bool = False
    sort: tuple[tuple[str, bool], ...] = (("created_at", False),)
    marker: str | None = None
    limit: int = 25


def create(store: Store, viewer: Viewer, values: JsonDict, image_id: str | None = None) -> Image:
    """Add a queued image. :raises Conflict: the id is taken."""
    image_id = image_id or new_id()

    def work(session: Session) -> Image:
        if session.get(Image, image_id) is not None or session.get(RemovedImage, image_id) is not None:
            raise Conflict(f"Image ID {image_id} already exists!", "image.duplicate")
        image = Image(id=image_id, owner=viewer.project_id, status="queued", created_at=now(), **values)
        image.updated_at = image.created_at
        session.add(image)
        return image

    return store.transact(work)


def visible_to(viewer: Viewer) -> Any:
    """Return the condition under which *viewer* may see an image by its id."""
    if viewer.is_admin:
        return Image.id.is_not(None)
    return or_(Image.owner == viewer.project_id, Image.visibility.in_(("public", "community")))


def get(session: Session, viewer: Viewer, image_id: str) -> Image:
    """Return an image. :raises NotFound: there is none that *viewer* may see."""
    image = session.scalar(select(Image).where(Image.id == image_id, visible_to(viewer)))
    if image is None:
        raise NotFound(f"No image found with ID {image_id}", "image.not_found")
    return image


def find(session: Session, viewer: Viewer, listing: Listing) -> list[Image]:
    """Return a page of images: own, public, and whatever the conditions ask for that *viewer* may see.

    :raises Invalid: the marker is not to be found.
    """
    query = select(Image).where(visible_to(viewer), *listing.conditions).where(Image.os_hidden.is_(listing.hidden))
    if not any("visibility" in str(condition) for condition in listing.conditions):
        # Community images are seen by their id or when asked for, not in everybody's list.
        own = Image.owner == viewer.project_id
        query = query.where(or_(own, Image.visibility != "community"))
    columns = [(getattr(Image, name), ascending) for name, ascending in listing.sort]
    if "id" not in [name for name, _ in listing.sort]:
        columns.append((Image.id, listing.sort[-1][1] if listing.sort else False))
    if listing.marker:
        query = query.where(_after(session, viewer, listing.marker, columns))
    query = query.order_by(*[column.asc() if ascending else column.desc() for column, ascending in columns])
    if not listing.properties and not listing.tags:
        return list(session.scalars(query.limit(listing.limit)))
    # Properties are a JSON document, whose operators differ between databases; the pages are filled here.
    return _matching(session.scalars(query), listing)


def _matching(images: Iterable[Image], listing: Listing) -> list[Image]:
    page: list[Image] = []
    for image in images:
        if all(str(image.properties.get(key)) == value for key, value in listing.properties.items()) and set(
            listing.tags
        ) <= set(image.tags):
            page.append(image)
            if len(page) == listing.limit:
                break
    return page


def _after(session: Session, viewer: Viewer, marker: str, columns: list[tuple[Any, bool]]) -> Any:
    try:
        row = get(session, viewer, marker)
    except NotFound:
        raise Invalid(f"Invalid marker: no image found with ID {marker}", "image.marker") from None
    steps = []
    for position, (column, ascending) in enumerate(columns):
        value = getattr(row, column.key)
        same = [earlier == getattr(row, earlier.key) for earlier, _ in columns[:position]]
        steps.append(and_(*same, column > value if ascending else column < value))
    return or_(*steps)


def change(store: Store, viewer: Viewer, image_id: str, apply: Any) -> Image:
    """Run *apply(image)* on the row in one transaction and return the row.

    :raises NotFound: *viewer* may not see it. :raises Forbidden: it is not theirs.
    """

    def work(session: Session) -> Image:
        image = get(session, viewer, image_id)
        _own(viewer, image)
        apply(image)
        image.updated_at = now()
        return image

    return store.transact(work)


def _own(viewer: Viewer, image: Image) -> None:
    if not viewer.is_admin and image.owner != viewer.project_id:
        raise Forbidden(
            f"You are not permitted to change image {image.id}: it belongs to another project.", "image.not_owner"
        )


def inline(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run *function* here: what a process without a hub gives for *offload*."""
    return function(*arguments)


def remove(store: Store, files: Files, viewer: Viewer, image_id: str, offload: Callable[..., Any] = inline) -> None:
    """Delete an image, first its row and then its file (what a crash leaves between, :func:`sweep` removes).

    A large file may take seconds to remove: *offload(function, *args)* does so off the server's hub.

    :raises Forbidden: it is protected, or another project's.
    """

    def work(session: Session) -> None:
        image = get(session, viewer, image_id)
        _own(viewer, image)
        if image.protected:
            raise Forbidden(f"Image {image_id} is protected and cannot be deleted.", "image.protected")
        discard(session, Image.id == image_id)

    store.transact(work)
    _remove_files(store, files, [image_id], offload)
    LOG.info("image=%s event=deleted", image_id)


def upload(store: Store, files: Files, viewer: Viewer, image_id: str, chunks: Iterable[bytes], offload: Any) -> Image:
    """Take an image's data in: mark it saving, write, inspect, make it active; or leave it queued as it was.

    *offload(function, *args)* runs the inspection off the server's hub.

    :raises Conflict: the image has data already, or another upload of it is alive.
    :raises nova_lite.image.inspection.FormatMismatch: the bytes are not what the image declares.
    """
    owner = f"{threading.get_ident()}-{new_id()}"
    image = store.transact(lambda session: _begin_upload(session, viewer, image_id, owner))
    try:
        written = files.write(image_id, _living(store, image_id, owner, chunks))
        try:
            facts = offload(inspection.inspect, written.path, image.disk_format, image.container_format)
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
            files.remove(image_id)
            raise Conflict(f"Image {image_id} was deleted or taken over while its data came.", "image.upload_lost")
    except BaseException:
        _end_upload(store, image_id, owner, {"status": "queued"})
        raise
    LOG.info("image=%s event=active bytes=%d", image_id, written.size)
    with store.read() as session:
        return get(session, viewer, image_id)


def _begin_upload(session: Session, viewer: Viewer, image_id: str, owner: str) -> Image:
    image = get(session, viewer, image_id)
    _own(viewer, image)
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
                raise Conflict(f"Image {image_id} was deleted or taken over while its data came.", "image.upload_lost")
        yield chunk


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


def _count(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
