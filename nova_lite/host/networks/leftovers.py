"""What of ours is on a host and is wanted no more, by name. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from nova_lite.host.network_state import HostState
from nova_lite.host.networks import devices

_OURS = re.compile(r"nl-(br|dh|vx|vl)[0-9]+|nl-(rt|gw)[0-9a-f]{10}|nl-[0-9a-f]{8}-[0-9a-f]{3}", re.ASCII)


def is_ours(device: str) -> bool:
    """Say whether a device's name is one that networks here give."""
    return _OURS.fullmatch(device) is not None


def order(names: Collection[str]) -> list[str]:
    """Return devices in the order in which they are removed: what stands in a bridge before the bridge."""
    return sorted(names, key=lambda name: (devices.bridge_number(name) is not None, name))


@dataclass(frozen=True)
class Kept:
    """Names of devices, namespaces and directories that are left as they are."""

    devices: frozenset[str]
    namespaces: frozenset[str]
    directories: frozenset[str]


def of_refused(state: HostState, refused: Collection[str], prefix: str) -> Kept:
    """Return what belongs to networks, routers and ports whose values were refused: a slip takes nobody's traffic away."""
    names, spaces, directories = set(), set(), set()
    for key in refused:
        if key in state.networks:
            number = state.networks[key].number
            names |= {devices.bridge_name(number), devices.leg_name(number), devices.vxlan_name(number)}
            names.add(devices.vlan_name(number))
            spaces.add(devices.network_namespace(number, prefix))
            directories.add(str(number))
        elif key in state.routers:
            router = state.routers[key]
            names |= {devices.router_leg_name(leg.port_id) for leg in router.legs}
            names |= {devices.gateway_leg_name(router.gateway.port_id)} if router.gateway else set()
            spaces.add(devices.router_namespace(key, prefix))
            directories.add(devices.router_directory(key))
    names |= {
        devices.device_name(key) for key, port in state.ports.items() if key in refused or port.network_id in refused
    }
    return Kept(frozenset(names), frozenset(spaces), frozenset(directories))
