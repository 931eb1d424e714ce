"""What a network may be: its MTU, its QoS policy, whom it may be taken from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from oslo_config import cfg
from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.db.models import Network, Port, RbacPolicy, Subnet
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import qos_policies, quotas, rbac
from nova_lite.network.segments import Segment

LEAST_MTU_IPV6 = 1280
"""The least MTU that carries IPv6, in bytes (RFC 8200, section 5)."""


def not_found(network_id: str) -> NotFound:
    """Make the error that says that there is no such network."""
    return NotFound(f"Network {network_id} could not be found.", "network.network_not_found")


def mtu(conf: cfg.ConfigOpts | None, segment: Segment, wanted: int | None) -> int:
    """Return a network's MTU: what was asked for, or all that its carrier leaves. :raises Invalid: the carrier has less."""
    underlay: int = 1500 if conf is None else conf.network.mtu
    most = underlay - segment.largest_overhead
    if wanted is not None and wanted > most:
        raise Invalid(
            f"Requested MTU is too big, maximum is {most} for a {segment.network_type} network.",
            "network.invalid_input",
        )
    return most if wanted is None else wanted


def check_qos(session: Session, policy_id: str | None, project_id: str | None) -> None:
    """Refuse a QoS policy that *project_id* (None: an admin) may not use. :raises NotFound: there is none such."""
    if policy_id is not None:
        qos_policies.require(session, policy_id, project_id)


def check_default(session: Session, external: bool, network_id: str | None) -> None:
    """Refuse a second default external network; whoever sets one waits for whoever else does."""
    if not external:
        raise Invalid("Invalid input for is_default. Reason: only an external network can be.", "network.invalid_input")
    quotas.serialize(session, "lock:default-network")
    query = select(Network.id).where(Network.is_default.is_(True))
    other = session.scalar(query if network_id is None else query.where(Network.id != network_id))
    if other is not None:
        raise Conflict(
            f"A default external network already exists: {other}.", "network.default_external_network_exists"
        )


def check_change(
    session: Session, row: Network, values: Mapping[str, Any], scope: str | None, conf: cfg.ConfigOpts | None
) -> None:
    """Refuse values that a network can't be changed to. *scope*: whose QoS policies may be named (None: any).

    :raises Conflict: others use what would be taken from them, or there is a default external network already.
    :raises Invalid: the MTU can't be, or an internal network would be the default.
    :raises NotFound: there is no such QoS policy.
    """
    if values.get("shared") is False and row.shared:
        check_unshared(session, row, lambda project_id: True)
    if values.get("external") is False and row.external:
        check_internal(session, row.id)
    if values.get("is_default"):
        check_default(session, values.get("external", row.external), row.id)
    if values.get("qos_policy_id") not in (None, row.qos_policy_id):
        check_qos(session, values["qos_policy_id"], scope)
    if "mtu" in values and values["mtu"] != row.mtu:
        mtu(conf, Segment(row.network_type), values["mtu"])
        query = select(Subnet.id).where(Subnet.network_id == row.id, Subnet.ip_version == 6).limit(1)
        if values["mtu"] < LEAST_MTU_IPV6 and session.scalar(query) is not None:
            raise Conflict(
                f"Invalid input for mtu. Reason: the network has an IPv6 subnet, which needs {LEAST_MTU_IPV6} at least.",
                "network.mtu_subnet_conflict",
            )


def check_unshared(session: Session, row: Network, loses: Callable[[str], bool]) -> None:
    """Refuse to take a network from projects that use it. *loses* tells whether a project could use it no more.

    :raises Conflict: one of them has a port on it.
    """
    users = set(session.scalars(select(Port.project_id).where(Port.network_id == row.id).distinct()))
    lent = select(RbacPolicy.target_project).where(
        RbacPolicy.object_id == row.id,
        RbacPolicy.action == rbac.SHARED,
        RbacPolicy.target_project != rbac.EVERYBODY,
    )
    users -= {row.project_id, "", *session.scalars(lent)}
    if any(loses(user) for user in users):
        raise Conflict(
            f"Unable to reconfigure sharing settings for network {row.id}. Multiple tenants are using it.",
            "network.invalid_shared_setting",
        )


def check_internal(session: Session, network_id: str) -> None:
    """Refuse to make a network internal that routers or floating IPs use. :raises Conflict: they do."""
    owners = ("network:router_gateway", "network:floatingip")
    used = select(Port.id).where(Port.network_id == network_id, Port.device_owner.in_(owners)).limit(1)
    if session.scalar(used) is not None:
        raise Conflict(
            f"External network {network_id} cannot be updated to be made non-external, since it has existing gateway ports.",
            "network.external_network_in_use",
        )
