"""A long copy of a real guest's disk ends when nobody wants it any more, and so holds up no delete.

The copy is held so that it never ends by itself: a program stops at its start, QEMU's backup is given a limit of a byte per second. One that was
whole before it could be given that is made again.
"""
# ruff: noqa: F811 - fixtures come by import

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from processes import command_lines

libvirt = pytest.importorskip("libvirt")
libvirt_qemu = pytest.importorskip("libvirt_qemu")

from compute_cloud import ask  # noqa: E402
from driver_fixtures import NEEDS_LIBVIRT, bridge, driver, images, make_spec, state, until  # noqa: E402, F401
from libvirt_cloud import IMAGES, LocalImages, close, make_cloud  # noqa: E402
from sqlalchemy import func, select  # noqa: E402
from whole_cloud import WholeCloud  # noqa: E402

from nova_lite.compute.transitions import PowerState  # noqa: E402
from nova_lite.db.models import Allocation, Image  # noqa: E402
from nova_lite.virt.driver import CONTAINER, VM, GuestSpec, LocalImage  # noqa: E402
from nova_lite.virt.libvirt import programs  # noqa: E402
from nova_lite.virt.libvirt.driver import LibvirtDriver  # noqa: E402
from nova_lite.virt.waiting import GoOn  # noqa: E402

pytestmark = [*NEEDS_LIBVIRT, pytest.mark.timeout(300)]

TRIES = 20
RUN = programs.run


class Cut(Exception):
    """Nobody wants the copy any more."""


class Held:
    """Holds the first copy of one guest's disk for good."""

    def __init__(self, driver: LibvirtDriver, server_id: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(programs, "run", self._run_program)
        self._guests = driver._by_kind[kind]
        self._id = server_id
        self._by_qemu = kind == VM
        self.directory = driver._instances.at(server_id).path
        self.reached = threading.Event()

    def hold(self) -> None:
        """Hold the copy, unless it is done or held already: for whenever it asks whether it is to go on."""
        if not self.is_held() and self._hold_backup():
            self.reached.set()

    def _run_program(self, command: Sequence[str], what: str, **options: Any) -> None:
        """Run what :func:`programs.run` runs, but have the first one that copies a disk stop before it begins."""
        if writes(self.directory, command) and not self.reached.is_set():
            command = ["sh", "-c", 'kill -STOP $$; exec "$@"', "sh", *command]
        RUN(command, what, **options)

    def is_held(self) -> bool:
        """Tell whether a copy is held by now."""
        if at_work(self.directory):
            self.reached.set()
        return self.reached.is_set()

    def _hold_backup(self) -> bool:
        if not self._by_qemu or not self.is_backed_up():
            return False
        for job in self._ask("query-block-jobs"):
            self._ask("block-job-set-speed", device=job["device"], speed=1)
        return any(job["speed"] == 1 and job["offset"] < job["len"] for job in self._ask("query-block-jobs"))

    def is_backed_up(self) -> bool:
        """Tell whether libvirt has a job of the guest under way."""
        view = self._guests.domains.view(self._id)
        if not self._by_qemu or view is None or not view.active:
            return False
        job = self._guests.domains.on(self._id, "look at", lambda domain: domain.jobInfo()[0])
        return bool(job != libvirt.VIR_DOMAIN_JOB_NONE)

    def _ask(self, command: str, **arguments: Any) -> list[dict[str, Any]]:
        text = json.dumps({"execute": command, "arguments": arguments})
        said = self._guests.domains.on(self._id, "ask", lambda domain: libvirt_qemu.qemuMonitorCommand(domain, text, 0))
        answer = json.loads(said).get("return") or []  # a job that has ended meanwhile can't be changed: an error
        return answer if isinstance(answer, list) else [answer]

    def nothing_is_left(self) -> None:
        assert not self.is_backed_up()
        assert at_work(self.directory) == []
        assert [*self.directory.glob("snapshot*"), *self.directory.glob("*.part")] == []


def writes(directory: Path, words: Sequence[str]) -> bool:
    """Tell whether a command makes a copy in a guest's directory."""
    return any(word.startswith(f"{directory}/") and word.endswith(".part") for word in words)


def at_work(directory: Path) -> list[int]:
    """Return the processes that make a copy in a guest's directory."""
    return [pid for pid, line in command_lines() if writes(directory, line.decode(errors="replace").split("\0"))]


def large(images: Path, state: Path) -> LocalImage:
    """Make an image with half a GiB to copy, beside the kernel of a small guest."""
    path = state / "large.img"
    with path.open("wb") as file:
        for _ in range(512):
            file.write(b"\x5a" * (1 << 20))
    path.chmod(0o644)
    return LocalImage("vm", path, "raw", 512 << 20, images / "tiny/tiny-kernel", images / "tiny/tiny-ramdisk")


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("kind", [VM, CONTAINER])
def test_a_copy_that_nobody_wants_ends_and_the_guest_is_as_before(
    driver: LibvirtDriver,
    make_spec: Callable[..., GuestSpec],
    images: Path,
    state: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    running: bool,
) -> None:
    spec = make_spec(kind)
    spec = replace(spec, image=large(images, state)) if kind == VM and running else spec
    driver.spawn(spec)
    if not running:
        driver.stop(spec.server_id, 0)
    power, target = driver.power(spec.server_id), state / "image"
    assert power == (PowerState.RUNNING if running else PowerState.SHUTDOWN)
    held = Held(driver, spec.server_id, kind, monkeypatch)

    def go_on() -> None:
        held.hold()
        if held.reached.is_set():
            raise Cut

    for _ in range(TRIES):
        target.unlink(missing_ok=True)
        try:
            driver.snapshot(spec, target, go_on)
        except Cut:
            break
    assert held.reached.is_set()
    held.nothing_is_left()
    assert [path.name for path in state.glob("image*")] == []
    assert driver.power(spec.server_id) == power
    assert driver.snapshot(spec, target).size == target.stat().st_size
    held.nothing_is_left()


class Copied:
    """A cloud with one server, of which a copy is held in its middle."""

    def __init__(self, cloud: WholeCloud, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        assert isinstance(cloud.driver, LibvirtDriver)
        self.cloud, self.driver = cloud, cloud.driver
        self.id = cloud.boot(imageRef=IMAGES[kind], networks="none", version="2.37")
        self.held = Held(self.driver, self.id, kind, monkeypatch)
        guests = self.driver._by_kind[kind]
        snapshot = guests.snapshot

        def slowly(spec: GuestSpec, view: Any, target: Path, go_on: GoOn) -> Any:
            def held_on() -> None:
                self.held.hold()
                go_on()

            return snapshot(spec, view, target, held_on)

        monkeypatch.setattr(guests, "snapshot", slowly)

    def begin(self, body: dict[str, Any]) -> None:
        for _ in range(TRIES):
            self.cloud.act(self.id, body)
            until(lambda: self.held.is_held() or self.cloud.server(self.id).task_state is None, 120)
            if self.held.reached.is_set():
                return
        raise AssertionError("each copy was whole before it could be held")

    def made_images(self) -> list[tuple[str, str]]:
        with self.cloud.store.read() as session:
            rows = session.scalars(select(Image).where(Image.id.not_in(IMAGES.values()), Image.status != "active"))
            return [(row.name, row.status) for row in rows]


@pytest.fixture(params=[VM, CONTAINER])
def copied(
    request: pytest.FixtureRequest,
    state: Path,
    make_spec: Callable[..., GuestSpec],
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Copied]:
    options = {"compute.shelved_offload_time": -1, "compute.reclaim_instance_interval": 0}
    cloud = make_cloud(state, make_spec, **options)
    assert isinstance(cloud.images, LocalImages)
    if request.param == VM:
        cloud.images.found[IMAGES[VM]] = large(images, state)
    cloud.agent()
    yield Copied(cloud, request.param, monkeypatch)
    close(cloud, state)


@pytest.mark.parametrize(
    "body",
    [{"createImage": {"name": "cut"}}, {"shelve": None}, {"resize": {"flavorRef": "2"}}],
    ids=lambda body: next(iter(body)),
)
def test_a_delete_ends_the_copy(copied: Copied, body: dict[str, Any]) -> None:
    cloud = copied.cloud
    copied.begin(body)
    assert (copied.made_images() == []) == ("resize" in body)
    assert ask(cloud, "DELETE", f"/servers/{copied.id}").status_int == 204
    cloud.until(lambda: cloud.server(copied.id).deleted)
    assert [row.state for row in cloud.operations(copied.id)][-2:] == ["cancelled", "done"]
    assert at_work(copied.held.directory) == []
    assert not copied.held.directory.exists()
    assert copied.driver._find(copied.id) is None
    assert (copied.made_images(), list(Path(cloud.conf.state_path).glob("snapshots/*"))) == ([], [])
    with cloud.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Allocation)) == 0
