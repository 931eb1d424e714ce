"""From a host's state to its ruleset: the same each time for the same numbers."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nova_lite.host.network_state import GroupSpec, HostState, NetworkSpec, PortSpec
from nova_lite.host.networks import devices
from nova_lite.host.networks.firewall import antispoofing, groups, guards, judging, values
from nova_lite.host.networks.firewall.ruleset import Chain, Elements, Name, Ruleset
from nova_lite.host.ports import HostError

_LARGEST_RANGE = 256


@dataclass(frozen=True)
class Numbers:
    """What this host numbers for itself: ports by id (for marks) and networks by number (for conntrack zones), each 1 to 65535."""

    ports: Mapping[str, int]
    zones: Mapping[int, int]


@dataclass(frozen=True)
class Wanted:
    """A ruleset, and the troubles: a port or a group with a value that is refused passes nothing."""

    ruleset: Ruleset
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class _PortInput:
    """All that a guarded port's chains are made from."""

    port: PortSpec
    number: int
    zone: int
    group_ids: tuple[str, ...]
    stateful: bool
    resolvers: tuple[str, ...]


@dataclass(frozen=True)
class _PortChains:
    """What is made of it. ``judge``: the name of what judges its connections; empty: it has none."""

    chains: dict[Name, Chain]
    judge: str = ""


class Compiler:
    """Makes rulesets. It keeps the chains of what did not change since the last time: 1,000 ports then take some milliseconds."""

    def __init__(self) -> None:
        self._ports: dict[str, tuple[_PortInput, _PortChains]] = {}
        self._judges: dict[tuple[tuple[str, ...], tuple[str, ...]], tuple[str, dict[Name, Chain]]] = {}
        self._groups: dict[str, tuple[GroupSpec, dict[Name, Chain]]] = {}
        self._resolvers: dict[str, tuple[str, ...]] = {}

    def ruleset(self, state: HostState, numbers: Numbers, hosted: Collection[int] = ()) -> Wanted:
        """Return the ruleset for *state*. *hosted*: numbers of the networks whose outside is the host, by an address on the bridge."""
        troubles: list[str] = []
        self._resolvers = {key: _resolvers(network) for key, network in state.networks.items()}
        chains = self._group_chains(state, troubles)
        sets: dict[Name, Elements] = {}
        sound = [each for each in state.groups.values() if groups.chain_name(each.group_id, "ingress") in chains]
        try:
            sets = groups.remote_sets(sound, state.members, state.address_groups)
        except HostError as error:
            # A rule that names a set can't be made without the set: fewer rules let less pass.
            troubles.append(error.message)
            chains = {name: Chain(tuple(r for r in chain.rules if " @" not in r)) for name, chain in chains.items()}
        rules = dict(chains)
        # What the host routes is in its own zone, where the answers from outside are looked for.
        places = _Places(
            {
                key: 0 if network.number in hosted else numbers.zones[network.number]
                for key, network in state.networks.items()
            }
        )
        for port in state.ports.values():
            chains |= self._place(port, state, numbers, places, chains, troubles)
        for port_id in self._ports.keys() - state.ports.keys():
            del self._ports[port_id]
        zones = {
            f'"{devices.bridge_name(network.number)}"': str(places.zones[key])
            for key, network in state.networks.items()
            if places.zones[key]
        }
        for port in state.ports.values():
            if port.network_id in state.networks and state.networks[port.network_id].number in hosted:
                places.host(port, state.networks[port.network_id].number)
        bridge_chains, bridge_maps = antispoofing.base(places.sends, places.gets, places.marks, places.to_host)
        inet_chains, inet_maps = guards.base(places.egress, places.ingress, zones, places.delivered)
        used = set(places.judges.values())
        self._judges = {key: each for key, each in self._judges.items() if each[0] in used}
        number = judging.generation(places.judges, rules, sets)
        made = {**bridge_chains, **inet_chains, **judging.base(number), **chains}
        whole = Ruleset(made, {**bridge_maps, **inet_maps, **sets})
        return Wanted(whole, tuple(troubles))

    def _group_chains(self, state: HostState, troubles: list[str]) -> dict[Name, Chain]:
        kept: dict[str, tuple[GroupSpec, dict[Name, Chain]]] = {}
        chains: dict[Name, Chain] = {}
        for group_id, group in state.groups.items():
            known = self._groups.get(group_id)
            try:
                kept[group_id] = known if known and known[0] == group else (group, groups.chains(group))
            except HostError as error:
                troubles.append(f"Security group {group_id[:64]}: {error.message}")
                continue
            chains |= kept[group_id][1]
        self._groups = kept
        return chains

    def _place(
        self,
        port: PortSpec,
        state: HostState,
        numbers: Numbers,
        places: _Places,
        group_chains: Mapping[Name, Chain],
        troubles: list[str],
    ) -> dict[Name, Chain]:
        """Give a port its place in the maps and return its chains; one whose values are refused passes nothing."""
        try:
            device = f'"{devices.device_name(values.uuid(port.port_id, "The port"))}"'
        except HostError as error:
            troubles.append(error.message)
            return {}
        if not port.up or not port.secured:
            places.sends[device] = places.gets[device] = "accept" if port.up else "drop"
            return {}
        known = tuple(g for g in port.group_ids if groups.chain_name(g, "ingress") in group_chains)
        given = _PortInput(
            port,
            numbers.ports[port.port_id],
            places.zones.get(port.network_id, 0),
            known,
            not known or any(state.groups[each].stateful for each in known),
            self._resolvers.get(port.network_id, ()),
        )
        try:
            made = self._port_chains(given)
        except HostError as error:
            places.sends[device] = places.gets[device] = "drop"
            troubles.append(f"Port {port.port_id}: {error.message}")
            return {}
        places.guard(port.port_id, device, given.number)
        places.judges[port.port_id] = made.judge
        return made.chains

    def _port_chains(self, given: _PortInput) -> _PortChains:
        port = given.port
        before = self._ports.get(port.port_id)
        if before is None or before[0] != given:
            mark = antispoofing.MARK_BASE | given.number
            chains = {antispoofing.chain_name(port.port_id): antispoofing.chain(port, mark, given.zone)}
            if given.stateful:
                judge, judging_chains = self._judge(given)
                made = _PortChains({**chains, **guards.chains(port, judge), **judging_chains}, judge)
            else:
                made = _PortChains(
                    {**chains, **guards.stateless_chains(port, given.group_ids, given.resolvers)},
                )
            before = self._ports[port.port_id] = (given, made)
        return before[1]

    def _judge(self, given: _PortInput) -> tuple[str, dict[Name, Chain]]:
        """Return what judges a port's connections: one object for all ports that share it, so that it is made and hashed once."""
        key = (given.group_ids, given.resolvers)
        if key not in self._judges:
            self._judges[key] = guards.judge(*key)
        return self._judges[key]


class _Places:
    """Where ports stand in the maps: verdicts and marks by device, verdicts by mark. *zones*: by network id."""

    def __init__(self, zones: Mapping[str, int]) -> None:
        self.zones = zones
        self.sends: dict[str, str] = {}
        self.gets: dict[str, str] = {}
        self.marks: dict[str, str] = {}
        self.egress: dict[str, str] = {}
        self.ingress: dict[str, str] = {}
        self.judges: dict[str, str] = {}
        self.to_host: list[str] = []
        self.delivered: dict[int, dict[str, str]] = {4: {}, 6: {}}

    def host(self, port: PortSpec, number: int) -> None:
        """Let a port reach the host by its bridge, and what the host routes to it pass its groups."""
        device = f'"{devices.device_name(port.port_id)}"'
        if device not in self.sends:
            return
        self.to_host.append(device)
        if device not in self.marks:
            return
        for sender in antispoofing.senders(port):
            for network in sender.addresses:
                # Larger ranges than these would be as many elements, and two ports' may overlap.
                for address in network if network.num_addresses <= _LARGEST_RANGE else ():
                    key = f'"{devices.bridge_name(number)}" . {address}'
                    self.delivered[network.version][key] = f"goto {guards.port_chain(port.port_id, 'ingress').name}"

    def guard(self, port_id: str, device: str, number: int) -> None:
        """Lead a device's frames to its port's chains."""
        mark = antispoofing.MARK_BASE | number
        self.sends[device] = f"goto {antispoofing.chain_name(port_id).name}"
        self.gets[device] = f"goto {antispoofing.TO_GUARDED}"
        self.marks[device] = f"{mark:#010x}"
        inspected = f"{mark | antispoofing.INSPECTED:#010x}"
        self.egress[inspected] = f"goto {guards.port_chain(port_id, 'egress').name}"
        self.ingress[inspected] = f"goto {guards.port_chain(port_id, 'ingress').name}"


def _resolvers(network: NetworkSpec) -> tuple[str, ...]:
    leg = network.dhcp
    return tuple(str(ipaddress.ip_address(address)) for _, address in leg.addresses) if leg else ()
