"""Adopt: mark a guest that runs here as a server's; and take the mark off again where that does not come to its end."""

from __future__ import annotations

from sqlalchemy.orm import Session

from nova_lite.agent.actions.action import Action
from nova_lite.agent.job import Job, Step, disown
from nova_lite.compute import lifecycle
from nova_lite.compute.adoption import ACTION
from nova_lite.virt import abilities
from nova_lite.virt.driver import DriverError


def adopt(job: Job) -> None:
    """Mark the guest; marked already is well. :raises DriverError: it is not what the server was made for any more."""
    driver = job.tools.driver
    if not isinstance(driver, abilities.Adopts):
        raise DriverError("This host's driver can't adopt a guest.")
    name = str(job.work.arguments["guest"])
    seen = driver.describe(name)
    server = job.server
    if int(str(seen["vcpus"])) > server.vcpus or int(str(seen["memory_mb"])) > server.memory_mb:
        raise DriverError(f"guest {name} has grown beyond the flavor since it was looked at")
    driver.adopt(name, server.id)


def give_up(job: Job) -> None:
    """Take the mark off, so that the guest is the stranger's again."""
    disown(job.tools, job.server.id)


def forget(session: Session, job: Job) -> None:
    """Have no server: nothing was made that somebody would have to delete. Its history stays."""
    lifecycle.end_deleted(session, job.server.id)


ACTIONS = (
    Action(
        ACTION,
        (Step("adopt", adopt, noted=True),),
        undo=give_up,
        on_fail=forget,
        needs_guest=False,
    ),
)
