"""RBAC policies: a network or another thing that its project lends to a project, or to all.

That a network is lent to everybody stands in its row too (``shared``, ``external``), so that a listing needs no look at the policies; the
functions here change both in one transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, Table, delete, select
from sqlalchemy.orm import Session

from nova_lite.db.models import AddressGroup, Network, QosPolicy, RbacPolicy, SecurityGroup, SubnetPool
from nova_lite.db.types import new_id, now
from nova_lite.db.upserts import insert_absent

_POLICIES: Table = RbacPolicy.__table__  # type: ignore[assignment]

SHARED = "access_as_shared"
EXTERNAL = "access_as_external"
EVERYBODY = "*"

OBJECTS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "network": (Network, (SHARED, EXTERNAL)),
    "subnetpool": (SubnetPool, (SHARED,)),
    "security_group": (SecurityGroup, (SHARED,)),
    "address_group": (AddressGroup, (SHARED,)),
    "qos_policy": (QosPolicy, (SHARED,)),
}
"""What can be lent: its table, and the actions that it can be lent for."""


def lent(object_type: str, project_id: str, action: str | None = None) -> Select[Any]:
    """Give the ids of the things of a type that are lent to *project_id* or to everybody, as a subquery. *action* None: any."""
    query = select(RbacPolicy.object_id).where(
        RbacPolicy.object_type == object_type, RbacPolicy.target_project.in_([project_id, EVERYBODY])
    )
    return query if action is None else query.where(RbacPolicy.action == action)


def lend_to_all(session: Session, object_type: str, object_id: str, action: str, project_id: str) -> None:
    """Note that everybody may use a thing; that it is noted already is success."""
    moment = now()
    row = {
        "id": new_id(),
        "project_id": project_id,
        "object_type": object_type,
        "object_id": object_id,
        "action": action,
        "target_project": EVERYBODY,
        "created_at": moment,
        "updated_at": moment,
    }
    insert_absent(session, _POLICIES, [row])


def take_back_from_all(session: Session, object_id: str, action: str) -> None:
    """Note that not everybody may use a thing any more."""
    session.execute(
        delete(RbacPolicy)
        .where(
            RbacPolicy.object_id == object_id,
            RbacPolicy.action == action,
            RbacPolicy.target_project == EVERYBODY,
        )
        .execution_options(synchronize_session=False)
    )


def forget(session: Session, object_id: str) -> None:
    """Drop the policies of a thing that is being deleted."""
    session.execute(
        delete(RbacPolicy).where(RbacPolicy.object_id == object_id).execution_options(synchronize_session=False)
    )
