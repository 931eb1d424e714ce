"""Flavors: list, show, make, describe, delete."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import access, paging, parameters, policies
from nova_lite.api.compute.parameters import NOT_NEGATIVE, POSITIVE, TEXTS, by_minor
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import flavors
from nova_lite.compute.flavors import SORT_COLUMNS, Listing, NewFlavor
from nova_lite.db.models import Flavor
from nova_lite.errors import Invalid

_DESCRIPTION: Schema = {"type": ["string", "null"], "pattern": r"^[^\x00-\x1f\x7f]*$", "maxLength": 65_535}


def _create(minor: int) -> Schema:
    properties: dict[str, Any] = {
        "name": parameters.NAME,
        "id": {
            "type": ["string", "number", "null"],
            "minLength": 1,
            "maxLength": 255,
            "pattern": "^(?! )[a-zA-Z0-9. _-]+(?<! )$",
        },
        "ram": POSITIVE,
        "vcpus": POSITIVE,
        "disk": NOT_NEGATIVE,
        "OS-FLV-EXT-DATA:ephemeral": NOT_NEGATIVE,
        "swap": NOT_NEGATIVE,
        "rxtx_factor": {
            "type": ["number", "string"],
            "pattern": r"^[0-9]+(\.[0-9]+)?$",
            "exclusiveMinimum": 0,
            "maximum": 3.40282e38,
        },
        "os-flavor-access:is_public": parameters.BOOLEAN,
    }
    if minor >= 55:
        properties["description"] = _DESCRIPTION
    return parameters.body("flavor", properties, ["name", "ram", "vcpus", "disk"])


def _query(minor: int) -> Schema:
    properties = {
        **paging.PAGE,
        "is_public": TEXTS,
        "minRam": TEXTS,
        "minDisk": TEXTS,
        "sort_key": {"type": "array", "items": {"type": "string", "enum": [*SORT_COLUMNS, "vcpu_weight"]}},
        "sort_dir": {"type": "array", "items": {"type": "string", "enum": ["asc", "desc"]}},
    }
    return parameters.query(properties, is_open=minor < 75)


CREATE = by_minor(_create, 1, 55)
QUERY = by_minor(_query, 1, 75)
UPDATE: Schema = parameters.body("flavor", {"description": _DESCRIPTION}, ["description"])


def index(call: Call) -> dict[str, Any]:
    """List ids and names."""
    rows = _find(call)
    shown = []
    for row in rows:
        item: dict[str, Any] = {
            "id": row.flavorid,
            "name": row.name,
            "links": paging.links(call, "flavors", row.flavorid),
        }
        if call.version.minor >= 55:
            item["description"] = row.description
        shown.append(item)
    return paging.page(call, "flavors", "flavors", shown, rows[-1].flavorid if rows else "")


def detail(call: Call) -> dict[str, Any]:
    """List flavors with everything that is shown of them."""
    rows = _find(call)
    specs = _shows_specs(call)
    shown = [_view(call, row, specs=specs) for row in rows]
    return paging.page(call, "flavors", "flavors/detail", shown, rows[-1].flavorid if rows else "")


def show(call: Call) -> dict[str, Any]:
    """Show one flavor."""
    return {"flavor": _view(call, flavors.get(call.store, call.params["flavor_id"], access.scope(call)))}


def create(call: Call) -> dict[str, Any]:
    """Make a flavor."""
    wanted = call.body["flavor"]
    factor = float(wanted.get("rxtx_factor", 1.0))
    if not 0 < factor <= 3.40282e38:
        raise Invalid("Invalid input received: rxtx_factor must be greater than 0", "flavor.invalid")
    sizes = {name: _size(wanted, name) for name in ("ram", "vcpus", "disk", "OS-FLV-EXT-DATA:ephemeral", "swap")}
    if sizes["ram"] < 1 or sizes["vcpus"] < 1:
        raise Invalid("Invalid input received: ram and vcpus must be at least 1", "flavor.invalid")
    row = flavors.create(
        call.store,
        NewFlavor(
            name=wanted["name"],
            memory_mb=sizes["ram"],
            vcpus=sizes["vcpus"],
            disk_gb=sizes["disk"],
            flavorid=None if wanted.get("id") is None else str(wanted["id"]),
            ephemeral_gb=sizes["OS-FLV-EXT-DATA:ephemeral"],
            swap_mb=sizes["swap"],
            rxtx_factor=factor,
            is_public=parameters.truth(wanted.get("os-flavor-access:is_public", True)),
            description=wanted.get("description"),
        ),
    )
    return {"flavor": _view(call, row)}


def update(call: Call) -> dict[str, Any]:
    """Describe a flavor; the rest of it never changes."""
    row = flavors.describe(call.store, call.params["flavor_id"], call.body["flavor"]["description"])
    return {"flavor": _view(call, row)}


def delete(call: Call) -> None:
    """Delete a flavor."""
    flavors.delete(call.store, call.params["flavor_id"])


def _size(wanted: dict[str, Any], name: str) -> int:
    value = int(wanted.get(name, 0))
    if value > parameters.LARGEST:
        raise Invalid(f"Invalid input received: {name} must be at most {parameters.LARGEST}", "flavor.invalid")
    return value


def _find(call: Call) -> list[Flavor]:
    asked = call.query
    key = asked.get("sort_key", "flavorid")
    public = asked.get("is_public")
    everything = public is not None and public.lower() == "none"
    listing = Listing(
        project_id=access.scope(call),
        is_public=None if everything else public is None or parameters.truth_of_query("is_public", public),
        min_memory_mb=_minimum(call, "minRam"),
        min_disk_gb=_minimum(call, "minDisk"),
        sort=((key if key in SORT_COLUMNS else "flavorid", asked.get("sort_dir") == "desc"),),
        limit=paging.limit_of(call),
        marker=asked.get("marker"),
    )
    return flavors.find(call.store, listing)


def _minimum(call: Call, name: str) -> int:
    text = call.query.get(name)
    try:
        # No flavor has more than the largest of what one may be made with; databases refuse greater numbers.
        return 0 if text is None else max(0, min(int(text), parameters.LARGEST))
    except ValueError:
        raise Invalid(f"Invalid {name} filter [{text}]", "flavor.filter") from None


def _shows_specs(call: Call) -> bool:
    return call.version.minor >= 61 and call.may(policies.PREFIX + "os-flavor-extra-specs:index")


def _view(call: Call, row: Flavor, *, specs: bool | None = None) -> dict[str, Any]:
    minor = call.version.minor
    shown: dict[str, Any] = {
        "id": row.flavorid,
        "name": row.name,
        "ram": row.memory_mb,
        "disk": row.disk_gb,
        "vcpus": row.vcpus,
        "swap": row.swap_mb or (0 if minor >= 75 else ""),
        "OS-FLV-EXT-DATA:ephemeral": row.ephemeral_gb,
        "OS-FLV-DISABLED:disabled": row.disabled,
        "os-flavor-access:is_public": row.is_public,
        "rxtx_factor": row.rxtx_factor,
        "links": paging.links(call, "flavors", row.flavorid),
    }
    if minor >= 55:
        shown["description"] = row.description
    if _shows_specs(call) if specs is None else specs:
        shown["extra_specs"] = row.extra_specs
    return shown
