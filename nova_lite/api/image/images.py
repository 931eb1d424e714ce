"""Image records: list, show, create, patch, delete, tags, activation."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from nova_lite.api import validation
from nova_lite.api.context import Call
from nova_lite.api.image import filters, schemas
from nova_lite.api.routes import Reply
from nova_lite.db.models import Image
from nova_lite.errors import Conflict, Forbidden, Invalid, NotFound
from nova_lite.image import images, removal
from nova_lite.image.files import Files
from nova_lite.image.images import Viewer

_COLUMNS = (
    "name",
    "visibility",
    "container_format",
    "disk_format",
    "min_disk",
    "min_ram",
    "protected",
    "os_hidden",
    "tags",
)


def viewer(call: Call) -> Viewer:
    """Return the caller as the domain sees them."""
    return Viewer(call.principal.project_id, call.principal.is_admin)


def view(image: Image) -> dict[str, Any]:
    """Shape an image as Glance does: its properties beside its own members."""
    shown: dict[str, Any] = dict(image.properties)
    for name in _COLUMNS:
        shown[name] = getattr(image, name)
    for name in ("id", "status", "owner", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"):
        shown[name] = getattr(image, name)
    shown["created_at"] = _moment(image.created_at)
    shown["updated_at"] = _moment(image.updated_at or image.created_at)
    shown["self"] = f"/v2/images/{image.id}"
    shown["file"] = f"/v2/images/{image.id}/file"
    shown["schema"] = "/v2/schemas/image"
    return shown


def _moment(value: datetime.datetime) -> str:
    return value.isoformat(timespec="seconds") + "Z"


def index(call: Call) -> dict[str, Any]:
    """List a page of images."""
    listing = filters.parse(call.request.GET, call.services.conf.api.max_limit)
    with call.store.read() as session:
        page = images.find(session, viewer(call), listing)
    query = [(key, value) for key, value in call.request.GET.items() if key != "marker"]
    answer: dict[str, Any] = {
        "images": [view(image) for image in page],
        "first": "/v2/images" + (f"?{urlencode(query)}" if query else ""),
        "schema": "/v2/schemas/images",
    }
    if page and len(page) == listing.limit:
        answer["next"] = "/v2/images?" + urlencode([*query, ("marker", page[-1].id)])
    return answer


def show(call: Call) -> dict[str, Any]:
    """Show one image."""
    with call.store.read() as session:
        return view(images.get(session, viewer(call), call.params["id"]))


def tasks(call: Call) -> dict[str, Any]:
    """List the import tasks of an image: data is only ever uploaded, so there is none."""
    show(call)
    return {"tasks": []}


def create(call: Call) -> Reply:
    """Add an image without data."""
    body = dict(call.body)
    image_id, owner = body.pop("id", None), body.pop("owner", None)
    if owner not in (None, call.principal.project_id):
        raise Forbidden("You are not permitted to create images owned by another project.", "image.not_owner")
    values = {name: body.pop(name) for name in _COLUMNS if name in body}
    _check_properties(body)
    _check_visibility(call, values.get("visibility", "shared"))
    values["tags"] = sorted(set(values.get("tags", [])))
    image = images.create(call.store, viewer(call), {**values, "properties": body}, image_id)
    return Reply(view(image), 201, {"Location": call.link(f"/image/v2/images/{image.id}")})


def _check_properties(properties: dict[str, Any]) -> None:
    for name in properties:
        if name in schemas.READ_ONLY:
            raise Forbidden(f"Attribute '{name}' is read-only.", "image.read_only")
        _check_property_name(name)


def _check_property_name(name: str) -> None:
    if not 0 < len(name) <= 255 or not name.isprintable():
        raise Invalid("A property's name is 1 to 255 printable characters.")


def _check_visibility(call: Call, visibility: str) -> None:
    if visibility == "public":
        call.authorize(rule="image:publicize")


def update(call: Call) -> dict[str, Any]:
    """Change members and properties by a JSON patch, all of it or nothing."""
    changes = [_parse(change) for change in call.body]

    def apply(image: Image) -> None:
        _authorize(call, image)
        for operation, name, value in changes:
            _apply(call, image, operation, name, value)

    return view(images.change(call.store, viewer(call), call.params["id"], apply))


def _authorize(call: Call, image: Image) -> None:
    call.authorize({"project_id": image.owner})


def _parse(change: dict[str, Any]) -> tuple[str, str, Any]:
    path = change["path"]
    if not path.startswith("/") or "/" in path[1:]:
        raise Invalid(f"Pointer `{path}` does not name a member of the image; it is a slash and a name.")
    if change["op"] != "remove" and "value" not in change:
        raise Invalid(f'Operation "{change["op"]}" requires a member named "value".')
    return change["op"], path[1:].replace("~1", "/").replace("~0", "~"), change.get("value")


def _apply(call: Call, image: Image, operation: str, name: str, value: Any) -> None:
    if name in schemas.READ_ONLY:
        raise Forbidden(f"Attribute '{name}' is read-only.", "image.read_only")
    if name in schemas.WRITABLE:
        if operation == "remove":
            raise Forbidden(f"Property {name} may not be removed.", "image.not_removable")
        validation.validate(_MEMBER_SCHEMAS[name], {name: value})
        if name in ("container_format", "disk_format") and image.status != "queued":
            raise Forbidden(f"Attribute {name} can be only replaced for a queued image.", "image.not_queued")
        if name == "visibility":
            _check_visibility(call, value)
        setattr(image, name, sorted(set(value)) if name == "tags" else value)
        return
    properties = dict(image.properties)
    if operation != "add" and name not in properties:
        raise Conflict(f"Property {name} does not exist.", "image.no_property")
    if operation == "remove":
        del properties[name]
    else:
        _check_property_name(name)
        validation.validate(_PROPERTY_SCHEMA, {"value": value})
        properties[name] = value
    image.properties = properties


_MEMBER_SCHEMAS = {
    name: {"type": "object", "properties": {name: schema}, "required": [name]}
    for name, schema in schemas.WRITABLE.items()
}
_PROPERTY_SCHEMA = {"type": "object", "properties": {"value": schemas.PROPERTY}}


def delete(call: Call) -> None:
    """Delete an image and its data."""
    with call.store.read() as session:
        _authorize(call, images.get(session, viewer(call), call.params["id"]))
    removal.remove(call.store, Files(call.services.conf), viewer(call), call.params["id"], call.services.offload)


def add_tag(call: Call) -> None:
    """Put a tag on an image; one that is there already is fine."""
    tag = call.params["tag"]
    if len(tag) > 255:
        raise Invalid("A tag is 255 characters at most.")
    _tag(call, lambda tags: tags | {tag})


def remove_tag(call: Call) -> None:
    """Take a tag off an image."""
    tag = call.params["tag"]

    def without(tags: set[str]) -> set[str]:
        if tag not in tags:
            raise NotFound(f"The image has no tag {tag!r}.", "image.no_tag")
        return tags - {tag}

    _tag(call, without)


def _tag(call: Call, alter: Callable[[set[str]], set[str]]) -> None:
    def apply(image: Image) -> None:
        _authorize(call, image)
        image.tags = sorted(alter(set(image.tags)))

    images.change(call.store, viewer(call), call.params["id"], apply)


def deactivate(call: Call) -> None:
    """Keep an image's data from being read."""
    _activation(call, "active", "deactivated")


def reactivate(call: Call) -> None:
    """Let an image's data be read again."""
    _activation(call, "deactivated", "active")


def _activation(call: Call, before: str, after: str) -> None:
    def apply(image: Image) -> None:
        if image.status not in (before, after):
            raise Forbidden(
                f"Image status transition from {image.status} to {after} is not allowed", "image.wrong_status"
            )
        image.status = after

    images.change(call.store, viewer(call), call.params["id"], apply)
