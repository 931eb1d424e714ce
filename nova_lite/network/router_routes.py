"""Extra routes of a router: each next hop must be in a subnet that the router has a leg in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from nova_lite.db.types import JsonDict
from nova_lite.errors import Conflict, Invalid
from nova_lite.network.router_legs import Leg

MOST = 30
"""Routes that a router may have, as upstream's default."""


def normal(routes: Sequence[JsonDict]) -> list[JsonDict]:
    """Return routes with canonical addresses. :raises Invalid: one is none, or is there twice."""
    found: list[JsonDict] = []
    for route in routes:
        try:
            destination = ipaddress.ip_network(route["destination"], strict=False)
            nexthop = ipaddress.ip_address(route["nexthop"])
        except ValueError as error:
            raise _bad(routes, str(error)) from None
        if destination.version != nexthop.version:
            raise _bad(routes, "destination and nexthop are of different IP versions")
        one = {"destination": str(destination), "nexthop": str(nexthop)}
        if one in found:
            raise _bad(routes, f"Duplicate items in the list: '{one}'")
        found.append(one)
    return found


def _bad(routes: Sequence[JsonDict], reason: str) -> Invalid:
    return Invalid(f"Invalid format for routes: {str(list(routes))[:512]}, {reason}", "network.invalid_routes")


def check(router_id: str, routes: Sequence[JsonDict], cidrs: Iterable[str], own: Iterable[str]) -> None:
    """Check routes against the subnets (*cidrs*) that the router reaches and the addresses that are its *own*.

    :raises Invalid: a next hop is not connected, or is the router itself, or there are too many.
    """
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
    taken = set(own)
    if len(routes) > MOST:
        raise Invalid(
            f"Unable to complete operation for {router_id}. The number of routes exceeds the maximum {MOST}.",
            "network.routes_exhausted",
        )
    for route in routes:
        nexthop = ipaddress.ip_address(route["nexthop"])
        if not any(nexthop in network for network in networks if network.version == nexthop.version):
            raise _bad(routes, "the nexthop is not connected with router")
        if str(nexthop) in taken:
            raise _bad(routes, "the nexthop is used by router")


def check_against_legs(router_id: str, routes: Sequence[JsonDict], legs: Sequence[Leg]) -> None:
    """Check routes against a router's legs; see :func:`check`."""
    check(router_id, routes, [leg.cidr for leg in legs], [leg.address for leg in legs])


def added(old: Sequence[JsonDict], more: Sequence[JsonDict]) -> list[JsonDict]:
    """Return *old* with *more*; what is there already stays as it is."""
    return [*old, *(route for route in more if route not in old)]


def removed(old: Sequence[JsonDict], less: Sequence[JsonDict]) -> list[JsonDict]:
    """Return *old* without *less*; what is not there is passed over."""
    return [route for route in old if route not in less]


def require_unused(router_id: str, subnet_id: str, cidr: str, routes: Sequence[JsonDict]) -> None:
    """Refuse to let a leg go that a route's next hop is reached by. :raises Conflict: one is."""
    network = ipaddress.ip_network(cidr)
    if any(ipaddress.ip_address(route["nexthop"]) in network for route in routes):
        raise Conflict(
            f"Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, as it is required by "
            "one or more routes.",
            "network.router_interface_in_use_by_route",
        )
