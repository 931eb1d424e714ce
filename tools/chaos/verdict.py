"""What must hold once nobody kills any more: each server where its user may expect it, nothing left over, nothing twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from action_ends import fold
from sqlalchemy import select
from user import User

from nova_lite.compute.transitions import PowerState, VmState
from nova_lite.db.models import Allocation, FixedIp, Image, Operation, Port, RemovedImage, Server
from nova_lite.db.operations import UNFINISHED
from nova_lite.db.store import Store
from nova_lite.doctor import diagnosis, gathering, sight
from nova_lite.image.files import Files
from nova_lite.virt.fake import FakeDriver

POWERS = {
    VmState.ACTIVE: {PowerState.RUNNING},
    VmState.RESCUED: {PowerState.RUNNING},
    VmState.PAUSED: {PowerState.PAUSED},
    VmState.STOPPED: {PowerState.SHUTDOWN, PowerState.CRASHED},
    VmState.SUSPENDED: {PowerState.SHUTDOWN, PowerState.PAUSED},
    VmState.RESIZED: {PowerState.RUNNING, PowerState.SHUTDOWN},
}
"""How the guest of a server in that state stands."""
PUT_AWAY = (VmState.SHELVED, VmState.SOFT_DELETED)
"""Their guests don't run; one whose start had an error may, until it is asked for again."""
ALIVE = (PowerState.RUNNING, PowerState.PAUSED)
GONE = (VmState.BUILDING, VmState.SHELVED_OFFLOADED, VmState.DELETED)
ONCE = ("create", "start", "restore", "unshelve", "restart", "rescue", "unrescue")
"""Actions that boot a guest and must do it once however often they are begun."""
CUT_OFF = "cut off each time"
"""What is said of an operation that death has met too often (``nova_lite.agent.runner.LIVES``)."""
AGAIN = ("reboot-soft", "reboot-hard", "resize", "revertResize", "end-resize", "rebuild", "shelve")
"""What may boot it once for each time that it is begun (shelve: when it fails; end-resize: when it reverts, after a reset)."""

UNDONE = ("restore", "unshelve", "rescue")
"""Of ``ONCE``, what undoes itself when it fails. Death may come before that is written, and then it is all done again."""


@dataclass
class Verdict:
    """Sentences about what is wrong; all empty is well."""

    stuck: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    doubled_boots: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)

    def is_good(self) -> bool:
        """Tell whether nothing is wrong."""
        return not (self.stuck or self.unexpected or self.doubled_boots or self.left_over)


class Court:
    """Looks at one cloud. ``strict``: nothing but deaths happened to it, so nothing may have failed."""

    def __init__(self, conf: Any, store: Store, driver: FakeDriver, user: User, *, strict: bool) -> None:
        self._conf, self._store, self._driver, self._user, self._strict = conf, store, driver, user, strict
        self._devices = Path(conf.state_path) / "devices"

    def unfinished(self) -> list[str]:
        """Return what is under way, in words."""
        with self._store.read() as session:
            works = session.scalars(select(Operation).where(Operation.state.in_(UNFINISHED)))
            found = [
                f"{row.action} of {row.target_id} is {row.state} at {row.step}, attempt {row.attempt}" for row in works
            ]
            busy = session.scalars(select(Server).where(Server.task_state.is_not(None)))
            return found + [f"server {row.id} is {row.vm_state}/{row.task_state}" for row in busy]

    def differences(self) -> list[str]:
        """Return what the doctor finds, and guests that stand otherwise than their servers."""
        look = sight.look(self._conf, self._driver, None)
        found = [
            f"doctor: {row.kind} {row.object_id}: {row.problem}"
            for row in diagnosis.diagnose(gathering.gather(self._store, look))
        ]
        with self._store.read() as session:
            servers = {row.id: row for row in session.scalars(select(Server))}
            ports = set(session.scalars(select(Port.id).where(Port.host == self._conf.host)))
            claims = set(session.scalars(select(Allocation.server_id)))
        guests = {guest.server_id: guest for guest in self._driver.observe() if guest.server_id}
        found += [f"guest {one} of nobody" for one in guests.keys() - servers.keys()]
        for row in servers.values():
            found += self._compare(row, guests.get(row.id), claims)
        if self._devices.is_dir():
            found += [f"device {path.name} of no port" for path in self._devices.iterdir() if path.name not in ports]
        return found

    def _compare(self, row: Server, guest: Any, claims: set[str]) -> Iterator[str]:
        state = VmState(row.vm_state)
        where = f"server {row.id} {row.kind} is {state}"
        if state is VmState.ERROR and row.id in claims:
            return  # something failed half-way: what there is of it is paid for, and goes with the server
        if state in GONE or row.launched_at is None:
            if guest is not None:
                yield f"{where}, and its guest is {guest.power.name}"
            return
        wanted = POWERS.get(state)
        if wanted is not None and guest is None:
            yield f"{where}, and has no guest"
        elif wanted is not None and guest.power not in wanted:
            yield f"{where}, and its guest is {guest.power.name}"
        elif wanted is not None and row.power_state != guest.power:
            yield f"{where}, its power shown as {row.power_state}, and its guest is {guest.power.name}"
        if self._strict and guest is not None and state in PUT_AWAY and guest.power in ALIVE:
            yield f"{where}, and its guest is {guest.power.name}"
        if guest is not None and state in (VmState.ACTIVE, VmState.RESCUED):
            rescued = self._driver._extra(row.id, "rescue") is not None
            if rescued is not (state is VmState.RESCUED):
                yield f"{where}, and its guest {'was' if rescued else 'was not'} booted from a rescue image"
        if guest is not None and state is VmState.ACTIVE:
            has = self._driver._row(row.id)
            if (has["vcpus"], has["memory_mb"]) != (row.vcpus, row.memory_mb):
                yield f"{where} with {row.vcpus}/{row.memory_mb}, and its guest has {has['vcpus']}/{has['memory_mb']}"

    def expectations(self) -> Iterator[str]:
        """Say which servers are not where what was asked of them leads, and which requests made two."""
        with self._store.read() as session:
            servers = list(session.scalars(select(Server)))
            works: dict[str, list[Operation]] = defaultdict(list)
            for row in session.scalars(select(Operation).order_by(Operation.id)):
                works[row.target_id].append(row)
            images = session.scalars(select(Image).where(Image.status != "active")).all()
        for name, count in Counter(row.name for row in servers).items():
            if count > 1:
                yield f"{name} was asked for once, and there are {count} servers of that name"
        for row in images:
            yield f"image {row.name} {row.id} is {row.status}"
        for server in servers:
            yield from self._expect(server, works[server.id])
        yield from self._user.odd

    def _expect(self, server: Server, works: Sequence[Operation]) -> Iterator[str]:
        where = f"server {server.id} is {server.vm_state} after {[(row.action, row.state) for row in works]}"
        was_reset = any(row.action == "resetState" for row in works)
        if server.vm_state == VmState.ERROR and not server.fault and not was_reset:
            yield f"{where} without a fault"
        if self._strict and server.id not in self._user.crashed:
            given_up = False
            for row in works:
                # What was given up may have been done, a delete say, so what is asked of its server after that may fail as well.
                given_up |= CUT_OFF in (row.error or "") or row.action == "resetState"
                if row.state == "failed" and not given_up and not _may_fail(row):
                    yield f"{row.action} of server {server.id} failed though nothing did: {row.error}"
        if server.id in self._user.crashed:
            return  # its guest ended by itself at a time that no operation tells
        if not self._strict and any(row.state == "failed" for row in works):
            return  # it may have been done all the same; that its state is its guest's is looked at elsewhere
        state = fold(works).state
        if VmState(server.vm_state) is not state:
            yield f"{where}, expected {state}"

    def doubled(self) -> Iterator[str]:
        """Say which guests were booted more often than was asked for."""
        with self._store.read() as session:
            rows = session.scalars(select(Operation).where(Operation.target_type == "server")).all()
        most: Counter[str] = Counter()
        for row in rows:
            again = AGAIN if self._strict else (*AGAIN, *UNDONE)
            most[row.target_id] += row.attempt if row.action in again else 1 if row.action in ONCE else 0
            # What a resize, a shelve or a rescue that failed undoes boots the guest once more.
            most[row.target_id] += row.action in ("resize", "shelve", "rescue") and row.state != "done"
        for guest in self._driver.observe():
            if guest.server_id is None:
                continue
            boots = self._driver.console(guest.server_id, 1 << 20).count(b": started,")
            if boots > most[guest.server_id]:
                asked = [(row.action, row.state, row.attempt) for row in rows if row.target_id == guest.server_id]
                yield f"guest {guest.server_id} was booted {boots} times by {asked}"

    def left_over(self) -> Iterator[str]:
        """Say what there still is when every server is deleted."""
        for guest in self._driver.observe():
            yield f"guest {guest.server_id}"
        with self._store.read() as session:
            # A network's DHCP port stays with the network.
            guests = ~Port.device_owner.startswith("network:")
            addresses = select(FixedIp.address).join(Port, Port.id == FixedIp.port_id).where(guests)
            for what, query in (
                ("claim of", select(Allocation.server_id)),
                ("port", select(Port.id).where(guests)),
                ("address", addresses),
            ):
                yield from (f"{what} {found}" for found in session.scalars(query))
        for name in ("devices", "snapshots"):
            directory = Path(self._conf.state_path) / name
            if directory.is_dir():
                yield from (f"{name}/{path.name}" for path in directory.iterdir())
        yield from self._image_files()
        yield from self.differences()

    def _image_files(self) -> Iterator[str]:
        """Say which files of the image store nobody will remove; halves of uploads are swept by their age."""
        found = {path.name for path in Files(self._conf).root.iterdir() if path.suffix != ".part"}
        with self._store.read() as session:
            found -= {*session.scalars(select(Image.id)), *session.scalars(select(RemovedImage.id))}
        yield from (f"images/{name}" for name in sorted(found))


def _may_fail(row: Operation) -> bool:
    """Tell whether an operation can fail though nothing else has: a dump of what does not run."""
    return row.action == "trigger_crash_dump" and "does not run" in (row.error or "")
