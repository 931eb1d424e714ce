"""The rules of what there is beside servers, flavors and keypairs."""

from __future__ import annotations

from nova_lite.api.policy import ADMIN, READER, rule

_P = "os_compute_api:"
_QUOTA = "/os-quota-sets/{project_id}"

QUOTAS = (
    rule(_P + "os-quota-sets:show", READER, "Show a project's quota.", ("GET", _QUOTA)),
    rule(_P + "os-quota-sets:defaults", READER, "Show the default quota.", ("GET", _QUOTA + "/defaults")),
    rule(_P + "os-quota-sets:detail", READER, "Show quota and usage.", ("GET", _QUOTA + "/detail")),
    rule(_P + "os-quota-sets:update", ADMIN, "Set a project's quota.", ("PUT", _QUOTA)),
    rule(_P + "os-quota-sets:delete", ADMIN, "Take back what was set.", ("DELETE", _QUOTA)),
    rule(_P + "os-quota-class-sets:show", ADMIN, "Show a class's quota.", ("GET", "/os-quota-class-sets/{name}")),
    rule(_P + "os-quota-class-sets:update", ADMIN, "Set a class's quota.", ("PUT", "/os-quota-class-sets/{name}")),
)

RULES = (*QUOTAS,)
