"""Attach and detach an interface: the port is the server's already, or still, and the guest follows."""

from __future__ import annotations

from nova_lite.agent.actions.action import Action
from nova_lite.agent.job import Job, Step, fetch, plug
from nova_lite.virt import abilities
from nova_lite.virt.driver import DriverError, GuestNotFound, Nic


def plugger(job: Job) -> abilities.AttachesNics:
    """Return the driver as one that attaches. :raises DriverError: it does not."""
    driver = job.tools.driver
    if not isinstance(driver, abilities.AttachesNics):
        raise DriverError("This host's driver can't change the interfaces of a guest.")
    return driver


def _nic(job: Job) -> Nic | None:
    wanted = job.work.arguments["port_id"]
    return next((nic for nic in job.nics if nic.port_id == wanted), None)


def attach(job: Job) -> None:
    """Give the running guest the interface; one that is stopped finds it at its next start."""
    nic = _nic(job)
    if nic is None:
        raise DriverError("The port was taken from the server meanwhile.")
    plugger(job).attach_nic(job.spec(), nic)


def undo_attach(job: Job) -> None:
    """Take the interface from the guest again, and its device from the host."""
    nic = _nic(job)
    if nic is not None:
        _detach(job, nic)


def detach(job: Job) -> None:
    """Take the interface from the guest, and wait until the guest has let it go."""
    nic = _nic(job)
    if nic is not None:
        _detach(job, nic)


def _detach(job: Job, nic: Nic) -> None:
    try:
        plugger(job).detach_nic(job.server.id, nic)
    except GuestNotFound:
        return


ACTIONS = (
    Action(
        "attach_interface",
        (Step("fetch", fetch), Step("plug", plug), Step("attach", attach, noted=True)),
        undo=undo_attach,
    ),
    Action("detach_interface", (Step("plug", plug), Step("detach", detach, noted=True))),
)
