"""What is shown of a server: its fields have the same names in every command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nova_lite.cli.cells import Addresses, Pairs, cell, label
from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import CommandError

POWER = {0: "NOSTATE", 1: "Running", 3: "Paused", 4: "Shutdown", 6: "Crashed", 7: "Suspended"}

COLUMNS = ("ID", "Name", "Status", "Task State", "Power State", "Networks", "Kind", "Host")
LONG = ("Image ID", "Flavor", "Availability Zone", "Key Name", "Created")

_MEMBERS = {
    "id": "ID",
    "name": "Name",
    "status": "Status",
    "OS-EXT-STS:task_state": "Task State",
    "OS-EXT-STS:power_state": "Power State",
    "addresses": "Networks",
    "nova_lite:kind": "Kind",
    "OS-EXT-SRV-ATTR:host": "Host",
    "OS-EXT-STS:vm_state": "VM State",
    "image": "Image",
    "flavor": "Flavor",
    "key_name": "Key Name",
    "OS-EXT-AZ:availability_zone": "Availability Zone",
    "description": "Description",
    "metadata": "Properties",
    "tags": "Tags",
    "config_drive": "Config Drive",
    "created": "Created",
    "updated": "Updated",
    "OS-SRV-USG:launched_at": "Launched",
    "OS-SRV-USG:terminated_at": "Terminated",
    "tenant_id": "Project ID",
    "user_id": "User ID",
    "OS-EXT-SRV-ATTR:instance_name": "Instance Name",
    "OS-EXT-SRV-ATTR:hypervisor_hostname": "Hypervisor Hostname",
    "hostId": "Host ID",
    "OS-DCF:diskConfig": "Disk Config",
    "os-extended-volumes:volumes_attached": "Volumes",
    "accessIPv4": "Access IPv4",
    "accessIPv6": "Access IPv6",
    "fault": "Fault",
}
"""Members of the API and the fields they are; any other is named after itself."""

# What a user put into user data is often a secret, and it is what the user has anyway.
_LEFT_OUT = {"links", "OS-EXT-SRV-ATTR:user_data"}

RENAMED = {
    **{member.lower(): name for member, name in _MEMBERS.items()},
    "task_state": "Task State",
    "image_name": "Image",
    "project_id": "Project ID",
}


def addresses(server: Mapping[str, Any]) -> Addresses:
    """Return a server's addresses by network."""
    found = server.get("addresses") or {}
    return Addresses({name: [item["addr"] for item in items] for name, items in found.items()})


def power(server: Mapping[str, Any]) -> str | None:
    """Return the power state in words."""
    state = server.get("OS-EXT-STS:power_state")
    return None if state is None else POWER.get(state, str(state))


def row(server: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a server's cells of :data:`COLUMNS`."""
    return (
        server["id"],
        server["name"],
        server["status"],
        server.get("OS-EXT-STS:task_state"),
        power(server),
        addresses(server),
        server.get("nova_lite:kind"),
        server.get("OS-EXT-SRV-ATTR:host"),
    )


def long_row(server: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return a server's cells of :data:`LONG`."""
    return (
        (server.get("image") or {}).get("id"),
        _flavor(server.get("flavor") or {}),
        server.get("OS-EXT-AZ:availability_zone"),
        server.get("key_name"),
        server.get("created"),
    )


def _flavor(flavor: Mapping[str, Any]) -> Any:
    return flavor.get("original_name") or flavor.get("id")


def details(connection: Connection, server: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return (labels, cells) of everything that the API tells of a server."""
    shown: dict[str, Any] = dict.fromkeys(COLUMNS)
    shown |= dict(zip(COLUMNS, row(server), strict=True))
    for member in (*_MEMBERS, *sorted(server)):
        name = _MEMBERS.get(member) or label(member.rpartition(":")[2])
        if member in server and member not in _LEFT_OUT and name not in shown:
            shown[name] = cell(server[member])
    shown["Image"] = _image(connection, server.get("image"))
    shown["Flavor"] = _whole_flavor(server.get("flavor") or {})
    shown["Config Drive"] = server.get("config_drive") in (True, "True")
    fault = server.get("fault")
    shown["Fault"] = str(fault.get("message") or "") if fault else None
    if fault and fault.get("details"):
        shown["Fault Details"] = str(fault["details"])
    return tuple(shown), tuple(shown.values())


def _image(connection: Connection, image: Any) -> str | None:
    if not image:
        return None
    try:
        return f"{connection.image.get('images/' + str(image['id']))['name']} ({image['id']})"
    except CommandError:
        # It may be gone, or another project's; the server has its copy.
        return str(image["id"])


def _whole_flavor(flavor: Mapping[str, Any]) -> Any:
    if "original_name" not in flavor:
        return flavor.get("id")
    specs = flavor.get("extra_specs") or {}
    sizes = {key: flavor[key] for key in ("vcpus", "ram", "disk", "ephemeral", "swap") if flavor.get(key)}
    return Pairs({"name": flavor["original_name"], **sizes, **specs})
