"""Who may do what: oslo.policy's rules, with their defaults in each API's folder.

A rule that is not known denies. A target is made of database rows or of the caller's own token, never of a body.
An operator overrides defaults in ``policy.yaml``; the file is read again within some seconds of a change.
"""

from __future__ import annotations

import importlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from oslo_policy import policy as oslo

from nova_lite.errors import Forbidden
from nova_lite.identity.principal import Principal

LOG = logging.getLogger(__name__)

ADMIN = "rule:admin"
READER = "rule:project_reader"
MEMBER = "rule:project_member"
MANAGER = "rule:project_manager"
ANYBODY = "@"
"""Whoever has a valid token."""

COMMON_RULES = (
    oslo.RuleDefault("admin", "role:admin", "The cloud's administrators."),
    oslo.RuleDefault(
        "owner_project", "project_id:%(project_id)s", "Somebody of the project that the target belongs to."
    ),
    oslo.RuleDefault(
        "project_member", "rule:admin or (role:member and rule:owner_project)", "Members change what is theirs."
    ),
    oslo.RuleDefault(
        "project_manager",
        "rule:admin or (role:manager and rule:owner_project)",
        "Managers change what binds all of their project.",
    ),
    oslo.RuleDefault(
        "project_reader", "rule:admin or (role:reader and rule:owner_project)", "Readers see what is theirs."
    ),
)

FOLDERS = ("identity", "compute", "image", "network")
_RELOAD_S = 5.0


def list_rules(folders: Sequence[str] = FOLDERS) -> list[Any]:
    """Give every rule with its default; for the policy itself and for oslopolicy-sample-generator."""
    rules: list[Any] = list(COMMON_RULES)
    for folder in folders:
        rules.extend(importlib.import_module(f"nova_lite.api.{folder}.policies").RULES)
    return rules


def rule(name: str, check: str, description: str, *operations: tuple[str, str]) -> Any:
    """Declare a rule; *operations* are (method, path) pairs as the policy's documentation shows them."""
    return oslo.DocumentedRuleDefault(
        name=name,
        check_str=check,
        description=description,
        operations=[{"method": method, "path": path} for method, path in operations],
    )


class Policy:
    """The rules in force. :param conf: names ``[api] policy_file``. :param folders: the APIs whose rules are known."""

    def __init__(self, conf: Any, folders: Sequence[str] = FOLDERS) -> None:
        self._enforcer = oslo.Enforcer(conf, policy_file=conf.api.policy_file)
        self._enforcer.register_defaults(list_rules(folders))
        self._enforcer.suppress_default_change_warnings = True
        self._enforcer.suppress_deprecation_warnings = True
        self._enforcer.load_rules()
        self._loaded = time.monotonic()

    def allows(self, name: str | None, who: Principal, target: Mapping[str, Any] | None = None) -> bool:
        """Tell whether rule *name* allows *who* to act on *target* (None: their own project)."""
        moment = time.monotonic()
        if moment - self._loaded > _RELOAD_S:
            self._enforcer.load_rules()
            self._loaded = moment
        check = self._enforcer.rules.get(name) if name else None
        if check is None:
            LOG.error("policy rule=%s is not known; denied", name)
            return False
        credentials = {
            "user_id": who.user_id,
            "project_id": who.project_id,
            "roles": list(who.roles),
            "system_scope": "all" if who.system_scope else None,
        }
        if target is None:
            target = {"project_id": who.project_id, "user_id": who.user_id}
        # oslo.policy compares as text, so that no project would be the same as no project: what is None is left out.
        credentials = {key: value for key, value in credentials.items() if value is not None}
        target = {key: value for key, value in target.items() if value is not None}
        return bool(check(target, credentials, self._enforcer, current_rule=name))

    def enforce(self, name: str | None, who: Principal, target: Mapping[str, Any] | None = None) -> None:
        """Raise :class:`Forbidden` unless the rule allows it."""
        if not self.allows(name, who, target):
            raise Forbidden(f"Policy doesn't allow {name} to be performed.", "policy.forbidden")

    def knows(self, name: str) -> bool:
        """Tell whether there is a rule of that name."""
        return name in self._enforcer.rules
