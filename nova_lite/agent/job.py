"""One operation's work in hand, and the steps that several actions share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from oslo_config import cfg
from sqlalchemy.exc import DBAPIError

from nova_lite.agent import spec
from nova_lite.agent.network_keeper import NetworkKeeper
from nova_lite.agent.rows import ServerRows
from nova_lite.db import operations
from nova_lite.db.models import Server
from nova_lite.db.operations import Work
from nova_lite.db.store import Store
from nova_lite.db.types import JsonDict, now
from nova_lite.host import metadata
from nova_lite.host.ports import Images, Networks
from nova_lite.virt import abilities
from nova_lite.virt.driver import VM, Driver, GuestSpec, LocalImage, Nic
from nova_lite.virt.waiting import GoOn, go_on

SEED_BYTES = 512
"""Entropy for the guest's pool, as much as Nova gives."""

MOST_GRACE_S = 120.0
_LOOK_S = 0.5

MOST_EVENTS = 64
"""Steps that are kept of one operation, the last ones."""


@dataclass(frozen=True)
class Tools:
    """What an agent works with: its host's driver, networks and images, and the state store."""

    conf: cfg.ConfigOpts
    store: Store
    driver: Driver
    networks: Networks
    keeper: NetworkKeeper
    images: Images
    host: str


class Stopped(Exception):
    """A later operation asked this one to stop."""


@dataclass
class Job:
    """One operation under way on one server; the steps fill in what later ones need."""

    tools: Tools
    work: Work
    rows: ServerRows
    image: LocalImage | None = None
    nics: list[Nic] = field(default_factory=list)
    drive: Path | None = None
    events: list[JsonDict] = field(default_factory=list)
    """The steps so far, those of earlier attempts among them, as ``Operation.events`` keeps them."""
    _look_at: float = field(default_factory=lambda: time.monotonic() + _LOOK_S)

    def go_on(self) -> None:
        """Look now and then, in the middle of what takes long, whether it is still wanted.

        :raises Stopped: a later operation, a delete say, waits for this one to end.
        :raises nova_lite.errors.StaleState: the operation was taken away: its agent is being stopped.
        """
        moment = time.monotonic()
        if moment < self._look_at:
            return
        self._look_at = moment + _LOOK_S
        try:
            asked = operations.is_asked_to_stop(self.tools.store, self.work)
        except DBAPIError:
            return  # it is asked again
        if asked:
            raise Stopped

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Write a step's begin, end and result down in ``events``."""
        event: JsonDict = {"event": f"compute_{name}", "start": _moment(), "finish": None, "result": None}
        self.events = [*self.events[1 - MOST_EVENTS :], event]
        try:
            yield
        except BaseException as error:
            event |= {"finish": _moment(), "result": "Error", "details": str(error)[:1000]}
            raise
        event |= {"finish": _moment(), "result": "Success"}

    @property
    def server(self) -> Server:
        """The server's row as it was when the operation was taken."""
        return self.rows.server

    def spec(self) -> GuestSpec:
        """Make the guest's spec from what the steps have prepared.

        :raises nova_lite.agent.spec.SpecError: it can't be made.
        """
        assert self.image is not None
        return spec.guest_spec(self.server, self.image, self.nics, self.drive)

    def grace_s(self) -> float:
        """Return how long the guest may take to shut down: the image's ``os_shutdown_timeout`` or the host's default."""
        asked = str(self.server.image_properties.get("os_shutdown_timeout", ""))
        default = float(self.tools.conf.compute.shutdown_timeout)
        # An image's owner must not be able to keep this host's workers waiting for good.
        return min(float(asked), max(MOST_GRACE_S, default)) if asked.isascii() and asked.isdecimal() else default


def _moment() -> str:
    return now().isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Step:
    """One idempotent piece of an action. ``noted``: written down before it begins, with ``task_state`` if there is one.

    A note costs a transaction, so only what may take long, or what a delete should be able to prevent, is noted.
    """

    name: str
    do: Callable[[Job], None]
    noted: bool = False
    task_state: str | None = None


def fetch(job: Job) -> None:
    """Have the image in the host's cache."""
    job.image = fetch_image(job.tools, job.rows, job.go_on)


def fetch_image(tools: Tools, server: ServerRows, go_on: GoOn = go_on) -> LocalImage:
    """Return the image that a server's guest stands on, from the host's cache; for an adopted one, that there is none.

    *go_on*: as ``Images.fetch`` takes it.
    """
    if spec.is_adopted(server.server):
        return spec.NO_IMAGE
    return tools.images.fetch(spec.image_spec(server.server, server.images), go_on)


def remove_guest(tools: Tools, server: Server) -> None:
    """Remove a server's guest from this host. One whose adoption never came to its end is not ours to end: it is let go."""
    if spec.is_adopted(server) and server.launched_at is None:
        disown(tools, server.id)
    else:
        tools.driver.destroy(server.id)


def disown(tools: Tools, server_id: str) -> None:
    """Take our mark off a guest that goes on running; no mark is well."""
    if isinstance(tools.driver, abilities.Adopts):
        tools.driver.disown(server_id)


def plug(job: Job) -> None:
    """Have a device on the host for each port, and DHCP that answers it."""
    job.nics = plug_ports(job.tools, job.rows)


def plug_ports(tools: Tools, server: ServerRows) -> list[Nic]:
    """Plug every port of *server* on this host; done already is well."""
    return tools.keeper.plug(server.server.id, tuple(port.port_id for port in server.ports))


def unplug(job: Job) -> None:
    """Remove the ports' devices and leases from the host."""
    job.tools.keeper.unplug(job.server.id)


def make_config_drive(job: Job) -> None:
    """Write the config drive of a VM that has one."""
    server = job.server
    if server.kind != VM or spec.is_adopted(server) or not server.config_drive:
        return
    guest = spec.guest_data(server, job.tools.conf.compute.availability_zone, os.urandom(SEED_BYTES))
    networks = job.tools.keeper.state.networks
    nics = [
        metadata.GuestNic(nic, networks[port.network_id], port.tag)
        for nic, port in zip(job.nics, job.rows.ports, strict=True)
        if port.network_id in networks
    ]
    job.drive = job.tools.images.config_drive(server.id, metadata.files(guest, nics))


PREPARE = (Step("fetch", fetch), Step("plug", plug), Step("config-drive", make_config_drive))
"""What a guest needs before it is defined: done anew each time, and quick when it is there already."""


def can_undo(job: Job) -> bool:
    """Tell whether there may be something to undo, and then have at hand what a guest's spec is made from.

    This attempt may have failed before it fetched anything, after an earlier one had begun and was cut off.
    """
    if job.image is None and job.work.step is not None:
        for step in PREPARE:
            step.do(job)
    return job.image is not None
