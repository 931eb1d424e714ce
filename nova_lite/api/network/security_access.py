"""The rules of security groups, their rules and address groups; the names are Neutron's."""

from __future__ import annotations

from nova_lite.api.network.tag_policies import tag_rules
from nova_lite.api.policy import ADMIN, MEMBER, READER, rule

_GROUPS, _GROUP = "/security-groups", "/security-groups/{id}"
_RULES, _RULE = "/security-group-rules", "/security-group-rules/{id}"
_LISTS, _LIST = "/address-groups", "/address-groups/{id}"

RULES = (
    rule("get_security_group", READER, "See security groups.", ("GET", _GROUPS), ("GET", _GROUP)),
    rule("create_security_group", MEMBER, "Make a security group.", ("POST", _GROUPS)),
    rule("create_security_group:owner", ADMIN, "Make a security group for another project.", ("POST", _GROUPS)),
    rule("update_security_group", MEMBER, "Change a security group.", ("PUT", _GROUP)),
    rule("delete_security_group", MEMBER, "Delete a security group.", ("DELETE", _GROUP)),
    rule("get_security_group_rule", READER, "See security groups' rules.", ("GET", _RULES), ("GET", _RULE)),
    rule("create_security_group_rule", MEMBER, "Add a rule to a security group.", ("POST", _RULES)),
    rule("create_security_group_rule:owner", ADMIN, "Add a rule for another project.", ("POST", _RULES)),
    rule("delete_security_group_rule", MEMBER, "Delete a rule of a security group.", ("DELETE", _RULE)),
    rule("get_address_group", READER, "See address groups.", ("GET", _LISTS), ("GET", _LIST)),
    rule("create_address_group", MEMBER, "Make an address group.", ("POST", _LISTS)),
    rule("create_address_group:owner", ADMIN, "Make an address group for another project.", ("POST", _LISTS)),
    rule("update_address_group", MEMBER, "Change an address group.", ("PUT", _LIST)),
    rule("delete_address_group", MEMBER, "Delete an address group.", ("DELETE", _LIST)),
    rule("add_addresses", MEMBER, "Add addresses to an address group.", ("PUT", f"{_LIST}/add_addresses")),
    rule("remove_addresses", MEMBER, "Remove addresses from an address group.", ("PUT", f"{_LIST}/remove_addresses")),
    *tag_rules("security-groups", "security_group"),
)
