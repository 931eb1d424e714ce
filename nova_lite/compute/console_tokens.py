"""Tokens that open a server's console: used once, soon, for the one server that they were made for.

A console of several channels (SPICE) needs one connection for each. Its token is good for one *session*: the first connection begins it
(:func:`begin`), others may join while it lasts (:func:`join`), each channel once; with its first connection it ends (:func:`end`), and so does
the token.

They go with their server: :func:`nova_lite.compute.endings.deleted` removes them.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from nova_lite.compute import servers
from nova_lite.db.models import ConsoleAuthToken, Server
from nova_lite.db.store import Store
from nova_lite.db.types import epoch
from nova_lite.errors import Conflict, NotFound

TOKEN_BYTES = 32
WITH_CHANNELS = frozenset({"spice-html5"})
"""The types of console that are a session of several connections."""

MOST_CHANNELS = 16
"""Channels of one session. A VM's screen has four."""

MOST_OF_A_SERVER = 32
"""Unused tokens that are kept of one server; the oldest go first."""

_QUIET: dict[str, Any] = {"synchronize_session": False}
_PURGED_AT_ONCE = 1000
_LONGEST = 128
"""Characters of what may be a token; ours have 43."""


@dataclass(frozen=True)
class Ticket:
    """What a token is good for. ``console_type``: as clients name it, ``serial``, ``novnc`` or ``spice-html5``."""

    server_id: str
    host: str
    console_type: str


def issue(store: Store, server_id: str, console_type: str, lifetime_s: float) -> str:
    """Make a token for one console of a server and return it; only its hash is kept.

    :raises NotFound: the server is gone. :raises Conflict: it is on no host.
    """
    token = secrets.token_urlsafe(TOKEN_BYTES)

    def work(session: Session) -> None:
        # Locked against the server's end, which removes what is here then.
        server = servers.to_act_on(session, server_id, override_lock=True)
        if server.host is None:
            raise Conflict(f"Instance {server_id} is not ready", "server.not_ready")
        _drop_old(session, server_id)
        row = ConsoleAuthToken(
            token_hash=_hashed(token),
            server_id=server_id,
            host=server.host,
            console_type=console_type,
            expires_at=epoch() + lifetime_s,
        )
        session.add(row)

    store.transact(work)
    return token


def purge(store: Store) -> int:
    """Remove tokens that have expired, a bounded number at once; return how many."""
    return store.transact(lambda session: _remove(session, _expired(session)))


def _expired(session: Session) -> set[int]:
    query = select(ConsoleAuthToken.id).where(ConsoleAuthToken.expires_at < epoch())
    return set(session.scalars(query.limit(_PURGED_AT_ONCE)))


def _remove(session: Session, rows: set[int]) -> int:
    if rows:
        session.execute(delete(ConsoleAuthToken).where(ConsoleAuthToken.id.in_(rows)).execution_options(**_QUIET))
    return len(rows)


def _drop_old(session: Session, server_id: str) -> None:
    """Remove what has expired, of any server, and of this one what is too much."""
    mine = session.scalars(
        select(ConsoleAuthToken.id)
        .where(ConsoleAuthToken.server_id == server_id)
        .order_by(ConsoleAuthToken.id.desc())
        .offset(MOST_OF_A_SERVER - 1)
    )
    _remove(session, _expired(session) | set(mine))


def look_at(store: Store, token: str) -> Ticket:
    """Return what a token is good for, without using it. :raises NotFound: for nothing."""
    with store.read() as session:
        return _read(session, token)[1]


def use(store: Store, token: str) -> Ticket:
    """Use a token up and return what it was good for; of two who use it at once, one gets it.

    :raises NotFound: it is unknown, used or expired, or its server is gone or elsewhere.
    """

    look_at(store, token)  # whoever made one up does not get as far as a transaction that writes

    def work(session: Session) -> Ticket:
        row_id, ticket, _ = _read(session, token)
        gone: Any = session.execute(
            delete(ConsoleAuthToken).where(ConsoleAuthToken.id == row_id).execution_options(**_QUIET)
        )
        if not gone.rowcount:
            raise _unknown()
        return ticket

    return store.transact(work)


def begin(store: Store, token: str, channel: str) -> Ticket:
    """Begin the one session that a token is good for, with the connection for *channel*.

    :raises NotFound: it is unknown or expired, its session began already, or its server is gone or elsewhere.
    """
    return _open(store, token, channel, begins=True)


def join(store: Store, token: str, channel: str) -> Ticket:
    """Let *channel* into a session that began and has not ended.

    :raises NotFound: there is no such session (any more), the token has expired, or the channel was opened before.
    """
    return _open(store, token, channel, begins=False)


def end(store: Store, token: str) -> None:
    """End a token's session, and the token with it; over already is success."""
    own = ConsoleAuthToken.token_hash == _hashed(token)
    store.transact(lambda session: session.execute(delete(ConsoleAuthToken).where(own).execution_options(**_QUIET)))


def _open(store: Store, token: str, channel: str, *, begins: bool) -> Ticket:
    lock = select(ConsoleAuthToken.id).where(ConsoleAuthToken.token_hash == _hashed(token)).with_for_update()

    def work(session: Session) -> Ticket:
        session.execute(lock)  # several channels come at once
        row_id, ticket, opened = _read(session, token)
        if begins is bool(opened) or channel in opened or len(opened) >= MOST_CHANNELS:
            raise _unknown()
        session.execute(
            update(ConsoleAuthToken)
            .where(ConsoleAuthToken.id == row_id)
            .values(channels=" ".join((*opened, channel)))
            .execution_options(**_QUIET)
        )
        return ticket

    return store.transact(work)


def _read(session: Session, token: str) -> tuple[int, Ticket, tuple[str, ...]]:
    """Return a token's row number, what it is good for, and the channels that were opened with it."""
    if len(token) > _LONGEST:
        raise _unknown()
    row = session.execute(
        select(ConsoleAuthToken)
        .join(Server, Server.id == ConsoleAuthToken.server_id)
        .where(
            # The database compares hashes: how long that takes tells nothing of the token.
            ConsoleAuthToken.token_hash == _hashed(token),
            ConsoleAuthToken.expires_at >= epoch(),
            Server.deleted.is_(False),
            Server.host == ConsoleAuthToken.host,
        )
    ).scalar()
    if row is None:
        raise _unknown()
    return row.id, Ticket(row.server_id, row.host, row.console_type), tuple(row.channels.split())


def _unknown() -> NotFound:
    return NotFound("Token not found", "console.token_not_found")


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
