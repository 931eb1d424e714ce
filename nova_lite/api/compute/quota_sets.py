"""``/os-quota-sets`` and ``/os-quota-class-sets``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nova_lite.api.compute import parameters
from nova_lite.api.compute.parameters import TEXTS, by_minor, truth
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import projects, quota_sets, quotas
from nova_lite.compute.quotas import FILES, NETWORK
from nova_lite.errors import Invalid

_ALWAYS = (*quotas.SERVERS, "metadata_items", "key_pairs")
_GROUPS = ("server_groups", "server_group_members")
_LIMIT: Schema = {
    "type": ["integer", "string"],
    "pattern": "^-?[0-9]{1,10}$",
    "minimum": -1,
    "maximum": parameters.LARGEST,
}


def _names(minor: int) -> tuple[str, ...]:
    """Return what a project's quota set has at a microversion."""
    return (*_ALWAYS, *_GROUPS, *(NETWORK if minor < 36 else ()), *(FILES if minor < 57 else ()))


def _class_names(minor: int) -> tuple[str, ...]:
    return (*_ALWAYS, *(_GROUPS if minor >= 50 else NETWORK), *(FILES if minor < 57 else ()))


def _update_class(minor: int) -> Schema:
    # Until 2.49 the groups' limits were taken, but not shown.
    return parameters.body("quota_class_set", dict.fromkeys((*_class_names(minor), *_GROUPS), _LIMIT))


def _update(minor: int) -> Schema:
    properties: dict[str, Any] = dict.fromkeys(_names(minor), _LIMIT)
    properties |= {"force": parameters.BOOLEAN, "tenant_id": {"type": "string", "maxLength": 64}}
    return parameters.body("quota_set", properties)


def _query(minor: int) -> Schema:
    return parameters.query({"user_id": TEXTS}, is_open=minor < 75)


UPDATE = by_minor(_update, 1, 36, 57)
UPDATE_CLASS = by_minor(_update_class, 1, 50, 57)
QUERY = by_minor(_query, 1, 75)


def _project(call: Call) -> str:
    """Return the project that is meant, once the policy allows the caller to look at it, or to change it."""
    project_id = call.params["project_id"]
    call.authorize({"project_id": project_id})
    return project_id


def _known_project(call: Call) -> str:
    """Return the project that is meant, if there is such a one. :raises Invalid: there is none."""
    project_id = _project(call)
    with call.store.read() as session:
        projects.check_project(session, project_id)
    return project_id


def _only(limits: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    return {name: limits[name] for name in names}


def _user(call: Call) -> str:
    return call.query.get("user_id") or ""


def show(call: Call) -> dict[str, Any]:
    """Show a project's limits."""
    project_id = _known_project(call)
    found = quota_sets.read(call.services.conf, call.store, project_id, _user(call))
    return {"quota_set": {"id": project_id, **_only(found, _names(call.version.minor))}}


def show_defaults(call: Call) -> dict[str, Any]:
    """Show the limits that a project begins with."""
    project_id = _project(call)
    found = quota_sets.read_defaults(call.services.conf, call.store)
    return {"quota_set": {"id": project_id, **_only(found, _names(call.version.minor))}}


def show_detail(call: Call) -> dict[str, Any]:
    """Show a project's limits with what is in use. Nothing is ever only reserved: a create takes what it uses at once."""
    project_id = _known_project(call)
    limits, used = quota_sets.read_usage(call.services.conf, call.store, project_id, _user(call))
    shown = {
        name: {"in_use": used.get(name, 0), "limit": limits[name], "reserved": 0} for name in _names(call.version.minor)
    }
    return {"quota_set": {"id": project_id, **shown}}


def _values(wanted: Mapping[str, Any]) -> dict[str, int]:
    """Read limits, which may be numbers or texts of one. :raises Invalid: one is out of bounds, which a schema can't say of a text."""
    values = {name: int(value) for name, value in wanted.items()}
    for name, value in values.items():
        if not quotas.UNLIMITED <= value <= parameters.LARGEST:
            raise Invalid(
                f"Invalid input for field/attribute {name}. Value: {value}. It must be at least -1, which is unlimited, "
                f"and at most {parameters.LARGEST}",
                "quota.out_of_bounds",
            )
    return values


def update(call: Call) -> dict[str, Any]:
    """Set a project's limits, or those of one user in it."""
    project_id = _project(call)
    wanted = dict(call.body["quota_set"])
    force = truth(wanted.pop("force", False))
    wanted.pop("tenant_id", None)
    values = _values(wanted)
    found = quota_sets.update(call.services.conf, call.store, project_id, values, user_id=_user(call), force=force)
    return {"quota_set": _only(found, _names(call.version.minor))}


def delete(call: Call) -> None:
    """Let a project (or one user in it) have the defaults again."""
    quota_sets.delete(call.store, _project(call), _user(call))


def show_class(call: Call) -> dict[str, Any]:
    """Show a class's limits."""
    name = call.params["name"]
    found = quota_sets.read_class(call.services.conf, call.store, name)
    return {"quota_class_set": {"id": name, **_only(found, _class_names(call.version.minor))}}


def update_class(call: Call) -> dict[str, Any]:
    """Set a class's limits; ``default``'s are what every project begins with."""
    values = _values(call.body["quota_class_set"])
    found = quota_sets.update_class(call.services.conf, call.store, call.params["name"], values)
    return {"quota_class_set": _only(found, _class_names(call.version.minor))}
