"""Subnet pools: prefixes that subnets take their ranges from, none twice.

Whoever takes a range holds the pool's row while it looks for one that is free, so the next one sees it taken.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import delete as sql_delete
from sqlalchemy import or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import Network, Subnet, SubnetPool
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import quotas, rbac, rows, subnet_rules, tags
from nova_lite.network.prefixes import Bounds, compact, first_free
from nova_lite.network.queries import Listing, apply
from nova_lite.network.subnet_rules import IpNetwork, NewSubnet

_QUIET: dict[str, Any] = {"synchronize_session": False}


@dataclass(frozen=True)
class NewPool:
    """What a pool is made of. Lengths None: upstream's defaults for the IP version."""

    project_id: str
    name: str
    prefixes: tuple[str, ...]
    description: str = ""
    min_prefixlen: int | None = None
    max_prefixlen: int | None = None
    default_prefixlen: int | None = None
    default_quota: int | None = None
    shared: bool = False
    is_default: bool = False


@dataclass(frozen=True)
class Shown:
    """A pool with its tags; ``shared``: whoever asked may use it though it is another's."""

    pool: SubnetPool
    tags: tuple[str, ...] = ()
    shared: bool = False


def visible_to(project_id: str | None) -> list[ColumnElement[bool]]:
    """Give the conditions under which a project may see and use a pool; None: an admin, who may all."""
    if project_id is None:
        return []
    lent = rbac.lent("subnetpool", project_id)
    return [or_(SubnetPool.project_id == project_id, SubnetPool.shared.is_(True), SubnetPool.id.in_(lent))]


def not_found(pool_id: str) -> NotFound:
    """Make the error that says that there is no such pool."""
    return NotFound(f"Subnet pool {pool_id} could not be found.", "network.subnet_pool_not_found")


def create(store: Store, new: NewPool, conf: cfg.ConfigOpts) -> SubnetPool:
    """Make a pool. :raises Invalid: prefixes or lengths do not fit together. :raises Conflict: the quota is used up."""
    prefixes = compact(new.prefixes)
    bounds = Bounds.of(prefixes[0].version, new.min_prefixlen, new.max_prefixlen, new.default_prefixlen)

    def work(session: Session) -> SubnetPool:
        quotas.take(session, conf, new.project_id, "subnetpool")
        if new.is_default:
            _check_default(session, prefixes[0].version, None)
        row = SubnetPool(
            id=new_id(),
            project_id=new.project_id,
            name=new.name,
            description=new.description,
            ip_version=prefixes[0].version,
            prefixes=[str(prefix) for prefix in prefixes],
            min_prefixlen=bounds.least,
            max_prefixlen=bounds.most,
            default_prefixlen=bounds.default,
            default_quota=new.default_quota,
            shared=new.shared,
            is_default=new.is_default,
            revision=0,
            updated_at=now(),
        )
        session.add(row)
        if new.shared:
            rbac.lend_to_all(session, "subnetpool", row.id, rbac.SHARED, new.project_id)
        return row

    return store.transact(work)


def _check_default(session: Session, version: int, pool_id: str | None) -> None:
    """Refuse a second default pool of an IP version; whoever sets one waits for whoever else does."""
    quotas.serialize(session, "lock:default-subnetpool")
    query = select(SubnetPool.id).where(SubnetPool.is_default.is_(True), SubnetPool.ip_version == version)
    if session.scalar(query if pool_id is None else query.where(SubnetPool.id != pool_id)) is not None:
        raise Invalid(
            "Invalid input for operation: A default subnetpool for this IP family has already been set. "
            "Only one default may exist per IP family.",
            "network.invalid_input",
        )


def get(store: Store, pool_id: str, project_id: str | None) -> Shown:
    """Return a pool that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(SubnetPool).where(SubnetPool.id == pool_id, *visible_to(project_id)))
        if row is None:
            raise not_found(pool_id)
        return _shown(session, [row], project_id)[0]


def find(store: Store, listing: Listing) -> list[Shown]:
    """List the pools that *listing* asks for."""
    with store.read() as session:
        query = select(SubnetPool).where(*visible_to(listing.project_id))
        return _shown(session, list(session.scalars(apply(session, query, SubnetPool, listing))), listing.project_id)


def _shown(session: Session, found: Sequence[SubnetPool], project_id: str | None) -> list[Shown]:
    tagged = tags.of(session, [row.id for row in found])
    return [
        Shown(row, tagged.get(row.id, ()), row.shared or (project_id is not None and row.project_id != project_id))
        for row in found
    ]


def change(store: Store, pool_id: str, values: Mapping[str, Any], expected: int | None = None) -> None:
    """Change a pool: prefixes may be added, and lengths changed within bounds.

    :raises NotFound: there is none such. :raises Invalid: prefixes would go, or lengths do not fit.
    """

    def work(session: Session) -> None:
        row = session.scalar(select(SubnetPool).where(SubnetPool.id == pool_id).with_for_update())
        if row is None:
            raise not_found(pool_id)
        wanted = dict(values)
        if "prefixes" in wanted:
            wanted["prefixes"] = [str(prefix) for prefix in _grown(row, wanted["prefixes"])]
        bounds = Bounds.of(
            row.ip_version,
            wanted.get("min_prefixlen", row.min_prefixlen),
            wanted.get("max_prefixlen", row.max_prefixlen),
            wanted.get("default_prefixlen", row.default_prefixlen),
        )
        wanted |= {
            "min_prefixlen": bounds.least,
            "max_prefixlen": bounds.most,
            "default_prefixlen": bounds.default,
        }
        if wanted.get("is_default") and not row.is_default:
            _check_default(session, row.ip_version, row.id)
        rows.revise(session, SubnetPool, pool_id, wanted, expected=expected)

    store.transact(work)


def _grown(row: SubnetPool, wanted: Sequence[str]) -> list[IpNetwork]:
    prefixes = compact(wanted)
    if prefixes[0].version != row.ip_version:
        raise Invalid("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", "network.prefix_version_mismatch")
    for text in row.prefixes:
        old = ipaddress.ip_network(text)
        if not any(old.subnet_of(prefix) for prefix in prefixes):  # type: ignore[arg-type]
            raise Invalid(
                f"Illegal update to prefixes: Existing prefixes must be a subset of the new prefixes ({text} is missing).",
                "network.illegal_subnet_pool_prefix_update",
            )
    return prefixes


def delete(store: Store, pool_id: str, expected: int | None = None) -> None:
    """Delete a pool that no subnet is from. :raises NotFound: there is none such. :raises Invalid: subnets are from it."""

    def work(session: Session) -> None:
        if session.scalar(select(SubnetPool).where(SubnetPool.id == pool_id).with_for_update()) is None:
            raise not_found(pool_id)
        rows.check_revision(session, SubnetPool, pool_id, expected)
        if session.scalar(select(Subnet.id).where(Subnet.subnetpool_id == pool_id).limit(1)) is not None:
            raise Invalid(
                "Unable to delete subnet pool: Subnet pool has existing allocations.",
                "network.subnet_pool_delete_error",
            )
        tags.forget(session, [pool_id])
        rbac.forget(session, pool_id)
        session.execute(sql_delete(SubnetPool).where(SubnetPool.id == pool_id).execution_options(**_QUIET))

    store.transact(work)


def range_of(session: Session, new: NewSubnet, project_id: str | None) -> tuple[str | None, IpNetwork]:
    """Return the pool (None: none) and the range of a subnet that is being made; the pool is held until the transaction ends.

    :raises Invalid: neither a range nor a pool is named, or the pool can't give what is asked for.
    :raises NotFound: there is no such pool. :raises Conflict: the pool has nothing left.
    """
    if new.subnetpool_id is None and not new.use_default_pool:
        if new.cidr is None:
            raise Invalid(
                "Bad subnets request: a subnetpool must be specified in the absence of a cidr.", "network.bad_request"
            )
        return None, subnet_rules.parse(new)
    pool = _hold(session, new, project_id)
    if pool.ip_version != new.ip_version:
        raise Invalid(
            f"Cannot allocate IPv{new.ip_version} subnet from IPv{pool.ip_version} subnet pool.",
            "network.bad_request",
        )
    other = select(Subnet.id).where(
        Subnet.network_id == new.network_id,
        Subnet.ip_version == new.ip_version,
        or_(Subnet.subnetpool_id.is_(None), Subnet.subnetpool_id != pool.id),
    )
    if session.scalar(other.limit(1)) is not None:
        raise Invalid(
            "Subnets hosted on the same network must be allocated from the same subnet pool.",
            "network.network_subnet_pool_affinity_error",
        )
    return pool.id, _take(session, pool, new)


def _hold(session: Session, new: NewSubnet, project_id: str | None) -> SubnetPool:
    query = select(SubnetPool).where(*visible_to(project_id)).with_for_update()
    if new.subnetpool_id is not None:
        row = session.scalar(query.where(SubnetPool.id == new.subnetpool_id))
        if row is None:
            raise not_found(new.subnetpool_id)
        return row
    row = session.scalar(
        select(SubnetPool)
        .where(SubnetPool.is_default.is_(True), SubnetPool.ip_version == new.ip_version)
        .with_for_update()
    )
    if row is None:
        raise Invalid(
            f"Bad subnets request: No default subnetpool found for IPv{new.ip_version}.", "network.bad_request"
        )
    return row


def _take(session: Session, pool: SubnetPool, new: NewSubnet) -> IpNetwork:
    taken = [
        (ipaddress.ip_network(cidr), owner)
        for cidr, owner in session.execute(
            select(Subnet.cidr, Subnet.project_id).where(Subnet.subnetpool_id == pool.id)
        )
    ]
    prefixes = [ipaddress.ip_network(text) for text in pool.prefixes]
    bounds = Bounds(pool.min_prefixlen, pool.max_prefixlen, pool.default_prefixlen)
    if new.cidr is not None:
        found = subnet_rules.parse(new)
        bounds.check(found.prefixlen)
        inside = any(found.subnet_of(prefix) for prefix in prefixes)  # type: ignore[arg-type]
        if not inside or any(found.overlaps(other) for other, _ in taken):
            raise Conflict(
                f"Failed to allocate subnet: Cannot allocate requested subnet {found} from the available set of prefixes.",
                "network.subnet_allocation_error",
            )
    else:
        length = bounds.default if new.prefixlen is None else new.prefixlen
        bounds.check(length)
        free = first_free(prefixes, [other for other, _ in taken], length)
        if free is None:
            raise Conflict(
                f"Failed to allocate subnet: Insufficient prefix space to allocate subnet size /{length}.",
                "network.subnet_allocation_error",
            )
        found = free
    _check_quota(session, pool, found, taken, new)
    return found


def _check_quota(
    session: Session, pool: SubnetPool, found: IpNetwork, taken: Sequence[tuple[IpNetwork, str]], new: NewSubnet
) -> None:
    if pool.default_quota is None:
        return
    owner = session.scalar(select(Network.project_id).where(Network.id == new.network_id))
    unit = 32 if pool.ip_version == 4 else 64

    def units(network: IpNetwork) -> int:
        return 1 << max(0, unit - network.prefixlen)

    used = sum(units(network) for network, project_id in taken if project_id == owner)
    if used + units(found) > pool.default_quota:
        raise Conflict("Per-project subnet pool prefix quota exceeded.", "network.subnet_pool_quota_exceeded")
