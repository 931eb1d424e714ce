"""Every action that an agent knows, as lists of steps; one file a group."""

from __future__ import annotations

from nova_lite.agent.actions import build, pause, power
from nova_lite.agent.actions.action import Action

ACTIONS: dict[str, Action] = {row.name: row for row in (*build.ACTIONS, *power.ACTIONS, *pause.ACTIONS)}
"""Keyed by the name in ``nova_lite.compute.transitions``."""

__all__ = ["ACTIONS", "Action"]
