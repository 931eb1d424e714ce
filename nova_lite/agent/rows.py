"""What the agent reads of a server, in few queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from nova_lite.db.models import Image, Port, Server


@dataclass(frozen=True)
class BoundPort:
    """A port of a server: its ids and its device tag."""

    port_id: str
    network_id: str
    tag: str | None = None


@dataclass(frozen=True)
class ServerRows:
    """A server with all that its guest is made from. ``ports`` are in the order of the guest's interfaces."""

    server: Server
    ports: tuple[BoundPort, ...]
    images: Mapping[str, Image]


_PORTS: Any = Port.__table__
# Made once: to make a statement anew takes longer than to run it.
_SERVER = select(Server).where(Server.id == bindparam("of_server"))
_PORTS_OF = (
    select(_PORTS.c.id, _PORTS.c.network_id, _PORTS.c.nic_tag)
    .where(_PORTS.c.device_id == bindparam("of_server"))
    .order_by(_PORTS.c.position, _PORTS.c.created_at)
)


def read_server(session: Session, server_id: str, other_image: str | None = None) -> ServerRows | None:
    """Read a server, its ports and its images, *other_image* among them; None: there is no such row."""
    server = session.scalar(_SERVER, {"of_server": server_id})
    if server is None:
        return None
    ports = session.execute(_PORTS_OF, {"of_server": server_id})
    return ServerRows(
        server=server,
        ports=tuple(BoundPort(port_id, network_id, tag) for port_id, network_id, tag in ports),
        images=read_images(
            session, [server.image_id, other_image, (server.system_metadata or {}).get("shelved_image_id")]
        ),
    )


_IMAGE = select(Image).where(Image.id == bindparam("of_image"))


def _image(session: Session, image_id: str | None) -> Image | None:
    return session.scalar(_IMAGE, {"of_image": image_id}) if image_id else None


def read_images(session: Session, wanted: Iterable[str | None]) -> dict[str, Image]:
    """Read images with their kernels and ramdisks, keyed by id; None and what is not there is left out."""
    found: dict[str, Image] = {}
    for image_id in wanted:
        image = _image(session, image_id) if image_id not in found else None
        if image is None:
            continue
        found[image.id] = image
        for name in ("kernel_id", "ramdisk_id"):
            part = _image(session, image.properties.get(name))
            if part is not None:
                found[part.id] = part
    return found
