"""What a host needs now and then beside its guests: DHCP that has died, images that nothing here is made from any more.

And what no worker removes: the files of snapshots that a server's deletion has cut off, and the console's log that an offloaded server
leaves on its last host, where its deletion is done without that host.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Protocol, runtime_checkable

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from nova_lite.agent.job import Tools, remove_guest
from nova_lite.bus import AGENT
from nova_lite.conf import state_path
from nova_lite.db.models import Operation, Server
from nova_lite.db.operations import UNFINISHED
from nova_lite.errors import NovaLiteError
from nova_lite.virt.driver import REMOVED

LOG = logging.getLogger(__name__)

EVERY_S = 600.0
"""Seconds between two looks at the image cache."""
_MOST_NAMES = 500
"""In one query."""


@runtime_checkable
class Tends(Protocol):
    """Networks whose DHCP runs as processes of this host."""

    def tend(self) -> int:
        """Start every DHCP server that has died, and return how many had."""


@runtime_checkable
class Evicts(Protocol):
    """An image cache on disk."""

    def evict(self, keep: Collection[str]) -> list[str]:
        """Remove the images that are not of *keep* and were not fetched lately; return their ids."""


class Upkeep:
    """Done by the reconcile's thread after each comparison; what fails is said, and tried again the next time.

    :param kept: tells which images stay in the cache though no guest is made from them.
    """

    def __init__(self, tools: Tools, kept: Callable[[], set[str]] = set) -> None:
        self._tools = tools
        self._kept = kept
        self._due = time.monotonic() + EVERY_S

    def run(self, *, now: bool = False) -> None:
        """Tend the networks, and when it is time (or *now*) look at the image cache."""
        networks, images = self._tools.networks, self._tools.images
        if isinstance(networks, Tends):
            self._do("networks", networks.tend)
        self._do("snapshots", self._drop_snapshots)
        self._do("directories", self._drop_directories)
        if isinstance(images, Evicts) and (now or time.monotonic() >= self._due):
            self._due = time.monotonic() + EVERY_S
            self._do("images", partial(self._evict, images))

    def _do(self, what: str, work: Callable[[], object]) -> None:
        """Do one thing; one that fails, and may fail each time, must not keep the others from their turn."""
        try:
            work()
        except (NovaLiteError, OSError) as error:
            LOG.error("host=%s event=upkeep-failed what=%s reason=%r", self._tools.host, what, str(error))

    def _evict(self, images: Evicts) -> None:
        with self._tools.store.read() as session:
            keep = images_in_use(session, self._tools.host) | self._kept()
        for image_id in images.evict(keep):
            LOG.info("image=%s event=evicted host=%s", image_id, self._tools.host)

    def _drop_snapshots(self) -> None:
        """Remove every file that no unfinished operation of this host makes; looked for before the operations are read."""
        directory = state_path(self._tools.conf, "snapshots")
        found = list(directory.iterdir()) if directory.is_dir() else []
        if not found:
            return
        with self._tools.store.read() as session:
            wanted = snapshots_in_hand(session, self._tools.host)
        for path in found:
            if path.name.partition(".")[0] not in wanted:
                self._drop(f"snapshot {path.name}", partial(path.unlink, missing_ok=True))

    def _drop(self, what: str, remove: Callable[[], None]) -> None:
        """Remove one thing; one that can't be removed must not keep all others, this time and each time."""
        try:
            remove()
        except (NovaLiteError, OSError) as error:
            LOG.error("host=%s event=not-dropped what=%r reason=%r", self._tools.host, what, str(error))
        else:
            LOG.info("host=%s event=dropped what=%r", self._tools.host, what)

    def _drop_directories(self) -> None:
        """Remove what there is of each server that was deleted; one that the database does not know is left alone."""
        directory = state_path(self._tools.conf, "instances")
        found = [entry.name for entry in directory.iterdir() if entry.is_dir()] if directory.is_dir() else []
        # Of one whose removal was cut off in the middle there is no more than this.
        names = sorted({name.removeprefix(REMOVED) for name in found})
        for start in range(0, len(names), _MOST_NAMES):
            with self._tools.store.read() as session:
                gone = deleted(session, names[start : start + _MOST_NAMES])
            for server in gone:
                self._drop(f"directory {server.id}", partial(remove_guest, self._tools, server))


def deleted(session: Session, names: Collection[str]) -> list[Server]:
    """Return the servers of these ids that were deleted and on which nothing is under way any more."""
    busy = exists().where(
        Operation.target_type == "server", Operation.target_id == Server.id, Operation.state.in_(UNFINISHED)
    )
    return list(session.scalars(select(Server).where(Server.id.in_(names), Server.deleted.is_(True), ~busy)))


def snapshots_in_hand(session: Session, host: str) -> set[str]:
    """Return the ids of the images that unfinished operations of *host* are to make."""
    query = select(Operation.arguments).where(
        Operation.queue == AGENT, Operation.host == host, Operation.state.in_(UNFINISHED)
    )
    return {str(arguments["image_id"]) for arguments in session.scalars(query) if "image_id" in arguments}


def images_in_use(session: Session, host: str) -> set[str]:
    """Return the ids of all images that a guest of *host* may stand on, kernels and ramdisks among them."""
    query = select(Server.image_id, Server.image_properties, Server.system_metadata).where(
        Server.host == host, Server.deleted.is_(False)
    )
    found: set[str] = set()
    for image_id, properties, kept in session.execute(query):
        root = (kept or {}).get("root_image") or {}
        named = (
            image_id,
            root.get("image_id"),
            (kept or {}).get("rescue_image_id"),
            (kept or {}).get("shelved_image_id"),
        )
        found.update(identifier for identifier in named if identifier)
        found.update(properties[name] for name in ("kernel_id", "ramdisk_id") if (properties or {}).get(name))
    return found
