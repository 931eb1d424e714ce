"""The rules of QoS policies: bandwidth limits, one for each direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.models import QosPolicy, QosRule
from nova_lite.db.store import Store
from nova_lite.db.types import new_id
from nova_lite.errors import Conflict, NotFound
from nova_lite.network import qos_policies, rows, touch

KIND = "bandwidth_limit"
_QUIET: dict[str, Any] = {"synchronize_session": False}


def not_found(rule_id: str, policy_id: str) -> NotFound:
    """Word that the policy has no such rule."""
    return NotFound(f"QoS rule {rule_id} for policy {policy_id} could not be found.", "network.qos_rule_not_found")


def unknown(rule_id: str) -> NotFound:
    """Word that no policy has such a rule."""
    return NotFound(f"QoS rule {rule_id} could not be found.", "network.qos_rule_not_found")


def create(store: Store, policy_id: str, values: Mapping[str, Any]) -> tuple[QosRule, list[str]]:
    """Add a limit to a policy; return it and the hosts touched.

    :raises NotFound: the policy has gone.
    :raises Conflict: it has a limit of that direction.
    """

    def work(session: Session) -> tuple[QosRule, list[str]]:
        _hold(session, policy_id)
        _check_direction(session, policy_id, values["direction"], None)
        row = QosRule(id=new_id(), policy_id=policy_id, **values)
        session.add(row)
        session.flush()
        return row, touch.touch_qos(session, policy_id)

    return store.transact(work)


def _hold(session: Session, policy_id: str) -> None:
    """Lock a policy, whose revision grows with its rules' changes."""
    if not rows.revise(session, QosPolicy, policy_id, {}):
        raise qos_policies.not_found(policy_id)


def _check_direction(session: Session, policy_id: str, direction: str, rule_id: str | None) -> None:
    query = select(QosRule.id).where(QosRule.policy_id == policy_id, QosRule.direction == direction)
    other = session.scalar(query if rule_id is None else query.where(QosRule.id != rule_id))
    if other is not None:
        raise Conflict(
            f"Rule {KIND} conflicts with rule {other} which already exists in QoS Policy {policy_id}.",
            "network.qos_rules_conflict",
        )


def get(store: Store, rule_id: str, policy_id: str) -> QosRule:
    """Return a rule of a policy. :raises NotFound: there is none."""
    with store.read() as session:
        row = session.scalar(select(QosRule).where(QosRule.id == rule_id, QosRule.policy_id == policy_id))
    if row is None:
        raise not_found(rule_id, policy_id)
    return row


def policy_of(store: Store, rule_id: str) -> str:
    """Return which policy has a rule. :raises NotFound: none has."""
    with store.read() as session:
        found = session.scalar(select(QosRule.policy_id).where(QosRule.id == rule_id))
    if found is None:
        raise unknown(rule_id)
    return found


def change(store: Store, rule_id: str, policy_id: str, values: Mapping[str, Any]) -> list[str]:
    """Change a rule; return the hosts touched. :raises NotFound: it has gone. :raises Conflict: of two of one direction."""

    def work(session: Session) -> list[str]:
        _hold(session, policy_id)
        if "direction" in values:
            _check_direction(session, policy_id, values["direction"], rule_id)
        chosen = select(QosRule.id).where(QosRule.id == rule_id, QosRule.policy_id == policy_id)
        if session.scalar(chosen) is None:
            raise not_found(rule_id, policy_id)
        if values:
            session.execute(update(QosRule).where(QosRule.id == rule_id).values(**values).execution_options(**_QUIET))
        return touch.touch_qos(session, policy_id)

    try:
        return store.transact(work)
    except IntegrityError as error:
        raise Conflict(f"QoS policy {policy_id} has such a rule already.", "network.qos_rules_conflict") from error


def delete(store: Store, rule_id: str, policy_id: str) -> list[str]:
    """Delete a rule; return the hosts touched. :raises NotFound: it has gone."""

    def work(session: Session) -> list[str]:
        _hold(session, policy_id)
        gone: Any = session.execute(
            sql_delete(QosRule).where(QosRule.id == rule_id, QosRule.policy_id == policy_id).execution_options(**_QUIET)
        )
        if not gone.rowcount:
            raise not_found(rule_id, policy_id)
        return touch.touch_qos(session, policy_id)

    return store.transact(work)
