"""``nova-lite-manage db``: bring the schema to the newest revision, say where it stands; forget what is old."""

from __future__ import annotations

import argparse
import datetime
from typing import Any

from oslo_config import cfg

from nova_lite.compute import purge
from nova_lite.db import migrate
from nova_lite.db.types import now


def register(nouns: Any) -> None:
    """Add the commands."""
    verbs = nouns.add_parser("db", help="the database's schema, and what is old in it").add_subparsers(
        dest="verb", required=True
    )
    sync = verbs.add_parser("sync", help="apply the migrations that are missing; may be run at any time")
    sync.set_defaults(run=_sync)
    version = verbs.add_parser("version", help="say which revision the database is at, and which is the newest")
    version.set_defaults(run=_version)
    forget = verbs.add_parser(
        "purge",
        help="remove servers deleted long ago and actions that ended long ago",
        description="Remove what the schedulers remove by and by, now: servers that were deleted more than [database] "
        "keep_deleted_days ago, with their actions, and actions that ended more than keep_operations_days ago. May be run at "
        "any time, and cut off at any time.",
    )
    forget.add_argument(
        "--days", type=_days, metavar="N", help="what is older than N days, instead of what is configured; 0: all of it"
    )
    forget.add_argument("--dry-run", action="store_true", help="only say how much it is")
    forget.set_defaults(run=_purge)


def _sync(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> int:
    store = migrate.open_store(conf)
    changed = migrate.upgrade(store.engine)
    print(f"The database {'is now' if changed else 'was already'} at revision {migrate.head()}.")
    store.close()
    return 0


def _days(text: str) -> int:
    days = int(text)
    if not 0 <= days <= 36_500:
        raise argparse.ArgumentTypeError("must be from 0 to 36500")
    return days


def _purge(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> int:
    old = purge.limits(conf)
    if arguments.days is not None:
        before = now() - datetime.timedelta(days=arguments.days)
        old = purge.Limits(before, before)
    store = migrate.open_store(conf)
    found = purge.count(store, old) if arguments.dry_run else purge.purge(store, old)
    said = "There are" if arguments.dry_run else "Removed"
    print(f"{said} {found.servers} deleted servers and {found.operations} ended operations beside theirs.")
    store.close()
    return 0


def _version(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> int:
    store = migrate.open_store(conf)
    print(f"current: {migrate.current(store.engine) or 'none'}\nnewest:  {migrate.head()}")
    store.close()
    return 0
