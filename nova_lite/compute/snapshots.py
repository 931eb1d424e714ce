"""Images of servers: snapshot, backup, and the one that a shelved server comes back from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from nova_lite.compute import lifecycle, servers
from nova_lite.compute.transitions import VmState
from nova_lite.db.models import Image, Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict

_OWN = ("container_format", "disk_format", "min_ram", "min_disk", "size", "os_hash_value")
"""What a server keeps of its image beside its properties."""

NOT_INHERITED = (*_OWN, "cache_in_nova", "bittorrent", "img_signature_hash_method", "img_signature", "instance_uuid")


def create_image(
    store: Store, caller: Caller, server_id: str, name: str, metadata: Mapping[str, str]
) -> tuple[str, str | None]:
    """Begin a snapshot; return the new image's id and the host whose agent has the work.

    :raises Conflict: the server's state does not allow it. :raises NotFound: the server is gone.
    """
    properties = {"image_type": "snapshot", **metadata}
    return _begin(store, caller, server_id, "createImage", name, properties, {}, override_lock=True)


def create_backup(
    store: Store,
    caller: Caller,
    server_id: str,
    name: str,
    backup_type: str,
    rotation: int,
    metadata: Mapping[str, str],
) -> tuple[str, str | None]:
    """Begin a backup, after which only *rotation* of this type are left; return as :func:`create_image` does."""
    properties = {"image_type": "backup", "backup_type": backup_type, **metadata}
    arguments = {"backup_type": backup_type, "rotation": rotation}
    return _begin(store, caller, server_id, "createBackup", name, properties, arguments, override_lock=True)


def shelve(store: Store, caller: Caller, server_id: str, *, override_lock: bool) -> str | None:
    """Begin a shelve; return the host whose agent has the work.

    :raises Conflict: the server's state does not allow it, or it is locked.
    """
    properties = {"image_type": "snapshot"}
    return _begin(store, caller, server_id, "shelve", None, properties, {}, override_lock=override_lock)[1]


def _begin(
    store: Store,
    caller: Caller,
    server_id: str,
    action: str,
    name: str | None,
    properties: Mapping[str, str],
    arguments: Mapping[str, Any],
    *,
    override_lock: bool,
) -> tuple[str, str | None]:
    image_id = new_id()

    def work(session: Session) -> str | None:
        server = servers.to_act_on(session, server_id, override_lock=override_lock)
        lifecycle.begin(session, caller, server, action, {"image_id": image_id, **arguments})
        session.add(_image(server, image_id, name or f"{server.name}-shelved", properties))
        return server.host

    return image_id, store.transact(work)


def _image(server: Server, image_id: str, name: str, properties: Mapping[str, str]) -> Image:
    inherited = {
        key: str(value)
        for key, value in server.image_properties.items()
        if key not in NOT_INHERITED and value is not None
    }
    moment = now()
    return Image(
        id=image_id,
        name=name[:255],
        owner=server.project_id,
        status="queued",
        visibility="private",
        min_disk=server.disk_gb,
        min_ram=int(server.image_properties.get("min_ram") or 0),
        properties={
            **inherited,
            **properties,
            "instance_uuid": server.id,
            "base_image_ref": server.image_id or "",
            "user_id": server.user_id,
        },
        created_at=moment,
        updated_at=moment,
    )


def unshelve(
    store: Store,
    caller: Caller,
    server_id: str,
    *,
    override_lock: bool,
    zone: str | None = None,
    unpin: bool = False,
    host: str | None = None,
) -> str | None:
    """Begin to bring a shelved server back; return its host, or None where the scheduler must find one.

    *zone*: the availability zone that it is to come back in and stay in; *unpin*: in any. Both, and *host*, are only for a
    server that has no host any more.

    :raises Conflict: the server's state does not allow it, it is locked, or it has a host and another was asked for.
    """

    def work(session: Session) -> str | None:
        server = servers.to_act_on(session, server_id, override_lock=override_lock)
        is_offloaded = server.vm_state == VmState.SHELVED_OFFLOADED
        if server.vm_state == VmState.SHELVED and (zone or unpin or host):
            raise Conflict(
                f"Instance {server_id} is in vm_state {server.vm_state}: it still has its host; only one that is "
                "shelved_offloaded can be brought back somewhere else.",
                "server.wrong_state",
            )
        lifecycle.begin(
            session,
            caller,
            server,
            "unshelve",
            {"host": host} if host else {},
            values={"availability_zone": zone} if zone or unpin else None,
            queue="scheduler" if is_offloaded else "agent",
        )
        return None if is_offloaded else server.host

    return store.transact(work)
