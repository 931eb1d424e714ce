"""``nova-lite-manage quota``: compare what is recorded as in use with what there is."""

from __future__ import annotations

import argparse
from typing import Any

from oslo_config import cfg

from nova_lite.compute import quota_recount
from nova_lite.db import migrate


def register(nouns: Any) -> None:
    """Add the commands."""
    verbs = nouns.add_parser("quota", help="what projects are recorded to use").add_subparsers(
        dest="verb", required=True
    )
    check = verbs.add_parser("check", help="list recorded sums that differ from what is counted; exit code 1 if any do")
    check.set_defaults(run=_check)
    repair = verbs.add_parser("repair", help="set recorded sums to what is counted; safe while the services run")
    repair.set_defaults(run=_repair)


def _check(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> int:
    store = migrate.open_store(conf)
    found = quota_recount.check(store)
    store.close()
    for row in found:
        print(f"{row.scope}: {row.resource} is recorded as {row.recorded}, counted {row.counted}")
    if not found:
        print("All recorded sums are right.")
    return 1 if found else 0


def _repair(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> int:
    store = migrate.open_store(conf)
    found = quota_recount.repair(store)
    store.close()
    for row in found:
        print(f"{row.scope}: {row.resource} was {row.recorded}, is {row.counted} now")
    print(f"{len(found)} sums were changed.")
    return 0
