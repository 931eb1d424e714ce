"""Read from the database what a host's networks shall be, in a number of queries that does not grow with what is there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from sqlalchemy import and_, bindparam, exists, or_, select
from sqlalchemy.orm import Session

from nova_lite.agent import spec
from nova_lite.agent.security_rows import read_security
from nova_lite.compute.transitions import TRANSITIONS, VmState
from nova_lite.db.models import (
    FixedIp,
    FloatingIp,
    Host,
    Network,
    Port,
    QosRule,
    Router,
    RouterHost,
    Server,
    Subnet,
)
from nova_lite.host.network_state import (
    FloatingSpec,
    GatewayLeg,
    HostState,
    NetworkSpec,
    PortSpec,
    QosSpec,
    RemotePort,
    RouterLeg,
    RouterSpec,
    ServiceLeg,
    SubnetSpec,
)
from nova_lite.network.dhcp_option_types import is_of_the_other_version

DHCP = "network:dhcp"
INTERFACE = "network:router_interface"
Addresses = Mapping[str, tuple[tuple[str, str], ...]]
"""port id → (subnet id, address) pairs"""

_PORTS: Any = Port.__table__
_NETWORKS: Any = Network.__table__
_SERVERS: Any = Server.__table__
_FIXED: Any = FixedIp.__table__
_FLOATING: Any = FloatingIp.__table__
_STAYS = and_(
    or_(_SERVERS.c.task_state.is_(None), _SERVERS.c.task_state != TRANSITIONS["delete"].during),
    or_(_SERVERS.c.vm_state != VmState.ERROR.value, _SERVERS.c.launched_at.is_not(None)),
)
"""Those of servers that are being deleted, or whose creation failed, have no port here: two that go at the same time
would otherwise each leave the other's behind."""


# Made once, and columns rather than entities: a host may have a thousand ports, and is read anew for each that comes.
_BOUND = (
    select(
        _PORTS.c.id,
        _PORTS.c.host,
        _PORTS.c.network_id,
        _PORTS.c.mac_address,
        _PORTS.c.dns_name,
        _PORTS.c.port_security_enabled,
        _PORTS.c.allowed_address_pairs,
        _PORTS.c.extra_dhcp_opts,
        _PORTS.c.admin_state_up,
        _PORTS.c.qos_policy_id,
        _NETWORKS.c.admin_state_up.label("network_up"),
        _NETWORKS.c.qos_policy_id.label("network_qos_policy_id"),
        _SERVERS.c.id.label("server_id"),
        _SERVERS.c.hostname,
        _SERVERS.c.kind,
        _SERVERS.c.flavor,
        _SERVERS.c.image_properties,
        exists().where(_FLOATING.c.port_id == _PORTS.c.id).label("has_floating_ip"),
    )
    .join(_SERVERS, _SERVERS.c.id == _PORTS.c.device_id)
    .join(_NETWORKS, _NETWORKS.c.id == _PORTS.c.network_id)
    .where(_SERVERS.c.deleted.is_(False), or_(_SERVERS.c.id.in_(bindparam("also", expanding=True)), _STAYS))
    .order_by(_PORTS.c.id)
)
_LOCAL = _BOUND.where(_PORTS.c.host == bindparam("of_host"))
# By server alone: asked for the host too, SQLite takes that index and reads every port of the host.
_OF_SERVERS = _BOUND.where(_PORTS.c.device_id.in_(bindparam("only", expanding=True)))
_HELD = (
    select(_FIXED.c.port_id, _FIXED.c.subnet_id, _FIXED.c.address)
    .where(_FIXED.c.port_id.in_(bindparam("of_ports", expanding=True)))
    .order_by(_FIXED.c.address)
)


@dataclass(frozen=True)
class Lacking:
    """What must be written before the host can be made so: networks without a DHCP port that fits, routers without a port of this host's."""

    dhcp: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()
    left_routers: tuple[str, ...] = ()
    """Routers that have a port of this host's and are not needed here any more."""

    def __bool__(self) -> bool:
        return bool(self.dhcp or self.routers or self.left_routers)


@dataclass(frozen=True)
class _Rows:
    """The rows that the parts are made from."""

    ports: list[Any]
    routers: dict[str, Router]
    legs: list[Port]
    networks: dict[str, Network]
    subnets: Mapping[str, tuple[Subnet, ...]]
    addresses: Addresses


def read_host_state(
    session: Session, host: str, *, without: Collection[str] = (), also: Collection[str] = ()
) -> tuple[HostState, Lacking]:
    """Read what *host*'s networks shall be, and what is lacking for it.

    :param without: servers whose ports are being taken from the host, whatever the database still says.
    :param also: servers whose ports are wanted although their server is on its way out.
    """
    ports = local_ports(session, host, without, also)
    here = {row.network_id for row in ports}
    routers, legs = _routers(session, here)
    wanted = here | {leg.network_id for leg in legs}
    wanted |= {router.external_network_id for router in routers.values() if router.external_network_id}
    networks = {row.id: row for row in session.scalars(select(Network).where(Network.id.in_(sorted(wanted))))}
    subnets = _subnets(session, wanted)
    service = list(session.scalars(select(Port).where(Port.network_id.in_(sorted(here)), Port.device_owner == DHCP)))
    gateways = {
        row.router_id: row
        for row in session.execute(
            select(RouterHost.router_id, Port.id, Port.network_id, Port.mac_address)
            .join(Port, Port.id == RouterHost.port_id)
            .where(RouterHost.host == host)
        )
    }
    known = [row.id for row in ports] + [leg.id for leg in legs] + [port.id for port in service]
    held = addresses(session, known + [row.id for row in gateways.values()])
    rows = _Rows(ports, routers, legs, networks, subnets, held)
    dhcp = {port.network_id: ServiceLeg(port.id, port.mac_address, held.get(port.id, ())) for port in service}
    remote = _remote(
        session, host, [key for key in wanted if key in networks and networks[key].network_type == "vxlan"]
    )
    qos = _qos(session, [row.qos_policy_id for row in ports] + [row.network_qos_policy_id for row in ports])
    groups, members, address_groups = read_security(session, [row.id for row in ports])
    specs = {row.id: port_spec(row, held, qos, groups.memberships.get(row.id, ())) for row in ports}
    state = HostState(
        networks={
            key: _network(row, subnets.get(key, ()), dhcp.get(key), remote.get(key, ()))
            for key, row in networks.items()
        },
        ports={key: specs[key] for key in sorted(specs)},
        routers=_router_specs(session, rows, gateways, [row.id for row in ports]),
        groups=groups.groups,
        members=members,
        address_groups=address_groups,
    )
    return state, _lacking(rows, here, dhcp, gateways)


def local_ports(
    session: Session, host: str, without: Collection[str], also: Collection[str], only: Collection[str] | None = None
) -> list[Any]:
    """Return the rows of the ports that *host* shall have, by id, as :func:`port_spec` reads them; *only*: those of these servers."""
    values: dict[str, Any] = {"of_host": host, "also": sorted(also)}
    query = _LOCAL
    if only is not None:
        query, values["only"] = _OF_SERVERS, sorted(only)
    return [row for row in session.execute(query, values) if row.host == host and row.server_id not in without]


def _routers(session: Session, networks: Collection[str]) -> tuple[dict[str, Router], list[Port]]:
    """Return the routers that have a leg in one of *networks*, and all legs of theirs."""
    if not networks:
        return {}, []
    beside = select(Port.device_id).where(Port.device_owner == INTERFACE, Port.network_id.in_(sorted(networks)))
    routers = {row.id: row for row in session.scalars(select(Router).where(Router.id.in_(beside)))}
    if not routers:
        return {}, []
    query = select(Port).where(Port.device_owner == INTERFACE, Port.device_id.in_(sorted(routers))).order_by(Port.id)
    return routers, list(session.scalars(query))


def _subnets(session: Session, networks: Collection[str]) -> dict[str, tuple[Subnet, ...]]:
    found: dict[str, list[Subnet]] = defaultdict(list)
    query = select(Subnet).where(Subnet.network_id.in_(sorted(networks))).order_by(Subnet.created_at, Subnet.id)
    for subnet in session.scalars(query):
        found[subnet.network_id].append(subnet)
    return {key: tuple(rows) for key, rows in found.items()}


def addresses(session: Session, ports: Collection[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return (subnet id, address) pairs by port."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    wanted = sorted(ports)
    for start in range(0, len(wanted), 500):
        for port_id, subnet_id, address in session.execute(_HELD, {"of_ports": wanted[start : start + 500]}):
            found[port_id].append((subnet_id, address))
    return {key: tuple(pairs) for key, pairs in found.items()}


def _remote(session: Session, host: str, networks: Collection[str]) -> dict[str, tuple[RemotePort, ...]]:
    """Return the guests' ports on other hosts of each of *networks*; a host without an address of its own can't be reached."""
    if not networks:
        return {}
    query = (
        select(Port.id, Port.network_id, Port.mac_address, Host.address, Host.capabilities)
        .join(Host, Host.name == Port.host)
        .where(Port.network_id.in_(sorted(networks)), Port.host != host, Port.device_owner.startswith("compute:"))
        .order_by(Port.id)
    )
    rows = session.execute(query).all()
    held = addresses(session, [row.id for row in rows])
    found: dict[str, list[RemotePort]] = defaultdict(list)
    for row in rows:
        end = (row.capabilities or {}).get("tunnel_ip") or row.address
        if end:
            mine = tuple(address for _, address in held.get(row.id, ()))
            found[row.network_id].append(RemotePort(row.mac_address, mine, end))
    return {key: tuple(ports) for key, ports in found.items()}


def _qos(session: Session, policies: Iterable[str | None]) -> dict[str, QosSpec]:
    wanted = sorted({policy for policy in policies if policy})
    if not wanted:
        return {}
    found: dict[str, dict[str, int]] = {policy: {} for policy in wanted}
    for rule in session.scalars(select(QosRule).where(QosRule.policy_id.in_(wanted))):
        found[rule.policy_id] |= {
            f"{rule.direction}_kbps": rule.max_kbps,
            f"{rule.direction}_burst_kb": rule.max_burst_kbps,
        }
    return {policy: QosSpec(**limits) for policy, limits in found.items() if limits}


def port_spec(row: Any, held: Addresses, qos: Mapping[str, QosSpec], group_ids: tuple[str, ...] = ()) -> PortSpec:
    """Make the spec of a row that :func:`local_ports` gave; *held*: addresses by port."""
    return PortSpec(
        port_id=row.id,
        server_id=row.server_id,
        network_id=row.network_id,
        mac=row.mac_address,
        hostname=row.dns_name or row.hostname,
        addresses=held.get(row.id, ()),
        kind=spec.device_kind(row.kind, spec.isolation(row.kind, row.flavor, row.image_properties)),
        secured=row.port_security_enabled,
        group_ids=group_ids,
        pairs=tuple((pair.get("mac_address") or "", pair["ip_address"]) for pair in row.allowed_address_pairs),
        dhcp_options=_dhcp_options(row.extra_dhcp_opts),
        qos=qos.get(row.qos_policy_id or row.network_qos_policy_id or ""),
        up=row.admin_state_up and row.network_up,
    )


def _dhcp_options(options: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, str, int], ...]:
    found = (
        (option["opt_name"], str(option["opt_value"]), int(option.get("ip_version") or 4))
        for option in options
        if option.get("opt_value") is not None
    )
    # The host would refuse the port for it.
    return tuple(option for option in found if not is_of_the_other_version(*option))


def _network(
    row: Network, subnets: tuple[Subnet, ...], dhcp: ServiceLeg | None, remote: tuple[RemotePort, ...]
) -> NetworkSpec:
    return NetworkSpec(
        network_id=row.id,
        number=row.segmentation_id,
        mtu=row.mtu,
        subnets=tuple(_subnet(subnet) for subnet in subnets),
        kind=row.network_type,
        physical_network=row.physical_network,
        vlan=row.vlan,
        external=row.external,
        dns_domain=row.dns_domain,
        dhcp=dhcp,
        remote=remote,
        remote_hosts=tuple(sorted({port.host_address for port in remote})),
    )


def _subnet(row: Subnet) -> SubnetSpec:
    return SubnetSpec(
        subnet_id=row.id,
        cidr=row.cidr,
        gateway=row.gateway_ip,
        enable_dhcp=row.enable_dhcp,
        dns=tuple(row.dns_nameservers),
        routes=tuple((route["destination"], route["nexthop"]) for route in row.host_routes),
        ra_mode=row.ipv6_ra_mode,
        address_mode=row.ipv6_address_mode,
    )


def _router_specs(
    session: Session, rows: _Rows, gateways: Mapping[str, Any], local: Collection[str]
) -> dict[str, RouterSpec]:
    floating: dict[str, list[FloatingSpec]] = defaultdict(list)
    if rows.routers:
        query = select(FloatingIp).where(FloatingIp.router_id.in_(sorted(rows.routers))).order_by(FloatingIp.id)
        every = [row for row in session.scalars(query) if row.fixed_address]
        here = set(local)
        shared = _shared(session, rows.ports, [row for row in every if row.port_id not in here])
        found = [row for row in every if row.port_id in here or row.id in shared]
        qos = _qos(session, [row.qos_policy_id for row in found])
        for row in found:
            limits = qos.get(row.qos_policy_id or "")
            floating[str(row.router_id)].append(
                FloatingSpec(row.id, row.address, str(row.fixed_address), limits, shared=row.id in shared)
            )
    legs: dict[str, list[RouterLeg]] = defaultdict(list)
    for port in rows.legs:
        legs[port.device_id].append(
            RouterLeg(port.id, port.network_id, port.mac_address, rows.addresses.get(port.id, ()))
        )
    return {
        key: RouterSpec(
            router_id=key,
            legs=tuple(legs[key]),
            gateway=_gateway(router, gateways.get(key), rows),
            snat=router.enable_snat,
            routes=tuple((route["destination"], route["nexthop"]) for route in router.routes),
            floating=tuple(floating[key]),
            up=router.admin_state_up,
        )
        for key, router in rows.routers.items()
    }


def _shared(session: Session, local: Collection[Any], elsewhere: Collection[FloatingIp]) -> set[str]:
    """Return the ids of those that lead to a port on no host, whose address is in an allowed pair of a *local* port on its network."""
    pairs: dict[str, list[IPv4Network | IPv6Network]] = defaultdict(list)
    for row in local:
        for pair in row.allowed_address_pairs:
            pairs[row.network_id].append(ip_network(pair["ip_address"], strict=False))
    if not pairs or not elsewhere:
        return set()
    targets = [row.port_id for row in elsewhere]
    query = select(Port.id, Port.network_id).where(
        Port.id.in_(targets), Port.host.is_(None), Port.network_id.in_(list(pairs))
    )
    standing = {row.id: row.network_id for row in session.execute(query)}
    return {
        row.id
        for row in elsewhere
        if any(
            ip_address(str(row.fixed_address)) in each for each in pairs.get(standing.get(row.port_id or "", ""), ())
        )
    }


def _gateway(router: Router, port: Any, rows: _Rows) -> GatewayLeg | None:
    if port is None or port.network_id != router.external_network_id:
        return None
    held = rows.addresses.get(port.id, ())
    by_id = {subnet.id: subnet for subnet in rows.subnets.get(port.network_id, ())}
    hops = (by_id[subnet_id].gateway_ip for subnet_id, _ in held if subnet_id in by_id)
    return GatewayLeg(port.id, port.network_id, port.mac_address, held, tuple(hop for hop in hops if hop))


def _lacking(
    rows: _Rows, here: Collection[str], dhcp: Mapping[str, ServiceLeg], gateways: Mapping[str, Any]
) -> Lacking:
    def covered(network_id: str) -> bool:
        served = {subnet.id for subnet in rows.subnets.get(network_id, ()) if subnet.enable_dhcp}
        held = {subnet_id for subnet_id, _ in dhcp[network_id].addresses} if network_id in dhcp else set()
        return served <= held

    ways_out = {key: router.external_network_id for key, router in rows.routers.items() if router.external_network_id}
    return Lacking(
        dhcp=tuple(sorted(key for key in here if not covered(key))),
        routers=tuple(
            sorted(key for key, out in ways_out.items() if key not in gateways or gateways[key].network_id != out)
        ),
        left_routers=tuple(sorted(key for key in gateways if key not in ways_out)),
    )
