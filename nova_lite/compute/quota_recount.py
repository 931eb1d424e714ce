"""Count anew what projects and users have, and compare it with what ``quota_usages`` says."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nova_lite.compute import quotas
from nova_lite.db.models import Keypair, QuotaUsage, Server, ServerGroup
from nova_lite.db.store import Store

Counts = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Difference:
    """A sum that is not what it should be."""

    scope: str
    resource: str
    recorded: int
    counted: int


def count(session: Session) -> Counts:
    """Count what each scope has, from the things themselves."""
    found: Counts = {}
    servers = (
        select(
            Server.project_id,
            func.sum(Server.quota_instances),
            func.sum(Server.quota_cores),
            func.sum(Server.quota_ram),
        )
        .where(Server.deleted.is_(False))
        .group_by(Server.project_id)
    )
    for project_id, instances, cores, ram in session.execute(servers):
        found[project_id] = {"instances": int(instances), "cores": int(cores), "ram": int(ram)}
    for user_id, number in session.execute(select(Keypair.user_id, func.count()).group_by(Keypair.user_id)):
        found.setdefault(quotas.of_user(user_id), {})["key_pairs"] = number
    groups = select(ServerGroup.project_id, func.count()).group_by(ServerGroup.project_id)
    for project_id, number in session.execute(groups):
        found.setdefault(project_id, {})["server_groups"] = number
    return found


def compare(session: Session) -> list[Difference]:
    """List the sums that differ from what is counted."""
    counted = count(session)
    recorded = {row.scope: row for row in session.scalars(select(QuotaUsage))}
    differences = []
    for scope in sorted({*counted, *recorded}):
        for name in quotas.COUNTED:
            was = getattr(recorded[scope], name) if scope in recorded else 0
            is_now = counted.get(scope, {}).get(name, 0)
            if was != is_now:
                differences.append(Difference(scope, name, was, is_now))
    return differences


def check(store: Store) -> list[Difference]:
    """List the sums that differ, changing nothing."""
    with store.read() as session:
        return compare(session)


def repair(store: Store) -> list[Difference]:
    """Set each sum that differs to what is counted; return what was changed. Whoever takes quota meanwhile waits."""

    def work(session: Session) -> list[Difference]:
        # Locking the rows first lets no one add to them between the count and its writing.
        rows = {row.scope: row for row in session.scalars(select(QuotaUsage).with_for_update())}
        differences = compare(session)
        for difference in differences:
            row = rows.get(difference.scope)
            if row is None:
                row = rows[difference.scope] = QuotaUsage(scope=difference.scope)
                session.add(row)
            setattr(row, difference.resource, difference.counted)
        session.flush()
        return differences

    return store.transact(work)
