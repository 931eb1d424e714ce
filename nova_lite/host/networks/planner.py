"""Plan what of a state is new, keep what is not, and leave out what is refused."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field, replace

from nova_lite.host.network_state import HostState, PortSpec
from nova_lite.host.networks import checks, plan
from nova_lite.host.networks.plan import Here, NetworkPlan, Plan, RouterPlan
from nova_lite.host.ports import HostError


@dataclass
class Plans:
    """Plans by network and router id; ``refused``: id of a network, router or port → sentence.

    What is refused keeps the plan that it had, if it had one: a slip in the database takes nobody's traffic away.
    """

    networks: dict[str, NetworkPlan] = field(default_factory=dict)
    routers: dict[str, RouterPlan] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


class Planner:
    """Keeps the plan of what did not change since the last time: 1,000 ports then take some milliseconds."""

    def __init__(self, here: Here) -> None:
        self._here = here
        self._known: dict[str, tuple[Hashable, Plan]] = {}

    def plan(self, state: HostState, here: Collection[str] = ()) -> Plans:
        """Return the plans for *state*. *here*: ids of the floating IPs whose shared address is on this host now."""
        plans = Plans()
        ports: dict[str, list[PortSpec]] = defaultdict(list)
        for port in state.ports.values():
            ports[port.network_id].append(port)
        for network_id in state.networks:
            self._network(network_id, state, ports[network_id], plans)
        for router_id in state.routers:
            self._router(router_id, state, here, plans)
        for port_id, port in state.ports.items():
            if port.network_id not in state.networks:
                plans.refused[port_id] = f"Port {port_id} is on a network that is not among those of this host"
        kept = state.networks.keys() | state.routers.keys()
        self._known = {key: value for key, value in self._known.items() if key in kept}
        return plans

    def _network(self, network_id: str, state: HostState, ports: list[PortSpec], plans: Plans) -> None:
        spec = state.networks[network_id]
        given: Hashable = (spec, tuple(ports))
        known = self._known.get(network_id)
        if known is not None and known[0] == given and isinstance(known[1], NetworkPlan):
            plans.networks[network_id] = known[1]
            return
        try:
            checks.network(spec)
            sound = [port for port in ports if _is_sound(port, state, plans)]
            made = plan.network(spec, sound, self._here)
        except HostError as error:
            plans.refused[network_id] = error.message
            if known is not None and isinstance(known[1], NetworkPlan):
                plans.networks[network_id] = known[1]
            return
        plans.networks[network_id] = made
        if len(sound) == len(ports):
            self._known[network_id] = (given, made)
        else:
            self._known.pop(network_id, None)

    def _router(self, router_id: str, state: HostState, here: Collection[str], plans: Plans) -> None:
        spec = state.routers[router_id]
        if any(each.shared for each in spec.floating):
            floating = tuple(each for each in spec.floating if not each.shared or each.floating_ip_id in here)
            spec = replace(spec, floating=floating)
        ids = [leg.network_id for leg in spec.legs] + ([spec.gateway.network_id] if spec.gateway else [])
        given: Hashable = (spec, tuple(state.networks.get(network_id) for network_id in ids))
        known = self._known.get(router_id)
        if known is not None and known[0] == given and isinstance(known[1], RouterPlan):
            plans.routers[router_id] = known[1]
            return
        try:
            checks.router(spec, state.networks)
            made = plan.router(spec, state.networks, self._here)
        except HostError as error:
            plans.refused[router_id] = error.message
            if known is not None and isinstance(known[1], RouterPlan):
                plans.routers[router_id] = known[1]
            return
        plans.routers[router_id] = made
        self._known[router_id] = (given, made)


def _is_sound(port: PortSpec, state: HostState, plans: Plans) -> bool:
    try:
        checks.port(port, state.networks[port.network_id])
    except HostError as error:
        plans.refused[port.port_id] = error.message
        return False
    return True
