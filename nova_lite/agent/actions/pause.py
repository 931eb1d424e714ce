"""Pause and suspend, and back."""

from __future__ import annotations

from nova_lite.agent.actions.action import Action
from nova_lite.agent.job import PREPARE, Job, Step


def pause(job: Job) -> None:
    """Freeze the guest in memory."""
    job.tools.driver.pause(job.server.id)


def unpause(job: Job) -> None:
    """Let the frozen guest go on."""
    job.tools.driver.unpause(job.server.id)


def suspend(job: Job) -> None:
    """Put the guest's memory away on disk."""
    job.tools.driver.suspend(job.server.id)


def resume(job: Job) -> None:
    """Bring the suspended guest back."""
    job.tools.driver.resume(job.spec())


ACTIONS = (
    Action("pause", (Step("pause", pause),)),
    Action("unpause", (Step("unpause", unpause),)),
    Action("suspend", (Step("suspend", suspend, noted=True),), observes=True),
    Action("resume", (*PREPARE, Step("resume", resume, noted=True))),
)
