"""Rescue and back; crash dump."""

from __future__ import annotations

from nova_lite.agent import spec
from nova_lite.agent.actions.action import Action
from nova_lite.agent.job import PREPARE, Job, Step, can_undo
from nova_lite.compute.transitions import VmState
from nova_lite.virt import abilities
from nova_lite.virt.driver import DriverError


def _rescues(job: Job) -> abilities.Rescues:
    driver = job.tools.driver
    if not isinstance(driver, abilities.Rescues):
        raise DriverError("This host's driver can't rescue a guest.")
    return driver


def rescue(job: Job) -> None:
    """Boot the guest from the rescue image, its own disk beside it."""
    image_id = job.work.arguments["image_id"]
    image = job.tools.images.fetch(spec.image_spec(job.server, job.rows.images, image_id), job.go_on)
    _rescues(job).rescue(job.spec(), image)


def undo_rescue(job: Job) -> None:
    """Have the guest stand on its own disk again, running only if it ran before."""
    if not can_undo(job):
        return
    if job.server.vm_state == VmState.ACTIVE:
        _rescues(job).unrescue(job.spec())
    elif job.server.vm_state == VmState.STOPPED:
        job.tools.driver.stop(job.server.id, 0.0)  # its next start is from its own disk


def unrescue(job: Job) -> None:
    """Boot the guest from its own disk again."""
    _rescues(job).unrescue(job.spec())


def crash_dump(job: Job) -> None:
    """Have the guest's kernel dump."""
    driver = job.tools.driver
    if not isinstance(driver, abilities.Dumps):
        raise DriverError("This host's driver can't send a guest an interrupt.")
    driver.crash_dump(job.server.id)


ACTIONS = (
    Action("rescue", (*PREPARE, Step("rescue", rescue, noted=True)), undo=undo_rescue),
    Action("unrescue", (*PREPARE, Step("unrescue", unrescue, noted=True))),
    Action("trigger_crash_dump", (Step("crash-dump", crash_dump, noted=True),)),
)
