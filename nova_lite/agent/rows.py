"""What the agent reads of a server and of its host's networks, in few queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nova_lite.agent import spec
from nova_lite.compute.transitions import TRANSITIONS, VmState
from nova_lite.db.models import FixedIp, Image, Network, Port, Server, Subnet
from nova_lite.host.network_state import NetworkSpec, PortSpec

_STAYS = (
    or_(Server.task_state.is_(None), Server.task_state != TRANSITIONS["delete"].during),
    or_(Server.vm_state != VmState.ERROR.value, Server.launched_at.is_not(None)),
)


@dataclass(frozen=True)
class ServerRows:
    """A server with all that its guest is made from. ``ports`` are in the order of the guest's interfaces."""

    server: Server
    ports: tuple[PortSpec, ...]
    networks: Mapping[str, NetworkSpec]
    images: Mapping[str, Image]


def read_server(session: Session, server_id: str, other_image: str | None = None) -> ServerRows | None:
    """Read a server, its ports, their networks and its images, *other_image* among them; None: there is no such row."""
    server = session.get(Server, server_id)
    if server is None:
        return None
    ports = list(
        session.scalars(select(Port).where(Port.device_id == server_id).order_by(Port.position, Port.created_at))
    )
    addresses = _addresses(session, [port.id for port in ports])
    return ServerRows(
        server=server,
        ports=tuple(spec.port_spec(port, server, addresses[port.id]) for port in ports),
        networks=read_networks(session, {port.network_id for port in ports}),
        images=_images(session, [server.image_id, other_image, (server.system_metadata or {}).get("shelved_image_id")]),
    )


def _images(session: Session, wanted: Iterable[str | None]) -> dict[str, Image]:
    found: dict[str, Image] = {}
    for image_id in wanted:
        image = session.get(Image, image_id) if image_id and image_id not in found else None
        if image is None:
            continue
        found[image.id] = image
        for name in ("kernel_id", "ramdisk_id"):
            part = session.get(Image, image.properties[name]) if image.properties.get(name) else None
            if part is not None:
                found[part.id] = part
    return found


def read_networks(session: Session, identifiers: Iterable[str]) -> dict[str, NetworkSpec]:
    """Read networks with their subnets, keyed by id."""
    wanted = list(identifiers)
    if not wanted:
        return {}
    subnets: dict[str, list[Subnet]] = defaultdict(list)
    for subnet in session.scalars(
        select(Subnet).where(Subnet.network_id.in_(wanted)).order_by(Subnet.created_at, Subnet.id)
    ):
        subnets[subnet.network_id].append(subnet)
    networks = session.scalars(select(Network).where(Network.id.in_(wanted)))
    return {network.id: spec.network_spec(network, subnets[network.id]) for network in networks}


def read_ports(session: Session, host: str, network_id: str | None = None) -> dict[str, list[PortSpec]]:
    """Read the ports that *host* should have, by network; *network_id*: only of this one.

    Those of servers that are being deleted, or whose creation failed, are not among them: two that go at the same time
    would otherwise each leave the other's behind.
    """
    columns = (
        select(
            Port.id,
            Port.network_id,
            Port.mac_address,
            Port.device_id,
            Server.hostname,
            Server.kind,
            Server.flavor,
            Server.image_properties,
        )
        .join(Server, Server.id == Port.device_id)
        .where(Port.host == host, Server.deleted.is_(False), *_STAYS)
        .order_by(Port.id)
    )
    if network_id is not None:
        columns = columns.where(Port.network_id == network_id)
    ports = session.execute(columns).all()
    bound = select(FixedIp.port_id, FixedIp.subnet_id, FixedIp.address).join(Port, Port.id == FixedIp.port_id)
    bound = bound.where(Port.host == host)
    if network_id is not None:
        bound = bound.where(Port.network_id == network_id)
    addresses: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for port_id, subnet_id, address in session.execute(bound.order_by(FixedIp.address)):
        addresses[port_id].append((subnet_id, address))
    found: dict[str, list[PortSpec]] = defaultdict(list)
    for row in ports:
        found[row.network_id].append(
            PortSpec(
                port_id=row.id,
                server_id=row.device_id,
                network_id=row.network_id,
                mac=row.mac_address,
                hostname=row.hostname,
                addresses=tuple(addresses[row.id]),
                kind=spec.device_kind(row.kind, spec.isolation(row.kind, row.flavor, row.image_properties)),
            )
        )
    return found


def _addresses(session: Session, ports: list[str]) -> dict[str, list[tuple[str, str]]]:
    addresses: dict[str, list[tuple[str, str]]] = defaultdict(list)
    if ports:
        query = select(FixedIp.port_id, FixedIp.subnet_id, FixedIp.address).where(FixedIp.port_id.in_(ports))
        for port_id, subnet_id, address in session.execute(query.order_by(FixedIp.address)):
            addresses[port_id].append((subnet_id, address))
    return addresses
