"""The rules of what compute shows of the network; the names are Nova's."""

from __future__ import annotations

from nova_lite.api.policy import MEMBER, READER, rule

_G, _F = "os_compute_api:os-security-groups:", "os_compute_api:os-floating-ips:"
_GROUPS, _GROUP, _RULES = "/os-security-groups", "/os-security-groups/{id}", "/os-security-group-rules"
_IPS, _IP = "/os-floating-ips", "/os-floating-ips/{id}"
_ACTION = "/servers/{server_id}/action"

RULES = (
    rule(_G + "get", READER, "List security groups.", ("GET", _GROUPS)),
    rule(_G + "show", READER, "Show a security group.", ("GET", _GROUP)),
    rule(_G + "create", MEMBER, "Make a security group.", ("POST", _GROUPS)),
    rule(_G + "update", MEMBER, "Change a security group.", ("PUT", _GROUP)),
    rule(_G + "delete", MEMBER, "Delete a security group.", ("DELETE", _GROUP)),
    rule(_G + "rule:create", MEMBER, "Add a rule to a security group.", ("POST", _RULES)),
    rule(_G + "rule:delete", MEMBER, "Delete a rule of a security group.", ("DELETE", f"{_RULES}/{{id}}")),
    rule(_G + "list", READER, "List a server's groups.", ("GET", "/servers/{server_id}/os-security-groups")),
    rule(_G + "add", MEMBER, "Put a server's ports into a group.", ("POST", f"{_ACTION} (addSecurityGroup)")),
    rule(_G + "remove", MEMBER, "Take them out of one.", ("POST", f"{_ACTION} (removeSecurityGroup)")),
    rule(_F + "list", READER, "List floating IPs.", ("GET", _IPS)),
    rule(_F + "show", READER, "Show a floating IP.", ("GET", _IP)),
    rule(_F + "create", MEMBER, "Take a floating IP.", ("POST", _IPS)),
    rule(_F + "delete", MEMBER, "Give a floating IP back.", ("DELETE", _IP)),
    rule(_F + "add", MEMBER, "Let a floating IP lead to a server.", ("POST", f"{_ACTION} (addFloatingIp)")),
    rule(_F + "remove", MEMBER, "Let it lead there no more.", ("POST", f"{_ACTION} (removeFloatingIp)")),
    rule(
        "os_compute_api:os-multinic:add", MEMBER, "Give a port one more address.", ("POST", f"{_ACTION} (addFixedIp)")
    ),
    rule("os_compute_api:os-multinic:remove", MEMBER, "Take an address.", ("POST", f"{_ACTION} (removeFixedIp)")),
    rule("os_compute_api:os-floating-ip-pools", READER, "List external networks.", ("GET", "/os-floating-ip-pools")),
)
