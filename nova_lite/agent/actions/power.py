"""Start, stop and reboot."""

from __future__ import annotations

from nova_lite.agent.actions.action import Action
from nova_lite.agent.job import PREPARE, Job, Step


def start(job: Job) -> None:
    """Start the stopped guest."""
    job.tools.driver.start(job.spec())


def stop(job: Job) -> None:
    """Shut the guest down, in the end by force."""
    job.tools.driver.stop(job.server.id, job.grace_s())


def reboot_soft(job: Job) -> None:
    """Restart the guest by its own shutdown."""
    job.tools.driver.reboot(job.spec(), hard=False, grace_s=job.grace_s())


def reboot_hard(job: Job) -> None:
    """Restart the guest by power off and on."""
    job.tools.driver.reboot(job.spec(), hard=True, grace_s=job.grace_s())


ACTIONS = (
    Action("start", (*PREPARE, Step("start", start, noted=True))),
    Action("stop", (Step("stop", stop, noted=True),)),
    Action("reboot-soft", (*PREPARE, Step("reboot", reboot_soft, noted=True))),
    Action("reboot-hard", (*PREPARE, Step("reboot", reboot_hard, noted=True))),
)
