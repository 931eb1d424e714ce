"""What else changes in the transaction that ends an action: the columns, claims, images and migrations that it is about.

A function for each action that needs one. It is given the server's row and the operation's arguments, changes what lies
beside the server, and returns what the server's own row takes. ``Server.system_metadata`` holds, from action to action:

- ``old_flavor``, ``old_state``, ``resized_at`` (epoch s): where a resize that is not confirmed can go back to;
- ``reverting``: its way back was begun, and may have been gone in part: from then on it ends with the old size only;
- ``shelved_image_id``, ``shelved_at`` (epoch s), ``old_state``: a shelved server's snapshot;
- ``root_image``: the image that the guest's disk really stands on, when it is not ``image_id`` (after an unshelve);
- ``rescue_image_id``: what a rescued guest was booted from;
- ``restarts`` (``count``, ``last``: epoch s): how often the guest was started again after it had ended by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.orm import Session

from nova_lite.compute import claims, left_overs, local_disks
from nova_lite.compute.transitions import OWNING, TRANSITIONS, PowerState, Transition, VmState
from nova_lite.db import operations
from nova_lite.db.models import ConsoleAuthToken, Image, Migration, Operation, Port, Server
from nova_lite.db.operations import Caller, Work
from nova_lite.db.types import JsonDict, epoch, new_id, now
from nova_lite.image import removal
from nova_lite.network import ports, touch

Ending = Callable[[Session, Server, JsonDict], JsonDict]

_QUIET: dict[str, Any] = {"synchronize_session": False}
_OF_A_RESIZE = ("old_flavor", "old_state", "resized_at", "reverting")
_WAYS_BACK = (*_OF_A_RESIZE, "rescue_image_id", "shelved_image_id", "shelved_at")
_TOKENS: Any = ConsoleAuthToken.__table__
_DROP_TOKENS = delete(_TOKENS).where(_TOKENS.c.server_id == bindparam("of_server"))


def done(session: Session, work: Work, transition: Transition) -> JsonDict:
    """Return the columns that *work*'s success changes beside the states; for :func:`lifecycle.complete`."""
    ending = DONE.get(work.action)
    if ending is None and not transition.stays:
        return {}
    server = _server(session, work.target_id)
    if server is None:
        return {}
    values: JsonDict = {}
    if server.vm_state in transition.stays:
        values = {"vm_state": server.vm_state, "power_state": int(PowerState.SHUTDOWN)}
    return values if ending is None else values | ending(session, server, work.arguments)


def failed(session: Session, work: Work, *, clean: bool) -> JsonDict:
    """Return the columns that *work*'s failure changes; for :func:`lifecycle.fail`. *clean*: nothing of it is left on its host."""
    if work.action == "attach_interface" and not clean:
        _detach_later(session, work)
        return {}
    ending = FAILED.get(work.action)
    server = _server(session, work.target_id) if ending is not None else None
    if ending is None or server is None:
        return {}
    values = ending(session, server, work.arguments)
    if not clean and "host" in values and work.host is not None:
        left_overs.remember(session, work.target_id, work.host)
    return values


def cancelled(session: Session, work: Work | Operation) -> None:
    """Change what lies beside the server of *work*, which somebody ended for an action of their own, as a failure does.

    The server's own row, and what it holds of a host, are that action's: it is there that an interrupted unshelve's guest is removed.
    But that a revert was begun stays known: the guest comes back, if ever, from what that has left.
    """
    if work.action == "unshelve":
        return
    ending = FAILED.get(work.action)
    server = _server(session, work.target_id) if ending is not None else None
    if ending is None or server is None:
        return
    values = ending(session, server, work.arguments)
    if work.action == "revertResize":
        session.execute(update(Server).where(Server.id == server.id).values(values).execution_options(**_QUIET))


def deleted(session: Session, server_id: str) -> None:
    """Let go of what a server that ends had beside it: its consoles' tokens, a shelved one's snapshot, a resize that waits."""
    session.execute(_DROP_TOKENS, {"of_server": server_id})
    kept = session.scalar(select(Server.system_metadata).where(Server.id == server_id))
    image_id = (kept or {}).get("shelved_image_id")
    if image_id:
        removal.discard(session, Image.id == image_id)
    if (kept or {}).get("old_flavor"):
        _migration(session, server_id, "confirmed")


def _server(session: Session, server_id: str) -> Server | None:
    return session.get(Server, server_id, populate_existing=True)


def keep(server: Server, *forget: str, **more: Any) -> JsonDict:
    """Return the server's ``system_metadata`` without *forget* and with *more*."""
    return {key: value for key, value in (server.system_metadata or {}).items() if key not in forget} | more


def sizes(flavor: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return vCPUs, MiB and root disk's GiB of a flavor as servers keep it."""
    return int(flavor["vcpus"]), int(flavor["ram"]), int(flavor["disk"])


def beside(flavor: Mapping[str, Any]) -> tuple[int, int]:
    """Return the GiB of ephemeral disks and the MiB of swap of a flavor as servers keep it."""
    return int(flavor.get("ephemeral") or 0), int(flavor.get("swap") or 0)


def held(flavor: Mapping[str, Any]) -> tuple[int, int, int]:
    """Return what a server of that flavor holds of its host: vCPUs, MiB, and GiB of all its disks."""
    vcpus, memory_mb, disk_gb = sizes(flavor)
    return vcpus, memory_mb, local_disks.held_gb(disk_gb, *beside(flavor))


def sized(flavor: JsonDict) -> JsonDict:
    """Return the columns of a server that has *flavor*."""
    vcpus, memory_mb, disk_gb = sizes(flavor)
    ephemeral_gb, swap_mb = beside(flavor)
    return {
        "flavor": flavor,
        "vcpus": vcpus,
        "memory_mb": memory_mb,
        "disk_gb": disk_gb,
        "ephemeral_gb": ephemeral_gb,
        "swap_mb": swap_mb,
    }


def _migration(session: Session, server_id: str, status: str) -> None:
    session.execute(
        update(Migration)
        .where(Migration.server_id == server_id, Migration.status.in_(("migrating", "finished")))
        .values(status=status, updated_at=now())
        .execution_options(**_QUIET)
    )


def _resized(session: Session, server: Server, arguments: JsonDict) -> JsonDict:
    _migration(session, server.id, "finished")
    runs = server.vm_state == VmState.ACTIVE
    return {
        **sized(arguments["flavor"]),
        "power_state": int(PowerState.RUNNING if runs else PowerState.SHUTDOWN),
        "system_metadata": keep(
            server, "reverting", old_flavor=server.flavor, old_state=server.vm_state, resized_at=epoch()
        ),
    }


def _not_resized(session: Session, server: Server, _arguments: JsonDict) -> JsonDict:
    _migration(session, server.id, "error")
    claims.settle(session, server.id, *claims.held_by(server))
    return {}


def _resized_live(session: Session, server: Server, arguments: JsonDict) -> JsonDict:
    _migration(session, server.id, "confirmed")
    claims.settle(session, server.id, *held(arguments["flavor"]))
    return sized(arguments["flavor"])


def _after_resize(server: Server) -> JsonDict:
    """Return the states of a server whose resize is over: as before it."""
    stopped = (server.system_metadata or {}).get("old_state") == VmState.STOPPED
    return {
        "vm_state": (VmState.STOPPED if stopped else VmState.ACTIVE).value,
        "power_state": int(PowerState.SHUTDOWN if stopped else PowerState.RUNNING),
        "system_metadata": keep(server, *_OF_A_RESIZE),
    }


def _confirmed(session: Session, server: Server, _arguments: JsonDict) -> JsonDict:
    _migration(session, server.id, "confirmed")
    claims.settle(session, server.id, *claims.held_by(server))
    return _after_resize(server)


def _reverted(session: Session, server: Server, _arguments: JsonDict) -> JsonDict:
    _migration(session, server.id, "reverted")
    old = server.system_metadata["old_flavor"]
    claims.settle(session, server.id, *held(old))
    return _after_resize(server) | sized(old)


def _not_reverted(_session: Session, server: Server, _arguments: JsonDict) -> JsonDict:
    """Remember that the guest may be back at its old size and disk already, whatever its server shows: nothing confirms that."""
    if not (server.system_metadata or {}).get("old_flavor"):
        return {}  # that resize is over
    return {"system_metadata": keep(server, reverting=True)}


def goes_back_to(server: Server) -> JsonDict | None:
    """Return the flavor with which the resize of *server* ends, because a revert of it was begun; None: the one that it has."""
    kept = server.system_metadata or {}
    old: JsonDict | None = kept.get("old_flavor") if kept.get("reverting") else None
    return old


def end_resize(session: Session, server: Server) -> JsonDict:
    """End a resize, if any, that was not confirmed, nor reverted to the end, and return the columns of the size that *server* has then.

    Its claims are the caller's to settle.
    """
    old = goes_back_to(server)
    if (server.system_metadata or {}).get("old_flavor"):
        _migration(session, server.id, "reverted" if old else "confirmed")
    return {"system_metadata": keep(server, *_OF_A_RESIZE)} | (sized(old) if old else {})


def _rebuilt(_session: Session, server: Server, _arguments: JsonDict) -> JsonDict:
    return {"system_metadata": keep(server, "root_image"), "launched_at": now()}


def _restored(session: Session, server: Server, _arguments: JsonDict) -> JsonDict:
    """Let go of the ways back that it had when it was put away: it runs on the disk, and in the size, that it has now.

    That is the old one where a revert was begun: the agent has done it to the end.
    """
    kept = server.system_metadata or {}
    old = goes_back_to(server)
    resized = end_resize(session, server)
    claims.settle(session, server.id, *(held(old) if old else claims.held_by(server)))
    if kept.get("shelved_image_id"):
        removal.discard(session, Image.id == kept["shelved_image_id"])
    return resized | {"deleted_at": None, "system_metadata": keep(server, *_WAYS_BACK)}


def _soft_deleted(_session: Session, _server: Server, _arguments: JsonDict) -> JsonDict:
    return {"deleted_at": now()}


def _drop_image(session: Session, _server: Server, arguments: JsonDict) -> JsonDict:
    """Remove the image that was to be made; its file, if any, goes with the image store's next sweep."""
    unfinished = Image.status.in_(("queued", "saving"))
    removal.discard(session, Image.id == arguments["image_id"], unfinished)
    return {}


def _rotate(session: Session, server: Server, arguments: JsonDict) -> JsonDict:
    """Remove the oldest of the server's backups of this type, but *rotation* of them."""
    rows = session.scalars(
        select(Image)
        .where(Image.owner == server.project_id, Image.status == "active", Image.protected.is_(False))
        .order_by(Image.created_at.desc(), Image.id)
    )
    wanted = {"instance_uuid": server.id, "image_type": "backup", "backup_type": arguments["backup_type"]}
    mine = [row.id for row in rows if all(row.properties.get(key) == value for key, value in wanted.items())]
    surplus = mine[int(arguments["rotation"]) :]
    if surplus:
        removal.discard(session, Image.id.in_(surplus))
    return {}


def _rescued(_session: Session, server: Server, arguments: JsonDict) -> JsonDict:
    return {"system_metadata": keep(server, rescue_image_id=arguments["image_id"])}


def _unrescued(_session: Session, server: Server, _arguments: JsonDict) -> JsonDict:
    return {"system_metadata": keep(server, "rescue_image_id")}


def _shelved(_session: Session, server: Server, arguments: JsonDict) -> JsonDict:
    return {"system_metadata": keep(server, shelved_image_id=arguments["image_id"], shelved_at=epoch())}


def _off_its_host(session: Session, server: Server) -> JsonDict:
    claims.release(session, server.id)
    session.execute(
        update(Port)
        .where(Port.device_id == server.id)
        .values(host=None, status="DOWN", updated_at=now())
        .execution_options(**_QUIET)
    )
    return {"host": None, "power_state": int(PowerState.NOSTATE)}


def _offloaded(session: Session, server: Server, _arguments: JsonDict) -> JsonDict:
    return _off_its_host(session, server)


def _unshelved(session: Session, server: Server, arguments: JsonDict) -> JsonDict:
    image_id = (server.system_metadata or {}).get("shelved_image_id")
    kept = keep(server, "shelved_image_id", "shelved_at")
    image = session.get(Image, image_id) if image_id else None
    if image is not None:
        if server.vm_state == VmState.SHELVED_OFFLOADED:
            kept["root_image"] = {
                "image_id": image.id,
                "disk_format": image.disk_format,
                "container_format": image.container_format,
                "size": image.size,
                "os_hash_value": image.os_hash_value,
            }
        removal.discard(session, Image.id == image.id)
    session.execute(
        update(Port)
        .where(Port.device_id == server.id)
        .values(status="ACTIVE", updated_at=now())
        .execution_options(**_QUIET)
    )
    return {"system_metadata": kept}


def _not_unshelved(session: Session, server: Server, _arguments: JsonDict) -> JsonDict:
    if server.vm_state != VmState.SHELVED_OFFLOADED or server.task_state in OWNING:
        return {}  # it is on its host, or a delete has it, which asks that host
    # Its snapshot is whole, whatever became of the guest that was to be made from it.
    return _off_its_host(session, server) | {"vm_state": VmState.SHELVED_OFFLOADED.value}


def _attached(session: Session, _server: Server, arguments: JsonDict) -> JsonDict:
    session.execute(
        update(Port)
        .where(Port.id == arguments["port_id"])
        .values(status="ACTIVE", updated_at=now())
        .execution_options(**_QUIET)
    )
    return {}


def _detach_later(session: Session, work: Work) -> None:
    """Have an interface taken from the guest that may have it though attaching it failed; until then the port is the server's."""
    operations.submit(
        session,
        Caller(f"req-{new_id()}", work.project_id, work.user_id),
        action="detach_interface",
        target_type="server",
        target_id=work.target_id,
        queue=work.queue,
        host=work.host,
        arguments=work.arguments,
        deadline_s=TRANSITIONS["detach_interface"].deadline_s,
    )


def _detached(session: Session, server: Server, arguments: JsonDict) -> JsonDict:
    release_port(session, server.id, arguments["port_id"])
    return {}


def release_port(session: Session, server_id: str, port_id: str) -> None:
    """Delete a port that compute made for a server, or give one back that its user brought; others' is left alone."""
    made = session.scalar(select(Port.made_by_compute).where(Port.id == port_id, Port.device_id == server_id))
    if made is None:
        return
    touch.touch_ports(session, port_id)
    if made:
        ports.remove(session, [port_id])
    else:
        ports.give_back(session, [port_id])


DONE: dict[str, Ending] = {
    "attach_interface": _attached,
    "detach_interface": _detached,
    "resize": _resized,
    "resize-live": _resized_live,
    "confirmResize": _confirmed,
    "revertResize": _reverted,
    "rebuild": _rebuilt,
    "restore": _restored,
    "soft-delete": _soft_deleted,
    "createBackup": _rotate,
    "rescue": _rescued,
    "unrescue": _unrescued,
    "shelve": _shelved,
    "shelveOffload": _offloaded,
    "unshelve": _unshelved,
}

FAILED: dict[str, Ending] = {
    "attach_interface": _detached,
    "resize": _not_resized,
    "resize-live": _not_resized,
    "revertResize": _not_reverted,
    "createImage": _drop_image,
    "createBackup": _drop_image,
    "shelve": _drop_image,
    "unshelve": _not_unshelved,
}
