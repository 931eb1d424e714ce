"""``nova-lite-manage bootstrap`` and ``fernet``: the first accounts, the tokens' keys."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from oslo_config import cfg

from nova_lite.db import migrate
from nova_lite.errors import Conflict, Invalid
from nova_lite.identity import keys
from nova_lite.identity.bootstrap import Account, bootstrap


def register(nouns: Any) -> None:
    """Add the commands."""
    first = nouns.add_parser(
        "bootstrap",
        help="make the domain, roles, projects and users that a cloud begins with",
        description="Make what is missing of the first accounts and keys. May be run again at any time: nothing is "
        "taken away, and a password is set only where it differs (which ends the user's tokens).",
    )
    first.add_argument("--admin-password-file", required=True, metavar="FILE", help="its first line is the password")
    first.add_argument("--demo-password-file", metavar="FILE", help="likewise; without it there will be no user demo")
    first.set_defaults(run=_bootstrap)
    verbs = nouns.add_parser("fernet", help="the keys that tokens are sealed with").add_subparsers(
        dest="verb", required=True
    )
    rotate = verbs.add_parser(
        "rotate",
        help="make the staged key the primary one and stage a new one",
        description="Rotate the keys. Tokens stay good until their key has been dropped, [identity] max_active_keys "
        "less 1 rotations later. API hosts share the directory's content: copy it to them after each rotation.",
    )
    rotate.set_defaults(run=_rotate)


def _bootstrap(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> int:
    accounts = [Account("admin", _password(arguments.admin_password_file))]
    if arguments.demo_password_file:
        accounts.append(Account("demo", _password(arguments.demo_password_file)))
    store = migrate.open_store(conf)
    if migrate.current(store.engine) != migrate.head():
        raise Conflict("The database is not at the newest revision; run nova-lite-manage db sync first.")
    done = bootstrap(conf, store, tuple(accounts))
    for line in done:
        print(f"made: {line}")
    print("Everything is there." if done else "Everything was there already.")
    store.close()
    return 0


def _password(name: str) -> str:
    path = Path(name)
    if path.stat().st_mode & 0o077:
        print(f"warning: others may read {path}; chmod 600 it", file=sys.stderr)
    lines = path.read_text(encoding="utf-8").splitlines()
    if not lines or not lines[0]:
        raise Invalid(f"The first line of {path} is empty; it must be the password.")
    return lines[0]


def _rotate(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> int:
    directory = keys.key_repository(conf)
    primary = keys.rotate(directory, conf.identity.max_active_keys)
    print(f"Key {primary} in {directory} is the primary one now.")
    return 0
