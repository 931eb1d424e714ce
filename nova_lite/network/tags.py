"""Tags of what the Network API has: read for many things at once, and changed as a set or one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Table, and_, delete, not_, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import NetworkTag
from nova_lite.db.store import Store
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Invalid, NotFound
from nova_lite.network import rows

MOST = 50
"""Tags that one thing may have, as upstream."""

_TAGS: Table = NetworkTag.__table__  # type: ignore[assignment]
_QUIET: dict[str, Any] = {"synchronize_session": False}


def of(session: Session, identifiers: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the tags of each of *identifiers* that has any, sorted, in one query."""
    wanted = list(identifiers)
    found: dict[str, list[str]] = {}
    if wanted:
        query = select(NetworkTag.resource_id, NetworkTag.tag).where(NetworkTag.resource_id.in_(wanted))
        for identifier, tag in session.execute(query.order_by(NetworkTag.tag)):
            found.setdefault(identifier, []).append(tag)
    return {identifier: tuple(tags) for identifier, tags in found.items()}


def forget(session: Session, identifiers: Iterable[str]) -> None:
    """Drop the tags of things that are being deleted."""
    wanted = list(identifiers)
    if wanted:
        session.execute(delete(NetworkTag).where(NetworkTag.resource_id.in_(wanted)).execution_options(**_QUIET))


def conditions(column: Any, wanted: Mapping[str, Sequence[str]]) -> list[ColumnElement[bool]]:
    """Turn the filters ``tags``, ``tags-any``, ``not-tags``, ``not-tags-any`` into conditions on an id's *column*."""
    found: list[ColumnElement[bool]] = []
    for name, tags in wanted.items():
        each = [column.in_(select(NetworkTag.resource_id).where(NetworkTag.tag == tag)) for tag in tags]
        if not each:
            continue
        joined = or_(*each) if name.endswith("any") else and_(*each)
        found.append(not_(joined) if name.startswith("not") else joined)
    return found


def put(session: Session, identifier: str, tags: Sequence[str]) -> None:
    """Give a thing these tags and no others, in the caller's transaction."""
    check(tags)
    forget(session, [identifier])
    _insert(session, identifier, tags)


def _insert(session: Session, identifier: str, tags: Sequence[str]) -> None:
    if tags:
        insert_absent(session, _TAGS, [{"resource_id": identifier, "tag": tag} for tag in sorted(dict.fromkeys(tags))])


def check(tags: Sequence[str]) -> None:
    """Refuse more tags than a thing may have. :raises Invalid: it is more."""
    if len(set(tags)) > MOST:
        raise Invalid(f"Invalid input for tags. Reason: a thing may have at most {MOST} tags.", "network.invalid_input")


def replace(store: Store, model: Any, identifier: str, tags: Sequence[str], expected: int | None = None) -> list[str]:
    """Give a thing these tags and no others; return them.

    :raises NotFound: it has gone. :raises PreconditionFailed: it has another revision than *expected*.
    """

    def work(session: Session) -> list[str]:
        _revise(session, model, identifier, expected)
        put(session, identifier, tags)
        return sorted(set(tags))

    return store.transact(work)


def add(store: Store, model: Any, identifier: str, tags: Sequence[str], expected: int | None = None) -> list[str]:
    """Give a thing more tags; that it has one already is success. Return all that it has.

    :raises NotFound: it has gone. :raises Invalid: they would be too many.
    :raises PreconditionFailed: it has another revision than *expected*.
    """

    def work(session: Session) -> list[str]:
        _revise(session, model, identifier, expected)
        all_tags = sorted({*of(session, [identifier]).get(identifier, ()), *tags})
        check(all_tags)
        _insert(session, identifier, tags)
        return all_tags

    return store.transact(work)


def remove(store: Store, model: Any, identifier: str, tag: str, expected: int | None = None) -> None:
    """Take one tag off. :raises NotFound: the thing has no such tag."""

    def work(session: Session) -> None:
        _revise(session, model, identifier, expected)
        result: Any = session.execute(
            delete(NetworkTag)
            .where(NetworkTag.resource_id == identifier, NetworkTag.tag == tag)
            .execution_options(**_QUIET)
        )
        if not result.rowcount:
            raise _no_tag(tag)

    store.transact(work)


def read(store: Store, identifier: str) -> list[str]:
    """Return a thing's tags."""
    with store.read() as session:
        return list(of(session, [identifier]).get(identifier, ()))


def require(store: Store, identifier: str, tag: str) -> None:
    """Check that a thing has a tag. :raises NotFound: it has not."""
    if tag not in read(store, identifier):
        raise _no_tag(tag)


def _revise(session: Session, model: Any, identifier: str, expected: int | None) -> None:
    if not rows.revise(session, model, identifier, {}, expected=expected):
        raise NotFound(f"Resource {identifier} could not be found.", "network.tag_resource_not_found")


def _no_tag(tag: str) -> NotFound:
    return NotFound(f"Tag {tag[:255]} could not be found.", "network.tag_not_found")
