"""RBAC policies themselves: make, find, point elsewhere, delete. What they do is in :mod:`nova_lite.network.rbac`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import Select, Table, select, update
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import Network, Port, PortSecurityGroup, RbacPolicy, SecurityGroupRule, Subnet
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import network_rules, quotas
from nova_lite.network.queries import Listing, apply
from nova_lite.network.rbac import EVERYBODY, EXTERNAL, OBJECTS

_POLICIES: Table = RbacPolicy.__table__  # type: ignore[assignment]
_QUIET: dict[str, Any] = {"synchronize_session": False}


@dataclass(frozen=True)
class NewPolicy:
    """What a policy is made of; ``project_id`` is whose it is, ``target`` a project or ``*``."""

    project_id: str
    object_type: str
    object_id: str
    action: str
    target: str


def create(store: Store, new: NewPolicy, scope: str | None, conf: cfg.ConfigOpts) -> RbacPolicy:
    """Lend a thing that *scope* owns (None: any thing).

    :raises NotFound: there is no such thing. :raises Invalid: it can't be lent for that.
    :raises Conflict: it is lent so already, or the quota is used up.
    """
    model, actions = OBJECTS[new.object_type]
    if new.action not in actions:
        raise Invalid(
            f"Invalid action '{new.action}' for object type '{new.object_type}'. Valid actions: {', '.join(actions)}.",
            "network.invalid_input",
        )

    def work(session: Session) -> RbacPolicy:
        query = select(model).where(model.id == new.object_id).with_for_update()
        thing = session.scalar(query if scope is None else query.where(model.project_id == scope))
        if thing is None:
            raise NotFound(f"{new.object_type} {new.object_id} could not be found.", "network.rbac_object_not_found")
        quotas.take(session, conf, new.project_id, "rbac_policy")
        identifier, moment = new_id(), now()
        row = {
            "id": identifier,
            "project_id": new.project_id,
            "object_type": new.object_type,
            "object_id": new.object_id,
            "action": new.action,
            "target_project": new.target,
            "created_at": moment,
            "updated_at": moment,
        }
        insert_absent(session, _POLICIES, [row])
        made = session.get(RbacPolicy, identifier)
        if made is None:
            raise _exists()
        if new.target == EVERYBODY:
            _mark(session, made, True)
        return made

    return store.transact(work)


def _exists() -> Conflict:
    return Conflict("An RBAC policy already exists with those values.", "network.duplicate_rbac_policy")


def _mark(session: Session, policy: RbacPolicy, truth: bool) -> None:
    """Note in the thing's own row that it is lent to everybody, or no more."""
    model, _ = OBJECTS[policy.object_type]
    column = "external" if policy.action == EXTERNAL else "shared"
    if hasattr(model, column):
        session.execute(
            update(model).where(model.id == policy.object_id).values({column: truth}).execution_options(**_QUIET)
        )


def _owned(project_id: str | None) -> list[ColumnElement[bool]]:
    return [] if project_id is None else [RbacPolicy.project_id == project_id]


def not_found(policy_id: str) -> NotFound:
    """Make the error that says that there is no such policy."""
    return NotFound(f"RBAC policy with id {policy_id} not found", "network.rbac_policy_not_found")


def get(store: Store, policy_id: str, project_id: str | None) -> RbacPolicy:
    """Return a policy of *project_id* (None: of any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(RbacPolicy).where(RbacPolicy.id == policy_id, *_owned(project_id)))
    if row is None:
        raise not_found(policy_id)
    return row


def find(store: Store, listing: Listing) -> Sequence[RbacPolicy]:
    """List the policies that *listing* asks for."""
    with store.read() as session:
        query = select(RbacPolicy).where(*_owned(listing.project_id))
        return session.scalars(apply(session, query, RbacPolicy, listing)).all()


def retarget(store: Store, policy_id: str, target: str) -> None:
    """Lend a thing to another project instead.

    :raises NotFound: there is no such policy. :raises Conflict: who would lose the thing uses it, or the other has it already.
    """

    def work(session: Session) -> None:
        row = _hold(session, policy_id)
        if row.target_project == target:
            return
        same = (
            RbacPolicy.object_id == row.object_id,
            RbacPolicy.action == row.action,
            RbacPolicy.target_project == target,
        )
        if session.scalar(select(RbacPolicy.id).where(*same)) is not None:
            raise _exists()
        _check_unused(session, row, keeps=target)
        if EVERYBODY in (row.target_project, target):
            _mark(session, row, target == EVERYBODY)
        row.target_project = target

    store.transact(work)


def delete(store: Store, policy_id: str) -> None:
    """Take a thing back. :raises NotFound: there is no such policy. :raises Conflict: who would lose the thing uses it."""

    def work(session: Session) -> None:
        row = _hold(session, policy_id)
        _check_unused(session, row)
        if row.target_project == EVERYBODY:
            _mark(session, row, False)
        session.execute(sql_delete(RbacPolicy).where(RbacPolicy.id == policy_id).execution_options(**_QUIET))

    store.transact(work)


def _hold(session: Session, policy_id: str) -> RbacPolicy:
    """Return a policy, with the thing that it lends locked: whoever begins to use that now waits."""
    row = session.scalar(select(RbacPolicy).where(RbacPolicy.id == policy_id).with_for_update())
    if row is None:
        raise not_found(policy_id)
    model, _ = OBJECTS[row.object_type]
    session.execute(select(model.id).where(model.id == row.object_id).with_for_update())
    return row


def _users(row: RbacPolicy) -> list[Select[Any]]:
    """Queries that give the projects which use what a policy lends."""
    identifier = row.object_id
    members = select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == identifier)
    return {
        "network": [select(Port.project_id).where(Port.network_id == identifier)],
        "subnetpool": [select(Subnet.project_id).where(Subnet.subnetpool_id == identifier)],
        "security_group": [
            select(Port.project_id).where(Port.id.in_(members)),
            select(SecurityGroupRule.project_id).where(SecurityGroupRule.remote_group_id == identifier),
        ],
        "address_group": [
            select(SecurityGroupRule.project_id).where(SecurityGroupRule.remote_address_group_id == identifier)
        ],
        "qos_policy": [
            select(Port.project_id).where(Port.qos_policy_id == identifier),
            select(Network.project_id).where(Network.qos_policy_id == identifier),
        ],
    }[row.object_type]


def _check_unused(session: Session, row: RbacPolicy, keeps: str | None = None) -> None:
    """Refuse to take a thing from a project that uses it. *keeps*: a project (or everybody) that may use it all the same.

    :raises Conflict: one does.
    """
    if row.action == EXTERNAL:
        if row.target_project == EVERYBODY and keeps is None:
            network_rules.check_internal(session, row.object_id)
        return
    if keeps == EVERYBODY:
        return
    model, _ = OBJECTS[row.object_type]
    owner = session.scalar(select(model.project_id).where(model.id == row.object_id))
    others = set(
        session.scalars(
            select(RbacPolicy.target_project).where(
                RbacPolicy.object_id == row.object_id, RbacPolicy.action == row.action, RbacPolicy.id != row.id
            )
        )
    )
    if EVERYBODY in others:
        return
    users = {project for query in _users(row) for project in session.scalars(query.distinct())}
    losing = users - others - {owner, keeps, ""}
    if row.target_project != EVERYBODY:
        losing &= {row.target_project}
    if losing:
        raise Conflict(
            f"RBAC policy on object {row.object_id} cannot be removed because other objects depend on it. "
            f"Details: projects use it: {', '.join(sorted(losing))}",
            "network.rbac_policy_in_use",
        )
