"""Extensions: from before there were microversions; old clients look here for what is offered."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.errors import NotFound

_EXTENSIONS = {
    "OS-DCF": ("DiskConfig", "Disk Management Extension."),
    "OS-EXT-AZ": ("ExtendedAvailabilityZone", "Extended Availability Zone support."),
    "OS-EXT-IMG-SIZE": ("ImageSize", "Adds image size to image listings."),
    "OS-EXT-IPS": ("ExtendedIps", "Adds type parameter to the ip list."),
    "OS-EXT-IPS-MAC": ("ExtendedIpsMac", "Adds mac address parameter to the ip list."),
    "OS-EXT-SRV-ATTR": ("ExtendedServerAttributes", "Extended Server Attributes support."),
    "OS-EXT-STS": ("ExtendedStatus", "Extended Status support."),
    "OS-FLV-DISABLED": ("FlavorDisabled", "Support to show the disabled status of a flavor."),
    "OS-FLV-EXT-DATA": ("FlavorExtraData", "Provide additional data for flavors."),
    "OS-SCH-HNT": ("SchedulerHints", "Pass arbitrary key/value pairs to the scheduler."),
    "OS-SRV-USG": ("ServerUsage", "Adds launched_at and terminated_at on Servers."),
    "os-access-ips": ("AccessIPs", "Access IPs support."),
    "os-admin-password": ("AdminPassword", "Admin password management support."),
    "os-attach-interfaces": ("AttachInterfaces", "Attach interface support."),
    "os-availability-zone": ("AvailabilityZone", "1. Add availability_zone to the Create Server API. 2. List zones."),
    "os-config-drive": ("ConfigDrive", "Config Drive Extension."),
    "os-admin-actions": ("AdminActions", "Enable admin-only server actions."),
    "os-aggregates": ("Aggregates", "Admin-only aggregate administration."),
    "os-assisted-volume-snapshots": ("AssistedVolumeSnapshots", "Assisted volume snapshots."),
    "os-consoles": ("Consoles", "Interactive Console support."),
    "os-create-backup": ("CreateBackup", "Create a backup of a server."),
    "os-deferred-delete": ("DeferredDelete", "Instance deferred delete."),
    "os-floating-ip-pools": ("FloatingIpPools", "Floating IPs support."),
    "os-floating-ips": ("FloatingIps", "Floating IPs support."),
    "os-hosts": ("Hosts", "Admin-only host administration."),
    "os-instance-usage-audit-log": ("InstanceUsageAuditLog", "Admin-only Task Log Monitoring."),
    "os-lock-server": ("LockServer", "Enable lock/unlock server actions."),
    "os-networks": ("Networks", "Admin-only Network Management Extension."),
    "os-personality": ("Personality", "Personality support."),
    "os-quota-class-sets": ("QuotaClasses", "Quota classes management support."),
    "os-quota-sets": ("Quotas", "Quotas management support."),
    "os-remote-consoles": ("Consoles", "Interactive Console support."),
    "os-rescue": ("Rescue", "Instance rescue mode."),
    "os-security-groups": ("SecurityGroups", "Security group support."),
    "os-server-diagnostics": ("ServerDiagnostics", "Allow Admins to view server diagnostics through server action."),
    "os-server-external-events": ("ServerExternalEvents", "Server External Event Triggers."),
    "os-server-groups": ("ServerGroups", "Server group support."),
    "os-server-password": ("ServerPassword", "Server password support."),
    "os-shelve": ("Shelve", "Instance shelve mode."),
    "os-simple-tenant-usage": ("SimpleTenantUsage", "Simple tenant usage extension."),
    "os-tenant-networks": ("OSTenantNetworks", "Tenant-based Network Management Extension."),
    "os-console-output": ("ConsoleOutput", "Console log output support, with tailing ability."),
    "os-flavor-access": ("FlavorAccess", "Flavor access support."),
    "os-flavor-extra-specs": ("FlavorExtraSpecs", "Flavors extra specs support."),
    "os-flavor-manage": ("FlavorManage", "Flavor create/delete API support."),
    "os-flavor-rxtx": ("FlavorRxtx", "Support to show the rxtx status of a flavor."),
    "os-flavor-swap": ("FlavorSwap", "Support to show the swap status of a flavor."),
    "os-hypervisors": ("Hypervisors", "Admin-only hypervisor administration."),
    "os-instance-actions": ("InstanceActions", "View a log of actions and events taken on an instance."),
    "os-keypairs": ("Keypairs", "Keypair Support."),
    "os-migrations": ("Migrations", "Provide data on migrations."),
    "os-multiple-create": ("MultipleCreate", "Allow multiple create in the Create Server v2.1 API."),
    "os-pause-server": ("PauseServer", "Enable pause/unpause server actions."),
    "os-scheduler-hints": ("SchedulerHints", "Pass arbitrary key/value pairs to the scheduler."),
    "os-server-sort-keys": ("ServerSortKeys", "Add sorting support in get Server v2 API."),
    "os-server-start-stop": ("ServerStartStop", "Start/Stop instance compute API support."),
    "os-services": ("Services", "Services support."),
    "os-suspend-server": ("SuspendServer", "Enable suspend/resume server actions."),
    "os-user-quotas": ("UserQuotas", "Project user quota support."),
    "os-used-limits": ("UsedLimits", "Provide data on limited resource that are being used."),
    "os-user-data": ("UserData", "Add user_data to the Create Server API."),
}


def _view(alias: str) -> dict[str, Any]:
    name, description = _EXTENSIONS[alias]
    return {
        "alias": alias,
        "name": name,
        "description": description,
        "links": [],
        "namespace": "http://docs.openstack.org/compute/ext/fake_xml",
        "updated": "2014-12-03T00:00:00Z",
    }


def index(_call: Call) -> dict[str, Any]:
    """List what is offered."""
    return {"extensions": [_view(alias) for alias in _EXTENSIONS]}


def show(call: Call) -> dict[str, Any]:
    """Show one extension."""
    alias = call.params["alias"]
    if alias not in _EXTENSIONS:
        raise NotFound("The resource could not be found.", "extension.not_found")
    return {"extension": _view(alias)}
