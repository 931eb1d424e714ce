"""Which interfaces a new server gets: what the user asked for, turned into networks and ports that are theirs to use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from nova_lite.db.models import Network, Port
from nova_lite.errors import Conflict, Invalid
from nova_lite.network import networks

AUTO = "auto"
"""Whatever network the project has; refused where it has none."""


@dataclass(frozen=True)
class WantedNic:
    """One item of a request's ``networks``: a port, or a network with or without an address."""

    network_id: str | None = None
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


@dataclass(frozen=True)
class PlannedNic:
    """An interface to be: on a network, on a port that is there (``port_id``) or on one that is to be made."""

    network_id: str
    port_id: str | None = None
    fixed_ip: str | None = None
    tag: str | None = None


def plan(
    session: Session,
    project_id: str,
    wanted: Sequence[WantedNic] | str | None,
    *,
    count: int,
    is_admin: bool,
) -> list[PlannedNic]:
    """Turn *wanted* into interfaces. None: the project's only network if it has one; ``auto``: it must have one.

    :raises Conflict: the project has several networks and none was named, or a port is in use.
    :raises Invalid: a network or port is not to be had, or what was asked for can't be had *count* times.
    """
    if wanted is None or wanted == AUTO:
        return _automatic(session, project_id, required=wanted == AUTO)
    assert not isinstance(wanted, str)
    _check_count(wanted, count)
    ports = _ports(session, [nic.port_id for nic in wanted if nic.port_id], None if is_admin else project_id)
    named = [nic.network_id for nic in wanted if nic.network_id and not nic.port_id]
    _check_networks(session, named, None if is_admin else project_id)
    planned = []
    for nic in wanted:
        if nic.port_id:
            if nic.fixed_ip:
                raise Invalid(
                    f"Specified Fixed IP '{nic.fixed_ip}' cannot be used with port '{nic.port_id}': the two cannot be "
                    "specified together.",
                    "server.network_invalid",
                )
            planned.append(PlannedNic(ports[nic.port_id].network_id, nic.port_id, tag=nic.tag))
        elif nic.network_id:
            planned.append(PlannedNic(nic.network_id, fixed_ip=nic.fixed_ip, tag=nic.tag))
        else:
            raise Invalid("Bad network format: missing 'uuid'", "server.network_invalid")
    return planned


def _automatic(session: Session, project_id: str, *, required: bool) -> list[PlannedNic]:
    found = networks.usable(session, project_id)
    if len(found) > 1:
        raise Conflict("Multiple possible networks found, use a Network ID to be more specific.", "network.ambiguous")
    if not found and required:
        raise Invalid(
            f"Unable to automatically allocate a network for project {project_id}; make one, or ask for 'none'.",
            "server.no_network",
        )
    return [PlannedNic(network.id) for network in found]


def _check_count(wanted: Sequence[WantedNic], count: int) -> None:
    ports = [nic.port_id for nic in wanted if nic.port_id]
    if count > 1 and ports:
        raise Invalid("Failed to launch multiple instances with one port: ports can't be shared.", "server.one_port")
    if count > 1 and any(nic.fixed_ip for nic in wanted):
        raise Invalid(
            "Invalid Fixed IP requested for multiple instances: max_count must be 1 if a fixed_ip is specified.",
            "server.one_address",
        )
    if len(set(ports)) != len(ports):
        raise Conflict("A port is named more than once.", "network.port_in_use")
    addresses = Counter((nic.network_id, nic.fixed_ip) for nic in wanted if nic.fixed_ip)
    if any(times > 1 for times in addresses.values()):
        raise Invalid("A fixed IP is asked for more than once.", "server.one_address")


def _ports(session: Session, identifiers: Sequence[str], project_id: str | None) -> dict[str, Port]:
    if not identifiers:
        return {}
    query = select(Port).where(Port.id.in_(list(identifiers)))
    if project_id is not None:
        query = query.where(Port.project_id == project_id)
    found = {port.id: port for port in session.scalars(query)}
    for identifier in identifiers:
        port = found.get(identifier)
        if port is None:
            raise Invalid(f"Port id {identifier} could not be found.", "server.port_not_found")
        if port.device_id:
            raise Conflict(f"Port {identifier} is still in use.", "network.port_in_use")
    return found


# Made once: to make a statement anew takes longer than to run it.
_PROJECT: Any = bindparam("of_project")
_NETWORKS: Any = Network.__table__
_NAMED = select(_NETWORKS.c.id, _NETWORKS.c.external).where(
    _NETWORKS.c.id.in_(bindparam("of_networks", expanding=True))
)
_NAMED_AND_VISIBLE = _NAMED.where(*networks.visible_to(_PROJECT))


def _check_networks(session: Session, identifiers: Sequence[str], project_id: str | None) -> None:
    if not identifiers:
        return
    query = _NAMED if project_id is None else _NAMED_AND_VISIBLE
    values = {"of_networks": list(dict.fromkeys(identifiers)), "of_project": project_id}
    found = {row.id: row.external for row in session.execute(query, values)}
    missing = [identifier for identifier in identifiers if identifier not in found]
    if missing:
        raise Invalid(f"Network {', '.join(missing)} could not be found.", "server.network_not_found")
    external = [identifier for identifier, is_external in found.items() if is_external]
    if external and project_id is not None:
        raise Invalid(
            f"It is not allowed to create an interface on external network {external[0]}", "server.network_external"
        )
