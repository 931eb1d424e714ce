"""QoS policies: named sets of limits for ports, networks and floating IPs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import FloatingIp, Network, Port, QosPolicy, QosRule, RbacPolicy
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.errors import Conflict, NotFound
from nova_lite.network import quotas, rbac, rows, tags
from nova_lite.network.queries import Listing, apply

_QUIET: dict[str, Any] = {"synchronize_session": False}
_USERS: tuple[tuple[str, Any], ...] = (("network", Network), ("port", Port), ("floating IP", FloatingIp))


@dataclass(frozen=True)
class NewPolicy:
    """What a policy is made of. ``is_default``: new networks of its project have it unless they name another."""

    project_id: str
    name: str = ""
    description: str = ""
    shared: bool = False
    is_default: bool = False


@dataclass(frozen=True)
class Shown:
    """A policy with its rules and tags; ``shared``: lent to whoever asked."""

    policy: QosPolicy
    rules: tuple[QosRule, ...] = ()
    tags: tuple[str, ...] = ()
    shared: bool = False


def not_found(policy_id: str) -> NotFound:
    """Word that there is no such policy."""
    return NotFound(f"QoS policy {policy_id} could not be found.", "network.qos_policy_not_found")


def visible_to(project_id: str | None) -> list[ColumnElement[bool]]:
    """Give the conditions under which a project may see and use a policy; None: an admin sees all."""
    if project_id is None:
        return []
    lent = rbac.lent("qos_policy", project_id)
    return [or_(QosPolicy.project_id == project_id, QosPolicy.shared.is_(True), QosPolicy.id.in_(lent))]


def require(session: Session, policy_id: str, project_id: str | None) -> None:
    """Hold a policy that *project_id* (None: an admin) may use until the transaction ends, so that it can't go meanwhile.

    :raises NotFound: there is none such.
    """
    query = select(QosPolicy.id).where(QosPolicy.id == policy_id, *visible_to(project_id))
    if session.scalar(query.with_for_update(read=True)) is None:
        raise not_found(policy_id)


def default_of(session: Session, project_id: str) -> str | None:
    """Return the policy that new networks of a project have."""
    return session.scalar(
        select(QosPolicy.id).where(QosPolicy.project_id == project_id, QosPolicy.is_default.is_(True)).limit(1)
    )


def create(store: Store, news: Sequence[NewPolicy]) -> list[Shown]:
    """Make policies, all or none. :raises Conflict: a project would have two default ones."""

    def work(session: Session) -> list[Shown]:
        made = []
        for new in news:
            if new.is_default:
                _check_default(session, new.project_id, None)
            row = QosPolicy(
                id=new_id(),
                project_id=new.project_id,
                name=new.name,
                description=new.description,
                shared=new.shared,
                is_default=new.is_default,
                revision=0,
                created_at=now(),
                updated_at=now(),
            )
            session.add(row)
            session.flush()
            made.append(Shown(row, shared=row.shared))
        return made

    return store.transact(work)


def _check_default(session: Session, project_id: str, policy_id: str | None) -> None:
    """Refuse a second default policy; whoever sets one waits for whoever else does."""
    quotas.serialize(session, f"lock:default-qos:{project_id}"[:64])
    other = default_of(session, project_id)
    if other not in (None, policy_id):
        raise Conflict(
            f"A default QoS policy exists for project {project_id}.", "network.qos_policy_default_already_exists"
        )


def get(store: Store, policy_id: str, project_id: str | None) -> Shown:
    """Return a policy that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(QosPolicy).where(QosPolicy.id == policy_id, *visible_to(project_id)))
        if row is None:
            raise not_found(policy_id)
        return _shown(session, [row])[0]


def find(store: Store, listing: Listing) -> list[Shown]:
    """List the policies that *listing* asks for, in four queries whatever their number."""
    with store.read() as session:
        query = select(QosPolicy).where(*visible_to(listing.project_id))
        return _shown(session, list(session.scalars(apply(session, query, QosPolicy, listing))))


def _shown(session: Session, found: Sequence[QosPolicy]) -> list[Shown]:
    if not found:
        return []
    identifiers = [row.id for row in found]
    rules: dict[str, list[QosRule]] = {}
    for rule in session.scalars(select(QosRule).where(QosRule.policy_id.in_(identifiers)).order_by(QosRule.direction)):
        rules.setdefault(rule.policy_id, []).append(rule)
    lent = select(RbacPolicy.object_id).where(
        RbacPolicy.object_type == "qos_policy", RbacPolicy.object_id.in_(identifiers)
    )
    shared = set(session.scalars(lent.where(RbacPolicy.target_project == rbac.EVERYBODY)))
    tagged = tags.of(session, identifiers)
    return [
        Shown(row, tuple(rules.get(row.id, ())), tagged.get(row.id, ()), row.shared or row.id in shared)
        for row in found
    ]


def change(store: Store, policy_id: str, values: Mapping[str, Any], expected: int | None = None) -> None:
    """Change columns of a policy. :raises NotFound: it has gone. :raises Conflict: there would be two default ones."""

    def work(session: Session) -> None:
        row = session.scalar(select(QosPolicy).where(QosPolicy.id == policy_id).with_for_update())
        if row is None:
            raise not_found(policy_id)
        if values.get("is_default"):
            _check_default(session, row.project_id, policy_id)
        rows.revise(session, QosPolicy, policy_id, values, expected=expected)

    store.transact(work)


def delete(store: Store, policy_id: str, expected: int | None = None) -> None:
    """Delete a policy with its rules. :raises NotFound: it has gone. :raises Conflict: something has it."""

    def work(session: Session) -> None:
        if session.scalar(select(QosPolicy.id).where(QosPolicy.id == policy_id).with_for_update()) is None:
            raise not_found(policy_id)
        rows.check_revision(session, QosPolicy, policy_id, expected)
        for noun, model in _USERS:
            user = session.scalar(select(model.id).where(model.qos_policy_id == policy_id).limit(1))
            if user is not None:
                raise Conflict(f"QoS Policy {policy_id} is used by {noun} {user}.", "network.qos_policy_in_use")
        tags.forget(session, [policy_id])
        for statement in (
            sql_delete(RbacPolicy).where(RbacPolicy.object_id == policy_id),
            sql_delete(QosRule).where(QosRule.policy_id == policy_id),
            sql_delete(QosPolicy).where(QosPolicy.id == policy_id),
        ):
            session.execute(statement.execution_options(**_QUIET))

    store.transact(work)
