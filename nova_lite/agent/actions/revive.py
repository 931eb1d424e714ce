"""What brings a guest back from where it was put away: unshelve, restore, restart; and soft delete, which puts it there."""

from __future__ import annotations

import contextlib

from nova_lite.agent import restarts, spec
from nova_lite.agent.actions.action import Action
from nova_lite.agent.actions.resize import spec_with
from nova_lite.agent.job import PREPARE, Job, Step, make_config_drive, plug, unplug
from nova_lite.compute import endings, left_overs, undoing
from nova_lite.compute.transitions import VmState
from nova_lite.virt import abilities
from nova_lite.virt.driver import DriverError, GuestNotFound


def start(job: Job) -> None:
    """Start the stopped guest, in the old size if a revert to that was begun."""
    old = endings.goes_back_to(job.server)
    job.tools.driver.start(spec_with(job, old) if old else job.spec())


def forget_resize(job: Job) -> None:
    """Throw away what a resize has kept that was not confirmed; where a revert was begun, take that back to the old disks."""
    _end_resize(job, run=False)


def end_resize(job: Job) -> None:
    """Do the same after the server's state was reset; the guest runs on, or again if it ran before the resize."""
    kept = job.server.system_metadata or {}
    if undoing.has_resize_to_end(job.server):
        _end_resize(job, run=kept.get("old_state") != VmState.STOPPED)


def _end_resize(job: Job, *, run: bool) -> None:
    driver = job.tools.driver
    if not isinstance(driver, abilities.Resizes):
        return
    old = endings.goes_back_to(job.server)
    with contextlib.suppress(GuestNotFound):
        if old:
            driver.revert_resize(spec_with(job, old), run=run)
        else:
            driver.confirm_resize(job.server.id)


def restart(job: Job) -> None:
    """Start the guest that ended by itself, if that is still wanted."""
    if restarts.policy(job.server) == restarts.NEVER:
        raise DriverError(f"It is not started again: {restarts.KEY} was taken away meanwhile.", "server.no_restart")
    start(job)


def stop(job: Job) -> None:
    """Shut the guest down; one that is not there is as good as stopped."""
    try:
        job.tools.driver.stop(job.server.id, job.grace_s())
    except GuestNotFound:
        return


def clear(job: Job) -> None:
    """Remove what an earlier unshelve has left on this host, which the guest must not be taken for: its disk is an older one."""
    if not _is_offloaded(job):
        return
    with job.tools.store.read() as session:
        if not left_overs.is_left(session, job.server.id, job.tools.host):
            return
    job.tools.driver.destroy(job.server.id)
    job.tools.store.transact(lambda session: left_overs.forget(session, job.server.id, job.tools.host))


def fetch_shelved(job: Job) -> None:
    """Have the image in the cache that the guest comes back from: its snapshot, if its disk is no longer here."""
    image_id = (job.server.system_metadata or {}).get("shelved_image_id") if _is_offloaded(job) else None
    job.image = job.tools.images.fetch(spec.image_spec(job.server, job.rows.images, image_id), job.go_on)


def bring_back(job: Job) -> None:
    """Start the guest on the disk it has, or make it anew from its snapshot."""
    if _is_offloaded(job):
        job.tools.driver.spawn(job.spec())
    else:
        job.tools.driver.start(job.spec())


def take_back(job: Job) -> None:
    """Remove what a failed unshelve has made of an offloaded guest; one that is on its host is stopped again."""
    if _is_offloaded(job):
        job.tools.driver.destroy(job.server.id)
        unplug(job)
    else:
        stop_again(job)


def stop_again(job: Job) -> None:
    """Stop the guest that runs although its server stays put away; one that is brought back by now is left alone."""
    if job.server.vm_state in undoing.AWAY:
        stop(job)


def run_again(job: Job) -> None:
    """Start the guest after its host's boot, from the disk that it ran on: its rescue's or its own."""
    image_id = job.work.arguments.get("image_id")
    if job.server.vm_state == VmState.RESCUED and image_id and isinstance(job.tools.driver, abilities.Rescues):
        image = job.tools.images.fetch(spec.image_spec(job.server, job.rows.images, image_id), job.go_on)
        job.tools.driver.rescue(job.spec(), image)
    elif job.server.vm_state == VmState.RESIZED and job.server.system_metadata.get("old_state") != VmState.STOPPED:
        start(job)


def _is_offloaded(job: Job) -> bool:
    return job.server.vm_state == VmState.SHELVED_OFFLOADED


RUN_AGAIN = (*PREPARE, Step("run-again", run_again, noted=True))
"""The steps of what is no action: nobody asks for it."""

END_RESIZE = (*PREPARE, Step("end-resize", end_resize, noted=True))
"""The same, after a reset."""

ACTIONS = (
    Action("soft-delete", (Step("stop", stop),)),
    Action(
        "restore", (*PREPARE, Step("forget-resize", forget_resize), Step("start", start, noted=True)), undo=stop_again
    ),
    Action("restart", (*PREPARE, Step("start", restart, noted=True))),
    Action(
        "unshelve",
        (
            Step("clear", clear),
            Step("fetch", fetch_shelved),
            Step("plug", plug),
            Step("config-drive", make_config_drive),
            Step("spawn", bring_back, noted=True, task_state="spawning"),
        ),
        undo=take_back,
    ),
)
