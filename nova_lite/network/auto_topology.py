"""A network with a router to the outside, made for a project that asks for one without saying how."""

from __future__ import annotations

from dataclasses import dataclass

from oslo_config import cfg
from sqlalchemy import Table, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session

from nova_lite.db.models import AutoTopology, Network, Port, SubnetPool
from nova_lite.db.store import Store
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict, NotFound
from nova_lite.network import network_removal, networks, router_interfaces, routers, subnets
from nova_lite.network.networks import NewNetwork
from nova_lite.network.router_gateways import WantedGateway
from nova_lite.network.routers import NewRouter
from nova_lite.network.subnet_rules import SLAAC, NewSubnet
from nova_lite.network.touch import INTERFACE

NETWORK_NAME = "auto_allocated_network"
ROUTER_NAME = "auto_allocated_router"
SUBNET_NAME = "auto_allocated_subnet"
RANGE = "10.0.0.0/24"
"""Where no default subnet pool is; projects' ranges may overlap."""

_TOPOLOGIES: Table = AutoTopology.__table__  # type: ignore[assignment]


@dataclass(frozen=True)
class Made:
    """The project's network, and the hosts that are to be woken."""

    network_id: str
    hosts: tuple[str, ...] = ()


class _OthersWon(Exception):
    """Another request made the project's network at the same moment."""

    def __init__(self, network_id: str) -> None:
        super().__init__(network_id)
        self.network_id = network_id


def find(store: Store, project_id: str) -> str | None:
    """Return the id of the network that was made for a project; None: none was."""
    with store.read() as session:
        return _found(session, project_id)


def _found(session: Session, project_id: str) -> str | None:
    query = select(AutoTopology.network_id).join(Network, Network.id == AutoTopology.network_id)
    return session.scalar(query.where(AutoTopology.project_id == project_id))


def check(store: Store) -> None:
    """Check that a topology could be made. :raises Conflict: there is no external network that it would lead to."""
    with store.read() as session:
        _outside(session)


def _outside(session: Session) -> str:
    """Return the default external network; where none is called so, the only one that there is."""
    found = session.execute(select(Network.id, Network.is_default).where(Network.external.is_(True))).all()
    chosen = [row.id for row in found if row.is_default] or [row.id for row in found]
    if len(chosen) != 1:
        raise Conflict("Deployment error: No default router:external network.", "network.auto_allocation_failure")
    return str(chosen[0])


def ensure(store: Store, conf: cfg.ConfigOpts, project_id: str) -> Made:
    """Return the project's network, made in one transaction with its subnets and router if it is not there yet.

    :raises Conflict: there is nowhere to lead to, a quota is used up, or a pool is.
    """
    there = find(store, project_id)
    if there is not None:
        return Made(there)
    try:
        return store.together(
            lambda: _make(store, conf, project_id), lambda session, made: _note(session, project_id, made.network_id)
        )
    except _OthersWon as other:
        return Made(other.network_id)


def _make(store: Store, conf: cfg.ConfigOpts, project_id: str) -> Made:
    outside = store.transact(lambda session: _claim(session, project_id))
    network = networks.create(store, NewNetwork(project_id, NETWORK_NAME), conf).network
    added = subnets.create_many(store, store.transact(lambda session: _ranges(session, network.id)), None, conf)
    new = NewRouter(project_id, ROUTER_NAME, gateway=WantedGateway(outside))
    router = routers.create(store, conf, [new], None)[0].router
    hosts = set(added.hosts)
    for subnet in added.subnets:
        hosts.update(router_interfaces.add_subnet(store, router.id, subnet.id, None)[1])
    return Made(network.id, tuple(sorted(hosts)))


def _claim(session: Session, project_id: str) -> str:
    """Take the project's row, so that whoever else asks waits; return the network that leads outside."""
    outside = _outside(session)
    there = _found(session, project_id)
    if there is not None:
        raise _OthersWon(there)
    # One that was left by a network that went otherwise is taken over.
    insert_absent(session, _TOPOLOGIES, [{"project_id": project_id, "network_id": ""}])
    session.execute(select(AutoTopology).where(AutoTopology.project_id == project_id).with_for_update())
    there = _found(session, project_id)
    if there is not None:
        raise _OthersWon(there)
    return outside


def _ranges(session: Session, network_id: str) -> list[NewSubnet]:
    """Return the subnets to be: of the default pools, or one of our own range where there are none."""
    query = select(SubnetPool.ip_version).where(SubnetPool.is_default.is_(True)).order_by(SubnetPool.ip_version)
    versions = sorted(set(session.scalars(query)))
    if 4 not in versions:
        own = NewSubnet(network_id, RANGE, name=f"{SUBNET_NAME}_v4")
        return [own, *(_of_pool(network_id, version) for version in versions)]
    return [_of_pool(network_id, version) for version in versions]


def _of_pool(network_id: str, version: int) -> NewSubnet:
    mode = SLAAC if version == 6 else None
    return NewSubnet(
        network_id,
        ip_version=version,
        name=f"{SUBNET_NAME}_v{version}",
        use_default_pool=True,
        ipv6_address_mode=mode,
        ipv6_ra_mode=mode,
    )


def _note(session: Session, project_id: str, network_id: str) -> None:
    session.execute(
        update(AutoTopology)
        .where(AutoTopology.project_id == project_id)
        .values(network_id=network_id)
        .execution_options(synchronize_session=False)
    )


def delete(store: Store, project_id: str) -> list[str]:
    """Delete a project's topology with its router; return the hosts to be woken.

    :raises NotFound: the project has none. :raises Conflict: something is still on it.
    """
    return store.together(lambda: _unmake(store, project_id), lambda session, _hosts: _forget(session, project_id))


def _unmake(store: Store, project_id: str) -> list[str]:
    network_id = find(store, project_id)
    if network_id is None:
        raise NotFound(
            f"Auto-allocated topology of {project_id} could not be found.", "network.auto_topology_not_found"
        )
    with store.read() as session:
        legs = session.execute(
            select(Port.id, Port.device_id).where(Port.network_id == network_id, Port.device_owner == INTERFACE)
        ).all()
    hosts: set[str] = set()
    for leg in legs:
        hosts.update(router_interfaces.remove(store, leg.device_id, leg.id, None)[1])
    for router_id in sorted({leg.device_id for leg in legs}):
        hosts.update(routers.delete(store, router_id))
    hosts.update(network_removal.delete(store, network_id))
    return sorted(hosts)


def _forget(session: Session, project_id: str) -> None:
    session.execute(
        sql_delete(AutoTopology)
        .where(AutoTopology.project_id == project_id)
        .execution_options(synchronize_session=False)
    )
