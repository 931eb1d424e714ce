"""What carries a network: its type, physical network and number, each given to one network only.

``networks.segmentation_id`` is a network's number on the hosts: below 2^24 it is VXLAN's, other types have one from there up.
The unique keys of the number and of ``segment_key`` decide who gets what.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import Table, func, select
from sqlalchemy.orm import Session

from nova_lite.db.models import Network
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict, Invalid, Unavailable

VXLAN, FLAT, VLAN, LOCAL = "vxlan", "flat", "vlan", "local"
TYPES = (VXLAN, FLAT, VLAN, LOCAL)
HIGHEST_VNI = (1 << 24) - 1
"""VXLAN's network identifiers are 24 bits wide."""
HIGHEST_VLAN = 4094
VXLAN_OVERHEAD = 50
"""Bytes that VXLAN over IPv4 adds to each packet."""
ATTEMPTS = 16
_HIGHEST_NUMBER = (1 << 31) - 1

_NETWORKS: Table = Network.__table__  # type: ignore[assignment]


@dataclass(frozen=True)
class Segment:
    """What a network is to be carried by; ``number`` is the VNI or the VLAN's tag, None: any that is free."""

    network_type: str = VXLAN
    physical_network: str | None = None
    number: int | None = None

    @property
    def largest_overhead(self) -> int:
        """Bytes of a packet that carrying it takes."""
        return VXLAN_OVERHEAD if self.network_type == VXLAN else 0


def physical_networks(conf: cfg.ConfigOpts) -> dict[str, str]:
    """Return the interface of each physical network that is configured; empty: the host itself."""
    return {name: interface for name, _, interface in (text.partition(":") for text in conf.network.physical_networks)}


def choose(conf: cfg.ConfigOpts, network_type: str | None, physical: str | None, number: int | None) -> Segment:
    """Check what an admin asks for. :raises Invalid: it does not fit together, or there is no such physical network."""
    kind = network_type or VXLAN
    if network_type is None and (physical is not None or number is not None):
        raise _invalid("provider:network_type is required where another provider attribute is given")
    if kind in (VXLAN, LOCAL) and physical is not None:
        raise _invalid(f"provider:physical_network specified for {kind} network")
    if kind in (FLAT, LOCAL) and number is not None:
        raise _invalid(f"provider:segmentation_id specified for {kind} network")
    if kind in (FLAT, VLAN):
        known = physical_networks(conf)
        if physical is None:
            raise _invalid(f"provider:physical_network is required for a {kind} provider network")
        if physical not in known:
            raise _invalid(f"physical_network '{physical}' unknown for {kind} provider network")
        if kind == VLAN and not known[physical]:
            raise _invalid(
                f"physical_network '{physical}' has no interface that a vlan could be on; only a flat network can be"
            )
    most = HIGHEST_VNI if kind == VXLAN else HIGHEST_VLAN
    if number is not None and not 1 <= number <= most:
        raise _invalid(f"segmentation_id out of range (1 through {most})")
    return Segment(kind, physical, number)


def choose_external(conf: cfg.ConfigOpts, session: Session) -> Segment:
    """Choose for an external network whose carrier nobody named: the first physical network without a flat one, else VXLAN."""
    taken = set(session.scalars(select(Network.physical_network).where(Network.network_type == FLAT)))
    for name in physical_networks(conf):
        if name not in taken:
            return Segment(FLAT, name)
    return Segment()


def _invalid(reason: str) -> Invalid:
    return Invalid(f"Invalid input for operation: {reason}.", "network.invalid_input")


def insert(session: Session, segment: Segment, values: Mapping[str, Any]) -> Network:
    """Insert the row *values* of a network with a number, and a segment, that no other has.

    :raises Conflict: the segment that was asked for is another network's.
    :raises Unavailable: none was won, as others took each one that was tried.
    """
    for attempt in range(ATTEMPTS):
        number, vlan = _numbers(session, segment, attempt)
        row = {
            **values,
            "network_type": segment.network_type,
            "physical_network": segment.physical_network,
            "segmentation_id": number,
            "vlan": vlan,
            "segment_key": _key(segment, vlan),
        }
        insert_absent(session, _NETWORKS, [row])
        made = session.get(Network, values["id"])
        if made is not None:
            return made
        if segment.network_type == FLAT or segment.number is not None:
            _refuse_taken(session, segment, row)
    raise Unavailable("No segment is to be had now; please try again.", "network.no_network_available")


def _numbers(session: Session, segment: Segment, attempt: int) -> tuple[int, int | None]:
    """Return a number for the hosts, and a VLAN's tag."""
    if segment.network_type == VXLAN:
        if segment.number is not None:
            return segment.number, None
        return _next(session, 1, HIGHEST_VNI, attempt), None
    number = _next(session, HIGHEST_VNI + 1, _HIGHEST_NUMBER, attempt)
    if segment.network_type != VLAN:
        return number, None
    return number, segment.number if segment.number is not None else _free_vlan(session, segment)


def _next(session: Session, lowest: int, highest: int, attempt: int) -> int:
    """Return the number after the highest of a range; where that is taken, any."""
    if attempt == 0:
        within = Network.segmentation_id.between(lowest, highest)
        last = session.scalar(select(func.max(Network.segmentation_id)).where(within)) or lowest - 1
        if last < highest:
            return last + 1
    return random.randint(lowest, highest)  # noqa: S311 (no secret)


def _free_vlan(session: Session, segment: Segment) -> int:
    taken = set(session.scalars(select(Network.vlan).where(Network.physical_network == segment.physical_network)))
    free = [tag for tag in range(1, HIGHEST_VLAN + 1) if tag not in taken]
    if not free:
        raise Conflict(
            f"Unable to create the network. No VLAN is left on physical network {segment.physical_network}.",
            "network.no_network_available",
        )
    return random.choice(free)  # noqa: S311 (no secret)


def _key(segment: Segment, vlan: int | None) -> str | None:
    if segment.network_type == FLAT:
        return f"{FLAT}:{segment.physical_network}"
    return f"{VLAN}:{segment.physical_network}:{vlan}" if segment.network_type == VLAN else None


def _refuse_taken(session: Session, segment: Segment, row: Mapping[str, Any]) -> None:
    """Say so where what was asked for is another's; where only the number on the hosts was, the next attempt has another one."""
    if segment.network_type == VXLAN:
        raise Conflict(
            f"Unable to create the network. The tunnel ID {segment.number} is in use.", "network.tunnel_id_in_use"
        )
    if session.scalar(select(Network.id).where(Network.segment_key == row["segment_key"])) is None:
        return
    if segment.network_type == FLAT:
        raise Conflict(
            f"Unable to create the flat network. Physical network {segment.physical_network} is in use.",
            "network.flat_network_in_use",
        )
    raise Conflict(
        f"Unable to create the network. The VLAN {segment.number} on physical network {segment.physical_network} is in use.",
        "network.vlan_id_in_use",
    )
