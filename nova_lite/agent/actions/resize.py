"""Resize, cold and live, its confirmation and its way back; rebuild."""

from __future__ import annotations

import contextlib
import dataclasses

from sqlalchemy.orm import Session

from nova_lite.agent import spec
from nova_lite.agent.actions.action import Action
from nova_lite.agent.job import PREPARE, Job, Step, Stopped, can_undo, make_config_drive, plug
from nova_lite.compute import lifecycle, local_disks
from nova_lite.compute.endings import beside, sizes
from nova_lite.compute.transitions import PowerState, VmState
from nova_lite.db.models import Server
from nova_lite.db.operations import Caller
from nova_lite.db.types import JsonDict
from nova_lite.virt import abilities, refusals
from nova_lite.virt.driver import DriverError, GuestNotFound, GuestSpec


def spec_with(job: Job, flavor: JsonDict) -> GuestSpec:
    """Make the guest's spec as it is with another flavor."""
    vcpus, memory_mb, disk_gb = sizes(flavor)
    return dataclasses.replace(
        job.spec(),
        vcpus=vcpus,
        memory_mb=memory_mb,
        disk_gb=disk_gb,
        isolation=spec.isolation(job.server.kind, flavor, job.server.image_properties),
        extra_specs={key: str(value) for key, value in (flavor.get("extra_specs") or {}).items()},
        disks=local_disks.of(*beside(flavor), job.server.local_disks),
    )


def resizes(job: Job) -> abilities.Resizes:
    """Return the driver as one that resizes. :raises DriverError: it does not."""
    driver = job.tools.driver
    if not isinstance(driver, abilities.Resizes):
        raise DriverError("This host's driver can't change the size of a guest, nor rebuild it.")
    return driver


def resize(job: Job) -> None:
    """Give the guest its new size; what is kept for the way back is the disk as it is when this begins."""
    driver = resizes(job)
    if job.work.step is None:
        # No earlier attempt came so far, so what is kept is another resize's, which never came to its confirmation: its undoing failed, say.
        driver.confirm_resize(job.server.id)
    wanted = spec_with(job, job.work.arguments["flavor"])
    try:
        driver.resize(wanted, run=job.server.vm_state != VmState.STOPPED, go_on=job.go_on)
    except Stopped:
        # Some disks may have their new size; whoever restores a server that is soft-deleted now gets what its row says.
        driver.revert_resize(job.spec(), run=False)
        raise


def undo_resize(job: Job) -> None:
    """Give the guest its old size back."""
    if not can_undo(job):
        return
    with contextlib.suppress(GuestNotFound):
        resizes(job).revert_resize(job.spec(), run=job.server.vm_state != VmState.STOPPED)


def confirm(job: Job) -> None:
    """Throw the way back away."""
    resizes(job).confirm_resize(job.server.id)


def revert(job: Job) -> None:
    """Give the guest the size from before the resize."""
    kept = job.server.system_metadata
    resizes(job).revert_resize(spec_with(job, kept["old_flavor"]), run=kept.get("old_state") != VmState.STOPPED)


def resize_live(job: Job) -> None:
    """Give the running guest its new size."""
    driver = job.tools.driver
    if not isinstance(driver, abilities.ResizesLive):
        raise DriverError("This host's driver can't resize a guest that runs; resize it without nova_lite:live.")
    driver.resize_live(spec_with(job, job.work.arguments["flavor"]))


def undo_resize_live(job: Job) -> None:
    """Give the running guest its old size back; one that does not run has it at its next start."""
    driver = job.tools.driver
    if not isinstance(driver, abilities.ResizesLive) or refusals.reason(job.server.kind, "resize_live"):
        return
    if can_undo(job) and driver.power(job.server.id) not in (PowerState.SHUTDOWN, PowerState.CRASHED):
        driver.resize_live(job.spec())


def fetch_own(job: Job) -> None:
    """Have the server's image in the cache; not the snapshot that an unshelved server's disk stands on."""
    job.image = job.tools.images.fetch(spec.image_spec(job.server, job.rows.images, job.server.image_id), job.go_on)


def rebuild(job: Job) -> None:
    """Begin the guest anew from its image."""
    resizes(job).rebuild(job.spec(), run=job.server.vm_state != VmState.STOPPED)


def confirm_at_once(session: Session, job: Job) -> None:
    """Ask for the confirmation in the transaction that ends the resize, where the window is none."""
    if job.tools.conf.compute.resize_confirm_window == 0:
        server = session.get_one(Server, job.server.id, populate_existing=True)
        if server.vm_state == VmState.RESIZED and server.task_state is None:
            work = job.work
            lifecycle.begin(session, Caller(work.request_id, work.project_id, work.user_id), server, "confirmResize")


ACTIONS = (
    Action(
        "resize",
        (*PREPARE, Step("resize", resize, noted=True, task_state="resize_migrating")),
        undo=undo_resize,
        on_ok=confirm_at_once,
    ),
    Action("confirmResize", (Step("confirm-resize", confirm),)),
    Action("revertResize", (*PREPARE, Step("revert-resize", revert, noted=True))),
    Action("resize-live", (*PREPARE, Step("resize-live", resize_live, noted=True)), undo=undo_resize_live),
    Action(
        "rebuild",
        (
            Step("fetch", fetch_own),
            Step("plug", plug),
            Step("config-drive", make_config_drive),
            Step("rebuild", rebuild, noted=True),
        ),
        needs_guest=False,
    ),
)
