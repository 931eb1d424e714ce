"""What can be learnt of one server: diagnostics, topology, its password; and what others tell of it: events."""

from __future__ import annotations

import functools
from typing import Any

import orjson

from nova_lite.api.compute import access, parameters
from nova_lite.api.compute.parameters import by_minor
from nova_lite.api.context import Call
from nova_lite.api.routes import Reply, Schema
from nova_lite.compute import guest_passwords, servers
from nova_lite.compute.transitions import PowerState
from nova_lite.errors import Conflict, Invalid, NotFound

_STATES = {
    PowerState.NOSTATE: "pending",
    PowerState.RUNNING: "running",
    PowerState.PAUSED: "paused",
    PowerState.SHUTDOWN: "shutdown",
    PowerState.CRASHED: "crashed",
    PowerState.SUSPENDED: "suspended",
}


def diagnostics(call: Call) -> dict[str, Any]:
    """Ask the server's host what the guest uses; since 2.48 in one form for every hypervisor."""
    record = access.server(call)
    if record.host is None:
        raise Conflict(f"Instance {record.id} is not on a host, so there is nothing to measure.", "server.not_ready")
    ask = functools.partial(call.services.agents.call, record.host, "diagnostics", server_id=record.id)
    found: dict[str, Any] = call.services.offload(ask)
    if call.version.minor < 48:
        return _old(found)
    return _standard(servers.get_detail(call.store, record.id, None), found)


def _old(found: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"cpu0_time": found["cpu_time_ns"], "memory": found["memory_mb"] * 1024}
    for name, (read, written) in found["disks"].items():
        shown |= {f"{name}_read": read, f"{name}_write": written}
    for name, (received, sent) in found["nics"].items():
        shown |= {f"{name}_rx": received, f"{name}_tx": sent}
    return shown


def _standard(detail: servers.Detail, found: dict[str, Any]) -> dict[str, Any]:
    record = detail.server
    unknown = ("rx_drop", "rx_errors", "rx_packets", "rx_rate", "tx_drop", "tx_errors", "tx_packets", "tx_rate")
    nics = [
        {"mac_address": _mac(detail, device), "rx_octets": received, "tx_octets": sent, **dict.fromkeys(unknown)}
        for device, (received, sent) in found["nics"].items()
    ]
    disks = [
        {
            "read_bytes": read,
            "write_bytes": written,
            **dict.fromkeys(("read_requests", "write_requests", "errors_count")),
        }
        for read, written in found["disks"].values()
    ]
    vcpus = int(record.flavor["vcpus"])
    cpus = [{"id": 0, "time": found["cpu_time_ns"], "utilisation": None}]
    cpus += [{"id": number, "time": None, "utilisation": None} for number in range(1, vcpus)]
    return {
        "state": _STATES[PowerState(record.power_state)],
        "driver": "libvirt",
        "hypervisor": found["hypervisor"],
        "hypervisor_os": "linux",
        "uptime": int(found["uptime_s"]),
        "config_drive": record.config_drive,
        "num_cpus": vcpus,
        "num_nics": len(nics),
        "num_disks": len(disks),
        "cpu_details": cpus,
        "nic_details": nics,
        "disk_details": disks,
        "memory_details": {"maximum": int(record.flavor["ram"]), "used": found["memory_mb"]},
    }


def _mac(detail: servers.Detail, device: str) -> str | None:
    """Return the address of the port that a host's *device* is named after."""
    return next((nic.mac_address for nic in detail.nics if nic.port_id[:8] in device), None)


def topology(call: Call) -> dict[str, Any]:
    """Show the guest's NUMA cells: no guest is pinned to any here."""
    access.server(call)
    return {"nodes": [], "pagesize_kb": None}


def show_password(call: Call) -> dict[str, Any]:
    """Show the encrypted password that the guest left, or the empty string."""
    return {"password": guest_passwords.show(call.store, access.server(call).id)}


def clear_password(call: Call) -> None:
    """Forget the password that the guest left."""
    guest_passwords.clear(call.store, access.server(call).id)


_TAGGED = ("volume-extended", "accelerator-request-bound", "volume-reimaged")
"""Events whose tag says what they are about; without it there is nothing that they could mean."""


def _events(minor: int) -> Schema:
    names = ["network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted"]
    names += ["volume-extended"] * (minor >= 51) + ["power-update"] * (minor >= 76)
    names += ["accelerator-request-bound"] * (minor >= 82) + ["volume-reimaged"] * (minor >= 93)
    item: Schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "enum": names},
            "server_uuid": parameters.UUID,
            "status": {"type": "string", "enum": ["failed", "completed", "in-progress"]},
            "tag": {"type": "string", "maxLength": 255},
        },
        "required": ["name", "server_uuid"],
        "additionalProperties": False,
    }
    return {
        "type": "object",
        "properties": {"events": {"type": "array", "items": item, "minItems": 1, "maxItems": 1000}},
        "required": ["events"],
        "additionalProperties": False,
    }


EVENTS = by_minor(_events, 1, 51, 76, 82, 93)


def receive_events(call: Call) -> Reply:
    """Take what another service tells: each event is answered by itself, and the whole by 200, or by 207 where one was not taken.

    Ports and networks are this cloud's own, so nothing needs to be done that their own changes have not done already.
    """
    shown, codes = [], set()
    for event in call.body["events"]:
        code = _code(call, event)
        codes.add(code)
        shown.append({**event, "status": "completed" if code == 200 else "failed", "code": code})
    return Reply({"events": shown}, 200 if codes == {200} else 207)


def _code(call: Call, event: dict[str, Any]) -> int:
    try:
        record = servers.get(call.store, event["server_uuid"], None)
    except NotFound:
        return 404
    if event["name"] in _TAGGED and "tag" not in event:
        return 400
    return 422 if record.host is None else 200


def volume_attachments(call: Call) -> dict[str, Any]:
    """List a server's volumes: none, as there are none in this cloud yet."""
    access.server(call)
    return {"volumeAttachments": []}


def volume_attachment(call: Call) -> dict[str, Any]:
    """Show one. :raises NotFound: always, see :func:`volume_attachments`."""
    record = access.server(call)
    volume_id = call.params["volume_id"][:64]
    raise NotFound(f"Instance {record.id} is not attached to volume {volume_id}", "volume.not_attached")


_WORD: Schema = {"type": "string", "minLength": 1, "maxLength": 255}
_CREATE_INFO: Schema = {
    "type": "object",
    "properties": {"snapshot_id": _WORD, "type": {"type": "string", "enum": ["qcow2"]}, "new_file": _WORD, "id": _WORD},
    "required": ["snapshot_id", "type", "new_file"],
    "additionalProperties": False,
}
SNAPSHOT = parameters.body("snapshot", {"volume_id": _WORD, "create_info": _CREATE_INFO}, ["volume_id", "create_info"])
SNAPSHOT_QUERY = by_minor(lambda minor: parameters.query({"delete_info": parameters.TEXTS}, is_open=minor < 75), 1, 75)


def refuse_deletion(call: Call) -> None:
    """Refuse to help to delete a snapshot. :raises Invalid: always; first of all when ``delete_info`` names no volume."""
    try:
        named = orjson.loads(call.query.get("delete_info", ""))["volume_id"]
    except (ValueError, TypeError, KeyError):
        named = None
    if not isinstance(named, str):
        raise Invalid("delete_info: it must be a JSON object with a volume_id.", "request.query")
    refuse_snapshot(call)


def refuse_snapshot(_call: Call) -> None:
    """Refuse a volume service's request to help with a snapshot: no server has a volume."""
    raise Invalid("No server has a volume, so there is none to help to make a snapshot of.", "volume.none")
