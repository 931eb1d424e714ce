"""Who has a shared address is asked for, and an answer counts that came in time, however late it is looked at."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace

import pytest

from nova_lite.host.networks import announce, shared_addresses
from nova_lite.host.networks.shared_addresses import LATE_FRAMES, Question, SharedAddresses

HERE = Question("floating", "room", "leg", "fa:16:3e:00:00:01", "10.0.0.1", "10.0.0.100")
GUEST = bytes.fromhex("fa163e000002")


def answer(question: Question) -> bytes:
    """Return the frame by which the guest answers: the question's, turned round."""
    mac = bytes.fromhex(question.mac.replace(":", ""))
    head = mac + GUEST + announce.ARP.to_bytes(2, "big") + bytes.fromhex("0001080006040002")
    return head + GUEST + socket.inet_aton(question.address) + mac + socket.inet_aton(question.own)


@pytest.fixture
def line(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The guest's end of the link, to a host whose every look at the clock comes ten seconds after the last."""
    ours, guests = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    monkeypatch.setattr(SharedAddresses, "_socket", lambda _self, _room, _device: ours)
    looks = count()
    monkeypatch.setattr(shared_addresses, "time", SimpleNamespace(monotonic=lambda: 10.0 * next(looks)))
    with ours, guests:
        yield guests


def asked() -> set[Question]:
    found = SharedAddresses(lambda: None)
    try:
        return found._ask([HERE])
    finally:
        found.close()


def test_an_answer_that_is_there_counts_though_the_time_is_over(line: socket.socket) -> None:
    line.send(b"something else, before it")
    line.send(answer(HERE))
    assert asked() == {HERE}


def test_no_answer_is_none(line: socket.socket) -> None:
    assert asked() == set()


def test_who_sends_without_end_does_not_hold_up_the_questions(
    line: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = []

    def is_answered_by(_self: Question, frame: bytes) -> bool:
        taken.append(frame)
        line.send(frame)
        return False

    monkeypatch.setattr(Question, "is_answered_by", is_answered_by)
    line.send(b"again")
    assert asked() == set()
    assert len(taken) == LATE_FRAMES
