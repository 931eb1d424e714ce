"""Make ports: with MAC, addresses and security groups, for a user, for a server that is being created, or for the system itself."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import Table, bindparam, insert, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import Network, Port, PortSecurityGroup
from nova_lite.db.types import JsonDict, new_id, now
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict, Invalid
from nova_lite.network import (
    network_rules,
    port_addresses,
    port_rules,
    quotas,
    security_groups,
    subnets,
    tags,
)
from nova_lite.network.port_addresses import Asking, WantedAddress

DEVICE_OWNER = "compute:nova"
SYSTEM = "network:"
"""How the device owners of the system's own ports begin; they are in no group."""
ATTEMPTS = 5

_PORTS: Table = Port.__table__  # type: ignore[assignment]
_MEMBERS: Table = PortSecurityGroup.__table__  # type: ignore[assignment]
_NETWORKS: Table = Network.__table__  # type: ignore[assignment]
# Made once, over tables rather than entities: to make a statement anew takes longer than to run it.
_SECURED = select(_NETWORKS.c.id, _NETWORKS.c.port_security_enabled).where(
    _NETWORKS.c.id.in_(bindparam("of_networks", expanding=True))
)
_JOIN = insert(_MEMBERS)


@dataclass(frozen=True)
class NewPort:
    """What a port is made of. ``addresses`` None: one of each IP version that the network has.

    ``security_groups`` None: the project's default one, unless the port is the system's own or has no port security.
    ``port_security_enabled`` None: as its network. ``gateway``: it may ask for the gateway's address.
    """

    network_id: str
    project_id: str
    name: str = ""
    description: str = ""
    mac_address: str | None = None
    admin_state_up: bool = True
    device_id: str = ""
    device_owner: str = ""
    addresses: tuple[WantedAddress, ...] | None = None
    made_by_compute: bool = False
    position: int = 0
    security_groups: tuple[str, ...] | None = None
    port_security_enabled: bool | None = None
    allowed_address_pairs: tuple[JsonDict, ...] = ()
    extra_dhcp_opts: tuple[JsonDict, ...] = ()
    dns_name: str = ""
    qos_policy_id: str | None = None
    vnic_type: str = "normal"
    binding_profile: JsonDict | None = None
    host: str | None = None
    tags: tuple[str, ...] = ()
    gateway: bool = False


@dataclass(frozen=True)
class ServerPort:
    """A port that a server gets when it is created. ``fixed_ip`` None: any free address; ``security_groups`` None: the default one."""

    server_id: str
    project_id: str
    network_id: str
    position: int = 0
    fixed_ip: str | None = None
    security_groups: tuple[str, ...] | None = None


def create_for_servers(
    session: Session, wanted: Sequence[ServerPort], mac_prefix: str, conf: cfg.ConfigOpts | None = None
) -> None:
    """Make the ports of new servers in the caller's transaction; the number of statements does not grow with theirs.

    :raises Conflict: a network has no address left, the wanted one is held, or the quota is used up.
    :raises Invalid: a network has no subnet, or the wanted address lies in none of its subnets.
    """
    if not wanted:
        return
    news = [
        NewPort(
            network_id=port.network_id,
            project_id=port.project_id,
            device_id=port.server_id,
            device_owner=DEVICE_OWNER,
            addresses=None if port.fixed_ip is None else (WantedAddress(address=port.fixed_ip),),
            made_by_compute=True,
            position=port.position,
            security_groups=port.security_groups,
        )
        for port in wanted
    ]
    create_in(session, news, mac_prefix, conf, needs_address=True)


def create_for_server(
    session: Session, server_id: str, project_id: str, network_ids: Sequence[str], mac_prefix: str
) -> None:
    """Make one port on each of *network_ids* for one server; see :func:`create_for_servers`."""
    wanted = [ServerPort(server_id, project_id, network_id, index) for index, network_id in enumerate(network_ids)]
    create_for_servers(session, wanted, mac_prefix)


def create_in(
    session: Session,
    news: Sequence[NewPort],
    mac_prefix: str,
    conf: cfg.ConfigOpts | None = None,
    *,
    needs_address: bool = False,
    scope: str | None = None,
    usable: ColumnElement[bool] | None = None,
) -> list[str]:
    """Make ports in the caller's transaction; return their ids in order. *conf* None: no quota.

    :param scope: the project whose groups and QoS policies may be named; None: any.
    :param usable: the condition that their networks must meet; None: any network.
    :raises NotFound: there is no such network, group or QoS policy.
    :raises Conflict: a MAC or an address is held, none is free, or the quota is used up.
    """
    if conf is not None:
        for project_id, count in sorted(Counter(new.project_id for new in news).items()):
            quotas.take(session, conf, project_id, "port", count)
    secured_by = _networks(session, {new.network_id for new in news}, usable)
    for policy_id in {new.qos_policy_id for new in news if new.qos_policy_id}:
        network_rules.check_qos(session, policy_id, scope)
    moment = now()
    by_id = {new_id(): new for new in news}
    rows = {
        identifier: _row(identifier, new, secured_by[new.network_id], mac_prefix, moment)
        for identifier, new in by_id.items()
    }
    _insert_rows(session, rows, by_id, mac_prefix)
    _address(session, by_id, rows, needs_address=needs_address)
    _join(session, by_id, rows, scope)
    for identifier, new in by_id.items():
        if new.tags:
            tags.put(session, identifier, new.tags)
    return list(rows)


def _networks(session: Session, identifiers: set[str], usable: ColumnElement[bool] | None) -> dict[str, bool]:
    """Return whether ports of each network have port security unless they say otherwise. :raises NotFound: one is not usable."""
    query = _SECURED if usable is None else _SECURED.where(usable)
    found = {row.id: row.port_security_enabled for row in session.execute(query, {"of_networks": sorted(identifiers)})}
    for identifier in sorted(identifiers - set(found)):
        raise network_rules.not_found(identifier)
    return found


def _row(identifier: str, new: NewPort, secured_by_network: bool, mac_prefix: str, moment: Any) -> dict[str, Any]:
    mac = port_rules.unicast(new.mac_address) if new.mac_address else random_mac(mac_prefix)
    secured = secured_by_network if new.port_security_enabled is None else new.port_security_enabled
    address_pairs = port_rules.pairs(new.allowed_address_pairs, mac)
    port_rules.check_security(secured, new.security_groups, address_pairs)
    return {
        "id": identifier,
        "network_id": new.network_id,
        "project_id": new.project_id,
        "name": new.name,
        "description": new.description,
        "mac_address": mac,
        "admin_state_up": new.admin_state_up,
        "status": "DOWN",
        "device_id": new.device_id,
        "device_owner": new.device_owner,
        "host": new.host,
        "made_by_compute": new.made_by_compute,
        "position": new.position,
        "dns_name": new.dns_name,
        "port_security_enabled": secured,
        "allowed_address_pairs": address_pairs,
        "extra_dhcp_opts": port_rules.dhcp_options((), new.extra_dhcp_opts),
        "qos_policy_id": new.qos_policy_id,
        "vnic_type": new.vnic_type,
        "binding_profile": new.binding_profile or {},
        "revision": 0,
        "created_at": moment,
        "updated_at": moment,
    }


def _insert_rows(
    session: Session, rows: dict[str, dict[str, Any]], by_id: Mapping[str, NewPort], mac_prefix: str
) -> None:
    missing = list(rows)
    for _ in range(ATTEMPTS):
        if insert_absent(session, _PORTS, [rows[identifier] for identifier in missing]):
            return
        present = set(session.scalars(select(Port.id).where(Port.id.in_(missing))))
        missing = [identifier for identifier in missing if identifier not in present]
        if not missing:
            return
        for identifier in missing:
            asked = by_id[identifier].mac_address
            if asked:
                raise mac_in_use(by_id[identifier].network_id, asked)
            rows[identifier]["mac_address"] = random_mac(mac_prefix)
    raise Conflict("Unable to generate unique mac.", "network.mac_address_generation_failure")


def mac_in_use(network_id: str, mac: str) -> Conflict:
    """Make the error that says that another port of the network has a MAC."""
    return Conflict(
        f"Unable to complete operation for network {network_id}. The mac address {mac} is in use.",
        "network.mac_address_in_use",
    )


def random_mac(prefix: str) -> str:
    """Return a MAC that begins with *prefix* and ends anyhow."""
    return prefix + "".join(f":{random.randrange(256):02x}" for _ in range(3))  # noqa: S311 (no secret)


def _address(
    session: Session, by_id: Mapping[str, NewPort], rows: Mapping[str, dict[str, Any]], *, needs_address: bool
) -> None:
    by_network = subnets.of_networks(session, sorted({new.network_id for new in by_id.values()}))
    for network_id, available in by_network.items():
        if needs_address and not available:
            raise Invalid(
                f"Network {network_id} requires a subnet in order to boot instances on.", "network.requires_subnet"
            )
    asking = [
        Asking(
            identifier, new.network_id, rows[identifier]["mac_address"], new.device_owner, new.addresses, new.gateway
        )
        for identifier, new in by_id.items()
    ]
    port_addresses.give(session, asking, by_network)


def _join(
    session: Session, by_id: Mapping[str, NewPort], rows: Mapping[str, dict[str, Any]], scope: str | None
) -> None:
    """Put the ports into their security groups."""
    port_rules.check_groups(session, {group for new in by_id.values() for group in new.security_groups or ()}, scope)
    port_rules.check_states(session, [new.security_groups or () for new in by_id.values()])
    defaults: dict[str, str] = {}
    members = []
    for identifier, new in by_id.items():
        groups: Sequence[str] = new.security_groups or ()
        trusted = new.device_owner.startswith(SYSTEM)
        if new.security_groups is None and rows[identifier]["port_security_enabled"] and not trusted and new.project_id:
            if new.project_id not in defaults:
                defaults[new.project_id] = security_groups.ensure_default(session, new.project_id)
            groups = (defaults[new.project_id],)
        members += [{"port_id": identifier, "group_id": group} for group in dict.fromkeys(groups)]
    if members:
        session.execute(_JOIN, members if len(members) > 1 else members[0])
