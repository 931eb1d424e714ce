"""Create and delete."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from nova_lite.agent.actions.action import Action
from nova_lite.agent.job import PREPARE, Job, Step, remove_guest, unplug
from nova_lite.compute import claims
from nova_lite.db.models import Port
from nova_lite.db.types import now


def spawn(job: Job) -> None:
    """Make the guest and start it."""
    job.tools.driver.spawn(job.spec())


def destroy(job: Job) -> None:
    """Stop the guest and remove all that is its own on the host."""
    remove_guest(job.tools, job.server)


def clean_up(job: Job) -> None:
    """Remove what a failed create left on the host."""
    destroy(job)
    unplug(job)


_PORTS: Any = Port.__table__
# Made once: to make a statement anew takes longer than to run it.
_SHOW_ACTIVE = (
    update(_PORTS)
    .where(_PORTS.c.device_id == bindparam("of_server"))
    .values(status="ACTIVE", updated_at=bindparam("moment"))
)


def show_ports_active(session: Session, job: Job) -> None:
    """Show the server's ports as ACTIVE."""
    if job.rows.ports:
        session.execute(_SHOW_ACTIVE, {"of_server": job.server.id, "moment": now()})


def give_back(session: Session, job: Job) -> None:
    """Give the host's room back. The ports stay until the server is deleted, as its user may look at them."""
    claims.release(session, job.server.id)


ACTIONS = (
    Action(
        "create",
        (*PREPARE, Step("spawn", spawn, noted=True, task_state="spawning")),
        undo=clean_up,
        on_ok=show_ports_active,
        on_fail=give_back,
        needs_guest=False,
    ),
    Action(
        "delete",
        (Step("destroy", destroy), Step("unplug", unplug)),
        needs_guest=False,
        for_deleted=True,
    ),
)
