"""Ports."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections, port_schemas
from nova_lite.api.network.collections import TRUTH, Column, truth
from nova_lite.errors import Invalid
from nova_lite.network import networks, port_changes, port_creation, ports
from nova_lite.network.ports import Held, NewPort, Shown, WantedAddress

CREATE, UPDATE = port_schemas.CREATE, port_schemas.UPDATE
COLUMNS = {
    **collections.NAMED,
    "network_id": Column("network_id"),
    "mac_address": Column("mac_address", str.lower),
    "admin_state_up": Column("admin_state_up", TRUTH),
    "status": Column("status", str.upper),
    "device_id": Column("device_id"),
    "device_owner": Column("device_owner"),
    "port_security_enabled": Column("port_security_enabled", TRUTH),
    "dns_name": Column("dns_name"),
    "qos_policy_id": Column("qos_policy_id"),
    "binding:host_id": Column("host"),
    "binding:vnic_type": Column("vnic_type"),
}
_BINDING = ("binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details")
_RENAMED = {
    "binding:host_id": "host",
    "binding:vnic_type": "vnic_type",
    "binding:profile": "binding_profile",
    "security_groups": "group_ids",
    "fixed_ips": "addresses",
}
_TRUTHS = ("admin_state_up", "port_security_enabled")
_SYSTEM = port_creation.SYSTEM


def index(call: Call) -> dict[str, Any]:
    """List the ports that the caller may see."""
    if "binding:host_id" in {*call.request.GET, *call.request.GET.getall("sort_key")}:
        # Who may not see it may not find it out by asking for each host, or by their order, either.
        call.authorize(rule="get_port:binding:host_id")
    found = ports.find(call.store, collections.listing(call, COLUMNS), _held(call))
    return collections.page(call, "ports", _views(call, found))


def show(call: Call) -> dict[str, Any]:
    """Show one port."""
    found = ports.get(call.store, call.params["id"], collections.scope(call))
    return collections.one(call, "port", _views(call, [found])[0])


def create(call: Call) -> dict[str, Any]:
    """Make a port, for a server to be given later, or several of them."""
    wanted, bulk = collections.bodies(call, "port", "ports")
    owners = networks.owners(call.store, (each["network_id"] for each in wanted), collections.scope(call))
    made = ports.create_many(
        call.store,
        [_new(call, each, owners[each["network_id"]]) for each in wanted],
        collections.scope(call),
        call.services.conf.network.mac_prefix,
        call.services.conf,
    )
    return collections.made("port", "ports", _views(call, made), bulk=bulk)


def _new(call: Call, wanted: Mapping[str, Any], network_project: str) -> NewPort:
    project_id = collections.owner(call, wanted, "create_port:owner")
    target = {"project_id": project_id, "network_project": network_project}
    _ask(call, "create", wanted, target)
    groups, secured = wanted.get("security_groups"), wanted.get("port_security_enabled")
    return NewPort(
        network_id=wanted["network_id"],
        project_id=project_id,
        name=wanted.get("name", ""),
        description=wanted.get("description", ""),
        mac_address=wanted.get("mac_address"),
        admin_state_up=truth(wanted.get("admin_state_up", True)),
        device_id=wanted.get("device_id", ""),
        device_owner=wanted.get("device_owner", ""),
        addresses=_addresses(wanted.get("fixed_ips")),
        security_groups=None if groups is None else tuple(groups),
        port_security_enabled=None if secured is None else truth(secured),
        allowed_address_pairs=tuple(wanted.get("allowed_address_pairs") or ()),
        extra_dhcp_opts=tuple(wanted.get("extra_dhcp_opts") or ()),
        dns_name=_label(wanted.get("dns_name", "")),
        qos_policy_id=wanted.get("qos_policy_id"),
        vnic_type=wanted.get("binding:vnic_type", "normal"),
        binding_profile=wanted.get("binding:profile"),
        host=wanted.get("binding:host_id") or None,
        tags=tuple(wanted.get("tags", ())),
        gateway=call.may("create_port:fixed_ips:ip_address", target),
    )


def _ask(call: Call, verb: str, wanted: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    """Ask the policy for each member that not everybody may give."""
    for member in ("mac_address", "port_security_enabled", "allowed_address_pairs"):
        if wanted.get(member) not in (None, []):
            call.authorize(target, f"{verb}_port:{member}")
    for member in ("binding:host_id", "binding:profile"):
        if wanted.get(member):
            call.authorize(target, f"{verb}_port:{member}")
    if any("ip_address" in item for item in wanted.get("fixed_ips") or ()):
        call.authorize(target, f"{verb}_port:fixed_ips:ip_address")
    if wanted.get("device_owner", "").startswith(_SYSTEM):
        call.authorize(target, f"{verb}_port:device_owner")


def _addresses(asked: Sequence[Mapping[str, str]] | None) -> tuple[WantedAddress, ...] | None:
    if asked is None:
        return None
    named = Counter(str(ipaddress.ip_address(item["ip_address"])) for item in asked if "ip_address" in item)
    for address, times in named.items():
        if times > 1:
            raise Invalid(f"Invalid input for fixed_ips. Reason: Duplicate IP address '{address}'.", "request.schema")
    return tuple(WantedAddress(item.get("subnet_id"), item.get("ip_address")) for item in asked)


def _label(name: str) -> str:
    return name.lower().rstrip(".")


def update(call: Call) -> dict[str, Any]:
    """Change a port."""
    found = ports.get(call.store, call.params["id"], collections.scope(call))
    target = _target(call, found)
    call.authorize(target)
    asked = call.body["port"]
    _ask(call, "update", _changed(found, asked), target)
    hosts = port_changes.change(
        call.store,
        found.port.id,
        {_RENAMED.get(member, member): _value(member, value) for member, value in asked.items()},
        scope=collections.scope(call),
        gateway=call.may("update_port:fixed_ips:ip_address", target),
        expected=collections.expected(call),
    )
    call.wake_hosts(hosts)
    return {"port": _views(call, [ports.get(call.store, found.port.id, collections.scope(call))])[0]}


def _target(call: Call, found: Shown) -> dict[str, Any]:
    row = found.port
    return {
        "project_id": row.project_id,
        "network_project": networks.owners(call.store, [row.network_id], None)[row.network_id],
    }


def _changed(found: Shown, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what would really change: clients send whole things back."""
    row = found.port
    has = {
        "mac_address": row.mac_address,
        "port_security_enabled": row.port_security_enabled,
        "binding:host_id": row.host,
        "device_owner": row.device_owner,
    }
    changed = {name: value for name, value in asked.items() if name not in has or _value(name, value) != has[name]}
    held = {address.address for address in found.addresses}
    if "fixed_ips" in changed:
        new = [item for item in changed["fixed_ips"] if item.get("ip_address", "") not in held]
        changed["fixed_ips"] = [item for item in new if "ip_address" in item]
    return changed


def _value(member: str, value: Any) -> Any:
    if member in _TRUTHS:
        return truth(value)
    if member == "mac_address":
        return value.lower()
    if member == "binding:host_id":
        return value or None
    if member == "dns_name":
        return _label(value)
    if member == "fixed_ips":
        return _addresses(value)
    if member == "security_groups":
        return tuple(value or ())
    if member in ("allowed_address_pairs", "extra_dhcp_opts"):
        return value or []
    return value or {} if member == "binding:profile" else value


def delete(call: Call) -> None:
    """Delete a port that no server and no router has."""
    found = ports.get(call.store, call.params["id"], collections.scope(call))
    call.authorize(_target(call, found))
    call.wake_hosts(ports.delete(call.store, found.port.id, collections.expected(call)))


def _held(call: Call) -> Held:
    """Read ``fixed_ips=ip_address=…``, ``fixed_ips=subnet_id=…``, ``fixed_ips=ip_address_substr=…`` and ``security_groups=…``."""
    found: dict[str, list[str]] = {"ip_address": [], "subnet_id": [], "ip_address_substr": []}
    for text in call.request.GET.getall("fixed_ips"):
        name, _, value = text.partition("=")
        if name not in found:
            raise Invalid(f"Invalid filter fixed_ips={text[:64]}.", "network.bad_request")
        found[name].append(_canonical(value) if name == "ip_address" else value)
    groups = [
        group
        for name in ("security_groups", "security_group_id")
        for text in call.request.GET.getall(name)
        for group in text.split(",")
    ]
    return Held(found["ip_address"], found["subnet_id"], found["ip_address_substr"], groups)


def _canonical(address: str) -> str:
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise Invalid(f"Invalid filter: '{address[:64]}' is no IP address.", "network.bad_request") from None


def _views(call: Call, found: Sequence[Shown]) -> list[dict[str, Any]]:
    binding = [member for member in _BINDING if call.may(f"get_port:{member}")]
    domain = call.services.conf.network.dns_domain.rstrip(".")
    return [_view(each, binding, domain) for each in found]


def _view(found: Shown, binding: Sequence[str], domain: str) -> dict[str, Any]:
    row, name = found.port, found.port.dns_name or found.hostname
    domain = found.domain.rstrip(".") or domain
    bound = {
        "binding:host_id": row.host or "",
        "binding:profile": row.binding_profile,
        "binding:vif_type": "bridge" if row.host else "unbound",
        "binding:vif_details": {"port_filter": row.port_security_enabled} if row.host else {},
    }
    return (
        collections.standard(row, found.tags)
        | {
            "network_id": row.network_id,
            "mac_address": row.mac_address,
            "admin_state_up": row.admin_state_up,
            "status": row.status,
            "device_id": row.device_id,
            "device_owner": row.device_owner,
            "fixed_ips": [{"subnet_id": held.subnet_id, "ip_address": held.address} for held in found.addresses],
            "security_groups": list(found.group_ids),
            "port_security_enabled": row.port_security_enabled,
            "allowed_address_pairs": row.allowed_address_pairs,
            "extra_dhcp_opts": row.extra_dhcp_opts,
            "dns_name": name,
            "dns_assignment": [_assignment(name, held.address, domain) for held in found.addresses],
            "qos_policy_id": row.qos_policy_id,
            "ip_allocation": "immediate" if found.addresses else "none",
            "binding:vnic_type": row.vnic_type,
        }
        | {member: bound[member] for member in binding}
    )


def _assignment(name: str, address: str, domain: str) -> dict[str, str]:
    host = name or "host-" + address.replace(".", "-").replace(":", "-")
    return {"ip_address": address, "hostname": host, "fqdn": f"{host}.{domain}." if domain else f"{host}."}


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a port that the caller may see. :raises NotFound: there is none such."""
    return ports.get(call.store, identifier, collections.scope(call)).port.project_id
