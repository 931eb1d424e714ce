"""What upstream took away: clients of old are told so, as upstream tells them, at every microversion."""

from __future__ import annotations

from nova_lite.api.context import Call
from nova_lite.errors import Gone

PATHS: dict[str, tuple[str, ...]] = {
    "os-agents": ("GET", "POST"),
    "os-agents/{id}": ("PUT", "DELETE"),
    "os-cells": ("GET", "POST"),
    "os-cells/capacities": ("GET",),
    "os-cells/detail": ("GET",),
    "os-cells/info": ("GET",),
    "os-cells/sync_instances": ("POST",),
    "os-cells/{id}": ("GET", "PUT", "DELETE"),
    "os-cells/{id}/capacities": ("GET",),
    "os-certificates": ("POST",),
    "os-certificates/{id}": ("GET",),
    "os-cloudpipe": ("GET", "POST"),
    "os-cloudpipe/{id}": ("PUT",),
    "os-fixed-ips/{address}": ("GET",),
    "os-fixed-ips/{address}/action": ("POST",),
    "os-floating-ip-dns": ("GET",),
    "os-floating-ip-dns/{domain}": ("PUT", "DELETE"),
    "os-floating-ip-dns/{domain}/entries/{id}": ("GET", "PUT", "DELETE"),
    "os-floating-ips-bulk": ("GET", "POST"),
    "os-floating-ips-bulk/{id}": ("GET", "PUT"),
    "os-fping": ("GET",),
    "os-fping/{id}": ("GET",),
    "os-networks": ("POST",),
    "os-networks/add": ("POST",),
    "os-networks/{network_id}": ("DELETE",),
    "os-networks/{network_id}/action": ("POST",),
    "os-security-group-default-rules": ("GET", "POST"),
    "os-security-group-default-rules/{id}": ("GET", "DELETE"),
    "os-tenant-networks": ("POST",),
    "os-tenant-networks/{network_id}": ("DELETE",),
    "servers/{server_id}/consoles": ("GET", "POST"),
    "servers/{server_id}/consoles/{id}": ("GET", "DELETE"),
    "servers/{server_id}/os-virtual-interfaces": ("GET",),
}


def refuse(_call: Call) -> None:
    """Say that it is gone for good."""
    raise Gone("This resource is no longer available. No forwarding address is given.", "request.gone")
