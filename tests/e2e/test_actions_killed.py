"""``kill -9`` of a whole cloud while its real guests are stopped, resized, rescued, shelved…; and of libvirtd, which also hangs.

Each round asks something of a VM, a unikernel and a container at once, and kills at a random moment. Then each server must come to
rest where its request leads, and its guest with it; nothing may be left over, and no guest may boot twice.

``NOVA_LITE_E2E_ROUNDS`` sets the number of rounds of each test, ``NOVA_LITE_E2E_SEED`` the seed (``random``: any), and
``NOVA_LITE_E2E_KEEP`` a directory for the log of a cloud that failed.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import guest_judge
import pytest
from action_ends import fold
from killed_server import SERVERS, WIDE, Request, Subject, least_asked, make_network
from private_host import wait_for
from real_cloud import BOOT, KINDS, PROGRAMS, Cloud, Marks, await_ping, cloud_on_a_host, traces
from working_guests import Guest, make_flavors, request_body, upload_container

from nova_lite.compute.transitions import VmState
from nova_lite.db import migrate
from nova_lite.db.models import Image, Operation, RemovedImage
from nova_lite.db.store import Store

ROUNDS = int(os.environ.get("NOVA_LITE_E2E_ROUNDS", "2"))
KEEP = os.environ.get("NOVA_LITE_E2E_KEEP", "")
SEED = os.environ.get("NOVA_LITE_E2E_SEED", "")
SETTLED_S = 60.0
BOOTED_S = 80.0
LATEST_S = 1.2
"""The latest moment of a kill, after the request."""
SLOTS = {
    "vm": "vm",
    "unikernel": "unikernel",
    "container": "container",
    "2nd unikernel": "unikernel",
    "2nd container": "container",
}
"""Which servers there are at one time: each begins anew when it was deleted."""
OPTIONS = """
[libvirt]
call_timeout = 40
[compute]
poll_interval = 0.5
reconcile_interval = 2
shutdown_timeout = 5
max_attempts = 10
resize_confirm_window = -1
shelved_offload_time = -1
reclaim_instance_interval = 3600
[scheduler]
poll_interval = 0.5
"""
PIECES = {"api": "nova-lite-api", "scheduler": "nova-lite-scheduler", "agent": "nova-lite-compute"}
"""The programs of a cloud in pieces, which are killed alone or together."""
HARMLESS = ("does not run",)
"""Why an action may fail though nothing else did."""


@dataclass
class Trial:
    """A cloud and its servers, one of each kind at a time. ``strict``: nothing but the cloud's own deaths happens to it.

    ``strikes``: what may happen in a round, one of them at a time.
    """

    cloud: Cloud
    store: Store
    chance: random.Random
    strict: bool
    strikes: Sequence[str]
    images: dict[str, str]
    subjects: dict[str, Subject] = field(default_factory=dict)
    gone: list[Subject] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    ended: int = 0
    """Guests that ended with libvirtd, whose next life could not take them up, say; their servers are shown as stopped."""

    def run(self, rounds: int) -> None:
        """Ask and kill, *rounds* times; then delete everything, which is cut off once, too."""
        self._round({slot: self._creation(slot) for slot in SLOTS}, "none")
        for _ in range(rounds):
            self._round({slot: self._next(slot) for slot in SLOTS}, self.chance.choice(self.strikes))
        last = {slot: one.request("delete", self.chance) for slot, one in self.subjects.items()}
        self._round(last, self.strikes[0] if self.strict else "cloud")
        self._leave_nothing()

    def _creation(self, slot: str) -> Request:
        kind = SLOTS[slot]
        return Request("create", "POST", SERVERS, request_body(self.cloud, kind, self.images[kind]), "demo")

    def _next(self, slot: str) -> Request:
        kind, subject = SLOTS[slot], self.subjects.get(slot)
        if subject is None:
            self.asked[f"{kind} create"] += 1
            return self._creation(slot)
        name = least_asked(subject.choices(), self.asked, kind, self.chance)
        self.asked[f"{kind} {name}"] += 1
        return subject.request(name, self.chance)

    def _round(self, requests: dict[str, Request], fault: str) -> None:
        self.faults[fault] += 1
        threads = [threading.Thread(target=one.ask, args=(self.cloud,), daemon=True) for one in requests.values()]
        for thread in threads:
            thread.start()
        if fault == "none":
            for thread in threads:
                thread.join()
        else:
            time.sleep(self.chance.uniform(0.0, LATEST_S))
        self._strike(fault)
        for thread in threads:
            thread.join()
        for slot, one in requests.items():
            self._answered(slot, one)
        began = time.monotonic()
        for subject in self.subjects.values():
            wait_for(f"{subject} settled", subject.is_settled, SETTLED_S)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        for slot, one in requests.items():
            self._judge(slot, one)

    def _strike(self, fault: str) -> None:
        cloud, host = self.cloud, self.cloud.host
        if pieces := [PIECES[name] for name in fault.split(" and ") if name in PIECES]:
            cloud.kill(*pieces)
            time.sleep(self.chance.choice((0.0, LATEST_S)))
            cloud.start()
        if fault == "cloud twice":
            self._restart()
            time.sleep(self.chance.uniform(0.0, LATEST_S))
        if fault in ("cloud", "cloud twice"):
            self._restart()
        elif fault == "libvirtd":
            host.kill_libvirtd()
        elif fault == "libvirtd and cloud":
            cloud.kill()
            host.kill_libvirtd()
            cloud.start()
        elif fault.startswith("hang"):
            hung = host.libvirtd
            os.kill(hung, signal.SIGSTOP)
            try:
                time.sleep(self.chance.uniform(0.0, 4.0))
                if fault == "hang and cloud":
                    cloud.kill()
                    if self.chance.random() < 0.5:
                        cloud.start()
            finally:
                os.kill(hung, signal.SIGCONT)
            if not cloud.processes:
                cloud.start()

    def _restart(self) -> None:
        self.cloud.kill()
        self.cloud.start()

    def _answered(self, slot: str, request: Request) -> None:
        """See that the request is known; ask again, with the same key, where no answer came, and now and then where one did."""
        first = request.answer
        if first is None or (request.method == "POST" and self.chance.random() < 0.3):
            wait_for(f"{request} answered", lambda: self._ask_again(request), 20, 0.3)
        answer = request.answer
        assert answer is not None, f"{request} got no answer: {self.cloud.tail()}"
        again = request.method == "DELETE" and answer.status in (404, 409)  # it was heard the first time
        if request.name == "changePassword":
            assert answer.status in (200, 202, 409, 500, 503, 504), (request, answer)
        elif not again and not (answer.status == 409 and self._has_ended(slot)):
            assert answer.status in (200, 202, 204), (request, answer)
        if first is not None and first.status < 300:
            assert first.raw == answer.raw, (request, first, answer)
        if request.name == "create":
            self._add(slot, str(answer.body["server"]["id"]))

    def _has_ended(self, slot: str) -> bool:
        """Tell whether the guest has ended with libvirtd, since it was last looked at."""
        subject = self.subjects[slot]
        ended = VmState(subject.row().vm_state) is VmState.STOPPED
        return not self.strict and ended and subject.standing.state is not VmState.STOPPED

    def _ask_again(self, request: Request) -> bool:
        """Ask with the same key; False: the first time is still under way, or has died, and its key is not free yet."""
        request.ask(self.cloud)
        return request.answer is not None and "Idempotency-Key is under way" not in str(request.answer.body)

    def _add(self, slot: str, server_id: str) -> None:
        kind = SLOTS[slot]
        guest = Guest(self.cloud, kind, server_id)
        self.subjects[slot] = Subject(self.cloud, self.store, guest, self.images[kind], kind)

    def _judge(self, slot: str, request: Request) -> None:
        subject = self.subjects[slot]
        works = subject.works()[subject.counted :]
        subject.counted += len(works)
        for work in works:
            subject.count_boots(work)
            self._may_have_ended(subject, work)
        row = subject.row()
        expected = fold(works, subject.standing)
        state = VmState(row.vm_state)
        if not self.strict and state is VmState.STOPPED and expected.state is not VmState.STOPPED:
            self.ended += 1
        elif self.strict or all(work.state == "done" for work in works):
            assert state is expected.state, f"{subject}: expected {expected.state}"
        subject.standing = type(expected)(state, expected.before_resize, expected.before_delete)
        subject.flavor = row.flavor["id"]
        if request.name in ("lock", "unlock"):
            subject.locked = request.name == "lock"
        if row.deleted:
            self.gone.append(self.subjects.pop(slot))
            return
        subject.remember()
        self._hold(slot, subject, state)

    def _may_have_ended(self, subject: Subject, work: Operation) -> None:
        assert work.state in ("done", "failed", "cancelled"), f"{subject}: {work.action} is {work.state}"
        if work.state != "failed":
            return
        assert work.error, f"{subject}: {work.action} failed without a reason"
        # Its user is told at once that nobody has answered, and may ask again.
        unheard = work.action == "changePassword" and "did not answer within" in work.error
        harmless = unheard or any(why in work.error for why in HARMLESS)
        assert not self.strict or harmless, f"{subject}: {work.action} failed though nothing did: {work.error}"

    def _hold(self, slot: str, subject: Subject, state: VmState) -> None:
        """Hold that guest and server are one, and that an ERROR says why and can be left."""
        self._agree(subject)
        if state in (VmState.ACTIVE, VmState.RESIZED) and not self._is_stopped(subject, state):
            self._reach(subject)
            subject.check_boots()
        elif state is VmState.RESCUED:
            self._reach(subject)
            subject.check_boots("own-boots")
        elif state is VmState.ERROR:
            assert subject.row().fault["message"], f"{subject} without a fault"
            self._revive(slot, subject)

    def _reach(self, subject: Subject) -> None:
        address = self.cloud.address(subject.id)
        try:
            await_ping(address, BOOTED_S)
        except AssertionError:
            said = self.cloud.console(subject.id)[-1500:]
            raise AssertionError(f"{subject} does not answer at {address}; its console: {said!r}") from None

    def _is_stopped(self, subject: Subject, state: VmState) -> bool:
        return state is VmState.RESIZED and subject.standing.before_resize is VmState.STOPPED

    def _agree(self, subject: Subject) -> None:
        """Hold that nothing differs that lasts: the agent compares every 2 s."""
        found: list[str] = []

        def look() -> bool:
            found[:] = guest_judge.differences(subject)
            return not found

        with suppress(AssertionError):
            wait_for("", look, 4, 0.2)
        assert not found, f"{subject}: {found}"

    def _revive(self, slot: str, subject: Subject) -> None:
        """Bring a server back that is in ERROR, as its user may; one that was never built can only be deleted."""
        if subject.row().launched_at is None:
            return
        request = subject.request("reboot-hard", self.chance)
        request.ask(self.cloud)
        assert request.answer is not None and request.answer.status == 202, (request, request.answer)
        wait_for(f"{subject} settled", subject.is_settled, SETTLED_S)
        assert VmState(subject.row().vm_state) is VmState.ACTIVE, f"{subject} does not come back: {subject.row().fault}"
        self._judge(slot, request)

    def _leave_nothing(self) -> None:
        """Hold that there is nothing of any server, and no image that nobody has."""
        assert not self.subjects
        left: list[str] = []

        def look() -> bool:
            left[:] = [trace for subject in self.gone for trace in self._traces(subject)]
            return not left

        with suppress(AssertionError):
            wait_for("", look, 4, 0.5)  # the agent looks every 2 s for what no operation removes
        assert not left, left
        snapshots = self.cloud.host.state / "snapshots"
        assert not snapshots.is_dir() or list(snapshots.iterdir()) == []
        made = [image for image in self.cloud.read("/image/v2/images")["images"] if image.get("instance_uuid")]
        assert {image["status"] for image in made} <= {"active"}, made
        assert not [image["name"] for image in made if image["name"].endswith("-shelved")]
        for image in made:
            assert self.cloud.ask("DELETE", f"/image/v2/images/{image['id']}", user="demo").status == 204
        wait_for("no image file without its row", lambda: self._lone_files() == [], 20)
        line = (str(PROGRAMS / "nova-lite-manage"), "--config-file", str(self.cloud.file), "doctor", "--interval", "1")
        said = self.cloud.host.run(*line, "-f", "json", check=False).stdout
        assert json.loads(said) == [], said
        assert [
            name for name in self.cloud.host.links() if not name.startswith(("nl-br", "nl-dh", "nl-rt", "nl-gw"))
        ] == []

    def _traces(self, subject: Subject) -> list[str]:
        marks = Marks(subject.id, tuple(subject.port_ids), tuple(subject.words))
        return traces(self.cloud, marks) + guest_judge.attached(subject.id)

    def _lone_files(self) -> list[str]:
        names = {path.name for path in (self.cloud.host.state / "images").iterdir() if path.suffix != ".part"}
        with self.store.read() as session:
            rows = {row.id for row in session.query(Image)} | {row.id for row in session.query(RemovedImage)}
        return sorted(names - rows)


def trial(images: Path, seed: int, *, strict: bool) -> None:
    strikes = (
        ("cloud", "cloud", "cloud twice") if strict else ("libvirtd", "libvirtd and cloud", "hang", "hang and cloud")
    )
    with cloud_on_a_host(images, options=OPTIONS) as cloud:
        strike(cloud, images, seed, strict, strikes)


def strike(cloud: Cloud, images: Path, seed: int, strict: bool, strikes: Sequence[str]) -> None:
    """Have a trial of a cloud, print what came of it, and stop the cloud."""
    make_flavors(cloud, WIDE)
    make_network(cloud)
    found = {kind: cloud.find("/image/v2/images", "images", BOOT[kind][0]) for kind in KINDS}
    found["container"] = upload_container(cloud, images, "counting")
    agent = [{"op": "add", "path": "/hw_qemu_guest_agent", "value": "yes"}]
    patch = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
    assert cloud.ask("PATCH", f"/image/v2/images/{found['vm']}", agent, user="admin", headers=patch).status == 200
    store = migrate.open_store(cloud.conf)
    one = Trial(cloud, store, random.Random(seed), strict, strikes, found)
    try:
        one.run(ROUNDS)
    except BaseException as error:
        if KEEP:
            log = cloud.log.read_text(errors="replace")
            name = f"{seed}-{'strict' if strict else 'faults'}-{len(cloud.programs)}.log"
            Path(KEEP, name).write_text(f"{error!r}\n\n{log}")
        error.add_note(f"seed {seed}; {dict(one.faults)}; {cloud.tail()}")
        raise
    finally:
        store.close()
        figures = {"asked": one.asked, "faults": one.faults, "slowest_s": one.slowest_s, "ended": one.ended}
        print(json.dumps({"seed": seed, **figures}))
    cloud.stop()


def seed_of(default: int) -> int:
    if SEED == "random":
        return random.SystemRandom().randrange(1, 1 << 30)
    return int(SEED or default)


@pytest.mark.timeout(3600)
def test_the_cloud_is_killed(images: Path) -> None:
    trial(images, seed_of(1), strict=True)


@pytest.mark.timeout(3600)
def test_libvirtd_is_killed_and_hangs(images: Path) -> None:
    trial(images, seed_of(2), strict=False)
