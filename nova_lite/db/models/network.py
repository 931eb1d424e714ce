"""Networks, subnets, ports and the addresses that ports hold."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base, Timestamps
from nova_lite.db.types import Json, JsonDict, Name, Uuid


class Network(Base, Timestamps):
    """``segmentation_id`` is the network's number: VXLAN's VNI, and what its bridge on each host is named by."""

    __tablename__ = "networks"
    __table_args__ = (Index("ix_networks_project", "project_id"),)
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name, default="")
    description: Mapped[str] = mapped_column(Name, default="")
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    shared: Mapped[bool] = mapped_column(default=False)
    external: Mapped[bool] = mapped_column(default=False)
    network_type: Mapped[str] = mapped_column(String(16), default="vxlan")
    segmentation_id: Mapped[int] = mapped_column(unique=True)
    mtu: Mapped[int] = mapped_column(default=1450)
    revision: Mapped[int] = mapped_column(default=0)


class Subnet(Base, Timestamps):
    """``pools`` is a list of ``{"start": address, "end": address}``; ``gateway_ip`` None means that there is none."""

    __tablename__ = "subnets"
    __table_args__ = (Index("ix_subnets_network", "network_id"),)
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    network_id: Mapped[str] = mapped_column(Uuid, ForeignKey("networks.id"))
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name, default="")
    description: Mapped[str] = mapped_column(Name, default="")
    ip_version: Mapped[int] = mapped_column(default=4)
    cidr: Mapped[str] = mapped_column(String(64))
    gateway_ip: Mapped[str | None] = mapped_column(String(64))
    enable_dhcp: Mapped[bool] = mapped_column(default=True)
    dns_nameservers: Mapped[list[str]] = mapped_column(Json, default=list)
    host_routes: Mapped[list[JsonDict]] = mapped_column(Json, default=list)
    pools: Mapped[list[JsonDict]] = mapped_column(Json, default=list)
    revision: Mapped[int] = mapped_column(default=0)


class Port(Base, Timestamps):
    """``host`` is where it is bound. ``made_by_compute`` ports go with their server; others are only unbound."""

    __tablename__ = "ports"
    __table_args__ = (
        UniqueConstraint("network_id", "mac_address"),
        Index("ix_ports_device", "device_id"),
        Index("ix_ports_host", "host"),
        Index("ix_ports_project", "project_id"),
    )
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    network_id: Mapped[str] = mapped_column(Uuid, ForeignKey("networks.id"))
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name, default="")
    description: Mapped[str] = mapped_column(Text, default="")
    mac_address: Mapped[str] = mapped_column(String(17))
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    status: Mapped[str] = mapped_column(String(16), default="DOWN")
    device_id: Mapped[str] = mapped_column(Name, default="")
    device_owner: Mapped[str] = mapped_column(Name, default="")
    host: Mapped[str | None] = mapped_column(Name)
    made_by_compute: Mapped[bool] = mapped_column(default=False)
    position: Mapped[int] = mapped_column(default=0)
    revision: Mapped[int] = mapped_column(default=0)


class FixedIp(Base):
    """An address that a port holds; the key makes a second holder of the same address impossible."""

    __tablename__ = "fixed_ips"
    __table_args__ = (Index("ix_fixed_ips_port", "port_id"),)
    subnet_id: Mapped[str] = mapped_column(Uuid, ForeignKey("subnets.id"), primary_key=True)
    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    port_id: Mapped[str] = mapped_column(Uuid, ForeignKey("ports.id"))
