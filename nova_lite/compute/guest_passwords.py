"""The password that a guest made for itself and left, encrypted by its user's key: kept as it came, shown, forgotten.

Who takes it from the guest is the metadata service (``POST /openstack/latest/password``), by :func:`leave`.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from nova_lite.compute import endings, servers
from nova_lite.db.models import Server
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, Invalid

LONGEST = 1020
"""Characters; as much as Nova keeps."""
_KEY = "guest_password"


def show(store: Store, server_id: str) -> str:
    """Return what the guest left, or the empty string. :raises NotFound: the server is gone."""
    with store.read() as session:
        server = session.get(Server, server_id)
        if server is None or server.deleted:
            raise servers.not_found(server_id)
        return str((server.system_metadata or {}).get(_KEY, ""))


def clear(store: Store, server_id: str) -> None:
    """Forget what the guest left; nothing left is well. :raises NotFound: the server is gone."""

    def work(session: Session) -> None:
        server = servers.to_act_on(session, server_id, override_lock=True)
        if _KEY in (server.system_metadata or {}):
            server.system_metadata = endings.keep(server, _KEY)

    store.transact(work)


def leave(store: Store, server_id: str, encrypted: str) -> None:
    """Keep what the guest leaves, once: a guest can't change it, only its user can clear it.

    :raises NotFound: the server is gone. :raises Conflict: there is one already. :raises Invalid: it is too long, or no printable text.
    """
    if len(encrypted) > LONGEST or not encrypted.isascii() or not encrypted.isprintable():
        raise Invalid(
            f"password: it must be at most {LONGEST} printable ASCII characters.", "server.password_malformed"
        )

    def work(session: Session) -> None:
        server = servers.to_act_on(session, server_id, override_lock=True)
        if (server.system_metadata or {}).get(_KEY):
            raise Conflict(
                f"Instance {server_id} has a password already; its user may clear it.", "server.has_password"
            )
        server.system_metadata = endings.keep(server, **{_KEY: encrypted})

    store.transact(work)
