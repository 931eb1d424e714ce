"""The image that a server is booted from: may it be used, is it whole, does the flavor hold it, what kind of guest is it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from nova_lite.compute import firmware, kinds
from nova_lite.compute.kinds import CONTAINER, UNIKERNEL, VM
from nova_lite.db.models import Flavor, Image
from nova_lite.db.store import Store
from nova_lite.errors import Invalid

GIB = 1 << 30


@dataclass(frozen=True)
class BootImage:
    """What a server keeps of its image. ``properties``: the image's own, and its formats, as text."""

    image_id: str
    kind: str
    properties: dict[str, str]


def choose(session: Session, image_id: str, project_id: str | None, flavor: Flavor) -> BootImage:
    """Return the image to boot *flavor* from. *project_id* None: an admin, who may use any.

    :raises Invalid: it is not to be had, not active, larger than the flavor, its kernel or ramdisk is missing, it makes a
    container of an isolation that there is not, or asks for firmware that its kind can't have.
    """
    image = _visible(session, image_id, project_id)
    _check_active(image)
    _check_fits(image, flavor)
    properties = {key: str(value) for key, value in image.properties.items()}
    for name in ("kernel_id", "ramdisk_id"):
        if properties.get(name):
            _check_active(_visible(session, properties[name], project_id))
    properties |= {
        "container_format": image.container_format or "",
        "disk_format": image.disk_format or "",
        "min_ram": str(image.min_ram),
        "min_disk": str(image.min_disk),
        # What a host needs to know its cached copy again after the image was deleted.
        "size": str(image.size or 0),
        "os_hash_value": image.os_hash_value or "",
    }
    kind = _kind(image)
    _check_isolation(kinds.isolation(kind, flavor.extra_specs or {}, properties))
    firmware.check(kind, properties, flavor.extra_specs or {})
    return BootImage(image.id, kind, properties)


# Made once: to make a statement anew takes longer than to run it.
_ANY = select(Image).where(Image.id == bindparam("image_id"))
_VISIBLE = _ANY.where(or_(Image.visibility.in_(("public", "community")), Image.owner == bindparam("of_project")))


def _visible(session: Session, image_id: str, project_id: str | None) -> Image:
    values = {"image_id": image_id, "of_project": project_id}
    image = session.scalar(_ANY if project_id is None else _VISIBLE, values)
    if image is None:
        raise Invalid("Can not find requested image", "server.image_not_found")
    return image


def _check_active(image: Image) -> None:
    if image.status != "active":
        raise Invalid(f"Image {image.id} is not active.", "server.image_not_active")


def _check_isolation(isolation: str) -> None:
    if isolation not in kinds.ISOLATIONS:
        raise Invalid(
            f"There are no containers of isolation {isolation!r:.40} (the flavor's nova_lite:isolation, else the image's "
            f"nova_lite_isolation); there are: {', '.join(kinds.ISOLATIONS)}.",
            "server.isolation",
        )


def _check_fits(image: Image, flavor: Flavor) -> None:
    if image.min_ram > flavor.memory_mb:
        raise Invalid("Flavor's memory is too small for requested image.", "server.flavor_memory_too_small")
    if flavor.disk_gb == 0:
        return
    disk = flavor.disk_gb * GIB
    size = max(image.size or 0, image.virtual_size or 0)
    if size > disk:
        raise Invalid(
            f"Flavor's disk is too small for requested image. Flavor disk is {disk} bytes, image is {size} bytes.",
            "server.flavor_disk_too_small",
        )
    if image.min_disk > flavor.disk_gb:
        raise Invalid(
            "Flavor's disk is smaller than the minimum size specified in image metadata. "
            f"Flavor disk is {disk} bytes, minimum size is {image.min_disk * GIB} bytes.",
            "server.flavor_disk_too_small",
        )


def _kind(image: Image) -> str:
    if image.container_format == "docker":
        return CONTAINER
    if image.properties.get("nova_lite_kind") == UNIKERNEL:
        return UNIKERNEL
    return VM


def check_fetchable(store: Store, image_ids: Sequence[str]) -> None:
    """Check that hosts can fetch these images. :raises Invalid: one is not there, or not active."""
    with store.read() as session:
        for image_id in image_ids:
            image = session.get(Image, image_id)
            if image is None:
                raise Invalid(f"Image {image_id} could not be found.", "image.not_found")
            _check_active(image)
