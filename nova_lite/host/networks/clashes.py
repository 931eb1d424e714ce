"""Keep apart what would be called the same on this host. Pure.

A device's name has 15 characters, which hold 40 or 44 bits of an id. Namespaces and directories have room for the whole. Two ports of one host
with the same 44 bits (with 1,000 ports: once in 30 million hosts) must not share a device, and with it their rules: the one that came later is
refused in words, and nothing of it is made.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from nova_lite.host.network_state import HostState
from nova_lite.host.networks import bandwidth, devices

T = TypeVar("T")


def told_apart(state: HostState, before: HostState | None) -> tuple[HostState, dict[str, str]]:
    """Return *state* without the ports and routers whose devices' names others have, and a sentence for each of those.

    :param before: what was applied last; what is in it keeps its names.
    """
    named = list(_named(state))
    if len({name for _, names in named for name in names}) == sum(len(names) for _, names in named):
        return state, {}
    known = {*before.ports, *before.routers} if before is not None else set()
    owners: dict[str, str] = {}
    refused: dict[str, str] = {}
    for key, names in sorted(named, key=lambda each: (each[0] not in known, each[0])):
        taken = next((name for name in names if name in owners or names.count(name) > 1), None)
        if taken is None:
            owners |= dict.fromkeys(names, key)
            continue
        kind = "Port" if key in state.ports else "Router"
        refused[key] = (
            f"{kind} {key} can't be on this host beside {owners.get(taken, 'itself')}: a device {taken} would be of both, as two ports' ids "
            "begin alike. Made anew, it gets other ids"
        )
    return (
        replace(state, ports=_without(state.ports, refused), routers=_without(state.routers, refused)),
        refused,
    )


def _named(state: HostState) -> Iterator[tuple[str, list[str]]]:
    for port in state.ports.values():
        limited = [bandwidth.ifb_name(port.port_id)] if port.qos else []
        yield port.port_id, [devices.device_name(port.port_id), *limited]
    for router in state.routers.values():
        legs = [devices.router_leg_name(leg.port_id) for leg in router.legs]
        yield router.router_id, legs + ([devices.gateway_leg_name(router.gateway.port_id)] if router.gateway else [])


def _without(items: Mapping[str, T], keys: Collection[str]) -> dict[str, T]:
    return {key: each for key, each in items.items() if key not in keys}
