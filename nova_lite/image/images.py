"""Image records: create, list, change, delete, and taking data in.

Visibility and statuses are Glance's: https://docs.openstack.org/api-ref/image/v2/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import Select

from nova_lite.db import paging
from nova_lite.db.models import Image, RemovedImage
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, new_id, now
from nova_lite.errors import Conflict, Forbidden, Invalid, NotFound


@dataclass(frozen=True)
class Viewer:
    """Who looks: their project, and whether they see everybody's."""

    project_id: str | None
    is_admin: bool = False


@dataclass(frozen=True)
class Listing:
    """What to list and how. ``conditions`` are SQLAlchemy conditions on :class:`Image` made by the caller's filters.

    ``sort`` is (column name, ascending) pairs; ``id`` is added so that pages never overlap. ``community``: other projects' community images
    too, which are otherwise seen by their id alone.
    """

    conditions: tuple[Any, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    hidden: bool = False
    sort: tuple[tuple[str, bool], ...] = (("created_at", False),)
    marker: str | None = None
    limit: int = 25
    community: bool = False


def create(store: Store, viewer: Viewer, values: JsonDict, image_id: str | None = None) -> Image:
    """Add a queued image. :raises Conflict: the id is taken."""
    image_id = image_id or new_id()

    def work(session: Session) -> Image:
        if session.get(Image, image_id) is not None or session.get(RemovedImage, image_id) is not None:
            raise _duplicate(image_id)
        image = Image(id=image_id, owner=viewer.project_id, status="queued", created_at=now(), **values)
        image.updated_at = image.created_at
        session.add(image)
        return image

    try:
        return store.transact(work)
    except IntegrityError as error:
        raise _duplicate(image_id) from error


def _duplicate(image_id: str) -> Conflict:
    return Conflict(f"Image ID {image_id} already exists!", "image.duplicate")


def visible_to(viewer: Viewer) -> Any:
    """Return the condition under which *viewer* may see an image by its id."""
    if viewer.is_admin:
        return Image.id.is_not(None)
    return or_(Image.owner == viewer.project_id, Image.visibility.in_(("public", "community")))


def get(session: Session, viewer: Viewer, image_id: str, *, locked: bool = False) -> Image:
    """Return an image; *locked*: as it is until the transaction ends. :raises NotFound: there is none that *viewer* may see."""
    query = select(Image).where(Image.id == image_id, visible_to(viewer))
    image = session.scalar(query.with_for_update() if locked else query)
    if image is None:
        raise NotFound(f"No image found with ID {image_id}", "image.not_found")
    return image


def find(session: Session, viewer: Viewer, listing: Listing) -> list[Image]:
    """Return a page of images: own, public, and whatever the conditions ask for that *viewer* may see.

    :raises Invalid: the marker is not to be found.
    """
    query = select(Image).where(visible_to(viewer), *listing.conditions).where(Image.os_hidden.is_(listing.hidden))
    if not listing.community:
        query = query.where(or_(Image.owner == viewer.project_id, Image.visibility != "community"))
    query = _from_marker(session, viewer, query, listing)
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


def _from_marker(session: Session, viewer: Viewer, query: Select[Any], listing: Listing) -> Select[Any]:
    """Sort *query*, and leave out all up to the listing's marker."""
    keys = [paging.order(getattr(Image, name), descending=not ascending) for name, ascending in listing.sort]
    if "id" not in [name for name, _ in listing.sort]:
        keys.append(paging.order(Image.id, descending=keys[-1].descending if keys else True))
    marker = None
    if listing.marker:
        marker = paging.position(session, keys, Image.id == listing.marker, visible_to(viewer))
        if marker is None:
            raise Invalid(f"Invalid marker: no image found with ID {listing.marker}", "image.marker")
    return paging.after(query, keys, marker)


def change(store: Store, viewer: Viewer, image_id: str, apply: Any) -> Image:
    """Run *apply(image)* on the row in one transaction and return the row.

    :raises NotFound: *viewer* may not see it. :raises Forbidden: it is not theirs.
    """

    def work(session: Session) -> Image:
        # Tags and properties are documents: of two changes at once the later would take the other's back.
        image = get(session, viewer, image_id, locked=True)
        check_own(viewer, image)
        apply(image)
        image.updated_at = now()
        return image

    return store.transact(work)


def check_own(viewer: Viewer, image: Image) -> None:
    """Do nothing if *viewer* may change *image*. :raises Forbidden: it is another project's."""
    if not viewer.is_admin and image.owner != viewer.project_id:
        raise Forbidden(
            f"You are not permitted to change image {image.id}: it belongs to another project.", "image.not_owner"
        )
