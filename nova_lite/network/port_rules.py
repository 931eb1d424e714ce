"""What a port may have: address pairs, DHCP options, groups and port security, checked as Neutron checks them."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nova_lite.db.models import Router, SecurityGroup, Server
from nova_lite.db.types import JsonDict
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import dhcp_option_types, rbac


def unicast(mac: str) -> str:
    """Return a MAC in small letters. :raises Invalid: no interface can have it."""
    lower = mac.lower()
    if int(lower[:2], 16) & 1 or lower == "00:00:00:00:00:00":
        raise Invalid(f"Invalid input for mac_address. Reason: '{mac}' is no unicast address.", "network.invalid_input")
    return lower


def pairs(wanted: Sequence[Mapping[str, str]], mac: str) -> list[JsonDict]:
    """Return allowed address pairs in their canonical form; one without a MAC has the port's.

    :raises Invalid: an address is none, or a pair is there twice.
    """
    found: list[JsonDict] = []
    for pair in wanted:
        text = pair["ip_address"]
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise Invalid(
                f"Invalid input for allowed_address_pairs. Reason: '{text[:64]}' is not a valid IP subnet or address.",
                "network.invalid_input",
            ) from None
        shown = str(network) if "/" in text else str(network.network_address)
        one = {"ip_address": shown, "mac_address": unicast(pair.get("mac_address") or mac)}
        if one in found:
            raise Invalid(
                f"Request contains duplicate address pair: mac_address {one['mac_address']} ip_address {shown}.",
                "network.duplicate_address_pair_in_request",
            )
        found.append(one)
    return found


def follow_mac(current: Sequence[Mapping[str, str]], old: str, new: str) -> list[JsonDict]:
    """Return address pairs after a port's MAC changed: those of its own MAC have the new one."""
    return [
        {"ip_address": pair["ip_address"], "mac_address": new if pair["mac_address"] == old else pair["mac_address"]}
        for pair in current
    ]


def dhcp_options(current: Sequence[Mapping[str, Any]], wanted: Sequence[Mapping[str, Any]]) -> list[JsonDict]:
    """Return *current* options with *wanted* ones set; one without a value is taken away.

    Addresses of the other IP version are taken, as Neutron takes them; hosts are not told of them.

    :raises Invalid: an option that is new has no value, there is no such option, or the value is not of its type.
    """
    found = {(option["opt_name"], option["ip_version"]): dict(option) for option in current}
    for option in wanted:
        key = (option["opt_name"], int(option.get("ip_version") or 4))
        if option.get("opt_value") is not None:
            try:
                if not dhcp_option_types.is_of_the_other_version(key[0], option["opt_value"], key[1]):
                    dhcp_option_types.typed(key[0], option["opt_value"], key[1])
            except ValueError as error:
                raise Invalid(f"Invalid input for extra_dhcp_opts. Reason: {error}.", "network.invalid_input") from None
            found[key] = {"opt_name": key[0], "opt_value": option["opt_value"], "ip_version": key[1]}
        elif found.pop(key, None) is None:
            raise Invalid(
                f"Invalid input for extra_dhcp_opts. Reason: '{key[0]}' needs a value in opt_value.",
                "network.invalid_input",
            )
    return list(found.values())


def check_security(secured: bool, group_ids: Sequence[str] | None, address_pairs: Sequence[Any]) -> None:
    """Check groups and address pairs against port security.

    :raises Invalid: it is off and there are groups. :raises Conflict: it is off and there are address pairs.
    """
    if secured:
        return
    if group_ids:
        raise Invalid(
            "Port security must be enabled and port must have an IP address in order to use security groups.",
            "network.port_security_and_ip_required_for_security_groups",
        )
    if address_pairs:
        raise Conflict(
            "Port Security must be enabled in order to have allowed address pairs on a port.",
            "network.address_pair_and_port_security_required",
        )


def check_groups(session: Session, group_ids: Iterable[str], project_id: str | None) -> None:
    """Refuse groups that *project_id* (None: an admin) may not use; hold the others, so that none goes meanwhile.

    :raises NotFound: one is not there, or not theirs.
    """
    wanted = set(group_ids)
    if not wanted:
        return
    query = select(SecurityGroup.id).where(SecurityGroup.id.in_(wanted))
    if project_id is not None:
        lent = rbac.lent("security_group", project_id)
        query = query.where(or_(SecurityGroup.project_id == project_id, SecurityGroup.id.in_(lent)))
    missing = wanted - set(session.scalars(query.order_by(SecurityGroup.id).with_for_update(read=True)))
    if missing:
        raise NotFound(
            f"Security group {', '.join(sorted(missing))} does not exist.", "network.security_group_not_found"
        )


def check_states(session: Session, sets: Iterable[Collection[str]]) -> None:
    """Refuse a port's set of groups of which some track connections and some do not. :raises Conflict: one of *sets* is such."""
    mixed = [set(group_ids) for group_ids in sets if len(set(group_ids)) > 1]
    if not mixed:
        return
    query = select(SecurityGroup.id).where(SecurityGroup.id.in_(set().union(*mixed)), SecurityGroup.stateful.is_(True))
    stateful = set(session.scalars(query))
    if any(group_ids & stateful and group_ids - stateful for group_ids in mixed):
        raise Conflict(
            "Error Cannot apply both stateful and stateless security groups on the same port at the same time while "
            "attempting the operation.",
            "network.security_group_conflict",
        )


def check_device(session: Session, device_id: str) -> None:
    """Refuse the id of a server or a router as a port's device: those are given ports by their own APIs, never by a word.

    :raises Invalid: there is such a server or router.
    """
    if not device_id:
        return
    server = select(Server.id).where(Server.id == device_id, Server.deleted.is_(False))
    if session.scalar(server) is not None or session.scalar(select(Router.id).where(Router.id == device_id)):
        raise Invalid(
            f"Invalid input for device_id. Reason: {device_id} is a server or a router; attach the port to it instead.",
            "network.invalid_input",
        )
