"""One thing of each collection of the Network API, for tests that walk all its routes."""

from __future__ import annotations

from typing import Any

ROOT = "/network/v2.0"
DEMO = "demo:demo:member"
ADMIN = "root:admin:admin"

MAKE: dict[str, tuple[str, dict[str, Any]]] = {
    "networks": ("network", {"name": "own"}),
    "subnets": ("subnet", {"network_id": "{networks}", "ip_version": 4, "cidr": "10.5.0.0/24"}),
    "subnetpools": ("subnetpool", {"name": "pool", "prefixes": ["10.6.0.0/16"]}),
    "ports": ("port", {"network_id": "{networks}"}),
    "security-groups": ("security_group", {"name": "group"}),
    "security-group-rules": ("security_group_rule", {"security_group_id": "{security-groups}", "direction": "ingress"}),
    "address-groups": ("address_group", {"name": "addresses"}),
    "routers": ("router", {"name": "router"}),
    "rbac-policies": (
        "rbac_policy",
        {"object_type": "network", "object_id": "{networks}", "action": "access_as_shared", "target_tenant": "third"},
    ),
    "floatingips": ("floatingip", {"floating_network_id": "{outside}"}),
    "qos/policies": ("policy", {"name": "policy", "project_id": "demo"}),
}
"""By collection: what one is called, and what it is made of; ``{collection}`` is the id of one that was made before."""

BODIES: dict[str, dict[str, Any]] = {
    "/v2.0/address-groups/{id}/add_addresses": {"addresses": ["10.0.0.0/24"]},
    "/v2.0/address-groups/{id}/remove_addresses": {"addresses": ["10.0.0.0/24"]},
    "/v2.0/routers/{id}/add_extraroutes": {"router": {"routes": []}},
    "/v2.0/routers/{id}/remove_extraroutes": {"router": {"routes": []}},
    "/v2.0/qos/policies/{policy_id}/bandwidth_limit_rules": {"bandwidth_limit_rule": {"max_kbps": 1000}},
    "/v2.0/qos/policies/{policy_id}/bandwidth_limit_rules/{rule_id}": {"bandwidth_limit_rule": {"max_kbps": 1000}},
    "/v2.0/qos/alias-bandwidth-limit-rules/{rule_id}": {"alias_bandwidth_limit_rule": {"max_kbps": 1000}},
    "/v2.0/rbac-policies/{id}": {"rbac_policy": {"target_tenant": "fourth"}},
    "/v2.0/quotas/{project_id}": {"quota": {}},
    "/v2.0/floatingips/{id}": {"floatingip": {"description": "x"}},
}
"""Bodies of routes that are no plain change of a thing and not of its tags, by path."""

_ADMINS = frozenset({"qos/policies"})
"""What only admins make."""


def make(door: Any) -> dict[str, str]:
    """Make one of each for ``demo``; return their ids by collection."""
    outside = door.ask("POST", f"{ROOT}/networks", {"network": {"router:external": True}}, token=ADMIN)
    found = {"outside": outside.json["network"]["id"]}
    subnet = {"network_id": found["outside"], "ip_version": 4, "cidr": "172.24.4.0/24"}
    assert door.ask("POST", f"{ROOT}/subnets", {"subnet": subnet}, token=ADMIN).status_int == 201
    for collection, (noun, members) in MAKE.items():
        body = {
            name: found[value[1:-1]] if isinstance(value, str) and value[1:-1] in found else value
            for name, value in members.items()
        }
        reply = door.ask("POST", f"{ROOT}/{collection}", {noun: body}, token=ADMIN if collection in _ADMINS else DEMO)
        assert reply.status_int == 201, (collection, reply.text)
        found[collection] = reply.json[noun]["id"]
    found["policies"] = found["qos/policies"]
    limits = f"{ROOT}/qos/policies/{found['qos/policies']}/bandwidth_limit_rules"
    limit = door.ask("POST", limits, {"bandwidth_limit_rule": {"max_kbps": 1000}}, token=ADMIN)
    found["rule_id"] = limit.json["bandwidth_limit_rule"]["id"]
    return found


def path(template: str, things: dict[str, str]) -> str:
    """Fill the id into a route's path."""
    for collection, identifier in things.items():
        for name in ("id", "policy_id"):
            template = template.replace(f"/{collection}/{{{name}}}", f"/{collection}/{identifier}")
    return template.replace("{rule_id}", things["rule_id"])


def body(template: str) -> dict[str, Any] | None:
    """Return a body that a PUT on a route's path takes; None: it is no route of one thing."""
    if template.endswith("/tags"):
        return {"tags": []}
    if template in BODIES:
        return BODIES[template]
    for collection, (noun, _) in MAKE.items():
        if template == f"/v2.0/{collection}/{{id}}":
            return {noun: {"name": "x"}}
    return None
