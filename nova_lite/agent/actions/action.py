"""What an action is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from nova_lite.agent.job import Job, Step


def _nothing(_job: Job) -> None:
    """Leave the host as it is."""


def _no_rows(_session: Session, _job: Job) -> None:
    """Change nothing more."""


@dataclass(frozen=True)
class Action:
    """One action: its ``steps`` in order, each of which may be done again.

    ``undo`` is done on the host when the action has failed for good; after it, ``on_fail`` joins the transaction that
    records the failure. ``on_ok`` joins the one that completes the action. ``needs_guest``: only for a server that was
    built once; ``for_deleted``: also for one whose row says that it is deleted. ``observes``: the power state at the end is
    the driver's answer rather than the table's.
    """

    name: str
    steps: tuple[Step, ...]
    undo: Callable[[Job], None] = _nothing
    on_ok: Callable[[Session, Job], None] = _no_rows
    on_fail: Callable[[Session, Job], None] = _no_rows
    needs_guest: bool = True
    for_deleted: bool = False
    observes: bool = False
