"""Make an image of a guest and take it into the image store; shelve; offload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.agent.actions.action import Action
from nova_lite.agent.job import Job, Step, can_undo, fetch, unplug
from nova_lite.compute import lifecycle
from nova_lite.compute.transitions import PowerState, VmState
from nova_lite.conf import state_path
from nova_lite.db.models import Image, Server
from nova_lite.db.operations import Caller
from nova_lite.db.types import now
from nova_lite.image import files, images, uploads
from nova_lite.virt import abilities
from nova_lite.virt.abilities import Snapshot
from nova_lite.virt.driver import DriverError, GuestNotFound


def _target(job: Job) -> Path:
    directory = state_path(job.tools.conf, "snapshots")
    directory.mkdir(mode=0o711, parents=True, exist_ok=True)
    return directory / str(job.work.arguments["image_id"])


def _is_done(job: Job) -> bool:
    with job.tools.store.read() as session:
        image = session.get(Image, job.work.arguments["image_id"])
    if image is None:
        raise DriverError("The image that was to be made was deleted meanwhile.", "image.not_found")
    return bool(image.status == "active")


def make_image(job: Job) -> None:
    """Write the guest's image and upload it; an image that is whole already is left as it is."""
    driver = job.tools.driver
    if _is_done(job):
        return
    if not isinstance(driver, abilities.Snapshots):
        raise DriverError("This host's driver can't make an image of a guest.")
    try:
        _upload(job, driver.snapshot(job.spec(), _target(job), job.go_on))
    finally:
        drop_file(job)


def _upload(job: Job, made: Snapshot) -> None:
    image_id = str(job.work.arguments["image_id"])

    def take_up(session: Session) -> bool:
        """Take the image for this attempt: an earlier one that was cut off may have left it saving."""
        image = session.get(Image, image_id)
        if image is None:
            return False
        result = session.execute(
            update(Image)
            .where(Image.id == image_id, Image.status.in_(("queued", "saving")))
            .values(
                status="queued",
                upload_owner=None,
                disk_format=made.disk_format,
                container_format=made.container_format,
                properties={**image.properties, **made.properties},
                updated_at=now(),
            )
            .execution_options(synchronize_session=False)
        )
        assert isinstance(result, CursorResult)
        return bool(result.rowcount)

    if not job.tools.store.transact(take_up):
        raise DriverError("The image that was to be made was deleted meanwhile.", "image.not_found")
    uploads.upload(
        job.tools.store,
        files.Files(job.tools.conf),
        images.Viewer(None, is_admin=True),
        image_id,
        _while_wanted(job, files.stream(made.path.open("rb"))),
        lambda function, *arguments: function(*arguments),
    )


def _while_wanted(job: Job, chunks: Iterator[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        job.go_on()
        yield chunk


def drop_file(job: Job) -> None:
    """Remove what was written of the image, by an attempt that was cut off too."""
    target = _target(job)
    for path in (target, target.with_name(f"{target.name}.part")):
        path.unlink(missing_ok=True)


def stop(job: Job) -> None:
    """Shut the guest down, whatever it is doing; its memory, if it was put away, is not kept."""
    if job.server.vm_state in (VmState.PAUSED, VmState.SUSPENDED):
        # A guest that is frozen does not shut down by itself.
        job.tools.driver.stop(job.server.id, 0.0)
    else:
        job.tools.driver.stop(job.server.id, job.grace_s())


def go_on(job: Job) -> None:
    """Start the guest that a failed shelve has stopped."""
    drop_file(job)
    driver = job.tools.driver
    if job.server.vm_state != VmState.ACTIVE or not can_undo(job):
        return
    if driver.power(job.server.id) in (PowerState.SHUTDOWN, PowerState.CRASHED):
        driver.start(job.spec())


def remove(job: Job) -> None:
    """Take the guest off the host; its snapshot is all that is left, and its console's log."""
    driver = job.tools.driver
    try:
        if isinstance(driver, abilities.ShelvesDisks):
            driver.stop_and_remove(job.server.id)
        else:
            driver.destroy(job.server.id)
    except GuestNotFound:
        return


def offload_at_once(session: Session, job: Job) -> None:
    """Ask for the offload in the transaction that ends the shelve, where it does not wait."""
    if job.tools.conf.compute.shelved_offload_time == 0:
        server = session.get_one(Server, job.server.id, populate_existing=True)
        if server.vm_state == VmState.SHELVED and server.task_state is None:
            work = job.work
            lifecycle.begin(session, Caller(work.request_id, work.project_id, work.user_id), server, "shelveOffload")


_MAKE = Step("snapshot", make_image, noted=True)

ACTIONS = (
    Action("createImage", (Step("fetch", fetch), _MAKE), undo=drop_file),
    Action("createBackup", (Step("fetch", fetch), _MAKE), undo=drop_file),
    Action(
        "shelve",
        (Step("fetch", fetch), Step("stop", stop, noted=True), _MAKE),
        undo=go_on,
        on_ok=offload_at_once,
    ),
    Action("shelveOffload", (Step("remove", remove, noted=True), Step("unplug", unplug))),
)
