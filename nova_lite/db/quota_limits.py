"""Set limits of quotas: of a project, of a user in one, of a class; of servers as of networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from nova_lite.db.models import QuotaLimit
from nova_lite.db.upserts import insert_absent

_ROWS: Any = QuotaLimit.__table__
_SET = (
    update(_ROWS)
    .where(
        _ROWS.c.project_id == bindparam("of_project"),
        _ROWS.c.user_id == bindparam("of_user"),
        _ROWS.c.resource == bindparam("of_resource"),
    )
    .values(hard_limit=bindparam("limit"))
)


def set_limits(session: Session, project_id: str, user_id: str, limits: Mapping[str, int]) -> None:
    """Have these limits, whoever else sets some at the same time. *user_id*: empty for the whole project's."""
    for resource, limit in sorted(limits.items()):
        row = {"project_id": project_id, "user_id": user_id, "resource": resource, "hard_limit": limit}
        if not insert_absent(session, _ROWS, [row]):
            session.execute(
                _SET, {"of_project": project_id, "of_user": user_id, "of_resource": resource, "limit": limit}
            )
