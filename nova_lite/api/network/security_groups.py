"""Security groups."""

from __future__ import annotations

from typing import Any

from sqlalchemy.sql import ColumnElement

from nova_lite.api.context import Call
from nova_lite.api.network import collections, security_group_rules
from nova_lite.api.network.collections import BOOLEAN, PROJECT, TEXT, TRUTH, Column, truth
from nova_lite.network import security_groups
from nova_lite.network.security_groups import NewGroup, Shown

COLUMNS = {
    **collections.NAMED,
    "stateful": Column("stateful", TRUTH),
}
_COMMON: dict[str, Any] = {"name": TEXT, "description": TEXT, "stateful": BOOLEAN}
CREATE = collections.creation(
    "security_group", "security_groups", {**_COMMON, "project_id": PROJECT, "tenant_id": PROJECT}
)
UPDATE = collections.body("security_group", _COMMON)


def index(call: Call) -> dict[str, Any]:
    """List the groups that the caller may see; the project's default one is made if it is not there yet."""
    asked = call.request.GET
    # An admin who lists another project's groups finds its default one there, too.
    named = [*asked.getall("project_id"), *asked.getall("tenant_id")] if call.principal.is_admin else []
    project_id = named[0] if named else call.principal.project_id
    if project_id:
        security_groups.have_default(call.store, project_id[:64])
    wanted = collections.listing(call, COLUMNS)
    conditions: list[ColumnElement[bool]] = [
        security_groups.lent_to(wanted.project_id, shared=shared)
        for shared in collections.values(call, "shared", TRUTH)
    ]
    found = security_groups.find(call.store, wanted, *conditions)
    return collections.page(call, "security_groups", [view(each) for each in found])


def show(call: Call) -> dict[str, Any]:
    """Show one group with its rules."""
    return collections.one(call, "security_group", view(_found(call)))


def create(call: Call) -> dict[str, Any]:
    """Make groups; all may leave through a new one, nothing may come in."""
    wanted, bulk = collections.bodies(call, "security_group", "security_groups")
    news = [
        NewGroup(
            project_id=collections.owner(call, item, "create_security_group:owner"),
            name=item.get("name", ""),
            description=item.get("description", ""),
            stateful=truth(item.get("stateful", True)),
        )
        for item in wanted
    ]
    made = security_groups.create(call.store, call.services.conf, news)
    return collections.made("security_group", "security_groups", [view(each) for each in made], bulk=bulk)


def update(call: Call) -> dict[str, Any]:
    """Change a group's name, description, statefulness."""
    found = _found(call)
    call.authorize({"project_id": found.group.project_id})
    values: dict[str, Any] = dict(call.body["security_group"])
    if "stateful" in values:
        values["stateful"] = truth(values["stateful"])
    call.wake_hosts(security_groups.change(call.store, found.group.id, values, collections.expected(call)))
    return {"security_group": view(_found(call))}


def delete(call: Call) -> None:
    """Delete a group that no port is in."""
    found = _found(call)
    call.authorize({"project_id": found.group.project_id})
    expected, is_admin = collections.expected(call), call.principal.is_admin
    call.wake_hosts(security_groups.delete(call.store, found.group.id, is_admin=is_admin, expected=expected))


def owner_of(call: Call, identifier: str) -> str:
    """Return the project of a group that the caller may see. :raises NotFound: there is none such."""
    return security_groups.get(call.store, identifier, collections.scope(call)).group.project_id


def _found(call: Call) -> Shown:
    return security_groups.get(call.store, call.params["id"], collections.scope(call))


def view(found: Shown) -> dict[str, Any]:
    """Make the view of a group."""
    row = found.group
    default = row.default_of is not None
    return collections.standard(row, found.tags) | {
        "stateful": row.stateful,
        "shared": found.shared,
        "security_group_rules": [security_group_rules.view(rule, in_default=default) for rule in found.rules],
    }
