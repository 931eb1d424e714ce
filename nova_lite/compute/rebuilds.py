"""Rebuild: a server begun anew from an image, with the id, the addresses and the host that it has."""

from __future__ import annotations

from dataclasses import dataclass, field

from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.compute import (
    action_rules,
    claims,
    config_drives,
    firmware,
    hosts,
    images,
    keypairs,
    lifecycle,
    personality,
    quotas,
    servers,
)
from nova_lite.db.models import Flavor, Server
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict
from nova_lite.errors import Conflict, Invalid, NotFound


@dataclass(frozen=True)
class Rebuild:
    """What was asked for. ``changes`` are columns of the server that take what the user sent; ``key_name`` is one of them
    only if ``has_key``: None takes the key away."""

    image_id: str
    changes: JsonDict = field(default_factory=dict)
    has_key: bool = False
    key_name: str | None = None


def rebuild(
    store: Store,
    conf: cfg.ConfigOpts,
    caller: Caller,
    server_id: str,
    wanted: Rebuild,
    *,
    scope: str | None,
    override_lock: bool,
) -> str | None:
    """Begin a rebuild; return the host whose agent has the work.

    :raises Invalid: the image or the key is not to be had, or the image makes another kind of guest.
    :raises Conflict: the server's state does not allow it, it is locked, or it holds no room and its host has none left.
    :raises nova_lite.errors.OverLimit: it is more metadata, or files, than the quota allows.
    """

    def work(session: Session) -> str | None:
        server = servers.to_act_on(session, server_id, override_lock=override_lock)
        action_rules.check(server, "rebuild")  # before the image is looked at, as in Nova
        quotas.check_metadata(conf, session, server.project_id, len(wanted.changes.get("metadata_") or ()))
        personality.check(conf, session, server.project_id, wanted.changes.get("injected_files") or ())
        operation = lifecycle.begin(session, caller, server, "rebuild", values=_values(session, server, wanted, scope))
        # A server whose creation failed gave its room back.
        if server.host is not None and not claims.claim(session, server, server.host):
            raise Conflict(
                f"Host {server.host} has no room for instance {server_id} any more; delete it and make it anew.",
                "server.no_room",
            )
        return None if operation is None else server.host

    return store.transact(work)


def _values(session: Session, server: Server, wanted: Rebuild, scope: str | None) -> JsonDict:
    specs = server.flavor.get("extra_specs") or {}
    flavor = Flavor(memory_mb=server.memory_mb, disk_gb=server.disk_gb, extra_specs=specs)
    image = images.choose(session, wanted.image_id, scope, flavor)
    if image.kind != server.kind:
        raise Invalid(
            f"The image makes a {image.kind}, and the server is a {server.kind}; make a new server of it.",
            "server.other_kind",
        )
    if lacking := hosts.lacking(session, server.host, firmware.wanted(image.kind, image.properties, specs)):
        raise Invalid(f"No valid host was found. The server's host is {lacking}.", "server.no_valid_host")
    values = {**wanted.changes, "image_id": image.image_id, "image_properties": image.properties}
    if config_drives.is_mandatory(image.kind, image.properties):
        values["config_drive"] = True
    if wanted.has_key:
        values |= {"key_name": wanted.key_name, "public_key": _key(session, server, wanted.key_name)}
    return values


def _key(session: Session, server: Server, name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return keypairs.read(session, server.user_id, name).public_key.strip()
    except NotFound:
        raise Invalid("Invalid key_name provided.", "server.key_not_found") from None
