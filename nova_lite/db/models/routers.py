"""Routers and floating IPs."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base, Timestamps
from nova_lite.db.types import Json, JsonDict, Name, Uuid


class Router(Base, Timestamps):
    """A router; its legs are ports whose ``device_id`` it is (``network:router_interface``, ``network:router_gateway``).

    ``routes`` are ``{"destination": cidr, "nexthop": address}``. ``external_network_id`` None: it has no way out.
    """

    __tablename__ = "routers"
    __table_args__ = (Index("ix_routers_project", "project_id"),)
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name, default="")
    description: Mapped[str] = mapped_column(Name, default="")
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    external_network_id: Mapped[str | None] = mapped_column(Uuid, ForeignKey("networks.id"))
    gateway_port_id: Mapped[str | None] = mapped_column(Uuid)
    enable_snat: Mapped[bool] = mapped_column(default=True)
    routes: Mapped[list[JsonDict]] = mapped_column(Json, default=list)
    revision: Mapped[int] = mapped_column(default=0)
    zone_hints: Mapped[list[str]] = mapped_column(Json, default=list, server_default="[]")


class RouterHost(Base):
    """The port by which a router's part on one host reaches the external network: the router's own on the first, one of its own on each other.

    There is no network node: each host that has guests behind the router translates for them with an address of its own.
    """

    __tablename__ = "router_hosts"
    router_id: Mapped[str] = mapped_column(Uuid, ForeignKey("routers.id"), primary_key=True)
    host: Mapped[str] = mapped_column(Name, primary_key=True)
    port_id: Mapped[str] = mapped_column(Uuid, ForeignKey("ports.id"), unique=True)


class FloatingIp(Base, Timestamps):
    """An address of an external network, held by the port ``floating_port_id``, that leads to ``fixed_address`` of ``port_id``."""

    __tablename__ = "floating_ips"
    __table_args__ = (
        Index("ix_floating_ips_project", "project_id"),
        Index("ix_floating_ips_target", "port_id", "fixed_address", unique=True),
        Index("ix_floating_ips_router", "router_id"),
    )
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Name, default="")
    floating_network_id: Mapped[str] = mapped_column(Uuid, ForeignKey("networks.id"))
    floating_port_id: Mapped[str] = mapped_column(Uuid, ForeignKey("ports.id"))
    address: Mapped[str] = mapped_column(String(64))
    port_id: Mapped[str | None] = mapped_column(Uuid, ForeignKey("ports.id"))
    fixed_address: Mapped[str | None] = mapped_column(String(64))
    router_id: Mapped[str | None] = mapped_column(Uuid)
    dns_name: Mapped[str] = mapped_column(Name, default="")
    dns_domain: Mapped[str] = mapped_column(Name, default="")
    qos_policy_id: Mapped[str | None] = mapped_column(Uuid)
    revision: Mapped[int] = mapped_column(default=0)
