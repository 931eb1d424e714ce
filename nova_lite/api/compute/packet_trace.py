"""Follow a packet of a server's: asked of its host, and of the host that it goes on to."""

from __future__ import annotations

import functools
import ipaddress
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.api.compute import access, parameters
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.db.models import FixedIp, Port, SecurityGroupRule
from nova_lite.errors import Conflict, Invalid

SEE_ALL = "os_compute_api:nova-lite-trace:all"
"""Who may, sees hosts and other projects' groups too."""
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "sctp": 132}

QUERY: Schema = {
    "type": "object",
    "properties": dict.fromkeys(("address", "port", "protocol"), parameters.TEXTS),
    "additionalProperties": False,
}


def show(call: Call) -> dict[str, Any]:
    """Say each place that the first packet of a connection passes, and what becomes of it there."""
    record = access.server(call)
    if record.host is None:
        raise Conflict(f"Instance {record.id} is not on a host, so nothing leaves it.", "server.not_ready")
    address = _address(call.query.get("address", ""))
    port = _port(call.query.get("port"))
    protocol = _protocol(call.query.get("protocol"), port, ":" in address)
    asked = functools.partial(
        call.services.agents.call,
        record.host,
        "trace_packet",
        server_id=record.id,
        destination=address,
        protocol=protocol,
        port=port,
    )
    found: dict[str, Any] = call.services.offload(asked)
    hops = [{**hop, "host": record.host} for hop in found["hops"]]
    if found["onward"] is not None:
        hops += _onward(call, found["onward"], protocol, port)
    with call.store.read() as session:
        _keep_others_secrets(session, hops, record.project_id, is_admin=call.may(SEE_ALL))
    return {"trace": {"server_id": record.id, "address": address, "hops": hops, "verdict": hops[-1]["verdict"]}}


def _onward(call: Call, onward: dict[str, Any], protocol: int, port: int | None) -> list[dict[str, Any]]:
    """Ask the host that the destination's port is bound to."""
    query = (
        select(Port.host)
        .join(FixedIp, FixedIp.port_id == Port.id)
        .where(Port.network_id == onward["network_id"], FixedIp.address == onward["destination"])
    )
    with call.store.read() as session:
        host = session.scalar(query)
    if host is None:
        return [
            {
                "host": None,
                "where": "tunnel",
                "what": f"no port has {onward['destination']} any more",
                "verdict": "dropped",
                "rule_id": None,
                "port_id": None,
            }
        ]
    ask = functools.partial(call.services.agents.call, host, "trace_arrival", **onward, protocol=protocol, port=port)
    return [{**hop, "host": host} for hop in call.services.offload(ask)["hops"]]


def _keep_others_secrets(session: Session, hops: list[dict[str, Any]], project_id: str, *, is_admin: bool) -> None:
    """Take out of *hops* what belongs to other projects: their groups' ids, and which hosts they are on."""
    ports = {hop["port_id"] for hop in hops if hop["port_id"]}
    rules = {hop["rule_id"] for hop in hops if hop["rule_id"]}
    query = select(Port.id).where(Port.id.in_(ports), Port.project_id == project_id)
    own = set(session.scalars(query)) if ports else set()
    known = select(SecurityGroupRule.id).where(
        SecurityGroupRule.id.in_(rules), SecurityGroupRule.project_id == project_id
    )
    own_rules = set(session.scalars(known)) if rules else set()
    for hop in hops:
        if is_admin:
            continue
        hop["host"] = None
        if hop["port_id"] and hop["port_id"] not in own:
            what = "pass" if hop["verdict"] == "passes" else "drop"
            hop |= {"what": f"another project's security groups {what} it", "port_id": None, "rule_id": None}
        elif hop["rule_id"] and hop["rule_id"] not in own_rules:
            hop["rule_id"] = None


def _address(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as error:
        raise Invalid(f"address: {text[:64]!r} is not an IP address.", "trace.address") from error
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        raise Invalid("address: it must have no scope.", "trace.address")
    return str(address)


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise Invalid(f"port: {text[:64]!r} is not a number from 1 to 65535.", "trace.port")
    return int(text)


def _protocol(text: str | None, port: int | None, is_v6: bool) -> int:
    if text is None:
        return (58 if is_v6 else 1) if port is None else PROTOCOLS["tcp"]
    name = text.lower()
    if name in ("icmp", "icmpv6", "ipv6-icmp", "1", "58"):
        if port is not None:
            raise Invalid("port: icmp has no ports.", "trace.port")
        return 58 if is_v6 else 1
    number = PROTOCOLS.get(name, int(name) if name.isascii() and name.isdecimal() and len(name) < 4 else -1)
    if not 0 <= number <= 255:
        raise Invalid(f"protocol: {text[:64]!r} is not tcp, udp, icmp, sctp or a number up to 255.", "trace.protocol")
    if number in (6, 17, 132) and port is None:
        raise Invalid("port: tcp, udp and sctp need one.", "trace.port")
    return number
