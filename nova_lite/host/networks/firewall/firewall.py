"""Firewall: compare what is wanted with what is in force, and send the difference."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection

from nova_lite.host.network_state import HostState
from nova_lite.host.networks.firewall import connections, kernel
from nova_lite.host.networks.firewall.numbering import Numbering
from nova_lite.host.networks.firewall.ruleset import CLEAR, Ruleset, difference, versions, whole
from nova_lite.host.networks.firewall.wanted import Compiler, Numbers
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.ports import HostError

LOG = logging.getLogger(__name__)
NFT_TIMEOUT_S = 120.0
"""1,000 ports with 10,000 rules take 2 to 7 s at once on two busy processors."""


class Firewall:
    """Security groups and anti-spoofing of one host. Any thread may call."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._applied: Ruleset | None = None
        self._ports: Numbering[str] | None = None
        self._zones: Numbering[int] | None = None
        self._lock = threading.Lock()
        self._found: str | None = None
        self._held: connections.Held | None = None
        self._holders = connections.Holders()
        self._compiler = Compiler()
        self._probed = False

    def apply(self, state: HostState, hosted: Collection[int] = ()) -> None:
        """Have *state*'s rules in force, by one transaction with what differs; open connections that they allow go on, others end.

        Rules go by devices' names: call it before a port's device is there, and nothing passes unguarded.

        :param hosted: numbers of the networks whose bridge has an address of the host, which is their outside.
        :raises HostError: nft refused, so nothing changed; or a value was refused, and its port passes nothing; or the kernel did not
            let go of connections of a port that is gone, which is tried again.
        """
        with self._lock:
            self._apply(state, hosted)

    def _apply(self, state: HostState, hosted: Collection[int]) -> None:
        if self._ports is None or self._zones is None:
            self._begin()
        assert self._ports is not None and self._zones is not None
        numbers = Numbers(
            self._ports.give(state.ports), self._zones.give(network.number for network in state.networks.values())
        )
        wanted = self._compiler.ruleset(state, numbers, hosted)
        held = self._holders.held(state, numbers.zones, hosted)
        if self._held is None:
            self._held = {} if self._is_in_force(wanted.ruleset) else kernel.held(self._namespace)
        lost = connections.lost(self._held, held)
        try:
            # Before as well: an agent that is killed in between finds nothing in force that tells of them.
            self._forget(lost)
        except HostError as error:
            LOG.warning("event=connections-not-forgotten addresses=%d reason=%r", len(lost.places), error.message)
        self._send(wanted.ruleset)
        self._held = connections.both(self._held, held)
        self._forget(lost)
        self._held = held
        if wanted.troubles:
            raise HostError("; ".join(wanted.troubles)[:2000])

    def _forget(self, lost: connections.Lost) -> None:
        ended = connections.forget(self._namespace, lost)
        if ended:
            LOG.info("event=connections-forgotten count=%d addresses=%d", ended, len(lost.places))

    def tend(self) -> bool:
        """Put the rules back if somebody has taken them away (``nft flush ruleset`` does); True: somebody had."""
        with self._lock:
            if self._applied is None or kernel.version_in_force(self._namespace) == versions(self._applied)[0].name:
                return False
            LOG.warning("the firewall's rules were not as they were left; they are set again")
            self._run(whole(self._applied))
            return True

    def clean(self) -> None:
        """Remove all rules of ours. :raises HostError: nft refused."""
        with self._lock:
            self._run(CLEAR)
            self._applied = self._ports = self._zones = None
            self._held = None

    def _begin(self) -> None:
        """Learn what is in force from the kernel, so that an agent's start changes nothing that is right."""
        if not self._probed:
            kernel.require_br_netfilter(self._namespace)
            in_bridge = kernel.bridge_conntrack(self._namespace)
            LOG.info("firewall backend=br_netfilter conntrack_in_bridge_family=%s", "yes" if in_bridge else "no")
            self._probed = True
        found = kernel.present(self._namespace)
        self._ports, self._zones = Numbering(found.ports), Numbering(found.zones)
        self._found = found.version

    def _send(self, wanted: Ruleset) -> None:
        if self._applied is None:
            if not self._is_in_force(wanted):
                self._run(whole(wanted))
            self._applied = wanted
            return
        script = difference(self._applied, wanted)
        if not script:
            return
        try:
            self._run(script)
        except HostError as error:
            # What is in force is not what was left: somebody else was there. The whole is one transaction, too.
            LOG.warning("a change of the firewall was refused, and all of it is set anew error=%s", error.message)
            self._run(whole(wanted))
        self._applied = wanted

    def _is_in_force(self, wanted: Ruleset) -> bool:
        """Say whether *wanted* is what was found in the kernel when this agent began."""
        return self._found == versions(wanted)[0].name

    def _run(self, script: str) -> None:
        done = self._namespace.run(["nft", "-f", "-"], stdin=script, timeout_s=NFT_TIMEOUT_S)
        if done.returncode != 0:
            raise HostError(f"nft refused the firewall's rules: {done.stderr.strip()[:500]}")
