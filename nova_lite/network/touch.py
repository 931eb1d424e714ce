"""Tell hosts, in the transaction of a change, that their networks are to be applied again.

Each function finds the hosts that a change concerns and lets ``wanted`` of their rows grow: call it last in the transaction, once the
change is written, and wake the hosts that it returns after the commit (``call.wake_hosts``). A lost message delays a host by one of its
looks at its row. A host more than needed costs it one look; a host too few would be wrong, so what is in doubt is touched.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, Table, bindparam, or_, select, union
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from nova_lite.db.models import (
    FloatingIp,
    Host,
    HostNetworkState,
    Network,
    Port,
    PortSecurityGroup,
    Router,
    RouterHost,
    SecurityGroupRule,
)

INTERFACE = "network:router_interface"

_STATES: Table = HostNetworkState.__table__  # type: ignore[assignment]


def hosts(session: Session, names: Iterable[str | None]) -> list[str]:
    """Let ``wanted`` of each host in *names* grow by one; return them sorted, each once."""
    wanted = sorted({name for name in names if name})
    if not wanted:
        return []
    # In the order of names, so that two transactions that touch the same hosts never wait for one another in a ring.
    rows = [{"host": name, "wanted": 1, "applied": 0} for name in wanted]
    backend = session.get_bind().dialect.name
    statement: Any
    if backend in ("sqlite", "postgresql"):
        insert = sqlite.insert if backend == "sqlite" else postgresql.insert
        statement = insert(_STATES).values(rows)
        statement = statement.on_conflict_do_update(index_elements=["host"], set_={"wanted": _STATES.c.wanted + 1})
    else:
        statement = mysql.insert(_STATES).values(rows).on_duplicate_key_update(wanted=_STATES.c.wanted + 1)
    session.execute(statement)
    return wanted


def touch_network(session: Session, *network_ids: str) -> list[str]:
    """Touch the hosts with ports of the networks, of those that a router joins with them, or with a router's way out through them."""
    return _touch(session, *_near(network_ids))


def touch_own(session: Session, *port_ids: str) -> list[str]:
    """Touch the hosts of the ports alone: what changed is nobody else's concern (a floating IP).

    A port that is on no host may stand for an address that others on its network share: their hosts.
    """
    own = _bound().where(Port.id.in_(port_ids))
    return _touch(session, own, _bound().where(Port.network_id.in_(_shared(port_ids))))


def touch_ports(session: Session, *port_ids: str, besides: str | None = None) -> list[str]:
    """Touch whoever must know of the ports' addresses, MACs, places or groups: their hosts, their networks', and rules that name their groups.

    :param besides: a host that is told in another way, and is left out.
    """
    if not port_ids or (besides is not None and not are_others(session, besides)):
        return []
    found = session.execute(select(Port.network_id, Port.host).where(Port.id.in_(port_ids))).all()
    groups = select(PortSecurityGroup.group_id).where(PortSecurityGroup.port_id.in_(port_ids))
    queries = [
        *_near(sorted({row.network_id for row in found})),
        _naming(SecurityGroupRule.remote_group_id.in_(groups)),
    ]
    return _touch(session, *queries, also=[row.host for row in found if row.host], besides=besides)


# Made once: to make a statement anew takes longer than to run it.
_OTHERS = select(Host.__table__.c.name).where(Host.__table__.c.name != bindparam("but")).limit(1)


def are_others(session: Session, host: str) -> bool:
    """Tell whether there is any host beside *host*: on the only one nobody else needs to be told anything."""
    return session.scalar(_OTHERS, {"but": host}) is not None


def touch_router(session: Session, *router_ids: str) -> list[str]:
    """Touch the hosts with ports on the networks that the routers join, and those that have a part of the routers."""
    legs = select(Port.network_id).where(Port.device_owner == INTERFACE, Port.device_id.in_(router_ids))
    return _touch(
        session,
        _bound().where(Port.network_id.in_(legs)),
        select(RouterHost.host).where(RouterHost.router_id.in_(router_ids)),
    )


def touch_group(session: Session, *group_ids: str) -> list[str]:
    """Touch the hosts of the groups' ports, and those with ports whose groups' rules name one of them as remote."""
    members = select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id.in_(group_ids))
    return _touch(
        session, _bound().where(Port.id.in_(members)), _naming(SecurityGroupRule.remote_group_id.in_(group_ids))
    )


def touch_rules(session: Session, *group_ids: str) -> list[str]:
    """Touch the hosts of the groups' ports: rules came or went, and who is in the groups is as it was."""
    members = select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id.in_(group_ids))
    return _touch(session, _bound().where(Port.id.in_(members)))


def touch_address_group(session: Session, *address_group_ids: str) -> list[str]:
    """Touch the hosts with ports whose groups' rules name one of the address groups."""
    return _touch(session, _naming(SecurityGroupRule.remote_address_group_id.in_(address_group_ids)))


def touch_qos(session: Session, *policy_ids: str) -> list[str]:
    """Touch the hosts of ports that the policies limit: by themselves, by their network or by their floating IP."""
    networks = select(Network.id).where(Network.qos_policy_id.in_(policy_ids))
    floating = select(FloatingIp.port_id).where(FloatingIp.qos_policy_id.in_(policy_ids))
    limited = or_(
        Port.qos_policy_id.in_(policy_ids),
        Port.network_id.in_(networks),
        Port.id.in_(floating),
        Port.network_id.in_(_shared(floating)),
    )
    return _touch(session, _bound().where(limited))


def _bound() -> Select[Any]:
    return select(Port.host).where(Port.host.is_not(None))


def _shared(ports: Any) -> Select[Any]:
    """Networks of those of *ports* (ids) that are on no host."""
    standing = aliased(Port)
    return select(standing.network_id).where(standing.id.in_(ports), standing.host.is_(None))


def _near(network_ids: Sequence[str]) -> tuple[Select[Any], ...]:
    """Hosts of ports in the networks or in others that a router joins with them; hosts that leave through the networks."""
    routers = select(Port.device_id).where(Port.device_owner == INTERFACE, Port.network_id.in_(network_ids))
    joined = select(Port.network_id).where(Port.device_owner == INTERFACE, Port.device_id.in_(routers))
    through = select(RouterHost.host).join(Router, Router.id == RouterHost.router_id)
    return (
        _bound().where(or_(Port.network_id.in_(network_ids), Port.network_id.in_(joined))),
        through.where(Router.external_network_id.in_(network_ids)),
    )


def _naming(condition: Any) -> Select[Any]:
    """Hosts of ports in groups with a rule that meets *condition*."""
    groups = select(SecurityGroupRule.group_id).where(condition)
    members = select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id.in_(groups))
    return _bound().where(Port.id.in_(members))


def _touch(session: Session, *queries: Select[Any], also: Iterable[str] = (), besides: str | None = None) -> list[str]:
    found = session.scalars(union(*queries) if len(queries) > 1 else queries[0].distinct())
    return hosts(session, {*found, *also} - {besides})
