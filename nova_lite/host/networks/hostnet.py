"""HostNetworks: one desired state, compared with what was applied and with the kernel, and set."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from oslo_config import cfg

from nova_lite.conf import state_path
from nova_lite.host.network_state import HostState
from nova_lite.host.networks import (
    clashes,
    devices,
    forwarding,
    leftovers,
    links,
    neighbours,
    netns,
    nics,
    outside,
    plan,
    provider,
    shared_addresses,
)
from nova_lite.host.networks.building import Builder
from nova_lite.host.networks.failures import noted
from nova_lite.host.networks.guarding import Guards, HostGuards
from nova_lite.host.networks.host_rules import HostRules
from nova_lite.host.networks.link_layer import LinkLayer
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.networks.plan import Here, Plan
from nova_lite.host.networks.planner import Planner, Plans
from nova_lite.host.networks.service import Service
from nova_lite.host.networks.shared_addresses import SharedAddresses
from nova_lite.host.networks.tunnels import tunnel
from nova_lite.host.ports import MetadataSource, NetworksFailed, TellsGuests
from nova_lite.host.trace import Sight
from nova_lite.virt.driver import Nic

LOG = logging.getLogger(__name__)

VERIFIED_AT_ONCE = 5
"""So many networks and routers are compared with the kernel each time the host is tended, whatever was applied last."""


class HostNetworks:
    """The host's networks, for real; implements :class:`nova_lite.host.ports.Networks`.

    What was applied is remembered, and only what differs from it is looked at in the kernel. All of it is looked at when the agent
    starts, where a device or namespace is missing, where something failed the last time, and now and then (:meth:`tend`).

    :param namespace: the network namespace (``ip netns``) that stands for the host; None: that of the process.
    """

    def __init__(self, conf: cfg.ConfigOpts, namespace: str | None = None, guards: Guards | None = None) -> None:
        self._conf = conf
        self._root: Path = state_path(conf, "networks")
        self._prefix = devices.namespace_prefix(namespace)
        self._host = Namespace(namespace)
        self._guards: Guards = guards or HostGuards(
            self._host, lambda router_id: devices.router_namespace(router_id, self._prefix)
        )
        self._service = Service(conf, self._root)
        self._links = LinkLayer(self._host, self._guards)
        self._rules = HostRules(conf, self._host, self._root / "forwarding.json")
        self._builder = Builder(self._host, self._service)
        self._shared = SharedAddresses(self._follow)
        self._physical = provider.parse(conf.network.physical_networks)
        self._lock = threading.Lock()
        self._planner: Planner | None = None
        self._here: Here | None = None
        self._state: HostState | None = None
        self._applied: dict[str, Plan] = {}
        self._unverified: list[str] = []
        self._doubted: dict[str, Plan] = {}
        """What was applied, and is compared with the kernel all the same in the next pass."""
        self._was_warned = False

    def apply(self, state: HostState) -> None:
        """Make the host so: change what differs, touch nothing that is right.

        Order: bridges and new taps, then the rules that guard ports, then devices join their bridges; then namespaces, and last what is
        wanted no more goes.

        :raises NetworksFailed: with all that could not be made, after everything else was done.
        """
        with self._lock:
            failed = self._apply(state)
        if failed:
            raise NetworksFailed(failed)

    def nic(self, state: HostState, port_id: str) -> Nic:
        """Return the guest's interface of a port in *state*."""
        return nics.of_state(state, port_id)

    def sight(self) -> Sight:
        """Return what the kernel has now, for whoever follows a packet."""
        spaces = {name for name in netns.present(self._prefix) if netns.exists(name)}
        return Sight(frozenset(self._host.devices()), frozenset(spaces), self._guards.is_closed(), self._prefix)

    def tell_guests(self, source: MetadataSource) -> None:
        """Let *source* answer guests that ask about themselves, from the next :meth:`apply` on."""
        if isinstance(self._guards, TellsGuests):
            self._guards.tell_guests(source)

    def tend(self) -> int:
        """Start every dnsmasq that has died, and return how many had; compare some of what was applied with the kernel, in turn."""
        with self._lock:
            dead = {
                key: each
                for key, each in self._applied.items()
                if each.process is not None and not self._service.runs(each.process)
            }
            for key in dead:
                LOG.warning("dnsmasq had died and is started again network=%s", key)
                del self._applied[key]
            self._doubt_some()
            failed = self._apply(self._state) if self._state is not None else {}
            with noted(failed, "firewall"):
                self._guards.tend()
        if failed:
            raise NetworksFailed(failed)
        return len(dead)

    def clean(self) -> None:
        """Remove every bridge, namespace, device, process, rule and file of ours from the host.

        :raises HostError: with all that failed, after everything else was done.
        """
        with self._lock:
            self._applied = {}
            failed = self._apply(HostState())
            with noted(failed, "guards"):
                self._guards.clean()
            with noted(failed, "files"):
                neighbours.restore(self._host, self._root / "neighbours.json")
                forwarding.restore(self._host, self._root / "forwarding.json")
                if not failed:
                    self._service.remove_root()
            self._state = None
        if failed:
            raise NetworksFailed(failed)

    def close(self) -> None:
        """End the threads; the networks stay, and traffic flows on."""
        self._shared.close()
        self._guards.close()
        self._builder.close()
        self._host.close()

    def _apply(self, state: HostState) -> dict[str, str]:
        state, clashing = clashes.told_apart(state, self._state)
        self._state = state
        began = time.monotonic()
        here, planner = self._ready()
        plans = planner.plan(state, self._shared.here(shared_addresses.questions(state, self._prefix)))
        failed = {**clashing, **plans.refused}
        if plans.networks:
            self._service.prepare()
            self._look_at_iptables()
        present = set(self._host.devices())
        self._doubt_what_is_missing(present)
        changed = {key: each for key, each in plans.networks.items() if self._applied.get(key) != each}
        if changed:
            neighbours.make_room(self._host, neighbours.needed(state), self._root / "neighbours.json")
        self._links.build(state, plans, changed, self._applied, len(present), failed)
        everything_changed = {**changed, **_changed(plans.routers, self._applied)}
        self._rooms(everything_changed, failed)
        self._rules.lay(state, plans, here.tunnel, failed)
        with noted(failed, "qos"):
            self._guards.limit(state)
        self._remove_others(state, present, plans, failed)
        self._remember({**plans.networks, **plans.routers}, failed)
        with noted(failed, "metadata"):
            every: list[tuple[str, Plan]] = [*plans.networks.items(), *plans.routers.items()]
            rooms = {key: each.room.name for key, each in every if each.room is not None}
            self._guards.serve(state, rooms, {rooms[key] for key in everything_changed if key in rooms})
        failed |= {key: each.problem for key, each in plans.networks.items() if each.problem and key not in failed}
        changes = sum(self._doubted.get(key) != each for key, each in everything_changed.items())
        self._doubted = {}
        if changes:
            took = (time.monotonic() - began) * 1000
            LOG.info("event=networks-applied changed=%d failed=%d ms=%.0f", changes, len(failed), took)
        return failed

    def _follow(self) -> None:
        """Have floating IPs where the addresses are now that guests share."""
        with self._lock:
            if self._state is not None:
                self._apply(self._state)

    def _ready(self) -> tuple[Here, Planner]:
        if self._here is None or self._planner is None or self._here.tunnel is None:
            # A host that boots may have no address yet: it is asked for again until it has.
            end = tunnel(self._conf, self._host)
            if self._here is None or self._planner is None or end is not None:
                settings = self._service.settings
                self._here = Here(self._physical, end, self._prefix, self._root, settings)
                self._planner = Planner(self._here)
        return self._here, self._planner

    def _doubt_some(self) -> None:
        """Forget that some things were applied, so that the next pass asks the kernel for them: each in its turn."""
        if not self._unverified:
            self._unverified = list(self._applied)
        for key in self._unverified[:VERIFIED_AT_ONCE]:
            if key in self._applied:
                self._doubted[key] = self._applied.pop(key)
        del self._unverified[:VERIFIED_AT_ONCE]
        self._rules.forget()

    def _doubt_what_is_missing(self, present: set[str]) -> None:
        """Forget that something was applied where a device or namespace of it is not there."""
        spaces = netns.present(self._prefix)
        for key, each in [*self._applied.items(), *self._doubted.items()]:
            bridges = {leg.bridge for leg in each.room.legs} if each.room is not None else set()
            if not each.devices | bridges <= present or (each.room is not None and each.room.name not in spaces):
                self._applied.pop(key, None)
                self._doubted.pop(key, None)

    def _rooms(self, changed: Mapping[str, Plan], failed: dict[str, str]) -> None:
        """Have namespaces and processes, and wait until DHCP answers for what is new."""
        begun = {
            key: self._builder.start(each, self._applied.get(key)) for key, each in changed.items() if key not in failed
        }
        for key, future in begun.items():
            with noted(failed, key):
                future.result()
        sound = {key: each for key, each in changed.items() if key not in failed}
        for key, waiting in self._builder.each(self._service.wait, sound).items():
            with noted(failed, key):
                waiting.result()

    def _look_at_iptables(self) -> None:
        """Say once what no rule of ours can overrule; br_netfilter lets it see what passes a bridge, too."""
        if not self._was_warned and outside.forward_policy_drops(self._host):
            LOG.warning("the host's iptables drop forwarded packets: guests will not reach each other or the outside")
        self._was_warned = True

    def _remove_others(self, state: HostState, present: set[str], plans: Plans, failed: dict[str, str]) -> None:
        """Remove devices, namespaces and processes of ours that no plan has."""
        every: list[Plan] = [*plans.networks.values(), *plans.routers.values()]
        kept = leftovers.of_refused(state, plans.refused, self._prefix)
        wanted = kept.devices | {name for each in every for name in each.devices}
        wanted |= {tap.name for each in plans.networks.values() for tap in each.taps}
        rooms = kept.namespaces | {each.room.name for each in every if each.room is not None}
        directories = kept.directories | {each.process.directory for each in every if each.process is not None}
        with noted(failed, "processes"):
            self._service.remove_others(directories, strays=not self._applied)
        gone = leftovers.order({name for name in present if leftovers.is_ours(name)} - wanted)
        if gone:
            with noted(failed, "devices"):
                self._host.netlink(links.remove_all, gone)
                LOG.info("event=devices-removed devices=%s", ",".join(gone[:20]))
        for name in sorted(netns.present(self._prefix) - rooms):
            with noted(failed, name):
                netns.remove(name)

    def _remember(self, plans: Mapping[str, Plan], failed: Mapping[str, str]) -> None:
        self._applied = {key: each for key, each in plans.items() if key not in failed}


def _changed(plans: Mapping[str, plan.RouterPlan], applied: Mapping[str, Plan]) -> dict[str, Plan]:
    return {key: each for key, each in plans.items() if applied.get(key) != each}
