"""Every command: its name and where its class is. A class is imported when its command is run."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cliff.commandmanager import CommandManager

_HERE = "nova_lite.cli."

COMMANDS = {
    "address group create": "address_groups:CreateAddressGroup",
    "address group delete": "address_groups:DeleteAddressGroups",
    "address group list": "address_groups:ListAddressGroups",
    "address group set": "address_groups:SetAddressGroup",
    "address group show": "address_groups:ShowAddressGroup",
    "address group unset": "address_groups:UnsetAddressGroup",
    "aggregate add host": "aggregates:AddHost",
    "aggregate cache image": "aggregates:CacheImages",
    "aggregate create": "aggregates:CreateAggregate",
    "aggregate delete": "aggregates:DeleteAggregates",
    "aggregate list": "aggregates:ListAggregates",
    "aggregate remove host": "aggregates:RemoveHost",
    "aggregate set": "aggregates:SetAggregate",
    "aggregate show": "aggregates:ShowAggregate",
    "aggregate unset": "aggregates:UnsetAggregate",
    "availability zone list": "hosts:ListZones",
    "catalog list": "identity:ListCatalog",
    "compute service delete": "services:DeleteServices",
    "compute service list": "services:ListServices",
    "compute service set": "services:SetService",
    "console log show": "console:ShowConsole",
    "console url show": "remote_consoles:ShowUrl",
    "domain list": "roles:ListDomains",
    "extension list": "identity:ListExtensions",
    "flavor access list": "flavors:ListAccess",
    "flavor create": "flavors:CreateFlavor",
    "flavor delete": "flavors:DeleteFlavors",
    "flavor list": "flavors:ListFlavors",
    "flavor set": "flavors:SetFlavor",
    "flavor show": "flavors:ShowFlavor",
    "flavor unset": "flavors:UnsetFlavor",
    "floating ip create": "floating_ips:CreateFloatingIp",
    "floating ip delete": "floating_ips:DeleteFloatingIps",
    "floating ip list": "floating_ips:ListFloatingIps",
    "floating ip set": "floating_ips:SetFloatingIp",
    "floating ip show": "floating_ips:ShowFloatingIp",
    "floating ip unset": "floating_ips:UnsetFloatingIp",
    "host list": "hosts:ListHosts",
    "host show": "hosts:ShowHost",
    "hypervisor list": "hosts:ListHypervisors",
    "hypervisor show": "hosts:ShowHypervisor",
    "hypervisor stats show": "hosts:ShowStatistics",
    "image create": "images:CreateImage",
    "image delete": "images:DeleteImages",
    "image list": "images:ListImages",
    "image save": "image_data:SaveImage",
    "image set": "images:SetImage",
    "image show": "images:ShowImage",
    "image unset": "images:UnsetImage",
    "ip availability list": "network_hosts:ListAvailability",
    "ip availability show": "network_hosts:ShowAvailability",
    "keypair create": "keypairs:CreateKeypair",
    "keypair delete": "keypairs:DeleteKeypairs",
    "keypair list": "keypairs:ListKeypairs",
    "keypair show": "keypairs:ShowKeypair",
    "limits show": "limits:ShowLimits",
    "network agent list": "network_hosts:ListAgents",
    "network agent show": "network_hosts:ShowAgent",
    "network auto allocated topology create": "network_hosts:CreateTopology",
    "network auto allocated topology delete": "network_hosts:DeleteTopology",
    "network create": "networks:CreateNetwork",
    "network delete": "networks:DeleteNetworks",
    "network list": "networks:ListNetworks",
    "network qos policy create": "qos:CreatePolicy",
    "network qos policy delete": "qos:DeletePolicies",
    "network qos policy list": "qos:ListPolicies",
    "network qos policy set": "qos:SetPolicy",
    "network qos policy show": "qos:ShowPolicy",
    "network qos rule create": "qos:CreateRule",
    "network qos rule delete": "qos:DeleteRule",
    "network qos rule list": "qos:ListRules",
    "network qos rule set": "qos:SetRule",
    "network qos rule show": "qos:ShowRule",
    "network qos rule type list": "qos:ListRuleTypes",
    "network quota delete": "network_hosts:DeleteQuota",
    "network quota set": "network_hosts:SetQuota",
    "network quota show": "network_hosts:ShowQuota",
    "network rbac create": "network_rbac:CreatePolicy",
    "network rbac delete": "network_rbac:DeletePolicies",
    "network rbac list": "network_rbac:ListPolicies",
    "network rbac set": "network_rbac:SetPolicy",
    "network rbac show": "network_rbac:ShowPolicy",
    "network set": "networks:SetNetwork",
    "network show": "networks:ShowNetwork",
    "network topology": "network_views:ShowTopology",
    "network trace": "network_views:TracePacket",
    "network unset": "networks:UnsetNetwork",
    "operation list": "events:ListEvents",
    "port create": "ports:CreatePort",
    "port delete": "ports:DeletePorts",
    "port list": "ports:ListPorts",
    "port set": "ports:SetPort",
    "port show": "ports:ShowPort",
    "port unset": "ports:UnsetPort",
    "project create": "people:CreateProject",
    "project delete": "people:DeleteProjects",
    "project list": "people:ListProjects",
    "project set": "people:SetProject",
    "project show": "people:ShowProject",
    "quota delete": "quotas:DeleteQuota",
    "quota list": "quotas:ListQuotas",
    "quota set": "quotas:SetQuota",
    "quota show": "quotas:ShowQuota",
    "role add": "roles:AddRole",
    "role assignment list": "roles:ListAssignments",
    "role create": "roles:CreateRole",
    "role delete": "roles:DeleteRoles",
    "role list": "roles:ListRoles",
    "role remove": "roles:RemoveRole",
    "role set": "roles:SetRole",
    "role show": "roles:ShowRole",
    "router add port": "routers:AddPort",
    "router add route": "routers:AddRoutes",
    "router add subnet": "routers:AddSubnet",
    "router create": "routers:CreateRouter",
    "router delete": "routers:DeleteRouters",
    "router list": "routers:ListRouters",
    "router remove port": "routers:RemovePort",
    "router remove route": "routers:RemoveRoutes",
    "router remove subnet": "routers:RemoveSubnet",
    "router set": "routers:SetRouter",
    "router show": "routers:ShowRouter",
    "router unset": "routers:UnsetRouter",
    "security group create": "security_groups:CreateSecurityGroup",
    "security group delete": "security_groups:DeleteSecurityGroups",
    "security group list": "security_groups:ListSecurityGroups",
    "security group rule create": "security_group_rules:CreateSecurityGroupRule",
    "security group rule delete": "security_group_rules:DeleteSecurityGroupRules",
    "security group rule list": "security_group_rules:ListSecurityGroupRules",
    "security group rule show": "security_group_rules:ShowSecurityGroupRule",
    "security group set": "security_groups:SetSecurityGroup",
    "security group show": "security_groups:ShowSecurityGroup",
    "server add fixed ip": "server_interfaces:AddFixedIp",
    "server add floating ip": "server_network:AddFloatingIp",
    "server add network": "server_interfaces:AddNetwork",
    "server add port": "server_interfaces:AddPort",
    "server add security group": "server_network:AddSecurityGroup",
    "server adopt": "adoption:AdoptServer",
    "server backup create": "server_images:CreateBackup",
    "server console": "console:ShowConsole",
    "server create": "server_create:CreateServer",
    "server delete": "server_actions:DeleteServers",
    "server dump create": "server_states:CreateDump",
    "server event list": "events:ListEvents",
    "server event show": "events:ShowEvent",
    "server group create": "server_groups:CreateServerGroup",
    "server group delete": "server_groups:DeleteServerGroups",
    "server group list": "server_groups:ListServerGroups",
    "server group show": "server_groups:ShowServerGroup",
    "server image create": "server_images:CreateImage",
    "server list": "server_list:ListServers",
    "server lock": "server_states:Lock",
    "server migration list": "migrations:ListMigrations",
    "server password set": "server_states:SetPassword",
    "server pause": "server_actions:Pause",
    "server reboot": "server_actions:Reboot",
    "server rebuild": "server_sizes:Rebuild",
    "server remove fixed ip": "server_interfaces:RemoveFixedIp",
    "server remove floating ip": "server_network:RemoveFloatingIp",
    "server remove network": "server_interfaces:RemoveNetwork",
    "server remove port": "server_interfaces:RemovePort",
    "server remove security group": "server_network:RemoveSecurityGroup",
    "server rename": "server_changes:RenameServer",
    "server rescue": "server_states:Rescue",
    "server resize": "server_sizes:Resize",
    "server resize confirm": "server_sizes:ConfirmResize",
    "server resize revert": "server_sizes:RevertResize",
    "server restore": "server_states:Restore",
    "server resume": "server_actions:Resume",
    "server set": "server_changes:SetServer",
    "server shelve": "server_states:Shelve",
    "server show": "server_list:ShowServer",
    "server start": "server_actions:Start",
    "server stop": "server_actions:Stop",
    "server suspend": "server_actions:Suspend",
    "server unlock": "server_states:Unlock",
    "server unpause": "server_actions:Unpause",
    "server unrescue": "server_states:Unrescue",
    "server unset": "server_changes:UnsetServer",
    "server unshelve": "server_states:Unshelve",
    "service list": "services:ListServices",
    "subnet create": "subnets:CreateSubnet",
    "subnet delete": "subnets:DeleteSubnets",
    "subnet list": "subnets:ListSubnets",
    "subnet pool create": "subnet_pools:CreateSubnetPool",
    "subnet pool delete": "subnet_pools:DeleteSubnetPools",
    "subnet pool list": "subnet_pools:ListSubnetPools",
    "subnet pool set": "subnet_pools:SetSubnetPool",
    "subnet pool show": "subnet_pools:ShowSubnetPool",
    "subnet pool unset": "subnet_pools:UnsetSubnetPool",
    "subnet set": "subnets:SetSubnet",
    "subnet show": "subnets:ShowSubnet",
    "subnet unset": "subnets:UnsetSubnet",
    "token issue": "identity:IssueToken",
    "usage list": "limits:ListUsage",
    "usage show": "limits:ShowUsage",
    "user create": "people:CreateUser",
    "user delete": "people:DeleteUsers",
    "user list": "people:ListUsers",
    "user password set": "people:SetOwnPassword",
    "user set": "people:SetUser",
    "user show": "people:ShowUser",
    "versions show": "identity:ShowVersions",
}

LONGEST = max(len(name.split()) for name in COMMANDS)
"""Words of the longest name."""

OLD_NAMES = {
    "absolute-limits": "limits show",
    "aggregate-add-host": "aggregate add host",
    "aggregate-create": "aggregate create",
    "aggregate-delete": "aggregate delete",
    "aggregate-list": "aggregate list",
    "aggregate-remove-host": "aggregate remove host",
    "aggregate-show": "aggregate show",
    "availability-zone-list": "availability zone list",
    "backup": "server backup create",
    "boot": "server create",
    "console-log": "server console",
    "delete": "server delete",
    "flavor-access-list": "flavor access list",
    "flavor-delete": "flavor delete",
    "flavor-list": "flavor list",
    "flavor-show": "flavor show",
    "hypervisor-list": "hypervisor list",
    "hypervisor-show": "hypervisor show",
    "hypervisor-stats": "hypervisor stats show",
    "image-create": "image create",
    "image-delete": "image delete",
    "image-list": "image list",
    "image-show": "image show",
    "instance-action-list": "server event list",
    "keypair-add": "keypair create",
    "keypair-delete": "keypair delete",
    "keypair-list": "keypair list",
    "keypair-show": "keypair show",
    "limits": "limits show",
    "list": "server list",
    "lock": "server lock",
    "migration-list": "server migration list",
    "net-list": "network list",
    "net-show": "network show",
    "network-list": "network list",
    "pause": "server pause",
    "port-list": "port list",
    "quota-delete": "quota delete",
    "quota-show": "quota show",
    "reboot": "server reboot",
    "rebuild": "server rebuild",
    "rename": "server rename",
    "rescue": "server rescue",
    "resize": "server resize",
    "resize-confirm": "server resize confirm",
    "resize-revert": "server resize revert",
    "restore": "server restore",
    "resume": "server resume",
    "server-group-delete": "server group delete",
    "server-group-list": "server group list",
    "service-list": "service list",
    "shelve": "server shelve",
    "show": "server show",
    "start": "server start",
    "stop": "server stop",
    "subnet-list": "subnet list",
    "suspend": "server suspend",
    "trigger-crash-dump": "server dump create",
    "unlock": "server unlock",
    "unpause": "server unpause",
    "unrescue": "server unrescue",
    "unshelve": "server unshelve",
    "usage-list": "usage list",
    "version-list": "versions show",
}
"""What the older clients called the same; neither listed nor completed, but it works."""


@dataclass(frozen=True, order=True)
class Entry:
    """A command that is not loaded yet. ``value`` is ``module:Class``."""

    name: str
    value: str

    def load(self) -> Any:
        """Import its class."""
        module, _, attribute = self.value.partition(":")
        return getattr(importlib.import_module(module), attribute)


class CommandTable(CommandManager):  # type: ignore[misc]
    """The table as cliff asks for it; no entry point is ever looked for.

    :param more: commands of whoever starts us, ``{"up": "package.module:Class"}``.
    """

    def __init__(self, more: Mapping[str, str] | None = None) -> None:
        super().__init__(namespace=None)
        whole = {name: _HERE + value for name, value in COMMANDS.items()} | dict(more or {})
        self.commands.update({name: Entry(name, value) for name, value in whole.items()})

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(self.commands.items())

    def find_command(self, argv: list[str]) -> tuple[Any, str, list[str]]:
        """Find the command that *argv* begins with: the longest name that is written out, else one that is shortened.

        :raises ValueError: there is none.
        """
        words = argv[: self._get_last_possible_command_index(argv)]
        for count in range(min(len(words), LONGEST), 0, -1):
            name = " ".join(words[:count])
            name = OLD_NAMES.get(name, name)
            if name in self.commands:
                return self.commands[name].load(), name, argv[count:]
        for count in range(min(len(words), LONGEST), 0, -1):
            meant = [name for name in self.commands if _shortens(words[:count], name.split())]
            if len(meant) == 1:
                return self.commands[meant[0]].load(), meant[0], argv[count:]
        raise ValueError(f"There is no command {' '.join(words) or '(none)'}; see nova-lite --help.")


def _shortens(words: list[str], name: list[str]) -> bool:
    return len(words) == len(name) and all(whole.startswith(word) for word, whole in zip(words, name, strict=True))
