"""What upstream's APIs have, as far as a client would look for it; to say what is not here yet.

Source: https://docs.openstack.org/api-quick-start/ and the API references that it leads to.
"""

from __future__ import annotations

RESOURCES: dict[str, dict[str, str]] = {
    "/identity": {
        "groups": "/v3/groups",
        "credentials": "/v3/credentials",
        "policies": "/v3/policies",
        "application credentials": "/v3/users/{user_id}/application_credentials",
        "trusts": "/v3/OS-TRUST/trusts",
        "federation": "/v3/OS-FEDERATION",
        "limits": "/v3/limits",
        "creation of users": "POST /v3/users",
        "creation of projects": "POST /v3/projects",
        "creation of roles": "POST /v3/roles",
        "creation of services and endpoints": "POST /v3/services",
    },
    "/compute": {
        "attaching interfaces": "POST /v2.1/servers/{server_id}/os-interface",
        "attached volumes": "POST /v2.1/servers/{server_id}/os-volume_attachments",
        "server groups": "/v2.1/os-server-groups",
        "quota sets": "/v2.1/os-quota-sets",
        "making aggregates": "POST /v2.1/os-aggregates",
        "changing services": "PUT /v2.1/os-services",
        "diagnostics": "/v2.1/servers/{server_id}/diagnostics",
        "usage by project": "/v2.1/os-simple-tenant-usage",
        "migrations": "/v2.1/os-migrations",
        "live migrations": "/v2.1/servers/{server_id}/migrations",
        "external events": "/v2.1/os-server-external-events",
        "console authentication": "/v2.1/os-console-auth-tokens",
    },
    "/image": {
        "members": "/v2/images/{id}/members",
        "import": "/v2/images/{id}/import",
        "tasks": "/v2/tasks",
        "metadata definitions": "/v2/metadefs",
        "cache": "/v2/cache",
    },
    "/network": {
        "routers": "/v2.0/routers",
        "floating IPs": "/v2.0/floatingips",
        "security groups": "/v2.0/security-groups",
        "quotas": "/v2.0/quotas",
        "agents": "/v2.0/agents",
        "trunks": "/v2.0/trunks",
        "RBAC policies": "/v2.0/rbac-policies",
        "subnet pools": "/v2.0/subnetpools",
        "QoS policies": "/v2.0/qos",
    },
    "/volume": {"the whole API (block storage)": "/"},
    "/placement": {"the whole API": "/"},
}
"""By mount: what a user calls it, and how its path begins, after a method where only that one counts."""

ACTIONS = (
    "addFixedIp",
    "addFloatingIp",
    "addSecurityGroup",
    "changePassword",
    "confirmResize",
    "createBackup",
    "createImage",
    "evacuate",
    "forceDelete",
    "injectNetworkInfo",
    "lock",
    "migrate",
    "os-getConsoleOutput",
    "os-migrateLive",
    "os-resetState",
    "os-start",
    "os-stop",
    "pause",
    "reboot",
    "rebuild",
    "removeSecurityGroup",
    "rescue",
    "resize",
    "restore",
    "resume",
    "revertResize",
    "shelve",
    "shelveOffload",
    "suspend",
    "unlock",
    "unpause",
    "unrescue",
    "unshelve",
)
"""Actions of a server that are not deprecated, and those that clients still ask for."""
