"""Frozen containers that libvirt takes to be running: one that it refuses to freeze, or that hangs, keeps none of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

pytest.importorskip("libvirt")

import libvirt

from nova_lite.virt.libvirt import container_freezer
from nova_lite.virt.libvirt.container_freezer import ContainerFreezer


class Frozen:
    """A container, as libvirt would list it; *refused*: libvirt won't suspend it; *gate*: it hangs until that is set."""

    def __init__(self, number: int, refused: bool = False, gate: threading.Event | None = None) -> None:
        self.number, self.refused, self.gate = number, refused, gate
        self.asked = 0
        self.known = threading.Event()

    def ID(self) -> int:
        return self.number

    def UUIDString(self) -> str:
        return str(self.number)

    def suspend(self) -> None:
        self.asked += 1
        if self.gate is not None:
            self.gate.wait()
        if self.refused:
            raise libvirt.libvirtError("a job is under way")
        self.known.set()


class Connection:
    def __init__(self, *domains: Frozen) -> None:
        self.domains = domains

    def getURI(self) -> str:
        return "lxc:///system"

    def listAllDomains(self, _flags: int) -> tuple[Frozen, ...]:
        return self.domains

    def lookupByUUIDString(self, text: str) -> Frozen:
        return next(domain for domain in self.domains if domain.UUIDString() == text)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    made = threading.Event()
    yield made
    made.set()


def test_one_that_is_refused_keeps_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_freezer, "is_frozen", lambda pid: pid != 3)
    first, second, running = Frozen(1, refused=True), Frozen(2), Frozen(3)
    connection = Connection(first, second, running)
    ContainerFreezer(lambda _uri: connection).tell(connection)
    assert second.known.wait(60)
    assert (first.asked, running.asked) == (1, 0)


def test_those_that_hang_keep_neither_the_connection_nor_the_others(
    monkeypatch: pytest.MonkeyPatch, gate: threading.Event
) -> None:
    monkeypatch.setattr(container_freezer, "is_frozen", lambda pid: True)
    monkeypatch.setattr(container_freezer, "_PATIENCE_S", 0.1)
    hung = [Frozen(number, gate=gate) for number in range(5)]
    well = [Frozen(number) for number in range(10, 40)]
    connection = Connection(*hung, *well, *[Frozen(9)])
    freezer = ContainerFreezer(lambda _uri: connection)
    freezer.tell(connection)  # it comes back though the gate is closed
    assert all(one.known.wait(60) for one in well)
    deadline = time.monotonic() + 60
    while not all(one.asked for one in hung):  # a thread of each begins in its own time
        assert time.monotonic() < deadline
        time.sleep(0.01)
    freezer.tell(connection)
    assert [one.asked for one in hung] == [1] * 5  # what hangs is not begun again
    gate.set()
    assert all(one.known.wait(60) for one in hung)
    deadline = time.monotonic() + 60
    while hung[0].asked < 2 and time.monotonic() < deadline:  # what has come back is, at the next connection
        freezer.tell(connection)
    assert hung[0].asked >= 2
