"""Networks: make, find, change; and which of them a project's servers may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import case, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import Network, Subnet
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.network import network_rules, qos_policies, quotas, rbac, rows, segments, tags, touch, zones
from nova_lite.network.queries import Listing, apply
from nova_lite.network.segments import Segment


@dataclass(frozen=True)
class NewNetwork:
    """What a network is made of; ``project_id`` owns it. ``segment`` None: chosen for it."""

    project_id: str
    name: str = ""
    description: str = ""
    admin_state_up: bool = True
    shared: bool = False
    external: bool = False
    is_default: bool = False
    mtu: int | None = None
    port_security_enabled: bool = True
    dns_domain: str = ""
    qos_policy_id: str | None = None
    segment: Segment | None = None
    zone_hints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A network with the ids of its subnets, its tags, whether whoever asked shares in it, and the zones of the hosts that have it."""

    network: Network
    subnet_ids: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    shared: bool = False
    zones: tuple[str, ...] = ()


def visible_to(project_id: str | None) -> list[ColumnElement[bool]]:
    """Give the conditions under which a project may see a network; None: an admin sees all."""
    if project_id is None:
        return []
    own = Network.project_id == project_id
    return [or_(own, Network.shared.is_(True), Network.external.is_(True), Network.id.in_(_lent(project_id)))]


def _lent(project_id: str) -> Any:
    return rbac.lent("network", project_id)


def shared_with(project_id: str) -> ColumnElement[bool]:
    """Give the condition under which a project may use a network as its own: not if it is only external."""
    lent = rbac.lent("network", project_id, rbac.SHARED)
    return or_(Network.project_id == project_id, Network.shared.is_(True), Network.id.in_(lent))


def create(store: Store, new: NewNetwork, conf: cfg.ConfigOpts | None = None) -> Shown:
    """Make one network; see :func:`create_many`."""
    return create_many(store, [new], conf)[0]


def create_many(store: Store, news: Sequence[NewNetwork], conf: cfg.ConfigOpts | None = None) -> list[Shown]:
    """Make networks, each with a number of its own; all of them or none. *conf* None: no quota, no physical network.

    :raises Conflict: a quota is used up, a segment is taken, or there is a default external network already.
    :raises NotFound: a QoS policy or an availability zone is not there.
    :raises Invalid: the MTU can't be.
    """

    def work(session: Session) -> list[Shown]:
        if conf is not None:
            for project_id in sorted({new.project_id for new in news}):
                count = sum(new.project_id == project_id for new in news)
                quotas.take(session, conf, project_id, "network", count)
        return [Shown(row, (), (), row.shared) for row in (_add(session, new, conf) for new in news)]

    return store.transact(work)


def _add(session: Session, new: NewNetwork, conf: cfg.ConfigOpts | None) -> Network:
    segment = new.segment
    if segment is None:
        segment = segments.choose_external(conf, session) if new.external and conf is not None else Segment()
    network_rules.check_qos(session, new.qos_policy_id, new.project_id)
    zones.require(session, new.zone_hints)
    qos_policy_id = new.qos_policy_id or qos_policies.default_of(session, new.project_id)
    if new.is_default:
        network_rules.check_default(session, new.external, None)
    row = segments.insert(
        session,
        segment,
        {
            "id": new_id(),
            "project_id": new.project_id,
            "name": new.name,
            "description": new.description,
            "admin_state_up": new.admin_state_up,
            "shared": new.shared,
            "external": new.external,
            "is_default": new.is_default,
            "mtu": network_rules.mtu(conf, segment, new.mtu),
            "port_security_enabled": new.port_security_enabled,
            "dns_domain": new.dns_domain,
            "qos_policy_id": qos_policy_id,
            "zone_hints": list(new.zone_hints),
            "revision": 0,
            "created_at": now(),
            "updated_at": now(),
        },
    )
    for action, wanted in ((rbac.SHARED, new.shared), (rbac.EXTERNAL, new.external)):
        if wanted:
            rbac.lend_to_all(session, "network", row.id, action, new.project_id)
    return row


def get(store: Store, network_id: str, project_id: str | None) -> Shown:
    """Return a network that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(Network).where(Network.id == network_id, *visible_to(project_id)))
        if row is None:
            raise network_rules.not_found(network_id)
        return _shown(session, [row], project_id)[0]


def owners(store: Store, network_ids: Iterable[str], project_id: str | None) -> dict[str, str]:
    """Return the project of each of *network_ids*, all of which *project_id* may see (None: any). :raises NotFound: one is not there."""
    wanted = sorted(set(network_ids))
    with store.read() as session:
        query = select(Network.id, Network.project_id).where(Network.id.in_(wanted), *visible_to(project_id))
        found = {row.id: row.project_id for row in session.execute(query)}
    for identifier in wanted:
        if identifier not in found:
            raise network_rules.not_found(identifier)
    return found


def find(store: Store, listing: Listing, special: Mapping[str, Sequence[Any]] | None = None) -> list[Shown]:
    """List the networks that *listing* asks for, in a few queries whatever their number.

    :param special: the filters ``shared`` (truths) and ``provider:segmentation_id`` (numbers), which are no columns.
    """
    with store.read() as session:
        query = select(Network).where(*visible_to(listing.project_id), *_special(special or {}, listing.project_id))
        return _shown(session, list(session.scalars(apply(session, query, Network, listing))), listing.project_id)


def _special(wanted: Mapping[str, Sequence[Any]], project_id: str | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if "shared" in wanted:
        shared: ColumnElement[bool] = Network.shared.is_(True)
        if project_id is not None:
            shared = or_(shared, Network.id.in_(rbac.lent("network", project_id, rbac.SHARED)))
        conditions.append(or_(*(shared if truth else ~shared for truth in wanted["shared"])))
    if "provider:segmentation_id" in wanted:
        number = case(
            (Network.network_type == segments.VLAN, Network.vlan),
            (Network.network_type == segments.VXLAN, Network.segmentation_id),
        )
        conditions.append(number.in_(list(wanted["provider:segmentation_id"])))
    return conditions


def _shown(session: Session, found: Sequence[Network], project_id: str | None) -> list[Shown]:
    identifiers = [row.id for row in found]
    subnets: dict[str, list[str]] = {}
    lent: set[str] = set()
    if identifiers:
        pairs = session.execute(
            select(Subnet.network_id, Subnet.id)
            .where(Subnet.network_id.in_(identifiers))
            .order_by(Subnet.created_at, Subnet.id)
        )
        for network_id, subnet_id in pairs:
            subnets.setdefault(network_id, []).append(subnet_id)
        if project_id is not None and any(row.project_id != project_id and not row.shared for row in found):
            lent = set(session.scalars(rbac.lent("network", project_id, rbac.SHARED)))
    tagged, places = tags.of(session, identifiers), zones.of_networks(session, identifiers)
    return [
        Shown(
            row,
            tuple(subnets.get(row.id, ())),
            tagged.get(row.id, ()),
            row.shared or row.id in lent,
            places.get(row.id, ()),
        )
        for row in found
    ]


def change(
    store: Store,
    network_id: str,
    values: Mapping[str, Any],
    *,
    expected: int | None = None,
    scope: str | None = None,
    conf: cfg.ConfigOpts | None = None,
) -> list[str]:
    """Change columns of a network; return the hosts that are to be woken. *scope*: whose QoS policies may be named.

    :raises NotFound: there is no such network, or no such QoS policy.
    :raises Conflict: others use what would be taken from them.
    :raises PreconditionFailed: it has another revision than *expected*.
    """

    def work(session: Session) -> list[str]:
        row = session.scalar(select(Network).where(Network.id == network_id).with_for_update())
        if row is None:
            raise network_rules.not_found(network_id)
        network_rules.check_change(session, row, values, scope, conf)
        for member, action in (("shared", rbac.SHARED), ("external", rbac.EXTERNAL)):
            if member in values and values[member] != getattr(row, member):
                if values[member]:
                    rbac.lend_to_all(session, "network", network_id, action, row.project_id)
                else:
                    rbac.take_back_from_all(session, network_id, action)
        rows.revise(session, Network, network_id, values, expected=expected)
        return touch.touch_network(session, network_id)

    return store.transact(work)


def usable(session: Session, project_id: str) -> list[Network]:
    """List the networks that a server of *project_id* gets a port on when it names none: its own and those shared with it."""
    query = select(Network).where(shared_with(project_id), Network.external.is_(False))
    return list(session.scalars(query.order_by(Network.created_at, Network.id)))
