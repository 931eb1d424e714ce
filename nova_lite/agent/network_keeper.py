"""Keep the host's networks as the database wants them: a pass reads all of it, or what servers brought and took, and makes the host so.

Whoever needs a pass (a port to be plugged, a change that the API made) shares it with all who asked before it began, as a
database's log shares one flush among commits: with twenty guests that boot at once there are few passes, not twenty.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from nova_lite.agent import network_changes
from nova_lite.agent.network_rows import Lacking, read_host_state
from nova_lite.db.models import HostNetworkState, Port
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, NotFound, NovaLiteError
from nova_lite.host.network_state import HostState
from nova_lite.host.ports import HostError, Networks, NetworksFailed
from nova_lite.network import dhcp_ports, router_hosts
from nova_lite.virt.driver import Nic

LOG = logging.getLogger(__name__)

FIRST_RETRY_S = 2.0
"""Seconds after which what failed is tried again for the first time."""
LONGEST_S = 60.0
"""The longest time between two passes. Whoever changes a rule finds the hosts that it concerns before its commit; a port that is bound to
this host just then is seen by neither, and the next pass brings the rule to it."""


_STATES: Any = HostNetworkState.__table__
_PORTS: Any = Port.__table__
# Made once: to make a statement anew takes longer than to run it.
_WANTED = select(_STATES.c.wanted).where(_STATES.c.host == bindparam("of_host"))
# By server alone: asked for the host too, SQLite takes that index and reads every port of the host.
_PLACES = select(_PORTS.c.device_id, _PORTS.c.host).where(
    _PORTS.c.device_id.in_(bindparam("of_servers", expanding=True))
)


@dataclass(frozen=True)
class Pass:
    """What a pass came to: the state that was wanted, and what of it failed (network, router or port id → sentence)."""

    state: HostState = field(default_factory=HostState)
    failed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """What a pass is asked for, by server: whose ports are not wanted whatever the database says (``without``), whose are although their
    server is on its way out (``also``), and who came and went since the last pass."""

    without: frozenset[str]
    also: frozenset[str]
    came: frozenset[str]
    went: frozenset[str]


class NetworkKeeper:
    """The networks of one host; any thread may call."""

    def __init__(self, store: Store, networks: Networks, host: str) -> None:
        self._store = store
        self._networks = networks
        self._host = host
        self._tickets = itertools.count(1)
        self._guard = threading.Lock()
        self._asked = 0
        self._served = 0
        self._one_at_a_time = threading.Lock()
        self._last = Pass()
        self._without: set[str] = set()
        self._also: set[str] = set()
        self._came: set[str] = set()
        self._went: set[str] = set()
        self._level: int | None = None
        self._applied: int | None = None
        self._tried: int | None = None
        self._again_in = 0.0
        self._again_at = 0.0

    @property
    def state(self) -> HostState:
        """What the last pass made the host's networks."""
        return self._last.state

    def plug(self, server_id: str, port_ids: tuple[str, ...]) -> list[Nic]:
        """Have a device, DHCP, metadata and rules for each of a server's ports, and return its interfaces in that order.

        :raises HostError: one of these ports' networks could not be made.
        """
        if not port_ids:
            return []
        with self._guard:
            self._without.discard(server_id)
            self._also.add(server_id)
            self._came.add(server_id)
            self._went.discard(server_id)
        try:
            done = self.ensure()
        finally:
            with self._guard:
                self._also.discard(server_id)
        return [self._nic(done, port_id) for port_id in port_ids]

    def unplug(self, server_id: str) -> None:
        """Take a server's ports off the host, whatever the database still says of them; none there is success."""
        with self._guard:
            self._without.add(server_id)
            self._also.discard(server_id)
            self._went.add(server_id)
            self._came.discard(server_id)
        done = self.ensure()
        if not any(port.server_id == server_id for port in done.state.ports.values()):
            return
        raise HostError(f"The ports of server {server_id} could not be taken off the host.", "host.failed")

    def ensure(self) -> Pass:
        """Wait for a pass that begins after this call (making it, if nobody else does), and return what it came to.

        :raises HostError: nothing could be done at all.
        """
        with self._guard:
            ticket = self._asked = next(self._tickets)
        with self._one_at_a_time:
            if self._served < ticket:
                with self._guard:
                    beginning = self._asked
                    asked = Asked(
                        frozenset(self._without), frozenset(self._also), frozenset(self._came), frozenset(self._went)
                    )
                    self._came, self._went = set(), set()
                self._last = self._pass(asked)
                self._served = beginning
            return self._last

    def is_behind(self) -> bool:
        """Tell whether something was asked for of this host's networks that no pass has brought yet."""
        with self._store.read() as session:
            wanted = session.scalar(_WANTED, {"of_host": self._host})
        if wanted is None or wanted == self._applied:
            return False
        # What failed before is tried again more and more seldom, unless something new is asked for.
        return wanted != self._tried or time.monotonic() >= self._again_at

    def _nic(self, done: Pass, port_id: str) -> Nic:
        port = done.state.ports.get(port_id)
        if port is None:
            raise HostError(f"Port {port_id} is not bound to this host any more.", "host.port_gone")
        for key in (port_id, port.network_id):
            if key in done.failed:
                raise HostError(f"Port {port_id} could not be plugged: {done.failed[key]}")
        return self._networks.nic(done.state, port_id)

    def _pass(self, asked: Asked) -> Pass:
        level, self._level = self._level, None  # known again when all has gone well
        wanted, state, lacking = self._read(asked, level)
        if lacking:
            self._supply(lacking)
            wanted, state, lacking = self._read(asked, None)
        failed: Mapping[str, str] = {}
        try:
            self._networks.apply(state)
        except NetworksFailed as error:
            failed = error.failed
            self._put_off(wanted)
            LOG.error("host=%s event=networks-not-applied reason=%r", self._host, error.message)
        if not failed:
            self._note(wanted)
            self._level = None if lacking else wanted
        self._forget(asked.without)
        return Pass(state, failed)

    def _read(self, asked: Asked, level: int | None) -> tuple[int, HostState, Lacking]:
        """Read what is wanted: all of it, or where nothing else has changed since *level*, what came and went."""
        with self._store.read() as session:
            # Before the rest: what is changed after this look is another pass's.
            wanted = session.scalar(_WANTED, {"of_host": self._host}) or 0
            if level == wanted and (asked.came or asked.went):
                # Who came is taken out first: of a server that was here before, some ports may not be its own any more.
                changed = asked.went | asked.without | asked.came
                state = network_changes.without_servers(session, self._last.state, changed)
                if state is not None and asked.came:
                    state = network_changes.with_servers(session, self._host, state, asked.came, asked.also)
                if state is not None:
                    return wanted, state, Lacking()
            return wanted, *read_host_state(session, self._host, without=asked.without, also=asked.also)

    def _supply(self, lacking: Lacking) -> None:
        """Write what is lacking, each on its own: a network whose pool is used up keeps no other from its port."""
        works: list[Callable[[Session], object]] = [
            partial(dhcp_ports.ensure_dhcp_port, network_id=key) for key in lacking.dhcp
        ]
        works += [partial(router_hosts.ensure, router_id=key, host=self._host) for key in lacking.routers]
        works += [partial(router_hosts.release, router_id=key, host=self._host) for key in lacking.left_routers]
        for work in works:
            try:
                self._store.transact(work)
            except (Conflict, NotFound) as error:
                LOG.warning("host=%s event=no-address reason=%r", self._host, error.message)

    def _put_off(self, wanted: int) -> None:
        """Have the watch try again, after twice the time that it waited before."""
        self._applied, self._tried = None, wanted
        self._again_in = min(max(FIRST_RETRY_S, self._again_in * 2), LONGEST_S)
        self._again_at = time.monotonic() + self._again_in

    def _note(self, wanted: int) -> None:
        """Write down how far this host is; a later pass's number is never lowered."""
        self._tried, self._again_in = None, 0.0
        if wanted == self._applied:
            return

        def write(session: Session) -> None:
            session.execute(
                update(HostNetworkState)
                .where(HostNetworkState.host == self._host, HostNetworkState.applied < wanted)
                .values(applied=wanted)
                .execution_options(synchronize_session=False)
            )

        self._store.transact(write)
        self._applied = wanted

    def _forget(self, without: frozenset[str]) -> None:
        """Stop remembering servers that the database does not have here any more."""
        if not without:
            return
        with self._store.read() as session:
            places = session.execute(_PLACES, {"of_servers": sorted(without)})
            still = {server_id for server_id, host in places if host == self._host}
        with self._guard:
            self._without -= without - still


class NetworkWatch:
    """The thread that brings what the API changed: at a hint, and at a look now and then."""

    def __init__(self, keeper: NetworkKeeper, interval: float, stopping: threading.Event) -> None:
        self._keeper = keeper
        self._interval = interval
        self._stopping = stopping
        self._hint = threading.Event()

    def wake(self) -> None:
        """Look now."""
        self._hint.set()

    def run(self) -> None:
        """Look until stopped."""
        due = time.monotonic() + LONGEST_S
        while not self._stopping.is_set():
            self._hint.wait(self._interval)
            self._hint.clear()
            if self._stopping.is_set():
                return
            try:
                if self._keeper.is_behind() or time.monotonic() >= due:
                    due = time.monotonic() + LONGEST_S
                    self._keeper.ensure()
            except NovaLiteError as error:
                LOG.error("event=networks-not-watched reason=%r", error.message)
            except Exception:
                LOG.exception("event=networks-not-watched")
