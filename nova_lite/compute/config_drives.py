"""Which servers have a config drive: who asked for one, and whom the metadata service can't reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oslo_config import cfg
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from nova_lite.compute.interfaces import PlannedNic
from nova_lite.compute.kinds import VM
from nova_lite.db.models import FixedIp, Subnet

PROPERTY = "img_config_drive"
MANDATORY = "mandatory"


def is_mandatory(kind: str, properties: Mapping[str, str]) -> bool:
    """Say whether a server of *kind* has one because its image asks for it."""
    return kind == VM and properties.get(PROPERTY, "").strip().lower() == MANDATORY


def is_given(
    session: Session,
    conf: cfg.ConfigOpts,
    kind: str,
    properties: Mapping[str, str],
    nics: Sequence[PlannedNic],
    *,
    asked: bool,
) -> bool:
    """Say whether a new server has a config drive; what is decided here stands for its life, and is what is shown of it.

    Only VMs have one. It is asked for, or the image's ``img_config_drive`` is ``mandatory``, or ``[compute] force_config_drive`` is on, as in Nova.
    One that could ask the metadata service for nothing has one too: it would be without keys, user data and addresses.
    """
    if kind != VM:
        return False
    if asked or conf.compute.force_config_drive or is_mandatory(kind, properties):
        return True
    return not _is_reached(session, nics)


_SUBNETS: Any = Subnet.__table__
_FIXED: Any = FixedIp.__table__
# Made once: to make a statement anew takes longer than to run it. IPv4, as cloud-init asks before it has any other address.
_BY_DHCP = (_SUBNETS.c.ip_version == 4, _SUBNETS.c.enable_dhcp.is_(True))
_OF_NETWORKS = (
    select(_SUBNETS.c.id).where(_SUBNETS.c.network_id.in_(bindparam("networks", expanding=True)), *_BY_DHCP).limit(1)
)
_OF_PORTS = (
    select(_SUBNETS.c.id)
    .join(_FIXED, _FIXED.c.subnet_id == _SUBNETS.c.id)
    .where(_FIXED.c.port_id.in_(bindparam("ports", expanding=True)), *_BY_DHCP)
    .limit(1)
)


def _is_reached(session: Session, nics: Sequence[PlannedNic]) -> bool:
    """Tell whether one of *nics* gets an address by DHCP, from where metadata are answered too."""
    networks = [nic.network_id for nic in nics if nic.port_id is None]
    if networks and session.scalar(_OF_NETWORKS, {"networks": networks}) is not None:
        return True
    ports = [nic.port_id for nic in nics if nic.port_id is not None]
    return bool(ports) and session.scalar(_OF_PORTS, {"ports": ports}) is not None
