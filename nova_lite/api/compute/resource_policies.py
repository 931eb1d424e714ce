"""The rules of what there is beside servers, flavors and keypairs."""

from __future__ import annotations

from nova_lite.api.policy import ADMIN, MEMBER, READER, rule

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

_GROUP = "/os-server-groups/{group_id}"
_AGGREGATE = "/os-aggregates/{aggregate_id}"
_SERVICE = "/os-services/{id}"

GROUPS = (
    rule(_P + "os-server-groups:index", READER, "List server groups.", ("GET", "/os-server-groups")),
    rule(_P + "os-server-groups:index:all_projects", ADMIN, "List everybody's.", ("GET", "/os-server-groups")),
    rule(_P + "os-server-groups:create", MEMBER, "Make a server group.", ("POST", "/os-server-groups")),
    rule(_P + "os-server-groups:show", READER, "Show a server group.", ("GET", _GROUP)),
    rule(_P + "os-server-groups:delete", MEMBER, "Delete a server group.", ("DELETE", _GROUP)),
)

HOSTS = (
    rule(_P + "os-aggregates:index", ADMIN, "List aggregates.", ("GET", "/os-aggregates")),
    rule(_P + "os-aggregates:create", ADMIN, "Make an aggregate.", ("POST", "/os-aggregates")),
    rule(_P + "os-aggregates:show", ADMIN, "Show an aggregate.", ("GET", _AGGREGATE)),
    rule(_P + "os-aggregates:update", ADMIN, "Change an aggregate.", ("PUT", _AGGREGATE)),
    rule(_P + "os-aggregates:delete", ADMIN, "Delete an aggregate.", ("DELETE", _AGGREGATE)),
    rule(_P + "os-aggregates:add_host", ADMIN, "Add a host.", ("POST", _AGGREGATE + "/action (add_host)")),
    rule(_P + "os-aggregates:remove_host", ADMIN, "Remove a host.", ("POST", _AGGREGATE + "/action (remove_host)")),
    rule(_P + "os-aggregates:set_metadata", ADMIN, "Set metadata.", ("POST", _AGGREGATE + "/action (set_metadata)")),
    rule(_P + "os-services:update", ADMIN, "Enable, disable or force down a service.", ("PUT", _SERVICE)),
    rule(_P + "os-services:delete", ADMIN, "Forget a service.", ("DELETE", _SERVICE)),
)

RULES = (*QUOTAS, *GROUPS, *HOSTS)
