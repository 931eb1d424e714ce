"""Rescue: a server booted from another image, its own disk beside it."""

from __future__ import annotations

from sqlalchemy.orm import Session

from nova_lite.compute import action_rules, images, lifecycle, servers
from nova_lite.db.models import Flavor
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.errors import Invalid


def rescue(
    store: Store,
    caller: Caller,
    server_id: str,
    image_id: str | None,
    *,
    default: str,
    scope: str | None,
    override_lock: bool,
) -> str | None:
    """Begin a rescue from *image_id*, else from *default*, else from the server's own image; return the host with the work.

    :raises Invalid: the image is not to be had, or makes another kind of guest.
    :raises Conflict: the server's state does not allow it, or it is locked.
    """

    def work(session: Session) -> str | None:
        server = servers.to_act_on(session, server_id, override_lock=override_lock)
        action_rules.check(server, "rescue")  # before the image is looked at, as in Nova
        chosen = image_id or default or server.image_id
        if chosen is None:
            raise Invalid("The server has no image that it could be rescued with; name one.", "server.no_image")
        if chosen != server.image_id:
            # What the operator has named is for everybody.
            whose = scope if image_id else None
            found = images.choose(session, chosen, whose, Flavor(memory_mb=server.memory_mb, disk_gb=0))
            if found.kind != server.kind:
                raise Invalid(
                    f"The rescue image makes a {found.kind}, and the server is a {server.kind}.", "server.other_kind"
                )
        operation = lifecycle.begin(session, caller, server, "rescue", {"image_id": chosen})
        return None if operation is None else server.host

    return store.transact(work)
