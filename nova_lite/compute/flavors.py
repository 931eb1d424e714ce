"""Flavors: sizes that servers come in, with extra specs and who may use those that are not public."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, bindparam, or_, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement, Select

from nova_lite.compute import projects
from nova_lite.db import paging
from nova_lite.db.models import Flavor, FlavorAccess
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, now
from nova_lite.errors import Conflict, Invalid, NotFound

SORT_COLUMNS = {
    "created_at": Flavor.created_at,
    "description": Flavor.description,
    "disabled": Flavor.disabled,
    "ephemeral_gb": Flavor.ephemeral_gb,
    "flavorid": Flavor.flavorid,
    "id": Flavor.id,
    "is_public": Flavor.is_public,
    "memory_mb": Flavor.memory_mb,
    "name": Flavor.name,
    "root_gb": Flavor.disk_gb,
    "rxtx_factor": Flavor.rxtx_factor,
    "swap": Flavor.swap_mb,
    "updated_at": Flavor.updated_at,
    "vcpus": Flavor.vcpus,
}


@dataclass(frozen=True)
class NewFlavor:
    """What a flavor is made of; ``flavorid`` None: a random one. Sizes are MiB (memory, swap) and GiB."""

    name: str
    memory_mb: int
    vcpus: int
    disk_gb: int
    flavorid: str | None = None
    ephemeral_gb: int = 0
    swap_mb: int = 0
    rxtx_factor: float = 1.0
    is_public: bool = True
    description: str | None = None


@dataclass(frozen=True)
class Listing:
    """One listing. ``project_id`` None: an admin. ``is_public`` None: public or not."""

    project_id: str | None
    is_public: bool | None = True
    min_memory_mb: int = 0
    min_disk_gb: int = 0
    sort: Sequence[tuple[str, bool]] = (("flavorid", False),)
    limit: int | None = None
    marker: str | None = None


def _allowed(project_id: Any) -> list[ColumnElement[bool]]:
    if project_id is None:
        return []
    granted = select(FlavorAccess.flavor_id).where(FlavorAccess.project_id == project_id)
    return [or_(Flavor.is_public.is_(True), Flavor.id.in_(granted))]


def not_found(flavorid: str) -> NotFound:
    """Make the error that says that there is no such flavor."""
    return NotFound(f"Flavor {flavorid} could not be found.", "flavor.not_found")


# Made once: to make a statement anew takes longer than to run it.
_ANY = select(Flavor).where(Flavor.flavorid == bindparam("wanted"))
_ALLOWED = _ANY.where(*_allowed(bindparam("of_project")))


def read(session: Session, flavorid: str, project_id: str | None) -> Flavor:
    """Return a flavor that *project_id* may use (None: any). :raises NotFound: there is none."""
    values = {"wanted": flavorid, "of_project": project_id}
    row = session.scalar(_ANY if project_id is None else _ALLOWED, values)
    if row is None:
        raise not_found(flavorid)
    return row


def get(store: Store, flavorid: str, project_id: str | None) -> Flavor:
    """See :func:`read`."""
    with store.read() as session:
        return read(session, flavorid, project_id)


def find(store: Store, listing: Listing) -> list[Flavor]:
    """List the flavors that *listing* asks for. :raises Invalid: its marker is not there."""
    sort = tuple(listing.sort)
    values = {
        "of_project": listing.project_id,
        "is_public": listing.is_public,
        "min_memory_mb": listing.min_memory_mb,
        "min_disk_gb": listing.min_disk_gb,
        "most": listing.limit if listing.limit is not None else _MOST,
    }
    with store.read() as session:
        if listing.marker is None:
            query = _first_page(listing.project_id is not None, listing.is_public is not None, sort)
        else:
            keys = _keys(sort)
            marker = paging.position(session, keys, Flavor.flavorid == listing.marker)
            if marker is None:
                raise Invalid(f"marker [{listing.marker}] not found", "flavor.bad_marker")
            query = _query(listing.project_id is not None, listing.is_public is not None)
            query = paging.after(query, keys, marker)
        return list(session.scalars(query, values))


_MOST = 1_000_000


def _keys(sort: tuple[tuple[str, bool], ...]) -> list[paging.Order]:
    keys = [paging.order(SORT_COLUMNS[name], descending=descending) for name, descending in sort]
    return [*keys, paging.order(Flavor.id, descending=bool(sort) and sort[-1][1])]


def _query(of_project: bool, by_public: bool) -> Select[Any]:
    query = select(Flavor).where(
        Flavor.disabled.is_(False),
        Flavor.memory_mb >= bindparam("min_memory_mb"),
        Flavor.disk_gb >= bindparam("min_disk_gb"),
    )
    if of_project:
        query = query.where(*_allowed(bindparam("of_project")))
    elif by_public:
        query = query.where(Flavor.is_public == bindparam("is_public"))
    return query.limit(bindparam("most", type_=Integer))


@functools.lru_cache(maxsize=64)
def _first_page(of_project: bool, by_public: bool, sort: tuple[tuple[str, bool], ...]) -> Select[Any]:
    """Make the statement of what nearly every client asks for; kept, as to make it takes longer than to run it."""
    return paging.after(_query(of_project, by_public), _keys(sort), None)


def create(store: Store, new: NewFlavor) -> Flavor:
    """Make a flavor. :raises Conflict: its id or its name is taken."""
    flavorid = new.flavorid or str(uuid.uuid4())

    def work(session: Session) -> Flavor:
        taken = session.execute(
            select(Flavor.flavorid, Flavor.name).where(or_(Flavor.flavorid == flavorid, Flavor.name == new.name))
        ).first()
        if taken is not None:
            raise _taken(taken.flavorid == flavorid, flavorid, new.name)
        row = Flavor(
            flavorid=flavorid,
            name=new.name,
            vcpus=new.vcpus,
            memory_mb=new.memory_mb,
            disk_gb=new.disk_gb,
            ephemeral_gb=new.ephemeral_gb,
            swap_mb=new.swap_mb,
            rxtx_factor=new.rxtx_factor,
            is_public=new.is_public,
            description=new.description,
            extra_specs={},
        )
        session.add(row)
        session.flush()
        return row

    try:
        return store.transact(work)
    except IntegrityError as error:
        raise _taken(True, flavorid, new.name) from error


def _taken(by_id: bool, flavorid: str, name: str) -> Conflict:
    if by_id:
        return Conflict(f"Flavor with ID {flavorid} already exists.", "flavor.id_taken")
    return Conflict(f"Flavor with name {name} already exists.", "flavor.name_taken")


def describe(store: Store, flavorid: str, description: str | None) -> Flavor:
    """Set a flavor's description. :raises NotFound: there is no such flavor."""

    def work(session: Session) -> Flavor:
        row = _locked(session, flavorid)
        row.description = description
        row.updated_at = now()
        return row

    return store.transact(work)


def delete(store: Store, flavorid: str) -> None:
    """Delete a flavor; servers keep their copy of it. :raises NotFound: there is no such flavor."""

    def work(session: Session) -> None:
        row = _locked(session, flavorid)
        session.execute(sql_delete(FlavorAccess).where(FlavorAccess.flavor_id == row.id))
        session.execute(sql_delete(Flavor).where(Flavor.id == row.id))

    store.transact(work)


def _locked(session: Session, flavorid: str) -> Flavor:
    row = session.scalar(select(Flavor).where(Flavor.flavorid == flavorid).with_for_update())
    if row is None:
        raise not_found(flavorid)
    return row


def change_specs(store: Store, flavorid: str, change: Callable[[dict[str, str]], Mapping[str, str]]) -> dict[str, str]:
    """Replace a flavor's extra specs by what *change* makes of them; return the new ones.

    :raises NotFound: there is no such flavor (or *change* says that there is no such key).
    """

    def work(session: Session) -> dict[str, str]:
        row = _locked(session, flavorid)
        row.extra_specs = dict(change(dict(row.extra_specs)))
        row.updated_at = now()
        return dict(row.extra_specs)

    return store.transact(work)


def access(store: Store, flavorid: str) -> list[str]:
    """List the projects that may use a flavor that is not public.

    :raises NotFound: there is no such flavor, or it is public.
    """
    with store.read() as session:
        row = read(session, flavorid, None)
        if row.is_public:
            raise NotFound("Access list not available for public flavors.", "flavor.public")
        return _projects(session, row.id)


def _projects(session: Session, identifier: int) -> list[str]:
    query = select(FlavorAccess.project_id).where(FlavorAccess.flavor_id == identifier)
    return list(session.scalars(query.order_by(FlavorAccess.project_id)))


def grant(store: Store, flavorid: str, project_id: str, *, of_public: bool = False) -> list[str]:
    """Let a project use a flavor; return all that may. *of_public*: even one that everybody may use.

    :raises Conflict: it may already, or the flavor is public. :raises Invalid: there is no such project.
    """

    def work(session: Session) -> list[str]:
        projects.check_project(session, project_id)
        row = _locked(session, flavorid)
        if row.is_public and not of_public:
            raise Conflict("Can not add access to a public flavor.", "flavor.public")
        if session.get(FlavorAccess, (row.id, project_id)) is not None:
            raise Conflict(
                f"Flavor access already exists for flavor {flavorid} and project {project_id} combination.",
                "flavor.access_exists",
            )
        session.add(FlavorAccess(flavor_id=row.id, project_id=project_id))
        session.flush()
        return _projects(session, row.id)

    return store.transact(work)


def revoke(store: Store, flavorid: str, project_id: str) -> list[str]:
    """Take a project's right to a flavor; return those that may still use it.

    :raises NotFound: it had none.
    """

    def work(session: Session) -> list[str]:
        row = _locked(session, flavorid)
        result: Any = session.execute(
            sql_delete(FlavorAccess)
            .where(FlavorAccess.flavor_id == row.id, FlavorAccess.project_id == project_id)
            .execution_options(synchronize_session=False)
        )
        if not result.rowcount:
            raise NotFound(
                f"Flavor access not found for {flavorid} / {project_id} combination.", "flavor.access_not_found"
            )
        return _projects(session, row.id)

    return store.transact(work)


def as_kept(flavor: Flavor) -> JsonDict:
    """Return a flavor as servers keep it."""
    return {
        "id": flavor.flavorid,
        "name": flavor.name,
        "vcpus": flavor.vcpus,
        "ram": flavor.memory_mb,
        "disk": flavor.disk_gb,
        "ephemeral": flavor.ephemeral_gb,
        "swap": flavor.swap_mb,
        "extra_specs": dict(flavor.extra_specs),
    }
