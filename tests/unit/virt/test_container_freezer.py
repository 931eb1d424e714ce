"""Frozen containers that libvirt takes to be running: one that it refuses to freeze keeps none of the others."""

from __future__ import annotations

import pytest

pytest.importorskip("libvirt")

import libvirt

from nova_lite.virt.libvirt import container_freezer


class Frozen:
    """A container, as libvirt would list it; *refused*: libvirt won't suspend it."""

    def __init__(self, number: int, refused: bool = False) -> None:
        self.number, self.refused, self.known = number, refused, False

    def ID(self) -> int:
        return self.number

    def name(self) -> str:
        return f"nl-{self.number}"

    def suspend(self) -> None:
        if self.refused:
            raise libvirt.libvirtError("a job is under way")
        self.known = True


class Connection:
    def __init__(self, *domains: Frozen) -> None:
        self.domains = domains

    def listAllDomains(self, _flags: int) -> tuple[Frozen, ...]:
        return self.domains


def test_one_that_is_refused_keeps_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_freezer, "is_frozen", lambda pid: pid != 3)
    first, second, running = Frozen(1, refused=True), Frozen(2), Frozen(3)
    container_freezer.tell(Connection(first, second, running))
    assert (first.known, second.known, running.known) == (False, True, False)
