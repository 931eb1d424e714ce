"""Quotas: what a project may have, taken in one conditional statement in the transaction that makes the thing.

``quota_usages`` holds a project's sums. Whoever makes or ends something changes them in the same transaction, so they are true
whatever dies; :mod:`nova_lite.compute.quota_recount` proves it. Statements are made once, as making one takes longer than running it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from sqlalchemy import Integer, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.models import QuotaLimit, QuotaUsage, Server
from nova_lite.db.store import Store
from nova_lite.errors import OverLimit

UNLIMITED = -1
SERVERS = ("instances", "cores", "ram")
"""What a project's servers use together."""
COUNTED = (*SERVERS, "key_pairs", "server_groups")
"""What is counted in ``quota_usages``."""
RESOURCES = (*COUNTED, "metadata_items", "server_group_members")
NETWORK = ("fixed_ips", "floating_ips", "security_groups", "security_group_rules")
"""Until 2.35 these were compute's; they can be set and limit nothing here, as the network API has its own."""
FILES = ("injected_files", "injected_file_content_bytes", "injected_file_path_bytes")
"""Until 2.56, of each server (``nova_lite.compute.personality``)."""
_OLD = dict.fromkeys(NETWORK, -1) | dict(zip(FILES, (5, 10_240, 255), strict=True))
DEFAULT_CLASS = "default"

Amounts = Mapping[str, int]
_USAGES: Any = QuotaUsage.__table__
_SERVERS: Any = Server.__table__
_OWN: Any = QuotaLimit.__table__


class NoUsageRow(Exception):
    """The scope has no row yet: the caller's transaction rolls back, and is run again after :func:`ensure`."""

    def __init__(self, scope: str) -> None:
        super().__init__(scope)
        self.scope = scope


def of_user(user_id: str) -> str:
    """Return the scope of what is counted by user: keypairs."""
    return f"user:{user_id}"


def class_of(name: str) -> str:
    """Return what a class's limits are kept under."""
    return f"class:{name}"


def defaults(conf: cfg.ConfigOpts, session: Session) -> dict[str, int]:
    """Return the limits of a project that nothing was set for: the default class's, else the configuration's."""
    rows = session.execute(_LIMITS, {"of_projects": [class_of(DEFAULT_CLASS)], "of_users": [""]})
    return configured(conf) | {row.resource: row.hard_limit for row in rows}


def configured(conf: cfg.ConfigOpts) -> dict[str, int]:
    """Return the configuration's limits."""
    return _OLD | {name: getattr(conf.quota, name) for name in RESOURCES}


def limits(conf: cfg.ConfigOpts, session: Session, project_id: str, user_id: str = "") -> dict[str, int]:
    """Return a project's limits; with *user_id*, those of one user in it (the project's where none were set for them)."""
    whole, own = limits_of(conf, session, project_id, user_id)
    return whole | own


def limits_of(
    conf: cfg.ConfigOpts, session: Session, project_id: str, user_id: str = ""
) -> tuple[dict[str, int], dict[str, int]]:
    """Return a project's limits, and those that were set for one user in it, in one query."""
    keys = [class_of(DEFAULT_CLASS), project_id]
    rows = session.execute(_LIMITS, {"of_projects": keys, "of_users": ["", user_id] if user_id else [""]}).all()
    whole = configured(conf)
    whole |= {row.resource: row.hard_limit for row in rows if row.project_id != project_id and not row.user_id}
    whole |= {row.resource: row.hard_limit for row in rows if row.project_id == project_id and not row.user_id}
    own = {row.resource: row.hard_limit for row in rows if row.project_id == project_id and row.user_id}
    return whole, own


_LIMITS = select(_OWN.c.project_id, _OWN.c.user_id, _OWN.c.resource, _OWN.c.hard_limit).where(
    _OWN.c.project_id.in_(bindparam("of_projects", expanding=True)),
    _OWN.c.user_id.in_(bindparam("of_users", expanding=True)),
)


def usage(session: Session, scope: str) -> dict[str, int]:
    """Return what a project (or ``of_user``) has."""
    row = session.execute(_USAGE, {"of_scope": scope}).first()
    return {name: 0 if row is None else getattr(row, name) for name in COUNTED}


_USAGE = select(_USAGES).where(_USAGES.c.scope == bindparam("of_scope"))


def usage_of_user(session: Session, project_id: str, user_id: str) -> dict[str, int]:
    """Count what one user's servers use in a project."""
    row = session.execute(_OF_USER, {"of_project": project_id, "of_user": user_id}).one()
    return dict(zip(SERVERS, (int(value) for value in row), strict=True))


_OF_USER = select(
    func.count(), func.coalesce(func.sum(_SERVERS.c.vcpus), 0), func.coalesce(func.sum(_SERVERS.c.memory_mb), 0)
).where(
    _SERVERS.c.project_id == bindparam("of_project"),
    _SERVERS.c.user_id == bindparam("of_user"),
    _SERVERS.c.deleted.is_(False),
)


def take(session: Session, scope: str, wanted: Amounts, limit: Amounts) -> None:
    """Add *wanted* to what *scope* has, if all of it fits within *limit*; nothing is added otherwise.

    :raises OverLimit: it does not fit; in Nova's words.
    :raises NoUsageRow: the scope has none yet.
    """
    names = tuple(name for name in COUNTED if wanted.get(name))
    if not names:
        return
    values: dict[str, Any] = {"of_scope": scope}
    for name in names:
        values |= {f"more_{name}": wanted[name], f"most_{name}": limit[name]}
    result: Any = session.execute(_taking(names), values)
    if result.rowcount:
        return
    row = session.execute(_USAGE, {"of_scope": scope}).first()
    if row is None:
        raise NoUsageRow(scope)
    raise _over(names, wanted, {name: getattr(row, name) for name in names}, limit)


_TAKING: dict[tuple[str, ...], Any] = {}


def _taking(names: tuple[str, ...]) -> Any:
    statement = _TAKING.get(names)
    if statement is None:
        fits = [
            or_(
                bindparam(f"most_{name}", type_=Integer) < 0,
                _USAGES.c[name] + bindparam(f"more_{name}", type_=Integer) <= bindparam(f"most_{name}", type_=Integer),
            )
            for name in names
        ]
        more = {name: _USAGES.c[name] + bindparam(f"more_{name}", type_=Integer) for name in names}
        statement = update(_USAGES).where(_USAGES.c.scope == bindparam("of_scope"), and_(*fits)).values(more)
        _TAKING[names] = statement
    return statement


def _over(names: tuple[str, ...], wanted: Amounts, used: Amounts, limit: Amounts) -> OverLimit:
    over = [name for name in names if 0 <= limit[name] < used[name] + wanted[name]] or list(names)

    def listed(amounts: Amounts) -> str:
        return ", ".join(str(amounts[name]) for name in over)

    what = ", ".join(over)
    return OverLimit(
        f"Quota exceeded for {what}: Requested {listed(wanted)}, but already used {listed(used)} of {listed(limit)} {what}",
        "quota.exceeded",
    )


def take_for_servers(session: Session, conf: cfg.ConfigOpts, project_id: str, user_id: str, wanted: Amounts) -> None:
    """Take instances, cores and ram of a project, and of one user in it where limits were set for them.

    The project's row is locked by then, so what the user's servers use can simply be counted.

    :raises OverLimit: it does not fit.
    :raises NoUsageRow: see :func:`take`.
    """
    whole, own = limits_of(conf, session, project_id, user_id)
    take(session, project_id, wanted, whole)
    names = tuple(name for name in SERVERS if name in own and wanted.get(name))
    if not names:
        return
    used = usage_of_user(session, project_id, user_id)
    if any(0 <= own[name] < used[name] + wanted[name] for name in names):
        raise _over(names, wanted, used, own)


def room_for_servers(session: Session, conf: cfg.ConfigOpts, project_id: str, user_id: str, each: Amounts) -> int:
    """Return how many servers of which *each* takes so much would fit now; what is taken meanwhile is :func:`take`'s to see."""
    whole, own = limits_of(conf, session, project_id, user_id)
    bounds = [(whole, usage(session, project_id))]
    if any(name in own for name in SERVERS):
        bounds.append((own, usage_of_user(session, project_id, user_id)))
    rooms = [
        max(0, limit[name] - used[name]) // each[name]
        for limit, used in bounds
        for name in SERVERS
        if limit.get(name, UNLIMITED) != UNLIMITED and each[name]
    ]
    return min(rooms, default=sys.maxsize)


def grow(session: Session, conf: cfg.ConfigOpts, server_id: str, vcpus: int, memory_mb: int) -> None:
    """Hold the greater of what a server has and of another size, for a resize that may yet go back; :func:`settle` ends it.

    :raises OverLimit: the project may not have so much.
    """
    held = session.execute(_HELD, {"of_server": server_id}).first()
    if held is None or not held.quota_instances:
        return
    more = {"cores": max(0, vcpus - held.quota_cores), "ram": max(0, memory_mb - held.quota_ram)}
    take_for_servers(session, conf, held.project_id, held.user_id, more)
    _hold(session, server_id, held.quota_cores + more["cores"], held.quota_ram + more["ram"])


def settle(session: Session, server_id: str, vcpus: int, memory_mb: int) -> None:
    """Let a server hold exactly this from now on, once its size is what it will stay."""
    held = session.execute(_HELD, {"of_server": server_id}).first()
    if held is None or not held.quota_instances:
        return
    give_back(session, held.project_id, {"cores": held.quota_cores - vcpus, "ram": held.quota_ram - memory_mb})
    _hold(session, server_id, vcpus, memory_mb)


_HELD = (
    select(
        _SERVERS.c.project_id,
        _SERVERS.c.user_id,
        _SERVERS.c.quota_instances,
        _SERVERS.c.quota_cores,
        _SERVERS.c.quota_ram,
    )
    .where(_SERVERS.c.id == bindparam("of_server"), _SERVERS.c.deleted.is_(False))
    .with_for_update()
)


def _hold(session: Session, server_id: str, cores: int, ram: int) -> None:
    session.execute(update(_SERVERS).where(_SERVERS.c.id == server_id).values(quota_cores=cores, quota_ram=ram))


def check_metadata(conf: cfg.ConfigOpts, session: Session, project_id: str, items: int) -> None:
    """Refuse more items of metadata than a server of the project may have. :raises OverLimit: it is more."""
    if items == 0:
        return
    most = limits(conf, session, project_id)["metadata_items"]
    if 0 <= most < items:
        raise OverLimit(f"Maximum number of metadata items exceeds {most}", "server.metadata_limit")


def give_back(session: Session, scope: str, amounts: Amounts) -> None:
    """Take *amounts* off what *scope* has; the caller has just ended what they were for, and knows that it was the one."""
    names = tuple(name for name in COUNTED if amounts.get(name))
    if names:
        values = {f"less_{name}": amounts[name] for name in names}
        session.execute(_giving(names), {"of_scope": scope, **values})


_GIVING: dict[tuple[str, ...], Any] = {}


def _giving(names: tuple[str, ...]) -> Any:
    statement = _GIVING.get(names)
    if statement is None:
        less = {name: _USAGES.c[name] - bindparam(f"less_{name}", type_=Integer) for name in names}
        statement = _GIVING[names] = update(_USAGES).where(_USAGES.c.scope == bindparam("of_scope")).values(less)
    return statement


_OF_SERVER = _SERVERS.c.id == bindparam("of_server")
_END_SERVER = (
    update(_USAGES)
    .where(_USAGES.c.scope == select(_SERVERS.c.project_id).where(_OF_SERVER).scalar_subquery())
    .values(
        instances=_USAGES.c.instances - select(_SERVERS.c.quota_instances).where(_OF_SERVER).scalar_subquery(),
        cores=_USAGES.c.cores - select(_SERVERS.c.quota_cores).where(_OF_SERVER).scalar_subquery(),
        ram=_USAGES.c.ram - select(_SERVERS.c.quota_ram).where(_OF_SERVER).scalar_subquery(),
    )
)


def end_server(session: Session, server_id: str) -> None:
    """Give back what a server had, in the transaction that has just marked it deleted (and was the one that did)."""
    session.execute(_END_SERVER, {"of_server": server_id})


def ensure(store: Store, scope: str) -> None:
    """Have a row for *scope*; another may make it at the same moment."""
    try:
        store.transact(lambda session: session.execute(insert(QuotaUsage), {"scope": scope}))
    except IntegrityError:
        return


def transact(store: Store, work: Any) -> Any:
    """Run *work* in a transaction; where a scope has no row yet, make it and run *work* again."""
    try:
        return store.transact(work)
    except NoUsageRow as error:
        ensure(store, error.scope)
        return store.transact(work)
