"""Make namespaces and what runs in them, several at a time, each by a thread that enters it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from nova_lite.host.networks import announce, interior, legs, netns, rules
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.networks.place import Place, inside
from nova_lite.host.networks.plan import Plan
from nova_lite.host.networks.rooms import Leg, Room
from nova_lite.host.networks.service import Process, Service
from nova_lite.host.ports import HostError

THREADS = 4
PASSING_S = 1.0
"""For so long a leg's bridge may take to learn that the leg is up: some ms, as a rule, and what is said before that is lost."""


class Builder:
    """The builder of one host's namespaces. ``host`` is the namespace where their bridges are."""

    def __init__(self, host: Namespace, service: Service) -> None:
        self._host = host
        self._service = service
        # Each job enters a namespace before anything else, so it does not matter where the last one was.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="netns")
        self._announced = announce.Repeater()

    def start(self, plan: Plan, before: Plan | None) -> Future[bool]:
        """Begin to bring a plan's namespace and process to what they shall be; the result tells whether anything was changed."""
        return self._threads.submit(self._build, plan, before)

    def each(self, work: Callable[[Place, Process], None], plans: Mapping[str, Plan]) -> dict[str, Future[None]]:
        """Begin to do *work* in the namespace of each plan that has a process."""
        found = {}
        for key, plan in plans.items():
            if plan.room is not None and plan.process is not None:
                found[key] = self._threads.submit(_inside, work, plan.room.name, plan.process)
        return found

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()
        self._announced.close()

    def _build(self, plan: Plan, before: Plan | None) -> bool:
        if plan.room is None:
            return False
        room, process = plan.room, plan.process
        had = before.room if before else None
        is_new = not netns.exists(room.name)
        if is_new:
            netns.make(room.name)
            had = before = None
        with inside(room.name) as place:
            changed, restart = False, False
            problems: list[str] = []
            if had != room:
                changed, restart, problems = self._furnish(place, room, had, is_new=is_new)
            if process is not None and (restart or before is None or before.process != process):
                changed |= self._service.apply(place, process, restart=restart)
            elif process is None and before is not None and before.process is not None:
                self._service.remove(before.process.directory)
            if problems:
                raise HostError("; ".join(problems))
        return changed

    def _furnish(self, place: Place, room: Room, before: Room | None, *, is_new: bool) -> tuple[bool, bool, list[str]]:
        """Bring a namespace to what it shall be; return if anything was changed, if a leg is new, and what could not be had.

        Rules come first, so that nothing passes that should not.
        """
        changed = self._rules(place, room, before, is_new=is_new)
        changed |= interior.settings(place, room)
        present = interior.devices(place.ip)
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            made = [self._host.netlink(legs.ensure, leg, own, leg.name in present) for leg in room.legs]
        finally:
            os.close(own)
        if any(made):
            present = interior.devices(place.ip)
        changed |= interior.leg_settings(place, room)
        changed |= interior.links(place.ip, room, present) or any(made)
        came, moved = interior.addresses(place.ip, room, present, is_new=is_new)
        problems, led = interior.routes(place.ip, room, present, is_new=is_new)
        self._announce(room, came)
        return changed or moved or led, any(made), problems

    def _announce(self, room: Room, came: Sequence[tuple[Leg, str]]) -> None:
        said = [announce.Announcement(leg.name, leg.mac, address) for leg, address in came if leg.announce]
        until = time.monotonic() + PASSING_S
        for name in {each.device for each in said}:
            while not self._host.netlink(legs.passes, name) and time.monotonic() < until:
                time.sleep(PASSING_S / 200)
        for each in said:
            announce.send(each)
        self._announced.later(room.name, said)

    def _rules(self, place: Place, room: Room, before: Room | None, *, is_new: bool) -> bool:
        if is_new:
            rules.apply(place, room.rules)
            return True
        if before is None:
            return rules.ensure(place, room.rules)
        if before.rules == room.rules:
            return False
        rules.apply(place, room.rules)
        _forget(place, {floating for floating, _ in set(before.translated) - set(room.translated)})
        return True


def _inside(work: Callable[[Place, Process], None], name: str, process: Process) -> None:
    with inside(name) as place:
        work(place, process)


def _forget(place: Place, addresses: set[str]) -> None:
    """End what goes on by floating IPs that lead elsewhere now: the kernel would translate open connections for days."""
    for address in sorted(addresses):
        for end in ("--orig-dst", "--reply-dst"):
            # Status 1: there was none.
            place.run(["conntrack", "-D", "-f", "ipv4", end, address])
