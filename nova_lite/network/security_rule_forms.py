"""Security group rules in their canonical form: checked as Neutron checks them, and known again whatever they were written like."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from nova_lite.db.models import SecurityGroupRule
from nova_lite.db.types import new_id, now
from nova_lite.errors import Invalid
from nova_lite.network import protocols

ETHERTYPES = ("IPv4", "IPv6")
HIGHEST_PORT = 65_535


@dataclass(frozen=True)
class RuleForm:
    """What a rule lets pass; None: any. Members are named as the columns of ``security_group_rules``."""

    direction: str
    ethertype: str = "IPv4"
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    remote_address_group_id: str | None = None
    description: str = ""

    @property
    def same(self) -> str:
        """Return the hash of all that makes the rule; two rules of a group that agree in it are one."""
        prefix = self.remote_ip_prefix
        if prefix is not None and ipaddress.ip_interface(prefix).network.prefixlen == 0:
            prefix = None
        protocol = protocols.number(self.protocol)
        who = (prefix, self.remote_group_id, self.remote_address_group_id)
        meaning = (self.direction, self.ethertype, protocol, self.port_min, self.port_max, *who)
        return hashlib.sha256("|".join(map(str, meaning)).encode()).hexdigest()


def canonical(wanted: Mapping[str, Any]) -> RuleForm:
    """Check the members of a rule as a user wrote them (``port_range_min`` and so on); return its canonical form.

    :raises Invalid: what it says can't be meant.
    """
    ethertype = _ethertype(wanted.get("ethertype") or "IPv4")
    form = RuleForm(
        direction=wanted["direction"],
        ethertype=ethertype,
        protocol=protocols.canonical(wanted.get("protocol"), ethertype),
        port_min=_port(wanted.get("port_range_min")),
        port_max=_port(wanted.get("port_range_max")),
        remote_ip_prefix=_prefix(wanted.get("remote_ip_prefix")),
        remote_group_id=wanted.get("remote_group_id") or None,
        remote_address_group_id=wanted.get("remote_address_group_id") or None,
        description=wanted.get("description") or "",
    )
    if (form.port_min, form.port_max) == (1, HIGHEST_PORT):
        form = replace(form, port_min=None, port_max=None)
    _check_ports(form)
    prefix = form.remote_ip_prefix
    if prefix is not None and f"IPv{ipaddress.ip_interface(prefix).version}" != ethertype:
        raise Invalid(
            f"Conflicting value ethertype {ethertype} for CIDR {prefix}",
            "network.security_group_rule_parameter_conflict",
        )
    if ethertype == "IPv4" and protocols.number(form.protocol) in protocols.ONLY_IPV6:
        raise Invalid(
            f"Invalid ethertype {ethertype} for protocol {form.protocol}.",
            "network.security_group_ethertype_conflict_with_protocol",
        )
    if sum(value is not None for value in (prefix, form.remote_group_id, form.remote_address_group_id)) > 1:
        raise Invalid(
            "Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.",
            "network.security_group_multiple_remote_entites",
        )
    return form


def _ethertype(value: str) -> str:
    for known in ETHERTYPES:
        if known.lower() == value.lower():
            return known
    raise Invalid(
        f"Security group rule for ethertype '{value[:64]}' not supported. Allowed values are {list(ETHERTYPES)}.",
        "network.security_group_rule_invalid_ether_type",
    )


def _port(value: int | str | None) -> int | None:
    if value is None or value == "":
        return None
    text = str(value)
    if not (text.isascii() and text.isdecimal()) or int(text) > HIGHEST_PORT:
        raise _bad_port(text)
    return int(text)


def _bad_port(text: str) -> Invalid:
    return Invalid(f"Invalid value for port {text[:64]}", "network.security_group_invalid_port_value")


def _prefix(value: str | None) -> str | None:
    if not value:
        return None
    try:
        return ipaddress.ip_interface(value).with_prefixlen
    except ValueError:
        raise Invalid(f"Invalid CIDR {value[:64]} given as IP prefix.", "network.invalid_cidr") from None


def _check_ports(form: RuleForm) -> None:
    low, high = form.port_min, form.port_max
    if low is None and high is None:
        return
    number = protocols.number(form.protocol)
    if form.protocol is None:
        raise Invalid(
            "Must also specify protocol if port range is given.",
            "network.security_group_protocol_required_with_ports",
        )
    if number in protocols.WITH_PORTS:
        if 0 in (low, high):
            raise _bad_port("0")
        if low is None or high is None or low > high:
            raise Invalid(
                "For TCP/UDP protocols, port_range_min must be <= port_range_max",
                "network.security_group_invalid_port_range",
            )
    elif number in (protocols.ICMP, protocols.ICMPV6):
        for name, meaning, value in (("port_range_min", "type", low), ("port_range_max", "code", high)):
            if value is not None and value > 255:
                raise Invalid(
                    f"Invalid value for ICMP {meaning} ({name}) {value}. It must be 0 to 255.",
                    "network.security_group_invalid_icmp_value",
                )
        if low is None:
            raise Invalid(
                f"ICMP code (port-range-max) {high} is provided but ICMP type (port-range-min) is missing.",
                "network.security_group_missing_icmp_type",
            )
    else:
        supported = ", ".join(name.upper() for name in protocols.NAMES_WITH_PORTS)
        raise Invalid(
            f"Ports cannot be specified for protocol {form.protocol}. Ports are only supported for {supported}.",
            "network.security_group_invalid_protocol_for_port",
        )


def first_rules(group_id: str, *, default: bool = False) -> list[RuleForm]:
    """Give the rules that a new group has: all may leave; into a default group may come whoever is in it."""
    rules = [RuleForm("egress", ethertype) for ethertype in ETHERTYPES]
    if default:
        rules += [RuleForm("ingress", ethertype, remote_group_id=group_id) for ethertype in ETHERTYPES]
    return rules


def add(session: Session, group_id: str, project_id: str, forms: Sequence[RuleForm]) -> list[str]:
    """Insert rules into a group in the caller's transaction; return their ids in order.

    :raises sqlalchemy.exc.IntegrityError: the group has one of them already.
    """
    moment = now()
    rows: list[dict[str, Any]] = [
        {
            **vars(form),
            "id": new_id(),
            "group_id": group_id,
            "project_id": project_id,
            "same": form.same,
            "revision": 0,
            "created_at": moment,
            "updated_at": moment,
        }
        for form in forms
    ]
    if rows:
        session.execute(insert(SecurityGroupRule), rows)
    return [row["id"] for row in rows]
