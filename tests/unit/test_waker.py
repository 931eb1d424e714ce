"""The waker: who is told by a message, and who without one."""

from __future__ import annotations

from nova_lite.bus import AGENT, SCHEDULER, Waker


def test_workers_of_this_process_are_told_at_once_and_others_by_a_message() -> None:
    sent: list[tuple[str, str | None]] = []
    told: list[str] = []
    waker = Waker(lambda topic, host: sent.append((topic, host)))
    waker.tell(SCHEDULER, None, lambda: told.append("scheduler"))
    waker.tell(AGENT, "here", lambda: told.append("agent"))
    waker.wake(SCHEDULER)
    waker.wake(AGENT, "here")
    assert told == ["scheduler", "agent"], "before wake returns"
    waker.wake(AGENT, "there")
    waker.stop(5)
    assert sent == [(AGENT, "there")] and len(told) == 2
