"""The Compute API's rules; the names are Nova's, so that an operator's ``policy.yaml`` means here what it means there."""

from __future__ import annotations

from nova_lite.api.compute import network_policies, resource_policies
from nova_lite.api.policy import ADMIN, ANYBODY, MEMBER, READER, rule

PREFIX = "os_compute_api:"

SERVERS = PREFIX + "servers:"
ACTION = "/servers/{server_id}/action"
OWN_KEYS = "rule:admin or user_id:%(user_id)s"


def _read(name: str, description: str, path: str) -> object:
    return rule(PREFIX + name, READER, description, ("GET", path))


RULES = (
    rule(SERVERS + "index", READER, "List servers.", ("GET", "/servers")),
    rule(SERVERS + "detail", READER, "List servers with details.", ("GET", "/servers/detail")),
    rule(SERVERS + "index:get_all_tenants", ADMIN, "List all projects' servers.", ("GET", "/servers")),
    rule(
        SERVERS + "detail:get_all_tenants", ADMIN, "List all projects' servers in detail.", ("GET", "/servers/detail")
    ),
    rule(SERVERS + "show", READER, "Show a server.", ("GET", "/servers/{server_id}")),
    rule(SERVERS + "show:host_status", ADMIN, "Show the state of a server's host.", ("GET", "/servers/{server_id}")),
    rule(
        SERVERS + "show:flavor-extra-specs",
        READER,
        "Show the extra specs of a server's flavor.",
        ("GET", "/servers/{server_id}"),
    ),
    rule(SERVERS + "create", MEMBER, "Create servers.", ("POST", "/servers")),
    rule(SERVERS + "create:forced_host", ADMIN, "Name the host in the availability zone.", ("POST", "/servers")),
    rule("compute:servers:create:requested_destination", ADMIN, "Name the host of a server.", ("POST", "/servers")),
    rule(SERVERS + "update", MEMBER, "Change a server.", ("PUT", "/servers/{server_id}")),
    rule(SERVERS + "delete", MEMBER, "Delete a server.", ("DELETE", "/servers/{server_id}")),
    rule(SERVERS + "start", MEMBER, "Start a server.", ("POST", ACTION + " (os-start)")),
    rule(SERVERS + "stop", MEMBER, "Stop a server.", ("POST", ACTION + " (os-stop)")),
    rule(SERVERS + "reboot", MEMBER, "Reboot a server.", ("POST", ACTION + " (reboot)")),
    rule(
        PREFIX + "os-extended-server-attributes",
        ADMIN,
        "Show a server's host and other OS-EXT-SRV-ATTR members.",
        ("GET", "/servers/{server_id}"),
    ),
    rule(PREFIX + "os-suspend-server:suspend", MEMBER, "Suspend a server.", ("POST", ACTION + " (suspend)")),
    rule(PREFIX + "os-suspend-server:resume", MEMBER, "Resume a server.", ("POST", ACTION + " (resume)")),
    rule(PREFIX + "os-pause-server:pause", MEMBER, "Pause a server.", ("POST", ACTION + " (pause)")),
    rule(PREFIX + "os-pause-server:unpause", MEMBER, "Unpause a server.", ("POST", ACTION + " (unpause)")),
    rule(SERVERS + "rebuild", MEMBER, "Rebuild a server.", ("POST", ACTION + " (rebuild)")),
    rule(SERVERS + "resize", MEMBER, "Resize a server.", ("POST", ACTION + " (resize)")),
    rule(SERVERS + "confirm_resize", MEMBER, "Confirm a resize.", ("POST", ACTION + " (confirmResize)")),
    rule(SERVERS + "revert_resize", MEMBER, "Revert a resize.", ("POST", ACTION + " (revertResize)")),
    rule(SERVERS + "create_image", MEMBER, "Make an image of a server.", ("POST", ACTION + " (createImage)")),
    rule(SERVERS + "trigger_crash_dump", MEMBER, "Have a server dump.", ("POST", ACTION + " (trigger_crash_dump)")),
    rule(PREFIX + "os-create-backup", MEMBER, "Back a server up.", ("POST", ACTION + " (createBackup)")),
    rule(PREFIX + "os-rescue", MEMBER, "Rescue a server.", ("POST", ACTION + " (rescue)")),
    rule(PREFIX + "os-unrescue", MEMBER, "End a rescue.", ("POST", ACTION + " (unrescue)")),
    rule(PREFIX + "os-shelve:shelve", MEMBER, "Shelve a server.", ("POST", ACTION + " (shelve)")),
    rule(PREFIX + "os-shelve:unshelve", MEMBER, "Unshelve a server.", ("POST", ACTION + " (unshelve)")),
    rule(PREFIX + "os-shelve:unshelve_to_host", ADMIN, "Unshelve to a host.", ("POST", ACTION + " (unshelve)")),
    rule(PREFIX + "os-shelve:shelve_offload", ADMIN, "Offload a server.", ("POST", ACTION + " (shelveOffload)")),
    rule(PREFIX + "os-lock-server:lock", MEMBER, "Lock a server.", ("POST", ACTION + " (lock)")),
    rule(PREFIX + "os-lock-server:unlock", MEMBER, "Unlock a server.", ("POST", ACTION + " (unlock)")),
    rule(
        PREFIX + "os-lock-server:unlock:unlock_override",
        ADMIN,
        "Unlock a server that an admin has locked.",
        ("POST", ACTION + " (unlock)"),
    ),
    rule(PREFIX + "os-admin-actions:reset_state", ADMIN, "Set its state.", ("POST", ACTION + " (os-resetState)")),
    rule(
        PREFIX + "os-admin-actions:inject_network_info",
        ADMIN,
        "Have its host apply its networks again.",
        ("POST", ACTION + " (injectNetworkInfo)"),
    ),
    rule(PREFIX + "os-deferred-delete:restore", MEMBER, "Restore a server.", ("POST", ACTION + " (restore)")),
    rule(PREFIX + "os-deferred-delete:force", MEMBER, "Delete for good.", ("POST", ACTION + " (forceDelete)")),
    rule(PREFIX + "os-admin-password", MEMBER, "Change a password.", ("POST", ACTION + " (changePassword)")),
    rule(PREFIX + "os-migrations:index", ADMIN, "List migrations.", ("GET", "/os-migrations")),
    rule(PREFIX + "servers:migrations:index", ADMIN, "List them.", ("GET", "/servers/{server_id}/migrations")),
    rule(PREFIX + "servers:migrations:show", ADMIN, "Show one.", ("GET", "/servers/{server_id}/migrations/{id}")),
    rule(
        PREFIX + "servers:migrations:force_complete",
        ADMIN,
        "Hurry one.",
        ("POST", "/servers/{server_id}/migrations/{id}/action"),
    ),
    rule(PREFIX + "servers:migrations:delete", ADMIN, "Abort one.", ("DELETE", "/servers/{server_id}/migrations/{id}")),
    rule(PREFIX + "os-console-output", MEMBER, "Read a server's console.", ("POST", ACTION + " (os-getConsoleOutput)")),
    rule(
        PREFIX + "os-remote-consoles",
        MEMBER,
        "Open a remote console.",
        ("POST", "/servers/{server_id}/remote-consoles"),
    ),
    rule(
        PREFIX + "os-console-auth-tokens",
        ADMIN,
        "Tell where a console's token leads.",
        ("GET", "/os-console-auth-tokens/{token}"),
    ),
    _read("server-metadata:index", "List a server's metadata.", "/servers/{server_id}/metadata"),
    _read("server-metadata:show", "Show an item of metadata.", "/servers/{server_id}/metadata/{key}"),
    rule(PREFIX + "server-metadata:create", MEMBER, "Add metadata.", ("POST", "/servers/{server_id}/metadata")),
    rule(PREFIX + "server-metadata:update_all", MEMBER, "Replace metadata.", ("PUT", "/servers/{server_id}/metadata")),
    rule(PREFIX + "server-metadata:update", MEMBER, "Set an item.", ("PUT", "/servers/{server_id}/metadata/{key}")),
    rule(
        PREFIX + "server-metadata:delete", MEMBER, "Remove an item.", ("DELETE", "/servers/{server_id}/metadata/{key}")
    ),
    _read("os-server-tags:index", "List a server's tags.", "/servers/{server_id}/tags"),
    _read("os-server-tags:show", "Tell whether a server has a tag.", "/servers/{server_id}/tags/{tag}"),
    rule(PREFIX + "os-server-tags:update", MEMBER, "Add a tag.", ("PUT", "/servers/{server_id}/tags/{tag}")),
    rule(PREFIX + "os-server-tags:update_all", MEMBER, "Replace the tags.", ("PUT", "/servers/{server_id}/tags")),
    rule(PREFIX + "os-server-tags:delete", MEMBER, "Remove a tag.", ("DELETE", "/servers/{server_id}/tags/{tag}")),
    rule(PREFIX + "os-server-tags:delete_all", MEMBER, "Remove all tags.", ("DELETE", "/servers/{server_id}/tags")),
    _read("ips:index", "List a server's addresses.", "/servers/{server_id}/ips"),
    _read("ips:show", "List a server's addresses on a network.", "/servers/{server_id}/ips/{label}"),
    _read("os-attach-interfaces:list", "List a server's interfaces.", "/servers/{server_id}/os-interface"),
    _read("os-attach-interfaces:show", "Show an interface.", "/servers/{server_id}/os-interface/{port_id}"),
    rule(
        PREFIX + "os-attach-interfaces:create",
        MEMBER,
        "Attach an interface to a server.",
        ("POST", "/servers/{server_id}/os-interface"),
    ),
    rule(
        PREFIX + "os-attach-interfaces:delete",
        MEMBER,
        "Detach an interface from a server.",
        ("DELETE", "/servers/{server_id}/os-interface/{port_id}"),
    ),
    _read("os-instance-actions:list", "List what was done to a server.", "/servers/{server_id}/os-instance-actions"),
    _read("os-instance-actions:show", "Show one action.", "/servers/{server_id}/os-instance-actions/{request_id}"),
    rule(
        PREFIX + "os-instance-actions:events",
        ADMIN,
        "Show the host and traceback of an action's events.",
        ("GET", "/servers/{server_id}/os-instance-actions/{request_id}"),
    ),
    rule(
        PREFIX + "os-instance-actions:events:details",
        ADMIN,
        "Show the details of an action's events.",
        ("GET", "/servers/{server_id}/os-instance-actions/{request_id}"),
    ),
    rule(PREFIX + "flavors", ANYBODY, "List and show flavors.", ("GET", "/flavors")),
    rule(PREFIX + "os-flavor-manage:create", ADMIN, "Make a flavor.", ("POST", "/flavors")),
    rule(PREFIX + "os-flavor-manage:update", ADMIN, "Describe a flavor.", ("PUT", "/flavors/{flavor_id}")),
    rule(PREFIX + "os-flavor-manage:delete", ADMIN, "Delete a flavor.", ("DELETE", "/flavors/{flavor_id}")),
    _read("os-flavor-extra-specs:index", "List extra specs.", "/flavors/{flavor_id}/os-extra_specs"),
    _read("os-flavor-extra-specs:show", "Show an extra spec.", "/flavors/{flavor_id}/os-extra_specs/{key}"),
    rule(PREFIX + "os-flavor-extra-specs:create", ADMIN, "Add specs.", ("POST", "/flavors/{flavor_id}/os-extra_specs")),
    rule(
        PREFIX + "os-flavor-extra-specs:update",
        ADMIN,
        "Set an extra spec.",
        ("PUT", "/flavors/{flavor_id}/os-extra_specs/{key}"),
    ),
    rule(
        PREFIX + "os-flavor-extra-specs:delete",
        ADMIN,
        "Remove an extra spec.",
        ("DELETE", "/flavors/{flavor_id}/os-extra_specs/{key}"),
    ),
    rule(PREFIX + "os-flavor-access", ADMIN, "List who may use it.", ("GET", "/flavors/{flavor_id}/os-flavor-access")),
    rule(
        PREFIX + "os-flavor-access:add_tenant_access",
        ADMIN,
        "Let a project use a flavor.",
        ("POST", "/flavors/{flavor_id}/action (addTenantAccess)"),
    ),
    rule(
        PREFIX + "os-flavor-access:remove_tenant_access",
        ADMIN,
        "Take a project's right to a flavor.",
        ("POST", "/flavors/{flavor_id}/action (removeTenantAccess)"),
    ),
    rule(PREFIX + "os-keypairs:index", OWN_KEYS, "List keypairs.", ("GET", "/os-keypairs")),
    rule(PREFIX + "os-keypairs:show", OWN_KEYS, "Show a keypair.", ("GET", "/os-keypairs/{name}")),
    rule(PREFIX + "os-keypairs:create", OWN_KEYS, "Make or import a keypair.", ("POST", "/os-keypairs")),
    rule(PREFIX + "os-keypairs:delete", OWN_KEYS, "Delete a keypair.", ("DELETE", "/os-keypairs/{name}")),
    rule(PREFIX + "limits", ANYBODY, "Show the project's limits.", ("GET", "/limits")),
    rule(PREFIX + "limits:other_project", ADMIN, "Show another project's limits.", ("GET", "/limits")),
    rule(PREFIX + "os-availability-zone:list", ANYBODY, "List zones.", ("GET", "/os-availability-zone")),
    rule(
        PREFIX + "os-availability-zone:detail", ADMIN, "List zones and hosts.", ("GET", "/os-availability-zone/detail")
    ),
    rule(PREFIX + "os-hypervisors:list", ADMIN, "List hypervisors.", ("GET", "/os-hypervisors")),
    rule(PREFIX + "os-hypervisors:list-detail", ADMIN, "List them in detail.", ("GET", "/os-hypervisors/detail")),
    rule(PREFIX + "os-hypervisors:show", ADMIN, "Show a hypervisor.", ("GET", "/os-hypervisors/{hypervisor_id}")),
    rule(PREFIX + "os-hypervisors:statistics", ADMIN, "Sum them up.", ("GET", "/os-hypervisors/statistics")),
    rule(PREFIX + "os-services:list", ADMIN, "List services.", ("GET", "/os-services")),
    rule(PREFIX + "extensions", ANYBODY, "List the API's extensions.", ("GET", "/extensions")),
    *resource_policies.RULES,
    *network_policies.RULES,
)
