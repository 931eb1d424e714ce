"""One thing of each collection of the Network API, for tests that walk all its routes."""

from __future__ import annotations

from typing import Any

ROOT = "/network/v2.0"
DEMO = "demo:demo:member"

MAKE: dict[str, tuple[str, dict[str, Any]]] = {
    "networks": ("network", {"name": "own"}),
    "subnets": ("subnet", {"network_id": "{networks}", "ip_version": 4, "cidr": "10.5.0.0/24"}),
    "subnetpools": ("subnetpool", {"name": "pool", "prefixes": ["10.6.0.0/16"]}),
    "ports": ("port", {"network_id": "{networks}"}),
    "security-groups": ("security_group", {"name": "group"}),
    "security-group-rules": ("security_group_rule", {"security_group_id": "{security-groups}", "direction": "ingress"}),
    "address-groups": ("address_group", {"name": "addresses"}),
}
"""By collection: what one is called, and what it is made of; ``{collection}`` is the id of one that was made before."""

BODIES: dict[str, dict[str, Any]] = {
    "/v2.0/address-groups/{id}/add_addresses": {"addresses": ["10.0.0.0/24"]},
    "/v2.0/address-groups/{id}/remove_addresses": {"addresses": ["10.0.0.0/24"]},
}
"""Bodies of routes that are no plain change of a thing and not of its tags, by path."""


def make(door: Any, token: str = DEMO) -> dict[str, str]:
    """Make one of each; return their ids by collection."""
    found: dict[str, str] = {}
    for collection, (noun, members) in MAKE.items():
        body = {
            name: found[value[1:-1]] if isinstance(value, str) and value[1:-1] in found else value
            for name, value in members.items()
        }
        reply = door.ask("POST", f"{ROOT}/{collection}", {noun: body}, token=token)
        assert reply.status_int == 201, (collection, reply.text)
        found[collection] = reply.json[noun]["id"]
    return found


def path(template: str, things: dict[str, str]) -> str:
    """Fill the id into a route's path."""
    for collection, identifier in things.items():
        template = template.replace(f"/{collection}/{{id}}", f"/{collection}/{identifier}")
    return template


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
