"""Resize: a new flavor for a server, on its host; cold with a way back, or live."""

from __future__ import annotations

from oslo_config import cfg
from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.compute import (
    action_rules,
    claims,
    endings,
    extra_specs,
    firmware,
    flavors,
    hosts,
    kinds,
    lifecycle,
    local_disks,
    quotas,
    servers,
)
from nova_lite.compute.transitions import VmState
from nova_lite.db.models import Flavor, Host, Image, Migration, Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Invalid, NotFound

LIVE = "nova_lite:live"


def resize(
    store: Store,
    conf: cfg.ConfigOpts,
    caller: Caller,
    server_id: str,
    flavor_id: str,
    *,
    scope: str | None,
    override_lock: bool,
    disk_config: str | None = None,
) -> str | None:
    """Begin a resize and claim the room for it, in one transaction; return the host whose agent has the work.

    With the extra spec ``nova_lite:live=true`` a running server is resized as it runs, with nothing to confirm. *scope* is
    the project whose flavors may be had (None: all).

    :raises Invalid: the flavor is not to be had, is the one that the server has, does not fit, or its host has no room.
    :raises Conflict: the server's state does not allow it, or it is locked.
    :raises nova_lite.errors.OverLimit: it would be more than the quota.
    """

    def work(session: Session) -> str | None:
        server = servers.to_act_on(session, server_id, override_lock=override_lock)
        action_rules.check(server, "resize")  # before the flavor is looked at, as in Nova
        try:
            flavor = flavors.read(session, flavor_id, scope)
        except NotFound as error:
            raise Invalid("Unable to locate requested flavor.", error.code) from None
        _check(session, server, flavor)
        live = extra_specs.is_true(flavor.extra_specs.get(LIVE)) and server.vm_state == VmState.ACTIVE
        if live and (why := kinds.BY_TRANSITION["resize-live"].refusal(server.kind)):
            raise Invalid(f"Instance {server_id} can't be resized live: {why}", "server.kind_cannot")
        if live:
            _check_live(server, flavor)
        operation = lifecycle.begin(
            session,
            caller,
            server,
            "resize-live" if live else "resize",
            {"flavor": flavors.as_kept(flavor)},
            values={"disk_config": disk_config} if disk_config else None,
        )
        # Nova's order: what the project may have comes before what the host has.
        quotas.grow(session, conf, server.id, flavor.vcpus, flavor.memory_mb)
        if not claims.grow(session, server.id, *endings.held(flavors.as_kept(flavor))):
            raise Invalid(_no_room(session, server, flavor), "server.no_valid_host")
        session.add(_migration(caller, server, flavor))
        return None if operation is None else server.host

    host: str | None = quotas.transact(store, work)
    return host


def _check(session: Session, server: Server, flavor: Flavor) -> None:
    if flavor.disabled:
        raise Invalid("Unable to locate requested flavor.", "flavor.not_found")
    if flavor.flavorid == server.flavor.get("id"):
        raise Invalid("When resizing, instances must change flavor!", "server.same_flavor")
    if flavor.disk_gb == 0 and server.disk_gb != 0:
        raise Invalid("Resize to zero disk flavor is not allowed.", "server.zero_disk")
    if flavor.disk_gb < server.disk_gb:
        raise Invalid(
            f"A disk can't be made smaller: the server has {server.disk_gb} GiB, flavor {flavor.name} {flavor.disk_gb}.",
            "server.smaller_disk",
        )
    _check_local_disks(server, flavor)
    image = session.get(Image, server.image_id) if server.image_id else None
    if image is not None and image.min_ram > flavor.memory_mb:
        raise Invalid("Flavor's memory is too small for requested image.", "server.flavor_memory_too_small")
    if lacking := extra_specs.unmet(flavor.extra_specs or {}, {}):
        raise Invalid(f"No valid host was found. The server's host is without {lacking}.", "server.no_valid_host")
    specs = flavor.extra_specs or {}
    firmware.check(server.kind, server.image_properties, specs)
    if lacking := hosts.lacking(session, server.host, firmware.wanted(server.kind, server.image_properties, specs)):
        raise Invalid(f"No valid host was found. The server's host is {lacking}.", "server.no_valid_host")
    if server.kind == kinds.CONTAINER:
        wanted, has = (
            (kept.get("extra_specs") or {}).get("nova_lite:isolation")
            for kept in (flavors.as_kept(flavor), server.flavor)
        )
        if wanted != has:
            raise Invalid(
                "A container's isolation can't be changed by a resize; rebuild it as a new server of that flavor.",
                "server.isolation",
            )


def _check_local_disks(server: Server, flavor: Flavor) -> None:
    has = local_disks.of(server.ephemeral_gb, server.swap_mb, server.local_disks)
    ephemeral_gb = sum(disk.size_gb for disk in has.ephemerals)
    if flavor.ephemeral_gb < ephemeral_gb:
        raise Invalid(
            f"Ephemeral disks can't be made smaller: the server has {ephemeral_gb} GiB, flavor {flavor.name} "
            f"{flavor.ephemeral_gb}.",
            "server.smaller_ephemeral",
        )
    if flavor.swap_mb and (why := kinds.LOCAL_SWAP.refusal(server.kind)):
        raise Invalid(f"Flavor {flavor.name} has swap: {why}", "server.kind_cannot")


def _check_live(server: Server, flavor: Flavor) -> None:
    if flavor.disk_gb != server.disk_gb:
        raise Invalid(
            "A server is resized live with the disk that it has; choose a flavor with "
            f"{server.disk_gb} GiB, or one without {LIVE}.",
            "server.live_disk",
        )
    if (flavor.ephemeral_gb, flavor.swap_mb) != (server.ephemeral_gb, server.swap_mb):
        raise Invalid(
            "A server is resized live with the disks that it has; choose a flavor with "
            f"{server.ephemeral_gb} GiB of ephemeral disk and {server.swap_mb} MiB of swap, or one without {LIVE}.",
            "server.live_disk",
        )


def _no_room(session: Session, server: Server, flavor: Flavor) -> str:
    host = session.scalar(select(Host).where(Host.name == server.host))
    if host is None:
        return "No valid host was found. The server has no host."
    free = (
        int(host.vcpus * host.vcpus_ratio) - host.used_vcpus,
        int((host.memory_mb - host.reserved_memory_mb) * host.memory_ratio) - host.used_memory_mb,
        int(host.disk_gb * host.disk_ratio) - host.used_disk_gb,
    )
    return (
        f"No valid host was found. A resize stays on the server's host, which has {free[0]} vCPUs, {free[1]} MiB and "
        f"{free[2]} GiB free beside what the server holds; flavor {flavor.name} takes {flavor.vcpus}, {flavor.memory_mb} "
        f"and {endings.held(flavors.as_kept(flavor))[2]} in all."
    )


def _migration(caller: Caller, server: Server, flavor: Flavor) -> Migration:
    host = server.host or ""
    return Migration(
        uuid=new_id(),
        server_id=server.id,
        migration_type="resize",
        status="migrating",
        updated_at=now(),
        source=host,
        destination=host,
        old_flavor=str(server.flavor.get("id") or ""),
        new_flavor=flavor.flavorid,
        project_id=caller.project_id or server.project_id,
        user_id=caller.user_id or server.user_id,
    )
