"""Networks: make, find, change, delete; and which of them a project's servers may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import case, or_, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import AutoTopology, FloatingIp, Network, Port, RbacPolicy, Subnet
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import port_removal, qos_policies, quotas, rbac, rows, segments, tags, touch, zones
from nova_lite.network.queries import Listing, apply
from nova_lite.network.segments import Segment

LEAST_MTU_IPV6 = 1280

_QUIET: dict[str, Any] = {"synchronize_session": False}


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
    check_qos(session, new.qos_policy_id, new.project_id)
    zones.require(session, new.zone_hints)
    qos_policy_id = new.qos_policy_id or qos_policies.default_of(session, new.project_id)
    if new.is_default:
        _check_default(session, new.external, None)
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
            "mtu": mtu(conf, segment, new.mtu),
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


def mtu(conf: cfg.ConfigOpts | None, segment: Segment, wanted: int | None) -> int:
    """Return a network's MTU: what was asked for, or all that its carrier leaves. :raises Invalid: the carrier has less."""
    underlay: int = 1500 if conf is None else conf.network.mtu
    most = underlay - segment.largest_overhead
    if wanted is not None and wanted > most:
        raise Invalid(
            f"Requested MTU is too big, maximum is {most} for a {segment.network_type} network.",
            "network.invalid_input",
        )
    return most if wanted is None else wanted


def check_qos(session: Session, policy_id: str | None, project_id: str | None) -> None:
    """Refuse a QoS policy that *project_id* (None: an admin) may not use. :raises NotFound: there is none such."""
    if policy_id is not None:
        qos_policies.require(session, policy_id, project_id)


def _check_default(session: Session, external: bool, network_id: str | None) -> None:
    """Refuse a second default external network; whoever sets one waits for whoever else does."""
    if not external:
        raise Invalid("Invalid input for is_default. Reason: only an external network can be.", "network.invalid_input")
    quotas.serialize(session, "lock:default-network")
    query = select(Network.id).where(Network.is_default.is_(True))
    other = session.scalar(query if network_id is None else query.where(Network.id != network_id))
    if other is not None:
        raise Conflict(
            f"A default external network already exists: {other}.", "network.default_external_network_exists"
        )


def get(store: Store, network_id: str, project_id: str | None) -> Shown:
    """Return a network that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(Network).where(Network.id == network_id, *visible_to(project_id)))
        if row is None:
            raise not_found(network_id)
        return _shown(session, [row], project_id)[0]


def owners(store: Store, network_ids: Iterable[str], project_id: str | None) -> dict[str, str]:
    """Return the project of each of *network_ids*, all of which *project_id* may see (None: any). :raises NotFound: one is not there."""
    wanted = sorted(set(network_ids))
    with store.read() as session:
        query = select(Network.id, Network.project_id).where(Network.id.in_(wanted), *visible_to(project_id))
        found = {row.id: row.project_id for row in session.execute(query)}
    for identifier in wanted:
        if identifier not in found:
            raise not_found(identifier)
    return found


def not_found(network_id: str) -> NotFound:
    """Make the error that says that there is no such network."""
    return NotFound(f"Network {network_id} could not be found.", "network.network_not_found")


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
            raise not_found(network_id)
        _check_change(session, row, values, scope, conf)
        for member, action in (("shared", rbac.SHARED), ("external", rbac.EXTERNAL)):
            if member in values and values[member] != getattr(row, member):
                if values[member]:
                    rbac.lend_to_all(session, "network", network_id, action, row.project_id)
                else:
                    rbac.take_back_from_all(session, network_id, action)
        rows.revise(session, Network, network_id, values, expected=expected)
        return touch.touch_network(session, network_id)

    return store.transact(work)


def _check_change(
    session: Session, row: Network, values: Mapping[str, Any], scope: str | None, conf: cfg.ConfigOpts | None
) -> None:
    if values.get("shared") is False and row.shared:
        check_unshared(session, row, lambda project_id: True)
    if values.get("external") is False and row.external:
        check_internal(session, row.id)
    if values.get("is_default"):
        _check_default(session, values.get("external", row.external), row.id)
    if values.get("qos_policy_id") not in (None, row.qos_policy_id):
        check_qos(session, values["qos_policy_id"], scope)
    if "mtu" in values and values["mtu"] != row.mtu:
        mtu(conf, Segment(row.network_type), values["mtu"])
        query = select(Subnet.id).where(Subnet.network_id == row.id, Subnet.ip_version == 6).limit(1)
        if values["mtu"] < LEAST_MTU_IPV6 and session.scalar(query) is not None:
            raise Conflict(
                f"Invalid input for mtu. Reason: the network has an IPv6 subnet, which needs {LEAST_MTU_IPV6} at least.",
                "network.mtu_subnet_conflict",
            )


def check_unshared(session: Session, row: Network, loses: Any) -> None:
    """Refuse to take a network from projects that use it. *loses* tells whether a project could use it no more.

    :raises Conflict: one of them has a port on it.
    """
    users = set(session.scalars(select(Port.project_id).where(Port.network_id == row.id).distinct()))
    lent = select(RbacPolicy.target_project).where(
        RbacPolicy.object_id == row.id,
        RbacPolicy.action == rbac.SHARED,
        RbacPolicy.target_project != rbac.EVERYBODY,
    )
    users -= {row.project_id, "", *session.scalars(lent)}
    if any(loses(user) for user in users):
        raise Conflict(
            f"Unable to reconfigure sharing settings for network {row.id}. Multiple tenants are using it.",
            "network.invalid_shared_setting",
        )


def check_internal(session: Session, network_id: str) -> None:
    """Refuse to make a network internal that routers or floating IPs use. :raises Conflict: they do."""
    owners = ("network:router_gateway", "network:floatingip")
    used = select(Port.id).where(Port.network_id == network_id, Port.device_owner.in_(owners)).limit(1)
    if session.scalar(used) is not None:
        raise Conflict(
            f"External network {network_id} cannot be updated to be made non-external, since it has existing gateway ports.",
            "network.external_network_in_use",
        )


def delete(store: Store, network_id: str, expected: int | None = None) -> list[str]:
    """Delete a network with its subnets and the ports that the system made for itself; return the hosts to be woken.

    :raises NotFound: there is none such.
    :raises Conflict: ports are on it.
    """

    def work(session: Session) -> list[str]:
        # The row is locked first, so that no port can come between the look and the delete.
        if session.scalar(select(Network).where(Network.id == network_id).with_for_update()) is None:
            raise not_found(network_id)
        rows.check_revision(session, Network, network_id, expected)
        return drop(session, network_id)

    try:
        return store.transact(work)
    except IntegrityError as error:
        raise _in_use(network_id) from error


def drop(session: Session, network_id: str) -> list[str]:
    """Delete a network in the caller's transaction, which has locked it; see :func:`delete`."""
    _drop_idle_floating_ips(session, network_id)
    ports = session.execute(select(Port.id, Port.device_owner).where(Port.network_id == network_id)).all()
    if any(port.device_owner not in port_removal.SILENT for port in ports):
        raise _in_use(network_id)
    hosts = touch.touch_network(session, network_id)
    port_removal.drop(session, [port.id for port in ports])
    subnet_ids = list(session.scalars(select(Subnet.id).where(Subnet.network_id == network_id)))
    tags.forget(session, [network_id, *subnet_ids])
    rbac.forget(session, network_id)
    for statement in (
        sql_delete(AutoTopology).where(AutoTopology.network_id == network_id),
        sql_delete(Subnet).where(Subnet.network_id == network_id),
        sql_delete(Network).where(Network.id == network_id),
    ):
        session.execute(statement.execution_options(**_QUIET))
    return hosts


def _drop_idle_floating_ips(session: Session, network_id: str) -> None:
    """Give back the floating IPs of an external network that lead nowhere; others keep it from being deleted."""
    idle = select(FloatingIp.id, FloatingIp.floating_port_id).where(
        FloatingIp.floating_network_id == network_id, FloatingIp.port_id.is_(None)
    )
    found = session.execute(idle.with_for_update()).all()
    if not found:
        return
    identifiers = [row.id for row in found]
    tags.forget(session, identifiers)
    session.execute(sql_delete(FloatingIp).where(FloatingIp.id.in_(identifiers)).execution_options(**_QUIET))
    port_removal.drop(session, [row.floating_port_id for row in found])


def _in_use(network_id: str) -> Conflict:
    return Conflict(
        f"Unable to complete operation on network {network_id}. There are one or more ports still in use on the network.",
        "network.network_in_use",
    )


def usable(session: Session, project_id: str) -> list[Network]:
    """List the networks that a server of *project_id* gets a port on when it names none: its own and those shared with it."""
    query = select(Network).where(shared_with(project_id), Network.external.is_(False))
    return list(session.scalars(query.order_by(Network.created_at, Network.id)))
