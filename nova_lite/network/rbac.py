"""RBAC policies: a network or another thing that its project lends to a project, or to all.

That a network is lent to everybody stands in its row too (``shared``, ``external``), so that a listing needs no look at the policies; the
functions here change both in one transaction.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, select

from nova_lite.db.models import AddressGroup, Network, QosPolicy, RbacPolicy, SecurityGroup, SubnetPool

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
