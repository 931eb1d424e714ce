"""Address groups: named lists of CIDRs that rules of security groups can refer to."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import AddressGroup, RbacPolicy, SecurityGroupRule
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import rbac, rows, tags, touch
from nova_lite.network.queries import Listing, apply

MOST = 4096
"""Addresses that one group may have; a host holds them in one set."""

_QUIET: dict[str, Any] = {"synchronize_session": False}


@dataclass(frozen=True)
class NewAddressGroup:
    """What an address group is made of."""

    project_id: str
    name: str = ""
    description: str = ""
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """An address group; ``shared``: lent to whoever asked."""

    group: AddressGroup
    shared: bool = False


def not_found(identifier: str) -> NotFound:
    """Word that there is no such address group."""
    return NotFound(f"Address group {identifier} could not be found.", "network.address_group_not_found")


def visible_to(project_id: str | None) -> list[ColumnElement[bool]]:
    """Give the conditions under which a project may see and use an address group; None: an admin sees all."""
    if project_id is None:
        return []
    lent = rbac.lent("address_group", project_id)
    return [or_(AddressGroup.project_id == project_id, AddressGroup.id.in_(lent))]


def normal(addresses: Sequence[str]) -> list[str]:
    """Return CIDRs without host bits, each once, in order of first mention.

    :raises Invalid: one is no address or CIDR, or there are too many.
    """
    found: dict[str, None] = {}
    for text in addresses:
        try:
            found[str(ipaddress.ip_network(text, strict=False))] = None
        except ValueError:
            raise Invalid(
                f"Invalid input for addresses. Reason: '{text[:64]}' is not a valid IP subnet.", "network.invalid_input"
            ) from None
    return list(found)


def _check_size(addresses: Sequence[str]) -> None:
    if len(addresses) > MOST:
        raise Invalid(
            f"Invalid input for addresses. Reason: an address group may have at most {MOST}.", "network.invalid_input"
        )


def create(store: Store, news: Sequence[NewAddressGroup]) -> list[Shown]:
    """Make address groups, all or none."""

    def work(session: Session) -> list[Shown]:
        made = []
        for new in news:
            addresses = normal(new.addresses)
            _check_size(addresses)
            row = AddressGroup(
                id=new_id(),
                project_id=new.project_id,
                name=new.name,
                description=new.description,
                addresses=addresses,
                revision=0,
                created_at=now(),
                updated_at=now(),
            )
            session.add(row)
            made.append(Shown(row))
        return made

    return store.transact(work)


def get(store: Store, identifier: str, project_id: str | None) -> Shown:
    """Return an address group that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(AddressGroup).where(AddressGroup.id == identifier, *visible_to(project_id)))
        if row is None:
            raise not_found(identifier)
        return _shown(session, [row])[0]


def find(store: Store, listing: Listing) -> list[Shown]:
    """List the address groups that *listing* asks for."""
    with store.read() as session:
        query = select(AddressGroup).where(*visible_to(listing.project_id))
        return _shown(session, list(session.scalars(apply(session, query, AddressGroup, listing))))


def _shown(session: Session, found: Sequence[AddressGroup]) -> list[Shown]:
    if not found:
        return []
    lent = select(RbacPolicy.object_id).where(
        RbacPolicy.object_type == "address_group", RbacPolicy.object_id.in_([row.id for row in found])
    )
    shared = set(session.scalars(lent))
    return [Shown(row, row.id in shared) for row in found]


def change(store: Store, identifier: str, values: Mapping[str, Any], expected: int | None = None) -> None:
    """Change name or description. :raises NotFound: it has gone."""

    def work(session: Session) -> None:
        if not rows.revise(session, AddressGroup, identifier, values, expected=expected):
            raise not_found(identifier)

    store.transact(work)


def add_addresses(store: Store, identifier: str, addresses: Sequence[str], expected: int | None = None) -> list[str]:
    """Add addresses; return the hosts touched. :raises Invalid: one is there already, or none can be."""

    def grown(has: list[str], asked: list[str]) -> list[str]:
        there = [address for address in asked if address in has]
        if there:
            raise Invalid(
                f"Addresses {there} already exist in the address group {identifier}.", "network.addresses_already_exist"
            )
        _check_size([*has, *asked])
        return [*has, *asked]

    return _edit(store, identifier, addresses, grown, expected)


def remove_addresses(store: Store, identifier: str, addresses: Sequence[str], expected: int | None = None) -> list[str]:
    """Remove addresses; return the hosts touched. :raises NotFound: one is not there."""

    def shrunk(has: list[str], asked: list[str]) -> list[str]:
        missing = [address for address in asked if address not in has]
        if missing:
            raise NotFound(
                f"Addresses {missing} not found in the address group {identifier}.", "network.addresses_not_found"
            )
        return [address for address in has if address not in asked]

    return _edit(store, identifier, addresses, shrunk, expected)


def _edit(
    store: Store,
    identifier: str,
    addresses: Sequence[str],
    edited: Callable[[list[str], list[str]], list[str]],
    expected: int | None,
) -> list[str]:
    asked = normal(addresses)

    def work(session: Session) -> list[str]:
        row = session.scalar(select(AddressGroup).where(AddressGroup.id == identifier).with_for_update())
        if row is None:
            raise not_found(identifier)
        values = {"addresses": edited(list(row.addresses), asked)}
        rows.revise(session, AddressGroup, identifier, values, expected=expected)
        return touch.touch_address_group(session, identifier)

    return store.transact(work)


def delete(store: Store, identifier: str, expected: int | None = None) -> None:
    """Delete an address group. :raises NotFound: it has gone. :raises Conflict: rules refer to it."""
    in_use = Conflict(
        f"Address group {identifier} is in use on one or more security group rules.", "network.address_group_in_use"
    )

    def work(session: Session) -> None:
        if session.scalar(select(AddressGroup.id).where(AddressGroup.id == identifier).with_for_update()) is None:
            raise not_found(identifier)
        rows.check_revision(session, AddressGroup, identifier, expected)
        using = select(SecurityGroupRule.id).where(SecurityGroupRule.remote_address_group_id == identifier).limit(1)
        if session.scalar(using):
            raise in_use
        tags.forget(session, [identifier])
        session.execute(sql_delete(RbacPolicy).where(RbacPolicy.object_id == identifier).execution_options(**_QUIET))
        session.execute(sql_delete(AddressGroup).where(AddressGroup.id == identifier).execution_options(**_QUIET))

    try:
        store.transact(work)
    except IntegrityError as error:
        raise in_use from error
