"""Address groups."""

from __future__ import annotations

from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import PROJECT, TEXT
from nova_lite.api.routes import Schema
from nova_lite.network import address_groups
from nova_lite.network.address_groups import MOST, NewAddressGroup, Shown

COLUMNS = {
    **collections.NAMED,
}
_ADDRESSES: Schema = {"type": "array", "items": {"type": "string", "maxLength": 64}, "maxItems": MOST}
CREATE = collections.creation(
    "address_group",
    "address_groups",
    {"name": TEXT, "description": TEXT, "addresses": _ADDRESSES, "project_id": PROJECT, "tenant_id": PROJECT},
)
UPDATE = collections.body("address_group", {"name": TEXT, "description": TEXT})
ADDRESSES: Schema = {
    "type": "object",
    "properties": {"addresses": {**_ADDRESSES, "minItems": 1}},
    "required": ["addresses"],
    "additionalProperties": False,
}


def index(call: Call) -> dict[str, Any]:
    """List the address groups that the caller may see."""
    found = address_groups.find(call.store, collections.listing(call, COLUMNS))
    return collections.page(call, "address_groups", [_view(each) for each in found])


def show(call: Call) -> dict[str, Any]:
    """Show one address group."""
    return collections.one(call, "address_group", _view(_found(call)))


def create(call: Call) -> dict[str, Any]:
    """Make address groups."""
    wanted, bulk = collections.bodies(call, "address_group", "address_groups")
    news = [
        NewAddressGroup(
            project_id=collections.owner(call, item, "create_address_group:owner"),
            name=item.get("name", ""),
            description=item.get("description", ""),
            addresses=tuple(item.get("addresses", ())),
        )
        for item in wanted
    ]
    made = [_view(each) for each in address_groups.create(call.store, news)]
    return collections.made("address_group", "address_groups", made, bulk=bulk)


def update(call: Call) -> dict[str, Any]:
    """Change an address group's name or description."""
    found = _own(call)
    address_groups.change(call.store, found.group.id, call.body["address_group"], collections.expected(call))
    return {"address_group": _view(_found(call))}


def add_addresses(call: Call) -> dict[str, Any]:
    """Add addresses to an address group."""
    found, expected = _own(call), collections.expected(call)
    call.wake_hosts(address_groups.add_addresses(call.store, found.group.id, call.body["addresses"], expected))
    return {"address_group": _view(_found(call))}


def remove_addresses(call: Call) -> dict[str, Any]:
    """Remove addresses from an address group."""
    found, expected = _own(call), collections.expected(call)
    call.wake_hosts(address_groups.remove_addresses(call.store, found.group.id, call.body["addresses"], expected))
    return {"address_group": _view(_found(call))}


def delete(call: Call) -> None:
    """Delete an address group that no rule refers to."""
    address_groups.delete(call.store, _own(call).group.id, collections.expected(call))


def _found(call: Call) -> Shown:
    return address_groups.get(call.store, call.params["id"], collections.scope(call))


def _own(call: Call) -> Shown:
    found = _found(call)
    call.authorize({"project_id": found.group.project_id})
    return found


def _view(found: Shown) -> dict[str, Any]:
    return collections.standard(found.group) | {"addresses": list(found.group.addresses), "shared": found.shared}
