"""The Network API's rules for networks, subnets, ports and what goes with them; the names are Neutron's."""

from __future__ import annotations

from nova_lite.api.network import qos_access, router_access, security_access
from nova_lite.api.network.tag_policies import tag_rules
from nova_lite.api.policy import ADMIN, ANYBODY, MEMBER, READER, rule

NETWORK_OWNER = "rule:network_owner"
"""Members of the project that the port's network belongs to."""
_ADMINS_OR_OWNER = f"{MEMBER} or {NETWORK_OWNER}"

_NETWORKS, _NETWORK = "/networks", "/networks/{id}"
_SUBNETS, _SUBNET = "/subnets", "/subnets/{id}"
_POOLS, _POOL = "/subnetpools", "/subnetpools/{id}"
_PORTS, _PORT = "/ports", "/ports/{id}"
_POLICIES, _POLICY = "/rbac-policies", "/rbac-policies/{id}"
_QUOTA = "/quotas/{project_id}"
_AUTO = "/auto-allocated-topology/{project_id}"
_PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")
_BINDING = ("binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details")

RULES = (
    rule(
        "network_owner",
        "rule:admin or (role:member and project_id:%(network_project)s)",
        "Members of the project that a port's network belongs to.",
        ("POST", _PORTS),
    ),
    rule("get_extension", ANYBODY, "List the API's extensions.", ("GET", "/extensions")),
    rule("get_network", READER, "See networks.", ("GET", _NETWORKS), ("GET", _NETWORK)),
    *(rule(f"get_network:{name}", ADMIN, "See how a network is carried.", ("GET", _NETWORK)) for name in _PROVIDER),
    rule("create_network", MEMBER, "Make a network.", ("POST", _NETWORKS)),
    rule("create_network:owner", ADMIN, "Make a network for another project.", ("POST", _NETWORKS)),
    rule("create_network:shared", ADMIN, "Share a network with every project.", ("POST", _NETWORKS)),
    rule("create_network:router:external", ADMIN, "Make an external network.", ("POST", _NETWORKS)),
    rule("create_network:is_default", ADMIN, "Make the default external network.", ("POST", _NETWORKS)),
    *(
        rule(f"create_network:{name}", ADMIN, "Say how a network is carried.", ("POST", _NETWORKS))
        for name in _PROVIDER
    ),
    rule("update_network", MEMBER, "Change a network.", ("PUT", _NETWORK)),
    rule("update_network:shared", ADMIN, "Share a network with every project.", ("PUT", _NETWORK)),
    rule("update_network:router:external", ADMIN, "Make a network external.", ("PUT", _NETWORK)),
    rule("update_network:is_default", ADMIN, "Make a network the default external one.", ("PUT", _NETWORK)),
    rule("delete_network", MEMBER, "Delete a network.", ("DELETE", _NETWORK)),
    *tag_rules("networks", "network"),
    rule("get_subnet", READER, "See subnets.", ("GET", _SUBNETS), ("GET", _SUBNET)),
    rule("create_subnet", MEMBER, "Make a subnet.", ("POST", _SUBNETS)),
    rule("create_subnet:owner", ADMIN, "Name another project as a subnet's.", ("POST", _SUBNETS)),
    rule("update_subnet", MEMBER, "Change a subnet.", ("PUT", _SUBNET)),
    rule("delete_subnet", MEMBER, "Delete a subnet.", ("DELETE", _SUBNET)),
    *tag_rules("subnets", "subnet"),
    rule("get_subnetpool", READER, "See subnet pools.", ("GET", _POOLS), ("GET", _POOL)),
    rule("create_subnetpool", MEMBER, "Make a subnet pool.", ("POST", _POOLS)),
    rule("create_subnetpool:owner", ADMIN, "Make a subnet pool for another project.", ("POST", _POOLS)),
    rule("create_subnetpool:shared", ADMIN, "Share a subnet pool with every project.", ("POST", _POOLS)),
    rule("create_subnetpool:is_default", ADMIN, "Make the default subnet pool.", ("POST", _POOLS)),
    rule("update_subnetpool", MEMBER, "Change a subnet pool.", ("PUT", _POOL)),
    rule("update_subnetpool:is_default", ADMIN, "Make a subnet pool the default.", ("PUT", _POOL)),
    rule("delete_subnetpool", MEMBER, "Delete a subnet pool.", ("DELETE", _POOL)),
    *tag_rules("subnetpools", "subnetpool"),
    rule("get_port", READER, "See ports.", ("GET", _PORTS), ("GET", _PORT)),
    *(rule(f"get_port:{name}", ADMIN, "See where a port is bound.", ("GET", _PORT)) for name in _BINDING),
    rule("create_port", MEMBER, "Make a port.", ("POST", _PORTS)),
    rule("create_port:owner", ADMIN, "Make a port for another project.", ("POST", _PORTS)),
    rule("create_port:mac_address", NETWORK_OWNER, "Choose a port's MAC.", ("POST", _PORTS)),
    rule("create_port:fixed_ips:ip_address", NETWORK_OWNER, "Choose a port's address.", ("POST", _PORTS)),
    rule("create_port:port_security_enabled", NETWORK_OWNER, "Choose a port's security.", ("POST", _PORTS)),
    rule("create_port:allowed_address_pairs", NETWORK_OWNER, "Let a port send from more addresses.", ("POST", _PORTS)),
    rule("create_port:device_owner", ADMIN, "Name the system as a port's device owner.", ("POST", _PORTS)),
    rule("create_port:binding:host_id", ADMIN, "Say where a port is bound.", ("POST", _PORTS)),
    rule("create_port:binding:profile", ADMIN, "Give a binding profile.", ("POST", _PORTS)),
    rule("update_port", MEMBER, "Change a port.", ("PUT", _PORT)),
    rule("update_port:mac_address", NETWORK_OWNER, "Change a port's MAC.", ("PUT", _PORT)),
    rule("update_port:fixed_ips:ip_address", NETWORK_OWNER, "Choose a port's address.", ("PUT", _PORT)),
    rule("update_port:port_security_enabled", NETWORK_OWNER, "Change a port's security.", ("PUT", _PORT)),
    rule("update_port:allowed_address_pairs", NETWORK_OWNER, "Let a port send from more addresses.", ("PUT", _PORT)),
    rule("update_port:device_owner", ADMIN, "Name the system as a port's device owner.", ("PUT", _PORT)),
    rule("update_port:binding:host_id", ADMIN, "Say where a port is bound.", ("PUT", _PORT)),
    rule("update_port:binding:profile", ADMIN, "Change a binding profile.", ("PUT", _PORT)),
    rule("delete_port", _ADMINS_OR_OWNER, "Delete a port.", ("DELETE", _PORT)),
    *tag_rules("ports", "port"),
    rule("get_rbac_policy", READER, "See RBAC policies.", ("GET", _POLICIES), ("GET", _POLICY)),
    rule("create_rbac_policy", MEMBER, "Lend a thing to a project.", ("POST", _POLICIES)),
    rule("create_rbac_policy:owner", ADMIN, "Make an RBAC policy for another project.", ("POST", _POLICIES)),
    rule("create_rbac_policy:target_tenant", ADMIN, "Lend a thing to every project.", ("POST", _POLICIES)),
    rule("update_rbac_policy", MEMBER, "Lend a thing to another project.", ("PUT", _POLICY)),
    rule("update_rbac_policy:target_tenant", ADMIN, "Lend a thing to every project.", ("PUT", _POLICY)),
    rule("delete_rbac_policy", MEMBER, "Take a thing back.", ("DELETE", _POLICY)),
    rule("get_quota", READER, "See quotas.", ("GET", "/quotas"), ("GET", _QUOTA)),
    rule("update_quota", ADMIN, "Set quotas.", ("PUT", _QUOTA)),
    rule("delete_quota", ADMIN, "Set quotas back.", ("DELETE", _QUOTA)),
    rule("get_agents", ANYBODY, "List agents; who may not see them (get_agent) sees none.", ("GET", "/agents")),
    rule("get_agent", ADMIN, "See agents.", ("GET", "/agents"), ("GET", "/agents/{agent_id}")),
    rule("get_availability_zone", ANYBODY, "See availability zones.", ("GET", "/availability_zones")),
    rule("get_service_provider", ANYBODY, "See service providers.", ("GET", "/service-providers")),
    rule("get_network_ip_availability", ADMIN, "Count addresses.", ("GET", "/network-ip-availabilities")),
    rule("get_auto_allocated_topology", MEMBER, "Have a topology made.", ("GET", _AUTO)),
    rule("delete_auto_allocated_topology", MEMBER, "Delete a topology that was made.", ("DELETE", _AUTO)),
    *security_access.RULES,
    *router_access.RULES,
    *qos_access.RULES,
)
