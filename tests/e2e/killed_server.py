"""A server whose cloud is killed: what its user may ask of it next, and what must then have become of it."""

from __future__ import annotations

import http.client
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import action_requests
from action_ends import Standing
from private_host import wait_for
from real_cloud import Answer, Cloud
from sqlalchemy import select
from working_guests import VERSION, Guest

from nova_lite.compute import kinds
from nova_lite.compute.transitions import TRANSITIONS, VmState
from nova_lite.db.models import Operation, Server
from nova_lite.db.operations import UNFINISHED
from nova_lite.db.store import Store
from nova_lite.virt import refusals

ABILITIES = {"rescue": "rescue", "trigger_crash_dump": "crash_dump", "resize-live": "resize_live"}
"""Actions that not every kind of guest has, as ``nova_lite.virt.refusals`` calls them."""
LIVE = ("live", "less")
COLD = ("large", "larger", "wide")
"""Endings of flavors: those of a live resize have the disk that a server begins with, those of another have as much or more."""
WIDE: dict[str, tuple[int, int, int, dict[str, str]]] = {
    "vm-wide": (2, 224, 3, {}),
    "unikernel-wide": (2, 80, 0, {}),
    "container-wide": (2, 160, 3, {}),
}
BY_ADMIN = ("shelveOffload", "delete")
ONCE = ("create", "start", "restore", "unshelve", "restart", "unrescue", "revertResize")
"""Actions that boot a guest from its own disk, and must do it once however often they are begun."""
AGAIN = ("reboot-soft", "reboot-hard", "resize", "shelve", "rescue")
"""Actions that may boot it once each time that they are begun; the last two where they are undone."""
SERVERS = "/compute/v2.1/servers"
BESIDE = "beside"
"""The network that further interfaces are in; one without a gateway, so that guests go on answering by their first."""


@dataclass
class Request:
    """Something that a user asks for, with the same key however often; ``name`` is the action's in the table of transitions."""

    name: str
    method: str
    path: str
    body: Any
    user: str
    answer: Answer | None = None
    key: str = field(default_factory=lambda: str(uuid.uuid4()))

    def ask(self, cloud: Cloud) -> None:
        """Ask once more; no answer, as of a cloud that is dead, is none."""
        headers = {"OpenStack-API-Version": f"compute {VERSION}"}
        if self.method == "POST":
            headers["Idempotency-Key"] = self.key
        try:
            self.answer = cloud.ask(self.method, self.path, self.body, self.user, headers)
        except (OSError, http.client.HTTPException):
            self.answer = None


@dataclass
class Subject:
    """A server. ``least`` and ``most``: how many boots its own disk must and may remember; ``counted``: operations that are in them."""

    cloud: Cloud
    store: Store
    guest: Guest
    image_id: str
    flavor: str
    standing: Standing = field(default_factory=Standing)
    locked: bool = False
    counted: int = 0
    least: int = 0
    most: int = 0
    before_resize: tuple[int, int] = (0, 0)
    port_ids: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)
    """Of all its ports so far: what they are known by on the host."""

    @property
    def id(self) -> str:
        """Return the server's id."""
        return self.guest.server_id

    @property
    def kind(self) -> str:
        """Return the guest's kind."""
        return self.guest.kind

    def row(self) -> Server:
        """Return its row."""
        with self.store.read() as session:
            return session.get_one(Server, self.id)

    def works(self) -> list[Operation]:
        """Return what was done to it, the first first."""
        with self.store.read() as session:
            query = select(Operation).where(Operation.target_id == self.id).order_by(Operation.id)
            return list(session.scalars(query))

    def is_settled(self) -> bool:
        """Tell whether nothing is under way on it."""
        return self.row().task_state is None and not any(work.state in UNFINISHED for work in self.works())

    def choices(self) -> list[str]:
        """Return what may be asked of it now, by its name in the table of transitions, or our own for what is not there."""
        state = self.standing.state
        if self.locked:
            return ["unlock", "delete"]
        names = [*action_requests.ACTIONS, "soft-delete", "attach_interface", "detach_interface", "changePassword"]
        return ["lock", *(name for name in names if state in TRANSITIONS[name].allowed_from and self._can(name))]

    def _can(self, name: str) -> bool:
        state, ports = self.standing.state, len(self.cloud.ports(self.id))
        if refusals.reason(self.kind, ABILITIES.get(name, "")):
            return False
        if name == "trigger_crash_dump":
            return state is VmState.ACTIVE and self.kind == "vm"  # a unikernel does nothing more after it
        if name == "changePassword":
            return self.kind == "vm"
        if name == "resize-live":
            return self.flavor in (self.kind, *(f"{self.kind}-{one}" for one in LIVE))
        if name in ("attach_interface", "detach_interface"):
            plugged = state is not VmState.STOPPED
            if plugged and (state is VmState.PAUSED or kinds.BY_TRANSITION[name].refusal(self.kind)):
                return False  # a guest that stands still lets nothing go
            return ports == (1 if name == "attach_interface" else 2)
        return True

    def request(self, name: str, chance: random.Random) -> Request:
        """Make the request for one of the :meth:`choices`."""
        user = "admin" if name in BY_ADMIN or (self.locked and name == "delete") else "demo"
        path = f"{SERVERS}/{self.id}"
        if name == "soft-delete":
            return Request(name, "DELETE", path, None, user)
        if name == "attach_interface":
            network = self.cloud.find("/network/v2.0/networks", "networks", BESIDE)
            return Request(name, "POST", f"{path}/os-interface", {"interfaceAttachment": {"net_id": network}}, user)
        if name == "detach_interface":
            return Request(name, "DELETE", f"{path}/os-interface/{self._second_port()}", None, user)
        return Request(name, "POST", f"{path}/action", self._body(name, chance), user)

    def _second_port(self) -> str:
        floating = self.cloud.read("/network/v2.0/floatingips")["floatingips"]
        taken = {each["port_id"] for each in floating}
        ids = [str(port["id"]) for port in self.cloud.ports(self.id)]
        return next((one for one in ids if one not in taken), ids[-1])

    def _body(self, name: str, chance: random.Random) -> Any:
        if name == "lock":
            return {"lock": {"locked_reason": "hands off"}}
        if name == "unlock":
            return {"unlock": None}
        if name == "changePassword":
            return {"changePassword": {"adminPass": "new-Secret-1"}}
        if name in ("resize", "resize-live"):
            return {"resize": {"flavorRef": chance.choice(self._flavors(name))}}
        return action_requests.body(name, image=self.image_id, flavor="")

    def _flavors(self, name: str) -> list[str]:
        if name == "resize-live":
            return [one for one in (f"{self.kind}-{end}" for end in LIVE) if one != self.flavor]
        smaller = {f"{self.kind}-large": (), f"{self.kind}-larger": (0,), f"{self.kind}-wide": (0,)}
        less = [f"{self.kind}-{COLD[index]}" for index in smaller.get(self.flavor, ())]
        return [one for one in (f"{self.kind}-{end}" for end in COLD) if one != self.flavor and one not in less]

    def remember(self) -> None:
        """Note what its ports are known by on the host."""
        for port in self.cloud.ports(self.id):
            self.port_ids.add(str(port["id"]))
            self.words |= {port["mac_address"], *(fixed["ip_address"] for fixed in port["fixed_ips"])}

    def count_boots(self, work: Operation) -> None:
        """Let what was done allow for boots, or take back the disk that remembered them."""
        more = work.action in ONCE or (work.action in AGAIN and work.attempt)
        if work.action == "resize":
            self.before_resize = (self.least, self.most)
        elif work.action == "revertResize" and work.state == "done" and self.kind != "unikernel":
            self.least, self.most = self.before_resize
        elif work.action == "rebuild":
            # Each attempt begins with a new disk; a console remembers the boots of all of them.
            self.least, self.most = (self.least, self.most) if self.kind == "unikernel" else (0, 0)
            more = work.attempt if self.kind == "unikernel" or work.state != "done" else 1
        if work.state == "failed":
            self.least = 0 if work.action in ("rebuild", "revertResize", "resize") else self.least
            more = work.attempt + 1  # what failed may have been done, and may have been undone by another boot
        self.most += int(more)

    def check_boots(self, name: str = "boots") -> None:
        """Wait until the guest answers; hold that its disk remembers no boot too many, and none too few.

        A rescued guest shows what its own disk remembers, in ``own-boots``: nothing, if the server was stopped when it got a new disk.
        """
        least = max(self.least, 1) if name == "boots" else self.least
        seen: list[int] = []

        def look() -> bool:
            up = name == "boots" or self.guest.counted() > 0
            count = self.guest.counted(name)
            seen.append(0 if up and count < 0 and least == 0 else count)  # it answers, and has no such file
            return seen[-1] >= least

        try:
            wait_for("", look, 40, 0.1)
        except AssertionError:
            said = self.guest.cloud.console(self.id)[-1500:]
            raise AssertionError(f"{self}: {seen[-1]} boots, at least {least}: {said}") from None
        assert seen[-1] <= self.most, f"{self}: {seen[-1]} boots, at most {self.most}"
        self.least = seen[-1]

    def __str__(self) -> str:
        done = [f"{work.action}:{work.state}:{work.attempt}" for work in self.works()]
        return f"{self.kind} {self.id} ({self.row().vm_state}) after {' '.join(done)}"


def make_network(cloud: Cloud) -> None:
    """Have the network that interfaces are attached to."""
    answer = cloud.ask("POST", "/network/v2.0/networks", {"network": {"name": BESIDE}}, user="demo")
    assert answer.status == 201, answer
    subnet = {"network_id": answer.body["network"]["id"], "ip_version": 4, "cidr": "10.77.0.0/24", "gateway_ip": None}
    answer = cloud.ask("POST", "/network/v2.0/subnets", {"subnet": subnet}, user="demo")
    assert answer.status == 201, answer


def least_asked(choices: list[str], asked: Counter[str], kind: str, chance: random.Random) -> str:
    """Choose by chance among what was asked least of this kind so far."""
    few = min(asked[f"{kind} {name}"] for name in choices)
    return chance.choice(sorted(name for name in choices if asked[f"{kind} {name}"] == few))
