"""What a project may have and has: nothing is limited yet (-1) but what the schemas themselves limit."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import policies
from nova_lite.api.compute.parameters import TEXTS, by_minor, query
from nova_lite.api.compute.servers import MOST_METADATA
from nova_lite.api.context import Call
from nova_lite.compute import usage

UNLIMITED = -1

QUERY = by_minor(lambda minor: query({"tenant_id": TEXTS, "reserved": TEXTS}, is_open=minor < 75), 1, 75)


def show(call: Call) -> dict[str, Any]:
    """Show the limits and the use of the caller's project; an admin may name another."""
    project_id = call.query.get("tenant_id")
    if project_id is not None:
        call.authorize(rule=policies.PREFIX + "limits:other_project")
    used = usage.of_project(call.store, project_id or call.principal.project_id or "")
    minor = call.version.minor
    absolute: dict[str, int] = {
        "maxServerMeta": MOST_METADATA,
        "maxTotalInstances": UNLIMITED,
        "maxTotalCores": UNLIMITED,
        "maxTotalRAMSize": UNLIMITED,
        "maxTotalKeypairs": UNLIMITED,
        "maxServerGroups": UNLIMITED,
        "maxServerGroupMembers": UNLIMITED,
        "totalInstancesUsed": used.servers,
        "totalCoresUsed": used.vcpus,
        "totalRAMUsed": used.memory_mb,
        "totalServerGroupsUsed": 0,
    }
    if minor < 39:
        absolute["maxImageMeta"] = MOST_METADATA
    if minor < 57:
        # Files can't be injected, at any microversion.
        absolute |= {"maxPersonality": 0, "maxPersonalitySize": 0}
    if minor < 36:
        absolute |= {
            "maxSecurityGroups": UNLIMITED,
            "maxSecurityGroupRules": UNLIMITED,
            "maxTotalFloatingIps": UNLIMITED,
            "totalSecurityGroupsUsed": 0,
            "totalFloatingIpsUsed": 0,
        }
    return {"limits": {"rate": [], "absolute": absolute}}
