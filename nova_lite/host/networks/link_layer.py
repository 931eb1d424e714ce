"""The link layer of a host's networks: bridges, taps, tunnels and uplinks, guarded before anything joins a bridge."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from pyroute2 import IPRoute

from nova_lite.host.network_state import HostState
from nova_lite.host.networks import links, overlay, provider
from nova_lite.host.networks.failures import noted
from nova_lite.host.networks.guarding import Guards
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.networks.overlay import Vxlan
from nova_lite.host.networks.plan import NetworkPlan, Plan
from nova_lite.host.networks.planner import Plans
from nova_lite.host.networks.tunnels import underlay_mtu
from nova_lite.host.ports import HostError

LOG = logging.getLogger(__name__)

READ_ALL = 0.25
"""The part of all devices from which on reading all at once is cheaper than each by its name."""


class LinkLayer:
    """Makes a host's bridges and what stands in them; *guards* lay the rules of ports before."""

    def __init__(self, host: Namespace, guards: Guards) -> None:
        self._host = host
        self._guards = guards
        self._warned: set[int] = set()

    def build(
        self,
        state: HostState,
        plans: Plans,
        changed: Mapping[str, NetworkPlan],
        applied: Mapping[str, Plan],
        every: int,
        failed: dict[str, str],
    ) -> None:
        """Have bridges, taps and tunnels of *changed*, the rules that guard ports, and then every device in its bridge.

        :param applied: the plans that the kernel has already, by network and router id.
        :param every: how many devices the host has.
        :param failed: takes what could not be made: id of a network, or ``firewall`` → sentence.
        """
        new = self._new_taps(changed, applied, every)
        made: set[str] = set()
        for key, each in changed.items():
            with noted(failed, key):
                made |= self._host.netlink(_make_bridge, each, new[key])
        hosted = {each.number for each in plans.networks.values() if each.outside is not None}
        with noted(failed, "firewall"):
            self._guards.guard(state, hosted)
        if "firewall" in failed and not self._guards.is_closed():
            # Nothing joins a bridge unguarded.
            failed.update({key: failed["firewall"] for key in changed if key not in failed})
            return
        tables = overlay.Tables()
        for key, each in changed.items():
            if key in failed:
                continue
            before = applied.get(key)
            vxlan = before.vxlan if isinstance(before, NetworkPlan) else None
            with noted(failed, key):
                self._host.netlink(_join, each, new[key], made, vxlan, tables)
                self._look_at_mtu(each)

    def _new_taps(
        self, changed: Mapping[str, NetworkPlan], applied: Mapping[str, Plan], every: int
    ) -> dict[str, list[links.Tap]]:
        """Return the taps that are not yet as they shall be, as far as is known."""
        known: Mapping[str, links.Link] = {}
        if sum(len(each.taps) for key, each in changed.items() if key not in applied) > every * READ_ALL:
            known = {link.name: link for link in self._host.netlink(links.ours)}
        found = {}
        for key, each in changed.items():
            before = applied.get(key)
            had = set(before.taps) if isinstance(before, NetworkPlan) else set()
            bridge = known.get(each.bridge.name)
            found[key] = [
                tap
                for tap in each.taps
                if tap not in had and not (bridge and links.is_right(tap, known.get(tap.name), bridge))
            ]
        return found

    def _look_at_mtu(self, each: NetworkPlan) -> None:
        if each.vxlan is None or each.number in self._warned:
            return
        mtu = self._host.netlink(underlay_mtu, each.vxlan.tunnel.local)
        if mtu is not None and each.vxlan.mtu > mtu - overlay.OVERHEAD:
            self._warned.add(each.number)
            LOG.warning(
                "network=%s event=mtu-too-large mtu=%d tunnels_carry=%d",
                each.number,
                each.vxlan.mtu,
                mtu - overlay.OVERHEAD,
            )


def _make_bridge(ip: IPRoute, each: NetworkPlan, new: Sequence[links.Tap]) -> set[str]:
    """Have a network's bridge, and its new taps beside it; return the names of those that were made."""
    clash = links.taken(ip, each.bridge.addresses, each.bridge.name)
    if clash:
        raise HostError(f"{clash}; choose another address range for it", code="host.address_range_taken")
    links.ensure_bridge(ip, each.bridge)
    return {tap.name for tap in new if links.ensure_tap(ip, tap)}


def _join(
    ip: IPRoute,
    each: NetworkPlan,
    new: Sequence[links.Tap],
    made: Collection[str],
    before: Vxlan | None,
    tables: overlay.Tables,
) -> None:
    """Have a network's devices in its bridge. *made*: names of those that nobody else has had yet."""
    for tap in new:
        put = links.join if tap.name in made else links.attach
        put(ip, tap.name, tap.bridge, tap.mtu, up=tap.up)
    if each.vxlan is not None:
        overlay.ensure(ip, each.vxlan, before, tables)
    elif before is not None:
        overlay.forget(ip, before)
    if each.uplink is not None:
        provider.ensure(ip, each.uplink)
