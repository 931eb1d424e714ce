"""``nova-lite-manage db``: bring the schema to the newest revision, say where it stands."""

from __future__ import annotations

import argparse
from typing import Any

from oslo_config import cfg

from nova_lite.db import migrate


def register(nouns: Any) -> None:
    """Add the commands."""
    verbs = nouns.add_parser("db", help="the database's schema").add_subparsers(dest="verb", required=True)
    sync = verbs.add_parser("sync", help="apply the migrations that are missing; may be run at any time")
    sync.set_defaults(run=_sync)
    version = verbs.add_parser("version", help="say which revision the database is at, and which is the newest")
    version.set_defaults(run=_version)


def _sync(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> int:
    store = migrate.open_store(conf)
    changed = migrate.upgrade(store.engine)
    print(f"The database {'is now' if changed else 'was already'} at revision {migrate.head()}.")
    store.close()
    return 0


def _version(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> int:
    store = migrate.open_store(conf)
    print(f"current: {migrate.current(store.engine) or 'none'}\nnewest:  {migrate.head()}")
    store.close()
    return 0
