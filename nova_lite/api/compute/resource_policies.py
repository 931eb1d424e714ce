"""The rules of what there is beside servers, flavors and keypairs."""

from __future__ import annotations

from nova_lite.api.policy import ADMIN, ANYBODY, MEMBER, READER, rule

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
    rule("compute:aggregates:images", ADMIN, "Have its hosts fetch images.", ("POST", _AGGREGATE + "/images")),
    rule(_P + "os-services:update", ADMIN, "Enable, disable or force down a service.", ("PUT", _SERVICE)),
    rule(_P + "os-services:delete", ADMIN, "Forget a service.", ("DELETE", _SERVICE)),
)

_HOST = "/os-hosts/{host}"
_USAGE = "/os-simple-tenant-usage"
_AUDIT = "/os-instance_usage_audit_log"
_VOLUMES = "/servers/{server_id}/os-volume_attachments"
_LEFT_BY_GUEST = "/servers/{server_id}/os-server-password"

USAGE = (
    rule(_P + "os-hypervisors:uptime", ADMIN, "Show its uptime.", ("GET", "/os-hypervisors/{hypervisor_id}/uptime")),
    rule(_P + "os-hypervisors:search", ADMIN, "Find some.", ("GET", "/os-hypervisors/{hypervisor_id}/search")),
    rule(_P + "os-hypervisors:servers", ADMIN, "List servers.", ("GET", "/os-hypervisors/{hypervisor_id}/servers")),
    rule(_P + "os-hosts:list", ADMIN, "List hosts.", ("GET", "/os-hosts")),
    rule(_P + "os-hosts:show", ADMIN, "Show a host.", ("GET", _HOST)),
    rule(_P + "os-hosts:update", ADMIN, "Enable or disable a host.", ("PUT", _HOST)),
    rule(_P + "os-hosts:start", ADMIN, "Start a host.", ("GET", _HOST + "/startup")),
    rule(_P + "os-hosts:shutdown", ADMIN, "Stop a host.", ("GET", _HOST + "/shutdown")),
    rule(_P + "os-hosts:reboot", ADMIN, "Reboot a host.", ("GET", _HOST + "/reboot")),
    rule(_P + "os-simple-tenant-usage:list", ADMIN, "List all projects' use.", ("GET", _USAGE)),
    rule(_P + "os-simple-tenant-usage:show", READER, "Show a project's use.", ("GET", _USAGE + "/{project_id}")),
    rule(_P + "os-instance-usage-audit-log:list", ADMIN, "Show the audit log.", ("GET", _AUDIT)),
    rule(_P + "os-instance-usage-audit-log:show", ADMIN, "Show an older one.", ("GET", _AUDIT + "/{before}")),
)

ADOPTION = (
    rule(_P + "nova-lite-adoption:list", ADMIN, "List guests that are no servers.", ("GET", "/os-nova-lite-strangers")),
    rule(_P + "nova-lite-adoption:create", ADMIN, "Make a guest a server.", ("POST", "/os-nova-lite-adoptions")),
)

INSIGHT = (
    rule(_P + "os-server-diagnostics", ADMIN, "Measure a server.", ("GET", "/servers/{server_id}/diagnostics")),
    rule(_P + "nova-lite-trace", READER, "Follow a server's packet.", ("GET", "/servers/{server_id}/nova-lite-trace")),
    rule(
        _P + "nova-lite-trace:all",
        ADMIN,
        "See hosts and other projects' rules on a packet's way.",
        ("GET", "/servers/{server_id}/nova-lite-trace"),
    ),
    rule("compute:server:topology:index", READER, "Show NUMA cells.", ("GET", "/servers/{server_id}/topology")),
    rule(_P + "os-volumes-attachments:index", READER, "List a server's volumes.", ("GET", _VOLUMES)),
    rule(_P + "os-volumes-attachments:show", READER, "Show one of them.", ("GET", _VOLUMES + "/{volume_id}")),
    rule(_P + "os-server-password:show", READER, "Show the guest's password.", ("GET", _LEFT_BY_GUEST)),
    rule(_P + "os-server-password:clear", MEMBER, "Forget the guest's password.", ("DELETE", _LEFT_BY_GUEST)),
    rule(
        _P + "os-server-external-events:create",
        "rule:admin or role:service",
        "Tell of events.",
        ("POST", "/os-server-external-events"),
    ),
    rule(
        _P + "os-assisted-volume-snapshots:create", ADMIN, "Help a snapshot.", ("POST", "/os-assisted-volume-snapshots")
    ),
    rule(
        _P + "os-assisted-volume-snapshots:delete",
        ADMIN,
        "Help to delete a snapshot.",
        ("DELETE", "/os-assisted-volume-snapshots/{id}"),
    ),
    rule(_P + "proxy", ANYBODY, "Read images and networks by old microversions.", ("GET", "/images")),
    rule(_P + "proxy:change", MEMBER, "Change images by old microversions.", ("POST", "/images/{image_id}/metadata")),
    rule(_P + "gone", ANYBODY, "Be told that something is gone.", ("GET", "/os-cells")),
)

RULES = (*QUOTAS, *GROUPS, *HOSTS, *USAGE, *ADOPTION, *INSIGHT)
