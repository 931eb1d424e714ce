"""Security group rules: make, find, delete."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oslo_config import cfg
from sqlalchemy import delete as sql_delete
from sqlalchemy import or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.sql import ColumnElement

from nova_lite.db.models import AddressGroup, SecurityGroup, SecurityGroupRule
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import address_groups, quotas, rows, security_groups, touch
from nova_lite.network import security_rule_forms as forms
from nova_lite.network.queries import Listing, apply
from nova_lite.network.security_rule_forms import RuleForm


@dataclass(frozen=True)
class NewRule:
    """A rule for a group."""

    group_id: str
    form: RuleForm


@dataclass(frozen=True)
class Shown:
    """A rule, whose group it is in, and whether that is a default one."""

    rule: SecurityGroupRule
    group_project_id: str
    in_default: bool


def not_found(rule_id: str) -> NotFound:
    """Word that there is no such rule."""
    return NotFound(f"Security group rule {rule_id} does not exist", "network.security_group_rule_not_found")


def create(
    store: Store, conf: cfg.ConfigOpts, news: Sequence[NewRule], visible_to: str | None
) -> tuple[list[Shown], list[str]]:
    """Add rules to one group, all or none; return them and the hosts touched. *visible_to* None: an admin.

    :raises NotFound: the group, or a remote one, is not there for *visible_to*.
    :raises Conflict: the group has one of the rules, or would have more than its project may.
    """
    group_id = _only_group(news)

    def work(session: Session) -> tuple[list[Shown], list[str]]:
        group = session.scalar(select(SecurityGroup).where(SecurityGroup.id == group_id).with_for_update())
        if group is None:
            raise security_groups.not_found(group_id)
        _check_remotes(session, news, visible_to)
        _check_new(session, group_id, news)
        quotas.take(session, conf, group.project_id, "security_group_rule", len(news))
        made = forms.add(session, group_id, group.project_id, [new.form for new in news])
        rows.revise(session, SecurityGroup, group_id, {})
        hosts = touch.touch_rules(session, group_id)
        found = {
            row.id: row for row in session.scalars(select(SecurityGroupRule).where(SecurityGroupRule.id.in_(made)))
        }
        default = group.default_of is not None
        return [Shown(found[identifier], group.project_id, default) for identifier in made], hosts

    try:
        return store.transact(work)
    except IntegrityError as error:
        # A remote group went between the look and the insert.
        raise Conflict("A group that the rule names is being deleted.", "network.security_group_conflict") from error


def _only_group(news: Sequence[NewRule]) -> str:
    if len({new.group_id for new in news}) != 1:
        raise Invalid(
            "Only allowed to update rules for one security profile at a time",
            "network.security_group_not_single_group_rules",
        )
    return news[0].group_id


def _check_remotes(session: Session, news: Sequence[NewRule], visible_to: str | None) -> None:
    groups = {new.form.remote_group_id for new in news} - {None, news[0].group_id}
    if groups:
        conditions = security_groups.visible_to(visible_to)
        there = set(session.scalars(select(SecurityGroup.id).where(SecurityGroup.id.in_(groups), *conditions)))
        for missing in sorted(str(each) for each in groups - there):
            raise security_groups.not_found(missing)
    lists = {new.form.remote_address_group_id for new in news} - {None}
    if lists:
        conditions = address_groups.visible_to(visible_to)
        there = set(session.scalars(select(AddressGroup.id).where(AddressGroup.id.in_(lists), *conditions)))
        for missing in sorted(str(each) for each in lists - there):
            raise address_groups.not_found(missing)


def _check_new(session: Session, group_id: str, news: Sequence[NewRule]) -> None:
    """Refuse what is there already; the group's row is locked, and the key of ``same`` decides in the end."""
    wanted = {new.form.same for new in news}
    if len(wanted) < len(news):
        raise Conflict("Duplicate Security Group Rule in POST.", "network.duplicate_security_group_rule_in_post")
    query = select(SecurityGroupRule.id).where(
        SecurityGroupRule.group_id == group_id, SecurityGroupRule.same.in_(sorted(wanted))
    )
    there = session.scalar(query.limit(1))
    if there is not None:
        raise Conflict(f"Security group rule already exists. Rule id is {there}.", "network.security_group_rule_exists")


def _visible(project_id: str | None) -> list[ColumnElement[bool]]:
    if project_id is None:
        return []
    groups = select(SecurityGroup.id).where(*security_groups.visible_to(project_id))
    return [or_(SecurityGroupRule.project_id == project_id, SecurityGroupRule.group_id.in_(groups))]


def get(store: Store, rule_id: str, project_id: str | None) -> Shown:
    """Return a rule that *project_id* may see (None: any). :raises NotFound: there is none."""
    query = select(SecurityGroupRule, SecurityGroup.project_id, SecurityGroup.default_of).join(
        SecurityGroup, SecurityGroup.id == SecurityGroupRule.group_id
    )
    with store.read() as session:
        found = session.execute(query.where(SecurityGroupRule.id == rule_id, *_visible(project_id))).first()
    if found is None:
        raise not_found(rule_id)
    return Shown(found[0], found[1], found[2] is not None)


def find(store: Store, listing: Listing, *conditions: ColumnElement[bool]) -> list[Shown]:
    """List the rules that *listing* asks for."""
    with store.read() as session:
        query = select(SecurityGroupRule).where(*_visible(listing.project_id), *conditions)
        found = list(session.scalars(apply(session, query, SecurityGroupRule, listing)))
        groups = select(SecurityGroup.id, SecurityGroup.project_id, SecurityGroup.default_of).where(
            SecurityGroup.id.in_({row.group_id for row in found})
        )
        owners = {row.id: row for row in session.execute(groups)} if found else {}
    return [
        Shown(row, owners[row.group_id].project_id, owners[row.group_id].default_of is not None)
        for row in found
        if row.group_id in owners
    ]


def in_default(*, yes: bool) -> ColumnElement[bool]:
    """Give the condition that a rule is in a default group, or is not."""
    groups = select(SecurityGroup.id).where(SecurityGroup.default_of.is_not(None))
    return SecurityGroupRule.group_id.in_(groups) if yes else SecurityGroupRule.group_id.not_in(groups)


def delete(store: Store, rule_id: str, expected: int | None = None) -> list[str]:
    """Delete a rule; return the hosts touched. :raises NotFound: it has gone."""

    def work(session: Session) -> list[str]:
        group_id = session.scalar(select(SecurityGroupRule.group_id).where(SecurityGroupRule.id == rule_id))
        if group_id is None:
            raise not_found(rule_id)
        rows.check_revision(session, SecurityGroupRule, rule_id, expected)
        rows.revise(session, SecurityGroup, group_id, {})
        gone = session.execute(
            sql_delete(SecurityGroupRule)
            .where(SecurityGroupRule.id == rule_id)
            .execution_options(synchronize_session=False)
        )
        if not gone.rowcount:  # type: ignore[attr-defined]
            raise not_found(rule_id)
        return touch.touch_rules(session, group_id)

    return store.transact(work)
