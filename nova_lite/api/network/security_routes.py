"""The routes and rules of security groups, their rules and address groups."""

from __future__ import annotations

from nova_lite.api.network import address_groups, security_group_rules, security_groups
from nova_lite.api.network.collections import QUERY
from nova_lite.api.network.crud import crud
from nova_lite.api.network.tags import Tagged
from nova_lite.api.routes import Route
from nova_lite.db.models import SecurityGroup

_ADDRESS_GROUP = "/v2.0/address-groups/{id}"

ROUTES = (
    *crud("security_group", security_groups, "security-groups"),
    *crud("security_group_rule", security_group_rules, "security-group-rules"),
    *crud("address_group", address_groups, "address-groups"),
    Route(
        "PUT",
        f"{_ADDRESS_GROUP}/add_addresses",
        address_groups.add_addresses,
        "add_addresses",
        late=True,
        body=address_groups.ADDRESSES,
        query=QUERY,
    ),
    Route(
        "PUT",
        f"{_ADDRESS_GROUP}/remove_addresses",
        address_groups.remove_addresses,
        "remove_addresses",
        late=True,
        body=address_groups.ADDRESSES,
        query=QUERY,
    ),
)

TAGGED = (Tagged("security-groups", "security_group", SecurityGroup, security_groups.owner_of),)
