"""What a project may have and has."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import policies
from nova_lite.api.compute.parameters import TEXTS, by_minor, query
from nova_lite.api.context import Call
from nova_lite.compute import quota_sets

QUERY = by_minor(lambda minor: query({"tenant_id": TEXTS, "reserved": TEXTS}, is_open=minor < 75), 1, 75)


def show(call: Call) -> dict[str, Any]:
    """Show the limits and the use of the caller's project; an admin may name another."""
    project_id = call.query.get("tenant_id")
    if project_id is not None:
        call.authorize(rule=policies.PREFIX + "limits:other_project")
    limit, used = quota_sets.read_usage(call.services.conf, call.store, project_id or call.principal.project_id or "")
    minor = call.version.minor
    absolute: dict[str, int] = {
        "maxServerMeta": limit["metadata_items"],
        "maxTotalInstances": limit["instances"],
        "maxTotalCores": limit["cores"],
        "maxTotalRAMSize": limit["ram"],
        "maxTotalKeypairs": limit["key_pairs"],
        "maxServerGroups": limit["server_groups"],
        "maxServerGroupMembers": limit["server_group_members"],
        "totalInstancesUsed": used["instances"],
        "totalCoresUsed": used["cores"],
        "totalRAMUsed": used["ram"],
        "totalServerGroupsUsed": used["server_groups"],
    }
    if minor < 39:
        absolute["maxImageMeta"] = limit["metadata_items"]
    if minor < 57:
        absolute |= {
            "maxPersonality": limit["injected_files"],
            "maxPersonalitySize": limit["injected_file_content_bytes"],
        }
    if minor < 36:
        absolute |= {
            "maxSecurityGroups": limit["security_groups"],
            "maxSecurityGroupRules": limit["security_group_rules"],
            "maxTotalFloatingIps": limit["floating_ips"],
            "totalSecurityGroupsUsed": 0,
            "totalFloatingIpsUsed": 0,
        }
    return {"limits": {"rate": [], "absolute": absolute}}
