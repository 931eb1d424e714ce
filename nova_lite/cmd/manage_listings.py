"""``nova-lite-manage service|operation|policy list``: what runs, what is under way, who may do what."""

from __future__ import annotations

import argparse
from typing import Any

from oslo_config import cfg
from oslo_policy import policy as oslo
from sqlalchemy import select

from nova_lite.cmd.manage_table import add_format, age, show
from nova_lite.db import migrate
from nova_lite.db.models import Host, Operation, Service
from nova_lite.db.operations import UNFINISHED
from nova_lite.db.types import epoch, now


def register(nouns: Any) -> None:
    """Add the commands."""
    _listing(nouns, "service", "the services and agents, and whether they were heard of lately", _services)
    operation = _listing(nouns, "operation", "the operations that are under way or wait", _operations)
    operation.add_argument("--all", action="store_true", help="also those that have ended, newest first")
    operation.add_argument("--limit", type=int, default=100, help="at most so many (default 100)")
    _listing(nouns, "policy", "every policy rule as it is in force; * marks what the policy file overrides", _policy)


def _listing(nouns: Any, noun: str, what: str, run: Any) -> argparse.ArgumentParser:
    verbs = nouns.add_parser(noun, help=f"list {what}").add_subparsers(dest="verb", required=True)
    parser: argparse.ArgumentParser = verbs.add_parser("list", help=f"list {what}")
    add_format(parser)
    parser.set_defaults(run=run)
    return parser


def _services(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> int:
    store = migrate.open_store(conf)
    with store.read() as session:
        seen = [(row.binary, row.host, row.last_seen, row.version) for row in session.scalars(select(Service))]
        for host in session.scalars(select(Host)):
            seen.append(("nova-lite-compute", host.name, host.last_seen, host.version))
    moment = epoch()
    rows = [
        (binary, host, "up" if moment - last <= conf.compute.down_after else "down", age(moment - last), version)
        for binary, host, last, version in sorted(seen)
    ]
    show(arguments, ("Binary", "Host", "State", "Seen", "Version"), rows)
    store.close()
    return 0


def _operations(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> int:
    store = migrate.open_store(conf)
    query = select(Operation).limit(max(arguments.limit, 1))
    if arguments.all:
        query = query.order_by(Operation.id.desc())
    else:
        query = query.where(Operation.state.in_(UNFINISHED)).order_by(Operation.id)
    with store.read() as session:
        rows = session.scalars(query).all()
    moment = now()
    show(
        arguments,
        ("ID", "Action", "Target", "Queue", "Host", "State", "Step", "Attempt", "Age", "Request", "Error"),
        [
            (
                row.id,
                row.action,
                f"{row.target_type} {row.target_id}",
                row.queue,
                row.host,
                row.state,
                row.step,
                row.attempt,
                age((moment - row.created_at).total_seconds()),
                row.request_id,
                row.error,
            )
            for row in rows
        ],
    )
    store.close()
    return 0


def _policy(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> int:
    from nova_lite.api.policy import list_rules

    enforcer = oslo.Enforcer(conf, policy_file=conf.api.policy_file)
    enforcer.suppress_default_change_warnings = True
    enforcer.suppress_deprecation_warnings = True
    enforcer.load_rules()
    rows = []
    for rule in sorted(list_rules(), key=lambda rule: str(rule.name)):
        override = enforcer.file_rules.get(rule.name)
        name = f"{rule.name} *" if override else rule.name
        rows.append((name, override.check_str if override else rule.check_str, rule.description))
    show(arguments, ("Rule", "Check", "Description"), rows)
    return 0
