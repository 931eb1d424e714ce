"""The Network API's rules; the names are Neutron's."""

from __future__ import annotations

from nova_lite.api.network import qos_access, router_access, security_access
from nova_lite.api.network.tag_policies import tag_rules
from nova_lite.api.policy import ADMIN, ANYBODY, MEMBER, READER, rule

RULES = (
    rule("get_extension", ANYBODY, "List the API's extensions.", ("GET", "/extensions")),
    rule("get_network", READER, "See networks.", ("GET", "/networks"), ("GET", "/networks/{id}")),
    rule("get_network:provider", ADMIN, "See how a network is carried.", ("GET", "/networks/{id}")),
    rule("create_network", MEMBER, "Make a network.", ("POST", "/networks")),
    rule("create_network:owner", ADMIN, "Make a network for another project.", ("POST", "/networks")),
    rule("create_network:shared", ADMIN, "Share a network with every project.", ("POST", "/networks")),
    rule("create_network:router:external", ADMIN, "Make an external network.", ("POST", "/networks")),
    rule("create_network:provider", ADMIN, "Say how a network is carried.", ("POST", "/networks")),
    rule("update_network", MEMBER, "Change a network.", ("PUT", "/networks/{id}")),
    rule("update_network:shared", ADMIN, "Share a network with every project.", ("PUT", "/networks/{id}")),
    rule("update_network:router:external", ADMIN, "Make a network external.", ("PUT", "/networks/{id}")),
    rule("delete_network", MEMBER, "Delete a network.", ("DELETE", "/networks/{id}")),
    rule("get_subnet", READER, "See subnets.", ("GET", "/subnets"), ("GET", "/subnets/{id}")),
    rule("create_subnet", MEMBER, "Make a subnet.", ("POST", "/subnets")),
    rule("update_subnet", MEMBER, "Change a subnet.", ("PUT", "/subnets/{id}")),
    rule("delete_subnet", MEMBER, "Delete a subnet.", ("DELETE", "/subnets/{id}")),
    rule("get_port", READER, "See ports.", ("GET", "/ports"), ("GET", "/ports/{id}")),
    rule("get_port:binding", ADMIN, "See where a port is bound.", ("GET", "/ports/{id}")),
    rule("create_port", MEMBER, "Make a port.", ("POST", "/ports")),
    rule("create_port:owner", ADMIN, "Make a port for another project.", ("POST", "/ports")),
    rule("update_port", MEMBER, "Change a port.", ("PUT", "/ports/{id}")),
    rule("delete_port", MEMBER, "Delete a port.", ("DELETE", "/ports/{id}")),
    *tag_rules("networks", "network"),
    *tag_rules("subnets", "subnet"),
    *tag_rules("ports", "port"),
    *security_access.RULES,
    *router_access.RULES,
    *qos_access.RULES,
)
