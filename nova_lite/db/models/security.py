"""Security groups with their rules, address groups, and QoS policies."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nova_lite.db.models.base import Base, Timestamps
from nova_lite.db.types import Json, Name, Uuid


class SecurityGroup(Base, Timestamps):
    """``default_of`` is the project whose default group it is; the key lets each project have one only."""

    __tablename__ = "security_groups"
    __table_args__ = (Index("ix_security_groups_project", "project_id"), UniqueConstraint("default_of"))
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name, default="")
    description: Mapped[str] = mapped_column(Name, default="")
    stateful: Mapped[bool] = mapped_column(default=True)
    default_of: Mapped[str | None] = mapped_column(String(64))
    revision: Mapped[int] = mapped_column(default=0)


class SecurityGroupRule(Base, Timestamps):
    """What a group lets pass. None means "any". For ICMP ``port_min`` is the type and ``port_max`` the code.

    ``direction`` ingress or egress, ``ethertype`` IPv4 or IPv6, ``protocol`` a name or number as text. ``same`` is a hash of all that makes a rule,
    so that a group can't have one twice.
    """

    __tablename__ = "security_group_rules"
    __table_args__ = (
        UniqueConstraint("group_id", "same"),
        Index("ix_security_group_rules_remote", "remote_group_id"),
        Index("ix_security_group_rules_project", "project_id"),
    )
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    group_id: Mapped[str] = mapped_column(Uuid, ForeignKey("security_groups.id"))
    project_id: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(Name, default="")
    direction: Mapped[str] = mapped_column(String(8))
    ethertype: Mapped[str] = mapped_column(String(4))
    protocol: Mapped[str | None] = mapped_column(String(40))
    port_min: Mapped[int | None]
    port_max: Mapped[int | None]
    remote_ip_prefix: Mapped[str | None] = mapped_column(String(64))
    remote_group_id: Mapped[str | None] = mapped_column(Uuid, ForeignKey("security_groups.id"))
    remote_address_group_id: Mapped[str | None] = mapped_column(Uuid, ForeignKey("address_groups.id"))
    same: Mapped[str] = mapped_column(String(64))
    revision: Mapped[int] = mapped_column(default=0)


class PortSecurityGroup(Base):
    """A port is in a group."""

    __tablename__ = "port_security_groups"
    __table_args__ = (Index("ix_port_security_groups_group", "group_id"),)
    port_id: Mapped[str] = mapped_column(Uuid, ForeignKey("ports.id"), primary_key=True)
    group_id: Mapped[str] = mapped_column(Uuid, ForeignKey("security_groups.id"), primary_key=True)


class AddressGroup(Base, Timestamps):
    """A named list of CIDRs that rules can refer to."""

    __tablename__ = "address_groups"
    __table_args__ = (Index("ix_address_groups_project", "project_id"),)
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name, default="")
    description: Mapped[str] = mapped_column(Name, default="")
    addresses: Mapped[list[str]] = mapped_column(Json, default=list)
    revision: Mapped[int] = mapped_column(default=0)


class QosPolicy(Base, Timestamps):
    """A named set of limits for ports, networks and floating IPs."""

    __tablename__ = "qos_policies"
    __table_args__ = (Index("ix_qos_policies_project", "project_id"),)
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    project_id: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(Name, default="")
    description: Mapped[str] = mapped_column(Name, default="")
    shared: Mapped[bool] = mapped_column(default=False)
    is_default: Mapped[bool] = mapped_column(default=False)
    revision: Mapped[int] = mapped_column(default=0)


class QosRule(Base):
    """A bandwidth limit: ``max_kbps`` kbit/s, bursts of ``max_burst_kbps`` kbit (0: chosen for it); one for each direction."""

    __tablename__ = "qos_rules"
    __table_args__ = (UniqueConstraint("policy_id", "direction"),)
    id: Mapped[str] = mapped_column(Uuid, primary_key=True)
    policy_id: Mapped[str] = mapped_column(Uuid, ForeignKey("qos_policies.id"))
    direction: Mapped[str] = mapped_column(String(8))
    max_kbps: Mapped[int]
    max_burst_kbps: Mapped[int] = mapped_column(default=0)
