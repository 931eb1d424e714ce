"""``nova-lite-manage config check``: everything that is wrong with the configuration, at once."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from oslo_config import cfg
from oslo_policy import policy as oslo
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

import nova_lite.conf
from nova_lite.db import migrate

_LIBRARIES = ("oslo_", "keystone_authtoken", "profiler")
"""Groups of libraries that register their options themselves."""


def register(nouns: Any) -> None:
    """Add the command."""
    verbs = nouns.add_parser("config", help="the configuration").add_subparsers(dest="verb", required=True)
    check = verbs.add_parser(
        "check",
        help="say what is wrong with the configuration",
        description="Read the configuration and policy files and say everything that is wrong with them: options "
        "that are not known, values that can't be, rules that guard nothing. Exit code 1 if there is anything.",
    )
    check.set_defaults(run=_check)


def _check(conf: cfg.ConfigOpts, _arguments: argparse.Namespace) -> int:
    problems = [*_unknown_options(conf), *_bad_values(conf), *_bad_database(conf), *_bad_policy(conf)]
    for problem in problems:
        print(problem)
    print(f"{len(problems)} problem{'s' * (len(problems) != 1)} in {', '.join(conf.config_file or ['the defaults'])}.")
    return 1 if problems else 0


def _unknown_options(conf: cfg.ConfigOpts) -> Iterator[str]:
    known = {group: {option.dest for option in options} for group, options in nova_lite.conf.list_opts()}
    for name in conf.config_file or []:
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(name, sections).parse()
        for group, options in sections.items():
            if group.startswith(_LIBRARIES):
                continue
            if group not in known:
                yield f"{name}: [{group}] is no group of options; there are {', '.join(sorted(known))}"
                continue
            for option in options:
                if option.replace("-", "_") not in known[group]:
                    yield f"{name}: [{group}] {option} is not an option"


def _bad_values(conf: cfg.ConfigOpts) -> Iterator[str]:
    for group, options in nova_lite.conf.list_opts():
        for option in options:
            try:
                # Read at each access: oslo.config checks a value only then.
                conf[option.dest] if group == "DEFAULT" else conf[group][option.dest]
            except (cfg.ConfigFileValueError, ValueError) as error:
                shown = "its value can't be" if option.secret else str(error)
                yield f"[{group}] {option.name}: {shown}"


def _bad_database(conf: cfg.ConfigOpts) -> Iterator[str]:
    try:
        backend = make_url(migrate.connection_url(conf)).get_backend_name()
    except ArgumentError:
        yield "[database] connection: is no SQLAlchemy URL"
        return
    if backend not in ("sqlite", "postgresql", "mysql", "mariadb"):
        yield f"[database] connection: {backend} is none of sqlite, postgresql, mysql (MariaDB)"


def _bad_policy(conf: cfg.ConfigOpts) -> Iterator[str]:
    from nova_lite.api.policy import list_rules

    enforcer = oslo.Enforcer(conf, policy_file=conf.api.policy_file)
    try:
        enforcer.load_rules()
    except (ValueError, OSError, cfg.Error) as error:
        yield f"{conf.api.policy_file}: {error}"
        return
    known = {rule.name for rule in list_rules()}
    for name in enforcer.file_rules:
        used_by_others = any(f"rule:{name}" in other.check_str for other in enforcer.file_rules.values())
        if name not in known and not used_by_others:
            yield f"{conf.api.policy_file}: {name} is no rule of ours and none that another one names"
