"""Which parts of Neutron's API are offered, and where its versions are."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network.collections import ROOT
from nova_lite.errors import NotFound

_EXTENSIONS = {
    "address-group": ("Address group", "Support address group"),
    "agent": ("agent", "The agent management extension."),
    "allowed-address-pairs": ("Allowed Address Pairs", "Provides allowed address pairs"),
    "auto-allocated-topology": ("Auto Allocated Topology Services", "Auto Allocated Topology Services."),
    "availability_zone": ("Availability Zone", "The availability zone extension."),
    "availability_zone_filter": ("Availability Zone Filter Extension", "Add filter parameters to availability zones."),
    "binding": ("Port Binding", "Expose port bindings of a virtual port to external application"),
    "default-subnetpools": ("Default Subnetpools", "Provides ability to mark and use a subnetpool as the default."),
    "dns-integration": ("DNS Integration", "Provides integration with DNS."),
    "empty-string-filtering": (
        "Empty String Filtering Extension",
        "Allow filtering by attributes with empty string value",
    ),
    "ext-gw-mode": (
        "Neutron L3 Configurable external gateway mode",
        "Extension of the router abstraction for specifying whether SNAT should occur.",
    ),
    "external-net": ("Neutron external network", "Adds external network attribute to network resource."),
    "extra_dhcp_opt": ("Neutron Extra DHCP options", "Extra options configuration for DHCP."),
    "extraroute": ("Neutron Extra Route", "Extra routes configuration for L3 router"),
    "extraroute-atomic": (
        "Atomically add/remove extra routes",
        "Edit extra routes of a router on server side by atomically adding/removing",
    ),
    "fip-port-details": ("Floating IP Port Details Extension", "Add port_details attribute to Floating IP resource"),
    "ip-substring-filtering": (
        "IP address substring filtering",
        "Provides IP address substring filtering when listing ports",
    ),
    "ip_allocation": ("IP Allocation", "IP allocation extension."),
    "net-mtu": ("Network MTU", "Provides MTU attribute for a network resource."),
    "net-mtu-writable": ("Network MTU (writable)", "Provides a writable MTU attribute for a network resource."),
    "network-ip-availability": (
        "Network IP Availability",
        "Provides IP availability data for each network and subnet.",
    ),
    "network_availability_zone": ("Network Availability Zone", "Availability zone support for network."),
    "pagination": ("Pagination support", "Extension that indicates that pagination is enabled."),
    "port-security": ("Port Security", "Provides port security"),
    "port-security-groups-filtering": (
        "Port filtering on security groups",
        "Provides security groups filtering when listing ports",
    ),
    "project-id": ("project_id field enabled", "Extension that indicates that project_id field is enabled."),
    "provider": ("Provider Network", "Expose mapping of virtual networks to physical networks"),
    "qos": ("Quality of Service", "The Quality of Service extension."),
    "qos-bw-limit-direction": (
        "Direction for QoS bandwidth limit rule",
        "Allow to configure QoS bandwidth limit rule with specific direction",
    ),
    "qos-default": ("QoS default policy", "Expose the QoS default policy per project"),
    "qos-fip": ("Floating IP QoS", "The floating IP Quality of Service extension"),
    "qos-rule-type-details": (
        "Details of QoS rule types",
        "Expose details about QoS rule types supported by loaded backend drivers",
    ),
    "qos-rules-alias": (
        "Ability to issue QoS rule commands without specifying policy ID",
        "QoS rules by their own id alone",
    ),
    "quota-check-limit": (
        "Quota engine limit check",
        "Support for checking the resource usage before applying a new quota limit",
    ),
    "quota_details": ("Quota details management support", "Expose functions for quotas usage statistics per project"),
    "quotas": ("Quota management support", "Expose functions for quotas management per project"),
    "rbac-address-group": ("Add address_group type to RBAC", "Add address_group type to network RBAC"),
    "rbac-policies": (
        "RBAC Policies",
        "Allows creation and modification of policies that control project access to resources.",
    ),
    "rbac-security-groups": ("Add security_group type to network RBAC", "Add security_group type to network RBAC"),
    "rbac-subnetpool": ("Add subnetpool type to RBAC", "Add subnetpool type to network RBAC"),
    "revision-if-match": (
        "If-Match constraints based on revision_number",
        "Constrain requests by the revision number of what they change.",
    ),
    "router_availability_zone": ("Router Availability Zone", "Availability zone support for router."),
    "router": (
        "Neutron L3 Router",
        "Router abstraction for basic L3 forwarding between networks and access to external ones.",
    ),
    "security-group": ("security-group", "The security groups extension."),
    "security-groups-normalized-cidr": ("Normalized CIDR field for security group rules", "Add normalized_cidr field."),
    "security-groups-remote-address-group": ("Remote address group id field for rules", "Add remote_address_group_id."),
    "security-groups-rules-belongs-to-default-sg": ("Rules of default groups", "Tell rules of default groups apart."),
    "security-groups-shared-filtering": ("Security group filtering on the shared field", "Filter groups by shared."),
    "service-type": ("Neutron Service Type Management", "API for retrieving service providers."),
    "sorting": ("Sorting support", "Extension that indicates that sorting is enabled."),
    "standard-attr-description": ("standard-attr-description", "Extension to add descriptions to standard attributes"),
    "standard-attr-revisions": ("Resource revision numbers", "This extension will display the revision number."),
    "standard-attr-tag": ("Tag support for resources with standard attribute", "Enables to set tag on resources."),
    "standard-attr-timestamp": ("Resource timestamps", "Adds created_at and updated_at fields to all resources."),
    "stateful-security-group": ("Stateful security group", "Indicates if the security group is stateful or not"),
    "subnet-service-types": ("Subnet service types", "Provides ability to set the subnet service_types field"),
    "subnet_allocation": ("Subnet Allocation", "Enables allocation of subnets from a subnet pool"),
    "tag": ("Tag support", "Enables to set tag on networks."),
    "tag-ext": ("Tag support for subnets, ports, routers and pools", "Enables to set tag on resources."),
    "tag-ports-during-bulk-creation": ("Tag Ports During Bulk Creation", "Allow to tag ports during bulk creation"),
}


def versions(call: Call) -> dict[str, Any]:
    """List the versions."""
    links = [{"rel": "self", "href": call.link(f"{ROOT}/")}]
    return {"versions": [{"id": "v2.0", "status": "CURRENT", "updated": "2016-01-01T00:00:00Z", "links": links}]}


def resources(call: Call) -> dict[str, Any]:
    """List what the version has."""
    return {
        "resources": [
            {
                "name": name,
                "collection": f"{name}s",
                "links": [{"rel": "self", "href": call.link(f"{ROOT}/{name}s")}],
            }
            for name in ("network", "subnet", "port", "extension")
        ]
    }


def index(_call: Call) -> dict[str, Any]:
    """List the extensions that are really offered."""
    return {"extensions": [_view(alias) for alias in _EXTENSIONS]}


def show(call: Call) -> dict[str, Any]:
    """Show one extension."""
    alias = call.params["alias"]
    if alias not in _EXTENSIONS:
        raise NotFound(f"Extension with alias {alias[:64]} does not exist", "network.extension_not_found")
    return {"extension": _view(alias)}


def _view(alias: str) -> dict[str, Any]:
    name, description = _EXTENSIONS[alias]
    return {
        "alias": alias,
        "name": name,
        "description": description,
        "updated": "2016-01-01T00:00:00-00:00",
        "links": [],
    }
