"""``/images``, until 2.35 (metadata until 2.38): images as compute showed them before clients asked the image API itself."""

from __future__ import annotations

from typing import Any

from nova_lite.api.compute import paging, parameters
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import quotas
from nova_lite.db.models import Image
from nova_lite.errors import Forbidden, Invalid, NotFound, OverLimit
from nova_lite.image import images, removal
from nova_lite.image.files import Files
from nova_lite.image.images import Listing, Viewer

_STATUS = {
    "queued": ("SAVING", 25),
    "saving": ("SAVING", 50),
    "active": ("ACTIVE", 100),
    "killed": ("ERROR", 0),
    "deactivated": ("UNKNOWN", 0),
}
Items = dict[str, str]


def _viewer(call: Call) -> Viewer:
    return Viewer(call.principal.project_id, call.principal.is_admin)


def _one(call: Call) -> Image:
    identifier = call.params["image_id"]
    try:
        with call.store.read() as session:
            return images.get(session, _viewer(call), identifier[:64])
    except NotFound:
        raise NotFound("Image not found.", "image.not_found") from None


def _items(row: Image) -> Items:
    return {key: value if isinstance(value, str) else str(value) for key, value in row.properties.items()}


def _view(call: Call, row: Image) -> dict[str, Any]:
    status, progress = _STATUS.get(row.status, ("UNKNOWN", 0))
    shown: dict[str, Any] = {
        "id": row.id,
        "name": row.name,
        "minRam": row.min_ram,
        "minDisk": row.min_disk,
        "metadata": _items(row),
        "created": parameters.shown_moment(row.created_at),
        "updated": parameters.shown_moment(row.updated_at or row.created_at),
        "status": status,
        "progress": progress,
        "OS-EXT-IMG-SIZE:size": row.size or 0,
        "links": _links(call, row.id),
    }
    server_id = row.properties.get("instance_uuid")
    if server_id:
        shown["server"] = {"id": server_id, "links": paging.links(call, "servers", str(server_id))}
    if "auto_disk_config" in row.properties:
        automatic = str(row.properties["auto_disk_config"]).lower() == "true"
        shown["OS-DCF:diskConfig"] = "AUTO" if automatic else "MANUAL"
    return shown


def _links(call: Call, image_id: str) -> list[dict[str, str]]:
    alternate = {
        "rel": "alternate",
        "type": "application/vnd.openstack.image",
        "href": call.link(f"/image/v2/images/{image_id}"),
    }
    return [*paging.links(call, "images", image_id), alternate]


def _find(call: Call) -> list[Image]:
    query = call.query
    conditions: list[Any] = []
    if query.get("name"):
        conditions.append(Image.name == query["name"])
    if query.get("status"):
        wanted = [name for name, (shown, _) in _STATUS.items() if shown == query["status"].upper()]
        conditions.append(Image.status.in_(wanted))
    if query.get("changes-since"):
        since = parameters.moment(query["changes-since"])
        conditions.append(Image.updated_at >= since)
    for name, column in (("minDisk", Image.min_disk), ("minRam", Image.min_ram)):
        if query.get(name):
            conditions.append(column == parameters.number(name, query[name]))
    properties = {}
    server = query.get("server")
    if server:
        # A server's URL, as links have it, or its id.
        properties["instance_uuid"] = server.rstrip("/").rpartition("/")[2]
    if query.get("type"):
        properties["image_type"] = query["type"]
    listing = Listing(
        conditions=tuple(conditions),
        properties=properties,
        marker=query.get("marker"),
        limit=paging.limit_of(call),
    )
    if listing.limit == 0:
        return []
    with call.store.read() as session:
        return images.find(session, _viewer(call), listing)


_COUNT: Schema = {"type": "array", "items": {"type": "string", "pattern": "^0*[1-9][0-9]{0,39}$"}}
QUERY = parameters.query({"limit": _COUNT, "page_size": _COUNT, "offset": _COUNT}, is_open=True)


def index(call: Call) -> dict[str, Any]:
    """List ids and names."""
    found = _find(call)
    shown = [{"id": row.id, "name": row.name, "links": _links(call, row.id)} for row in found]
    return paging.page(call, "images", "images", shown, found[-1].id if found else "")


def detail(call: Call) -> dict[str, Any]:
    """List images with everything that is shown of them."""
    shown = [_view(call, row) for row in _find(call)]
    return paging.page(call, "images", "images/detail", shown, shown[-1]["id"] if shown else "")


def show(call: Call) -> dict[str, Any]:
    """Show one image."""
    return {"image": _view(call, _one(call))}


def delete(call: Call) -> None:
    """Delete an image."""
    row = _one(call)
    removal.remove(call.store, Files(call.services.conf), _viewer(call), row.id, call.services.offload)


def metadata(call: Call) -> dict[str, Any]:
    """List an image's properties."""
    return {"metadata": _items(_one(call))}


def metadata_item(call: Call) -> dict[str, Any]:
    """Show one property."""
    items = _items(_one(call))
    key = call.params["key"]
    if key not in items:
        raise NotFound("Metadata item was not found", "image.metadata_not_found")
    return {"meta": {key: items[key]}}


def _change(call: Call, make: Any) -> Items:
    row = _one(call)
    with call.store.read() as session:
        most = quotas.limits(call.services.conf, session, call.principal.project_id or "")["metadata_items"]

    def apply(image: Image) -> None:
        items = make(dict(image.properties))
        if 0 <= most < len(items):
            raise OverLimit("Image metadata limit exceeded", "image.metadata_limit")
        image.properties = items

    try:
        return _items(images.change(call.store, _viewer(call), row.id, apply))
    except Forbidden:
        raise Forbidden("You are not authorized to change this image.", "image.not_owner") from None


def add_metadata(call: Call) -> dict[str, Any]:
    """Add properties; those that are there already are overwritten."""
    added: Items = call.body["metadata"]
    return {"metadata": _change(call, lambda items: {**items, **added})}


def replace_metadata(call: Call) -> dict[str, Any]:
    """Put other properties in the place of all."""
    wanted: Items = call.body["metadata"]
    return {"metadata": _change(call, lambda _items: dict(wanted))}


def set_metadata_item(call: Call) -> dict[str, Any]:
    """Set one property."""
    wanted: Items = call.body["meta"]
    if call.params["key"] not in wanted:
        raise Invalid("Request body and URI mismatch", "image.metadata_mismatch")
    _change(call, lambda items: {**items, **wanted})
    return {"meta": wanted}


def delete_metadata_item(call: Call) -> None:
    """Remove one property."""
    key = call.params["key"]

    def without(items: Items) -> Items:
        if key not in items:
            raise NotFound("Metadata item was not found", "image.metadata_not_found")
        return {name: value for name, value in items.items() if name != key}

    _change(call, without)
