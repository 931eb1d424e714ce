"""Every action that an agent knows, as lists of steps; one file a group."""

from __future__ import annotations

from nova_lite.agent.actions import adopt, build, interfaces, pause, power, rescue, resize, revive, snapshot
from nova_lite.agent.actions.action import Action

_GROUPS = (build, adopt, power, pause, resize, snapshot, revive, rescue, interfaces)

ACTIONS: dict[str, Action] = {row.name: row for group in _GROUPS for row in group.ACTIONS}
"""Keyed by the name in ``nova_lite.compute.transitions``."""

__all__ = ["ACTIONS", "Action"]
