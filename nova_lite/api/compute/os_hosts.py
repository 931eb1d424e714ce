"""``/os-hosts``, until 2.42: hosts as they were shown before there were hypervisors and services."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import host_control, host_shares, hosts
from nova_lite.errors import Invalid, NotFound, NotOffered

_SWITCH: Schema = {"type": "string"}
UPDATE: Schema = {
    "type": "object",
    "properties": {"status": _SWITCH, "maintenance_mode": _SWITCH},
    "minProperties": 1,
    "additionalProperties": False,
}


def index(call: Call) -> dict[str, Any]:
    """List what runs on each host, of one zone if asked."""
    wanted = call.query.get("zone")
    shown = [
        {"host_name": row.host, "service": row.binary.removeprefix("nova-"), "zone": row.zone}
        for row in hosts.services(call.store, call.services.conf.compute.down_after)
        if not wanted or row.zone == wanted
    ]
    return {"hosts": shown}


def _name(call: Call) -> str:
    name = call.params["host"]
    if not any(row.name == name for row in hosts.find(call.store)):
        raise NotFound(f"Compute host {name[:255]} could not be found.", "host.not_found")
    return name


def show(call: Call) -> dict[str, Any]:
    """Show what a host has, what of it is claimed, and by which project."""
    name = _name(call)
    host = next(row for row in hosts.find(call.store) if row.name == name)
    shares = host_shares.by_project(call.store, name)
    total = (host.vcpus, host.memory_mb, host.disk_gb)
    used = (host.used_vcpus, host.used_memory_mb + host.reserved_memory_mb, host.used_disk_gb)
    most = tuple(sum(share[part] for share in shares.values()) for part in range(3))
    rows = [("(total)", total), ("(used_now)", used), ("(used_max)", most), *shares.items()]
    return {
        "host": [
            {"resource": {"host": name, "project": what, "cpu": cpu, "memory_mb": memory, "disk_gb": disk}}
            for what, (cpu, memory, disk) in rows
        ]
    }


def update(call: Call) -> dict[str, Any]:
    """Enable or disable a host; putting it into maintenance is refused, as nothing would move its servers away."""
    wanted = {name: value.strip().lower() for name, value in call.body.items()}
    for name, value in wanted.items():
        if value not in ("enable", "disable"):
            raise Invalid(f"Invalid value '{value[:64]}' for {name}; it must be enable or disable.", "host.value")
    name = _name(call)
    shown: dict[str, Any] = {"host": name}
    if "maintenance_mode" in wanted:
        raise NotOffered("No hypervisor of this cloud has a maintenance mode; disable the host instead.")
    enabled = wanted["status"] == "enable"
    host_control.change(call.store, name, {"enabled": enabled, "disabled_reason": None})
    shown["status"] = "enabled" if enabled else "disabled"
    return shown


def power(call: Call) -> None:
    """Refuse to start, stop or reboot a host: that is its operator's."""
    _name(call)
    raise NotOffered("Hosts are not started, stopped or rebooted from here.")
