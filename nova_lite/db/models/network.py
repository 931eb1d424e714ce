"""Networks, subnets, subnet pools, ports and the addresses that ports hold."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base, Timestamps
from nova_lite.db.types import Json, JsonDict, Name, Uuid


class Network(Base, Timestamps):
    """``segmentation_id`` is the network's number on every host: what its bridge is named by, and VXLAN's VNI.

    ``network_type`` is vxlan, flat, vlan or local; all but vxlan have numbers from 2^24 up. ``vlan`` is the tag of a vlan network;
    ``segment_key`` (``flat:PHYSNET``, ``vlan:PHYSNET:TAG``) keeps two networks from one segment. ``is_default`` marks the external
    network that automatic topologies use.
    """

    __tablename__ = "networks"
    __table_args__ = (
        Index("ix_networks_project", "project_id"),
        Index("ix_networks_segment_key", "segment_key", unique=True),
    )
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name, default="")
    description: Mapped[str] = mapped_column(Name, default="")
    admin_state_up: Mapped[bool] = mapped_column(default=True)
    shared: Mapped[bool] = mapped_column(default=False)
    external: Mapped[bool] = mapped_column(default=False)
    network_type: Mapped[str] = mapped_column(String(16), default="vxlan")
    segmentation_id: Mapped[int] = mapped_column(unique=True)
    physical_network: Mapped[str | None] = mapped_column(String(64))
    vlan: Mapped[int | None]
    segment_key: Mapped[str | None] = mapped_column(String(80))
    mtu: Mapped[int] = mapped_column(default=1450)
    dns_domain: Mapped[str] = mapped_column(Name, default="")
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    is_default: Mapped[bool] = mapped_column(default=False)
    qos_policy_id: Mapped[str | None] = mapped_column(Uuid)
    revision: Mapped[int] = mapped_column(default=0)
    zone_hints: Mapped[list[str]] = mapped_column(Json, default=list, server_default="[]")


class Subnet(Base, Timestamps):
    """``pools`` is a list of ``{"start": address, "end": address}``; ``gateway_ip`` None means that there is none.

    The IPv6 modes are ``slaac``, ``dhcpv6-stateless``, ``dhcpv6-stateful`` or None. ``service_types`` are the device owners whose ports get
    addresses here; none: all.
    """

    __tablename__ = "subnets"
    __table_args__ = (Index("ix_subnets_network", "network_id"), Index("ix_subnets_pool", "subnetpool_id"))
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
    ipv6_address_mode: Mapped[str | None] = mapped_column(String(16))
    ipv6_ra_mode: Mapped[str | None] = mapped_column(String(16))
    subnetpool_id: Mapped[str | None] = mapped_column(Uuid)
    revision: Mapped[int] = mapped_column(default=0)
    service_types: Mapped[list[str]] = mapped_column(Json, default=list, server_default="[]")


class SubnetPool(Base, Timestamps):
    """A pool that subnets take their ranges from. ``prefixes`` are CIDRs of one IP version; ``default_quota`` None: no limit."""

    __tablename__ = "subnet_pools"
    __table_args__ = (Index("ix_subnet_pools_project", "project_id"),)
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name, default="")
    description: Mapped[str] = mapped_column(Name, default="")
    ip_version: Mapped[int]
    prefixes: Mapped[list[str]] = mapped_column(Json, default=list)
    default_prefixlen: Mapped[int]
    min_prefixlen: Mapped[int]
    max_prefixlen: Mapped[int]
    default_quota: Mapped[int | None]
    shared: Mapped[bool] = mapped_column(default=False)
    is_default: Mapped[bool] = mapped_column(default=False)
    revision: Mapped[int] = mapped_column(default=0)


class Port(Base, Timestamps):
    """``host`` is where it is bound. ``made_by_compute`` ports go with their server; others are only unbound.

    ``allowed_address_pairs`` are ``{"ip_address": cidr or address, "mac_address": mac}``, ``extra_dhcp_opts``
    ``{"opt_name", "opt_value", "ip_version"}``. ``nic_tag`` is the device tag of its server's interface. ``device_owner`` says what it is:
    ``compute:…``, ``network:dhcp``, ``network:router_interface``, ``network:router_gateway``, ``network:floatingip`` or a user's own word.
    """

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
    dns_name: Mapped[str] = mapped_column(Name, default="")
    port_security_enabled: Mapped[bool] = mapped_column(default=True)
    allowed_address_pairs: Mapped[list[JsonDict]] = mapped_column(Json, default=list)
    extra_dhcp_opts: Mapped[list[JsonDict]] = mapped_column(Json, default=list)
    qos_policy_id: Mapped[str | None] = mapped_column(Uuid)
    vnic_type: Mapped[str] = mapped_column(String(32), default="normal")
    binding_profile: Mapped[JsonDict] = mapped_column(Json, default=dict)
    nic_tag: Mapped[str | None] = mapped_column(String(60))
    revision: Mapped[int] = mapped_column(default=0)


class FixedIp(Base):
    """An address that a port holds; the key makes a second holder of the same address impossible."""

    __tablename__ = "fixed_ips"
    __table_args__ = (Index("ix_fixed_ips_port", "port_id"),)
    subnet_id: Mapped[str] = mapped_column(Uuid, ForeignKey("subnets.id"), primary_key=True)
    address: Mapped[str] = mapped_column(String(64), primary_key=True)
    port_id: Mapped[str] = mapped_column(Uuid, ForeignKey("ports.id"))


class NetworkTag(Base):
    """A tag of anything that the Network API has; ``resource_id`` is that thing's id."""

    __tablename__ = "network_tags"
    __table_args__ = (Index("ix_network_tags_tag", "tag"),)
    resource_id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    tag: Mapped[str] = mapped_column(String(255), primary_key=True)


class RbacPolicy(Base, Timestamps):
    """A network (or other object) lent to a project: ``action`` access_as_shared or access_as_external; target ``*`` is everybody."""

    __tablename__ = "rbac_policies"
    __table_args__ = (UniqueConstraint("object_id", "action", "target_project"),)
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    object_type: Mapped[str] = mapped_column(String(32))
    object_id: Mapped[str] = mapped_column(Uuid)
    action: Mapped[str] = mapped_column(String(32))
    target_project: Mapped[str] = mapped_column(String(64))


class AutoTopology(Base):
    """The network that was made for a project which asked for one automatically; the key lets one be made only once."""

    __tablename__ = "auto_topologies"
    project_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    network_id: Mapped[str] = mapped_column(Uuid)


class HostNetworkState(Base):
    """What of the networks a host has still to apply: ``wanted`` grows with each change that concerns it, ``applied`` follows.

    The change and the growth of ``wanted`` are one transaction, so a lost message only delays the host, which looks at its row now and then.
    """

    __tablename__ = "host_network_states"
    host: Mapped[str] = mapped_column(Name, primary_key=True)
    wanted: Mapped[int] = mapped_column(BigInteger, default=0)
    applied: Mapped[int] = mapped_column(BigInteger, default=0)
