"""Security groups of servers: the groups that their ports are in, by name or id."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Table, delete, or_, select
from sqlalchemy.orm import Session

from nova_lite.compute.servers import to_act_on
from nova_lite.db.models import Port, PortSecurityGroup, SecurityGroup
from nova_lite.db.store import Store
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import port_rules, rows, security_groups, touch
from nova_lite.network.queries import Listing

_MEMBERS: Table = PortSecurityGroup.__table__  # type: ignore[assignment]


def resolve(session: Session, project_id: str, named: Sequence[str]) -> list[str]:
    """Return the ids of groups of *project_id*, or lent to it, that are named by name or id.

    :raises NotFound: there is no such group.
    :raises Conflict: several have the name.
    """
    wanted = list(dict.fromkeys(named))
    if not wanted:
        return []
    if security_groups.DEFAULT in wanted:
        security_groups.ensure_default(session, project_id)
    query = select(SecurityGroup.id, SecurityGroup.name).where(
        or_(SecurityGroup.id.in_(wanted), SecurityGroup.name.in_(wanted)), *security_groups.visible_to(project_id)
    )
    found = session.execute(query).all()
    return list(dict.fromkeys(_chosen(name, found, project_id) for name in wanted))


def _chosen(name: str, found: Sequence[Any], project_id: str) -> str:
    if any(row.id == name for row in found):
        return name
    fitting = [row.id for row in found if row.name == name]
    if len(fitting) > 1:
        raise Conflict(
            f"Multiple security groups found matching '{name}'. Use an ID to be more specific.",
            "server.security_group_ambiguous",
        )
    if not fitting:
        raise NotFound(f"Security group {name} not found for project {project_id}.", "server.security_group_not_found")
    return str(fitting[0])


def add(store: Store, server_id: str, name: str, *, override_lock: bool) -> list[str]:
    """Put each port of a server into a group; return the hosts touched. That it is in the group already is success.

    :raises NotFound: there is no such group for the server's project.
    :raises Conflict: the server is locked, or several groups have the name.
    :raises Invalid: the server has no port that can be in one.
    """

    def work(session: Session) -> list[str]:
        server = to_act_on(session, server_id, override_lock=override_lock)
        (group_id,) = resolve(session, server.project_id, [name])
        ports = _ports(session, server_id)
        secured = [port.id for port in ports if port.port_security_enabled]
        if not secured:
            raise Invalid(
                f"Security group {name} cannot be applied: instance {server_id} has no port with port security.",
                "server.security_group_cannot_be_applied",
            )
        # Held, so that the group does not turn stateless, or go, meanwhile.
        group = session.scalar(select(SecurityGroup).where(SecurityGroup.id == group_id).with_for_update(read=True))
        if group is None:
            raise security_groups.not_found(group_id)
        port_rules.check_states(session, [{*groups, group_id} for groups in _groups(session, secured).values()])
        insert_absent(session, _MEMBERS, [{"port_id": port_id, "group_id": group_id} for port_id in secured])
        return _touched(session, secured)

    return store.transact(work)


def remove(store: Store, server_id: str, name: str, *, override_lock: bool) -> list[str]:
    """Take each port of a server out of a group; return the hosts touched.

    :raises NotFound: there is no such group, or none of the ports is in it.
    :raises Conflict: the server is locked, or several groups have the name.
    """

    def work(session: Session) -> list[str]:
        server = to_act_on(session, server_id, override_lock=override_lock)
        (group_id,) = resolve(session, server.project_id, [name])
        ports = [port.id for port in _ports(session, server_id)]
        members = PortSecurityGroup.port_id.in_(ports), PortSecurityGroup.group_id == group_id
        inside = list(session.scalars(select(PortSecurityGroup.port_id).where(*members)))
        if not inside:
            raise NotFound(
                f"Security group {name} not associated with the instance {server_id}",
                "server.security_group_not_associated",
            )
        # Touched before, as it is by the group that others' hosts are found.
        before = touch.touch_ports(session, *inside)
        session.execute(delete(PortSecurityGroup).where(*members).execution_options(synchronize_session=False))
        return sorted({*before, *_touched(session, inside)})

    return store.transact(work)


def _ports(session: Session, server_id: str) -> Sequence[Port]:
    return session.scalars(select(Port).where(Port.device_id == server_id).order_by(Port.id).with_for_update()).all()


def _groups(session: Session, port_ids: Sequence[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    query = select(PortSecurityGroup.port_id, PortSecurityGroup.group_id)
    for port_id, group_id in session.execute(query.where(PortSecurityGroup.port_id.in_(port_ids))):
        found.setdefault(port_id, set()).add(group_id)
    return found


def _touched(session: Session, port_ids: Sequence[str]) -> list[str]:
    for port_id in port_ids:
        rows.revise(session, Port, port_id, {})
    return touch.touch_ports(session, *port_ids)


def of_server(store: Store, server_id: str) -> list[security_groups.Shown]:
    """Return the groups that a server's ports are in, with their rules."""
    members = (
        select(PortSecurityGroup.group_id)
        .join(Port, Port.id == PortSecurityGroup.port_id)
        .where(Port.device_id == server_id)
    )
    return security_groups.find(store, Listing(None), SecurityGroup.id.in_(members))
