"""Security groups: each project has a default one, and its ports are in it unless they ask for others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg
from sqlalchemy import Table, bindparam, or_, select
from sqlalchemy import delete as sql_delete
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import PortSecurityGroup, RbacPolicy, SecurityGroup, SecurityGroupRule
from nova_lite.db.store import Store
from nova_lite.db.types import new_id, now
from nova_lite.db.upserts import insert_absent
from nova_lite.errors import Conflict, NotFound
from nova_lite.network import quotas, rbac, rows, tags, touch
from nova_lite.network import security_rule_forms as forms
from nova_lite.network.queries import Listing, apply

DEFAULT = "default"

_GROUPS: Table = SecurityGroup.__table__  # type: ignore[assignment]
_QUIET: dict[str, Any] = {"synchronize_session": False}
# Made once: to make a statement anew takes longer than to run it.
_DEFAULT_OF = select(_GROUPS.c.id).where(_GROUPS.c.default_of == bindparam("of_project"))


@dataclass(frozen=True)
class NewGroup:
    """What a group is made of."""

    project_id: str
    name: str = ""
    description: str = ""
    stateful: bool = True
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shown:
    """A group with its rules, oldest first, and its tags. ``shared``: lent to whoever asked."""

    group: SecurityGroup
    rules: tuple[SecurityGroupRule, ...]
    tags: tuple[str, ...] = ()
    shared: bool = False


def not_found(group_id: str) -> NotFound:
    """Word that there is no such group."""
    return NotFound(f"Security group {group_id} does not exist", "network.security_group_not_found")


def in_use(group_id: str) -> Conflict:
    """Word that ports are in the group."""
    return Conflict(f"Security Group {group_id} in use.", "network.security_group_in_use")


def visible_to(project_id: str | None) -> list[ColumnElement[bool]]:
    """Give the conditions under which a project may see and use a group; None: an admin sees all."""
    if project_id is None:
        return []
    lent = rbac.lent("security_group", project_id)
    return [or_(SecurityGroup.project_id == project_id, SecurityGroup.id.in_(lent))]


def ensure_default(session: Session, project_id: str) -> str:
    """Return the id of the project's default group, made in the caller's transaction if it is not there yet.

    Of several that make it at once one does; the key of ``default_of`` decides.
    """
    found: str | None = session.scalar(_DEFAULT_OF, {"of_project": project_id})
    if found is not None:
        return found
    identifier, moment = new_id(), now()
    row = {
        "id": identifier,
        "project_id": project_id,
        "name": DEFAULT,
        "description": "Default security group",
        "stateful": True,
        "default_of": project_id,
        "revision": 1,
        "created_at": moment,
        "updated_at": moment,
    }
    insert_absent(session, _GROUPS, [row])
    holder: str = session.scalars(_DEFAULT_OF, {"of_project": project_id}).one()
    if holder == identifier:
        forms.add(session, identifier, project_id, forms.first_rules(identifier, default=True))
    return holder


def have_default(store: Store, project_id: str) -> None:
    """Make sure that the project has its default group, as each look at its groups does."""
    with store.read() as session:
        if session.scalar(select(SecurityGroup.id).where(SecurityGroup.default_of == project_id)) is not None:
            return
    store.transact(lambda session: ensure_default(session, project_id))


def check_name(name: str) -> None:
    """Refuse the default group's name for another. :raises Conflict: it is that."""
    if name.lower() == DEFAULT:
        raise Conflict("Default security group already exists.", "network.security_group_default_already_exists")


def create(store: Store, conf: cfg.ConfigOpts, news: Sequence[NewGroup]) -> list[Shown]:
    """Make groups, each with the rules that let all leave; all of them or none.

    :raises Conflict: one is called ``default``, or the project may not have so many groups or rules.
    """
    for new in news:
        check_name(new.name)

    def work(session: Session) -> list[Shown]:
        return _shown(session, [_add(session, conf, new) for new in news], None)

    return store.transact(work)


def _add(session: Session, conf: cfg.ConfigOpts, new: NewGroup) -> SecurityGroup:
    ensure_default(session, new.project_id)
    quotas.take(session, conf, new.project_id, "security_group")
    first = forms.first_rules("")
    quotas.take(session, conf, new.project_id, "security_group_rule", len(first))
    row = SecurityGroup(
        id=new_id(),
        project_id=new.project_id,
        name=new.name,
        description=new.description,
        stateful=new.stateful,
        revision=1,
        created_at=now(),
        updated_at=now(),
    )
    session.add(row)
    session.flush()
    forms.add(session, row.id, new.project_id, first)
    tags.put(session, row.id, new.tags)
    return row


def get(store: Store, group_id: str, project_id: str | None) -> Shown:
    """Return a group that *project_id* may see (None: any). :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(SecurityGroup).where(SecurityGroup.id == group_id, *visible_to(project_id)))
        if row is None:
            raise not_found(group_id)
        return _shown(session, [row], project_id)[0]


def find(store: Store, listing: Listing, *conditions: ColumnElement[bool]) -> list[Shown]:
    """List the groups that *listing* asks for, in four queries whatever their number."""
    with store.read() as session:
        query = select(SecurityGroup).where(*visible_to(listing.project_id), *conditions)
        found = list(session.scalars(apply(session, query, SecurityGroup, listing)))
        return _shown(session, found, listing.project_id)


def lent_to(project_id: str | None, *, shared: bool) -> ColumnElement[bool]:
    """Give the condition that a group is lent to the project (None: to anybody), or is not."""
    lent = select(RbacPolicy.object_id).where(RbacPolicy.object_type == "security_group")
    if project_id is not None:
        lent = rbac.lent("security_group", project_id)
    return SecurityGroup.id.in_(lent) if shared else SecurityGroup.id.not_in(lent)


def _shown(session: Session, found: Sequence[SecurityGroup], project_id: str | None) -> list[Shown]:
    if not found:
        return []
    identifiers = [row.id for row in found]
    by_group: dict[str, list[SecurityGroupRule]] = {}
    query = select(SecurityGroupRule).where(SecurityGroupRule.group_id.in_(identifiers))
    order = (
        SecurityGroupRule.created_at,
        SecurityGroupRule.direction,
        SecurityGroupRule.ethertype,
        SecurityGroupRule.id,
    )
    for rule in session.scalars(query.order_by(*order)):
        by_group.setdefault(rule.group_id, []).append(rule)
    lent = select(RbacPolicy.object_id).where(RbacPolicy.object_type == "security_group")
    if project_id is not None:
        lent = lent.where(RbacPolicy.target_project.in_([project_id, rbac.EVERYBODY]))
    shared = set(session.scalars(lent.where(RbacPolicy.object_id.in_(identifiers))))
    tagged = tags.of(session, identifiers)
    return [Shown(row, tuple(by_group.get(row.id, ())), tagged.get(row.id, ()), row.id in shared) for row in found]


def change(store: Store, group_id: str, values: Mapping[str, Any], expected: int | None = None) -> list[str]:
    """Change name, description or statefulness of a group; return the hosts touched.

    :raises NotFound: it has gone.
    :raises Conflict: it is a default group and is to be renamed, or ports are in it and its statefulness is to change.
    """

    def work(session: Session) -> list[str]:
        row = session.scalar(select(SecurityGroup).where(SecurityGroup.id == group_id).with_for_update())
        if row is None:
            raise not_found(group_id)
        rows.check_revision(session, SecurityGroup, group_id, expected)
        if "name" in values:
            if row.default_of is not None:
                raise Conflict(
                    "Updating default security group not allowed.", "network.security_group_cannot_update_default"
                )
            check_name(values["name"])
        turned = values.get("stateful", row.stateful) != row.stateful
        if turned and _has_ports(session, group_id):
            raise in_use(group_id)
        rows.revise(session, SecurityGroup, group_id, values)
        return touch.touch_rules(session, group_id) if turned else []

    return store.transact(work)


def _has_ports(session: Session, group_id: str) -> bool:
    query = select(PortSecurityGroup.port_id).where(PortSecurityGroup.group_id == group_id).limit(1)
    return session.scalar(query) is not None


def delete(store: Store, group_id: str, *, is_admin: bool, expected: int | None = None) -> list[str]:
    """Delete a group, its rules, and the rules of others that name it as remote; return the hosts touched.

    :raises NotFound: it has gone.
    :raises Conflict: ports are in it, or it is a default group and *is_admin* is false.
    """

    def work(session: Session) -> list[str]:
        # Locked first: a port that is put into the group meanwhile waits for the key, and then finds it gone.
        row = session.scalar(select(SecurityGroup).where(SecurityGroup.id == group_id).with_for_update())
        if row is None:
            raise not_found(group_id)
        rows.check_revision(session, SecurityGroup, group_id, expected)
        if _has_ports(session, group_id):
            raise in_use(group_id)
        if row.default_of is not None and not is_admin:
            raise Conflict(
                "Insufficient rights for removing default security group.",
                "network.security_group_cannot_remove_default",
            )
        hosts = touch.touch_group(session, group_id)
        mine_or_naming = or_(SecurityGroupRule.group_id == group_id, SecurityGroupRule.remote_group_id == group_id)
        session.execute(sql_delete(SecurityGroupRule).where(mine_or_naming).execution_options(**_QUIET))
        tags.forget(session, [group_id])
        session.execute(sql_delete(RbacPolicy).where(RbacPolicy.object_id == group_id).execution_options(**_QUIET))
        session.execute(sql_delete(SecurityGroup).where(SecurityGroup.id == group_id).execution_options(**_QUIET))
        return hosts

    return store.transact(work)
