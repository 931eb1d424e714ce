"""Host aggregates, and the availability zones that they give their hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.models import Aggregate, AggregateHost, Host, Server
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict, Invalid, NotFound

ZONE = "availability_zone"


@dataclass(frozen=True)
class Shown:
    """An aggregate with the names of its hosts."""

    row: Aggregate
    hosts: tuple[str, ...] = ()


def not_found(number: int) -> NotFound:
    """Make the error that says that there is no such aggregate."""
    return NotFound(f"Aggregate {number} could not be found.", "aggregate.not_found")


def find(store: Store) -> list[Shown]:
    """List aggregates by number."""
    with store.read() as session:
        rows = session.scalars(select(Aggregate).order_by(Aggregate.id)).all()
        hosts: dict[int, list[str]] = {}
        for number, host in session.execute(
            select(AggregateHost.aggregate_id, AggregateHost.host).order_by(AggregateHost.host)
        ):
            hosts.setdefault(number, []).append(host)
        return [Shown(row, tuple(hosts.get(row.id, ()))) for row in rows]


def get(store: Store, number: int) -> Shown:
    """Return an aggregate. :raises NotFound: there is none."""
    with store.read() as session:
        return _shown(session, _row(session, number))


def _row(session: Session, number: int, *, lock: bool = False) -> Aggregate:
    row = session.get(Aggregate, number, with_for_update=lock, populate_existing=True)
    if row is None:
        raise not_found(number)
    return row


def _hosts(session: Session, number: int) -> tuple[str, ...]:
    query = select(AggregateHost.host).where(AggregateHost.aggregate_id == number).order_by(AggregateHost.host)
    return tuple(session.scalars(query))


def _shown(session: Session, row: Aggregate) -> Shown:
    session.flush()
    return Shown(row, _hosts(session, row.id))


def create(store: Store, name: str, zone: str | None) -> Shown:
    """Make an aggregate without hosts. :raises Conflict: there is one of that name."""

    def work(session: Session) -> Shown:
        row = Aggregate(uuid=new_id(), name=name, availability_zone=zone, metadata_={})
        session.add(row)
        session.flush()
        return Shown(row)

    return _named(store, name, work)


def _named(store: Store, name: str | None, work: Any) -> Shown:
    try:
        made: Shown = store.transact(work)
        return made
    except IntegrityError as error:
        raise Conflict(f"Aggregate {name} already exists.", "aggregate.exists") from error


def change(store: Store, number: int, values: Mapping[str, Any]) -> Shown:
    """Change an aggregate's ``name`` and ``availability_zone``.

    :raises NotFound: there is none.
    :raises Conflict: the name is taken; a host has servers, or is of another aggregate's zone.
    """

    def work(session: Session) -> Shown:
        row = _row(session, number, lock=True)
        if "name" in values:
            row.name = values["name"]
        if ZONE in values:
            _set_zone(session, row, values[ZONE], "update aggregate")
        row.updated_at = now()
        return _shown(session, row)

    return _named(store, values.get("name"), work)


def set_metadata(store: Store, number: int, items: Mapping[str, str | None]) -> Shown:
    """Set items of metadata, and remove those whose value is None; ``availability_zone`` is the zone.

    :raises NotFound: there is none.
    :raises Conflict: see :func:`change`.
    """

    def work(session: Session) -> Shown:
        row = _row(session, number, lock=True)
        if ZONE in items:
            _set_zone(session, row, items[ZONE], "update aggregate metadata")
        merged = {**row.metadata_, **{key: value for key, value in items.items() if key != ZONE}}
        row.metadata_ = {key: value for key, value in merged.items() if value is not None}
        row.updated_at = now()
        return _shown(session, row)

    return store.transact(work)


def _set_zone(session: Session, row: Aggregate, zone: str | None, verb: str) -> None:
    if zone == row.availability_zone:
        return
    names = _hosts(session, row.id)
    _lock_hosts(session, names)
    if zone is not None:
        for name in names:
            _check_other_zones(session, row, name, zone, verb)
    row.availability_zone = zone
    session.flush()
    for name in names:
        _move(session, row, name, verb)


def _refusal(row: Aggregate, verb: str, reason: str) -> Conflict:
    return Conflict(f"Cannot perform action '{verb}' on aggregate {row.id}. Reason: {reason}.", "aggregate.zone")


def _lock_hosts(session: Session, names: Sequence[str]) -> list[str]:
    """Lock the rows of hosts, so that nobody else gives them a zone meanwhile; return those that there are."""
    query = select(Host.name).where(Host.name.in_(names)).order_by(Host.name).with_for_update()
    return list(session.scalars(query))


def _check_other_zones(session: Session, row: Aggregate, host: str, zone: str, verb: str) -> None:
    query = (
        select(Aggregate.availability_zone)
        .join(AggregateHost, AggregateHost.aggregate_id == Aggregate.id)
        .where(AggregateHost.host == host, Aggregate.id != row.id, Aggregate.availability_zone.is_not(None))
    )
    if any(other != zone for other in session.scalars(query)):
        raise _refusal(row, verb, f"One or more hosts already in availability zone(s): {host}")


def zone_of(host: Any) -> Any:
    """Make the expression for the zone that aggregates give *host* (a column, or a name); NULL where none does."""
    return (
        select(func.min(Aggregate.availability_zone))
        .join(AggregateHost, AggregateHost.aggregate_id == Aggregate.id)
        .where(AggregateHost.host == host)
        .scalar_subquery()
    )


def _move(session: Session, row: Aggregate, name: str, verb: str) -> None:
    """Give a host the zone that it is in now. :raises Conflict: that is another one, and the host has servers."""
    host = session.get_one(Host, name, with_for_update=True, populate_existing=True)
    zone = session.scalar(select(zone_of(name))) or host.own_zone
    if zone == host.availability_zone:
        return
    if session.scalar(select(Server.id).where(Server.host == name, Server.deleted.is_(False)).limit(1)):
        raise _refusal(row, verb, f"One or more hosts contain instances in this zone: {name}")
    session.execute(
        update(Host)
        .where(Host.name == name)
        .values(availability_zone=zone)
        .execution_options(synchronize_session=False)
    )


def add_host(store: Store, number: int, name: str) -> Shown:
    """Put a host into an aggregate.

    :raises NotFound: there is no such aggregate or host.
    :raises Conflict: it is in it already; it is of another zone, or has servers of another zone.
    """

    def work(session: Session) -> Shown:
        row = _row(session, number, lock=True)
        if not _lock_hosts(session, [name]):
            raise NotFound(f"Compute host {name} could not be found.", "host.not_found")
        if name in _hosts(session, number):
            raise Conflict(f"Aggregate {number} already has host {name}.", "aggregate.host_exists")
        if row.availability_zone is not None:
            _check_other_zones(session, row, name, row.availability_zone, "add_host_to_aggregate")
        session.add(AggregateHost(aggregate_id=number, host=name))
        session.flush()
        _move(session, row, name, "add_host_to_aggregate")
        row.updated_at = now()
        return _shown(session, row)

    return store.transact(work)


def remove_host(store: Store, number: int, name: str) -> Shown:
    """Take a host out of an aggregate.

    :raises NotFound: there is no such aggregate, or the host is not in it.
    :raises Conflict: it would be of another zone then, and has servers.
    """

    def work(session: Session) -> Shown:
        row = _row(session, number, lock=True)
        gone: Any = session.execute(
            sql_delete(AggregateHost)
            .where(AggregateHost.aggregate_id == number, AggregateHost.host == name)
            .execution_options(synchronize_session=False)
        )
        if not gone.rowcount:
            raise NotFound(f"Cannot remove host {name} in aggregate {number}: not found", "aggregate.no_host")
        _move(session, row, name, "remove_host_from_aggregate")
        row.updated_at = now()
        return _shown(session, row)

    return store.transact(work)


def delete(store: Store, number: int) -> None:
    """Delete an aggregate that has no hosts. :raises NotFound: there is none. :raises Invalid: it has hosts."""

    def work(session: Session) -> None:
        row = _row(session, number, lock=True)
        if _hosts(session, number):
            raise Invalid(
                f"Cannot perform action 'delete' on aggregate {number}. Reason: Host aggregate is not empty.",
                "aggregate.not_empty",
            )
        session.delete(row)

    store.transact(work)


_AGGREGATES: Any = Aggregate.__table__
_MEMBERS: Any = AggregateHost.__table__
# Made once: to make a statement anew takes longer than to run it.
_METADATA = select(_MEMBERS.c.host, _AGGREGATES.c.metadata).join(
    _AGGREGATES, _AGGREGATES.c.id == _MEMBERS.c.aggregate_id
)


def metadata_of_hosts(session: Session) -> dict[str, dict[str, frozenset[str]]]:
    """Return the metadata that each host has by its aggregates: host → key → values (an item may list several, by commas)."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for host, items in session.execute(_METADATA):
        mine = found.setdefault(host, {})
        for key, value in items.items():
            mine[key] = mine.get(key, frozenset()) | {part.strip() for part in str(value).split(",")}
    return found
