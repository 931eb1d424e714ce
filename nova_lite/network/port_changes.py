"""Change a port: what its user or an admin may change, checked against where it is bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, insert, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.models import Port, PortSecurityGroup
from nova_lite.db.store import Store
from nova_lite.errors import Conflict
from nova_lite.network import (
    network_rules,
    port_addresses,
    port_creation,
    port_rules,
    ports,
    rows,
    subnets,
    touch,
)
from nova_lite.network.port_addresses import Asking, WantedAddress

_MEMBERS: Table = PortSecurityGroup.__table__  # type: ignore[assignment]
FLOATING_IP = "network:floatingip"
_OWN = frozenset({"name", "description"})
"""What changes nothing on any host."""


def change(
    store: Store,
    port_id: str,
    values: Mapping[str, Any],
    *,
    scope: str | None,
    gateway: bool = False,
    expected: int | None = None,
) -> list[str]:
    """Change a port's columns, and beside them ``addresses`` (WantedAddress…) and ``group_ids``; return the hosts to be woken.

    :param scope: the project whose groups and QoS policies may be named; None: any.
    :param gateway: it may ask for the gateway's address.
    :raises NotFound: there is no such port, group or QoS policy.
    :raises Invalid: what is wanted can't be. :raises Conflict: something is held by another port, or the port is bound.
    :raises PreconditionFailed: it has another revision than *expected*.
    """

    def work(session: Session) -> list[str]:
        row = session.scalar(select(Port).where(Port.id == port_id).with_for_update())
        if row is None:
            raise ports.not_found(port_id)
        wanted = dict(values)
        addresses: tuple[WantedAddress, ...] | None = wanted.pop("addresses", None)
        group_ids: tuple[str, ...] | None = wanted.pop("group_ids", None)
        # Told twice: those who must forget what it was, and those who must know what it is.
        hosts = touch.touch_ports(session, port_id) if set(values) - _OWN else []
        _check_place(session, row, wanted)
        _check_qos(session, row, wanted, scope)
        _set_mac(session, row, wanted)
        _set_security(session, row, wanted, group_ids, scope)
        if "extra_dhcp_opts" in wanted:
            wanted["extra_dhcp_opts"] = port_rules.dhcp_options(row.extra_dhcp_opts, wanted["extra_dhcp_opts"])
        if addresses is not None:
            available = subnets.of_networks(session, [row.network_id])[row.network_id]
            mac = wanted.get("mac_address", row.mac_address)
            asking = Asking(port_id, row.network_id, mac, row.device_owner, addresses, gateway)
            before = port_addresses.read(session, [port_id]).get(port_id, [])
            port_addresses.replace(session, asking, available)
            _check_system_port(session, row, before)
        rows.revise(session, Port, port_id, wanted, expected=expected)
        if hosts or wanted.get("host"):
            hosts = sorted({*hosts, *touch.touch_ports(session, port_id)})
        return hosts

    try:
        return store.transact(work)
    except IntegrityError as error:
        if "mac_address" in values:
            raise Conflict(
                f"The mac address {values['mac_address']} is in use.", "network.mac_address_in_use"
            ) from error
        raise


def _check_place(session: Session, row: Port, wanted: Mapping[str, Any]) -> None:
    """Keep what the system has decided: the device of a port that is in use, and the host that a server's port is on."""
    moved = {
        name: wanted[name]
        for name in ("device_id", "device_owner", "host")
        if name in wanted and (wanted[name] or "") != (getattr(row, name) or "")
    }
    if not moved:
        return
    if ports.is_in_use(session, row):
        raise Conflict(
            f"Unable to complete operation on port {row.id}. Port already has an attached device {row.device_id}: "
            f"{', '.join(sorted(moved))} can't be changed.",
            "network.port_in_use",
        )
    port_rules.check_device(session, moved.get("device_id", ""))


def _check_system_port(session: Session, row: Port, before: Sequence[Any]) -> None:
    """Keep what hangs on the addresses of a router's or a floating IP's port: a leg stays in its subnets, a floating IP as it is.

    :param before: what it held.
    :raises Conflict: it would be otherwise.
    """
    after = port_addresses.read(session, [row.id]).get(row.id, [])
    if row.device_owner == FLOATING_IP:
        changed = {held.address for held in before} != {held.address for held in after}
        instead = "it is the address of a floating IP"
    elif row.device_owner in port_addresses.ROUTER_OWNERS and row.device_id:
        changed = {held.subnet_id for held in before} != {held.subnet_id for held in after}
        instead = "the subnets of a router's port are changed by add_router_interface, remove_router_interface and external_gateway_info"
    else:
        return
    if changed:
        raise Conflict(
            f"Unable to complete operation on port {row.id}: fixed_ips can't be changed so, as {instead}.",
            "network.port_in_use",
        )


def _check_qos(session: Session, row: Port, wanted: Mapping[str, Any], scope: str | None) -> None:
    if wanted.get("qos_policy_id") not in (None, row.qos_policy_id):
        network_rules.check_qos(session, wanted["qos_policy_id"], scope)


def _set_mac(session: Session, row: Port, wanted: dict[str, Any]) -> None:
    if "mac_address" not in wanted:
        return
    mac = wanted["mac_address"] = port_rules.unicast(wanted["mac_address"])
    if mac == row.mac_address:
        return
    if row.host is not None:
        raise Conflict(
            f"Unable to complete operation on port {row.id}, port is already bound, port type: bridge, "
            f"old_mac {row.mac_address}, new_mac {mac}.",
            "network.port_bound",
        )
    taken = select(Port.id).where(Port.network_id == row.network_id, Port.mac_address == mac)
    if session.scalar(taken) is not None:
        raise port_creation.mac_in_use(row.network_id, mac)
    available = subnets.of_networks(session, [row.network_id])[row.network_id]
    port_addresses.follow_mac(session, row, mac, available)
    if "allowed_address_pairs" not in wanted:
        wanted["allowed_address_pairs"] = port_rules.follow_mac(row.allowed_address_pairs, row.mac_address, mac)


def _set_security(
    session: Session, row: Port, wanted: dict[str, Any], group_ids: tuple[str, ...] | None, scope: str | None
) -> None:
    if "allowed_address_pairs" in wanted:
        mac = wanted.get("mac_address", row.mac_address)
        wanted["allowed_address_pairs"] = port_rules.pairs(wanted["allowed_address_pairs"], mac)
    secured = wanted.get("port_security_enabled", row.port_security_enabled)
    current = tuple(session.scalars(select(PortSecurityGroup.group_id).where(PortSecurityGroup.port_id == row.id)))
    if not secured and current and group_ids is None:
        raise Conflict(
            "Port has security group associated. Cannot disable port security until security group is removed.",
            "network.port_security_port_has_security_group",
        )
    port_rules.check_security(
        secured,
        current if group_ids is None else group_ids,
        wanted.get("allowed_address_pairs", row.allowed_address_pairs),
    )
    if group_ids is None or set(group_ids) == set(current):
        return
    port_rules.check_groups(session, set(group_ids) - set(current), scope)
    port_rules.check_states(session, [group_ids])
    gone = set(current) - set(group_ids)
    if gone:
        session.execute(
            sql_delete(PortSecurityGroup)
            .where(PortSecurityGroup.port_id == row.id, PortSecurityGroup.group_id.in_(gone))
            .execution_options(synchronize_session=False)
        )
    new = [{"port_id": row.id, "group_id": group_id} for group_id in sorted(set(group_ids) - set(current))]
    if new:
        session.execute(insert(_MEMBERS), new)
