"""The namespace of a router: a leg in each network that it joins, one in the external network, and NAT between. Pure.

The same on every host that has guests behind the router, but for the gateway's leg: that has an address of the host's own.
"""

from __future__ import annotations

from collections.abc import Mapping

from nova_lite.host.network_state import GatewayLeg, NetworkSpec, RouterLeg, RouterSpec
from nova_lite.host.networks import devices, rooms, rules
from nova_lite.host.networks.rooms import METADATA_V4, METADATA_V6, Leg, Room, Route
from nova_lite.host.ports import HostError

SETTINGS = (
    *rooms.QUIET,
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv4/conf/all/arp_accept", "0"),
)


def room(router: RouterSpec, networks: Mapping[str, NetworkSpec], prefix: str = devices.PREFIX) -> Room | None:
    """Return the namespace's desired state; None: the router is down. :raises HostError: a network of it is not there."""
    if not router.up:
        return None
    legs = [_leg(leg, _network(networks, leg.network_id)) for leg in router.legs]
    routes = []
    if router.gateway is not None:
        network = _network(networks, router.gateway.network_id)
        legs.append(_gateway(router, router.gateway, network))
        routes += _defaults(router.gateway, network)
    routes += [Route(destination, via) for destination, via in router.routes]
    return Room(
        devices.router_namespace(router.router_id, prefix),
        tuple(legs),
        tuple({route.destination: route for route in routes}.values()),
        text(router),
        (f"{METADATA_V4}/32",),
        SETTINGS,
        tuple((each.floating, each.fixed) for each in router.floating),
    )


def _network(networks: Mapping[str, NetworkSpec], network_id: str) -> NetworkSpec:
    if network_id not in networks:
        raise HostError(f"Network {network_id} is not among the networks of this host")
    return networks[network_id]


def _leg(leg: RouterLeg, network: NetworkSpec) -> Leg:
    addresses = rooms.with_prefix(network, leg.addresses)
    if network.dhcp is None:
        # Where the network has a leg of its own, that one answers.
        addresses += (f"{METADATA_V6}/64",)
    name = devices.router_leg_name(leg.port_id)
    # A guest on another host that takes an address over says so, and can't be asked: our questions don't leave the host.
    return Leg(name, leg.mac, network.mtu, devices.bridge_name(network.number), addresses, learns=True)


def _gateway(router: RouterSpec, gateway: GatewayLeg, network: NetworkSpec) -> Leg:
    own = rooms.with_prefix(network, gateway.addresses)
    floating = tuple(f"{each.floating}/32" for each in router.floating)
    name = devices.gateway_leg_name(gateway.port_id)
    # It learns from nobody: 100 routers that heard of each other would be 10,000 entries in the kernel's one table of 1,024.
    return Leg(name, gateway.mac, network.mtu, devices.bridge_name(network.number), (*own, *floating), announce=True)


def _defaults(gateway: GatewayLeg, network: NetworkSpec) -> list[Route]:
    found: dict[str, Route] = {}
    for hop in gateway.next_hops:
        destination = "0.0.0.0/0" if rooms.is_v4(hop) else "::/0"
        found.setdefault(destination, Route(destination, hop, devices.gateway_leg_name(gateway.port_id)))
    return list(found.values())


def text(router: RouterSpec) -> str:
    """Return the router's nft table.

    A floating IP is translated before SNAT is thought of. Who asks from inside for a floating IP of the same router is given an outside
    address too, or the answer would come straight from the fixed address, which was never asked.
    """
    gateway = devices.gateway_leg_name(router.gateway.port_id) if router.gateway else ""
    own = next((a for _, a in router.gateway.addresses if rooms.is_v4(a)), None) if router.gateway else None
    # Where no way out is translated, others on the outside may come in by the fixed addresses.
    closed = router.snat and own is not None
    leaving = f'oifname "{gateway}" iifname != "{gateway}"'
    turning = f'iifname != "{gateway}" oifname != "{gateway}" ct status dnat'
    to_own = f"snat ip to {own}" if own else ""
    lines = [
        _map("floating", [(each.floating, each.fixed) for each in router.floating]),
        _map("fixed", [(each.fixed, each.floating) for each in router.floating]),
        "  chain input {",
        "    type filter hook input priority filter; policy drop;",
        "    ct state established,related accept",
        '    iifname "lo" accept',
        "    meta l4proto { icmp, ipv6-icmp } accept",
        *([f'    iifname "{gateway}" drop'] if gateway else []),
        f"    ip daddr {METADATA_V4} tcp dport 80 accept",
        f"    ip6 daddr {METADATA_V6} tcp dport 80 accept",
        "  }",
        "  chain forward {",
        "    type filter hook forward priority filter; policy accept;",
        # From outside comes what is for a floating IP.
        *([f'    iifname "{gateway}" meta nfproto ipv4 ct state new ct status dnat accept'] if closed else []),
        *([f'    iifname "{gateway}" meta nfproto ipv4 ct state new drop'] if closed else []),
        f"    ip daddr {METADATA_V4} drop",
        "  }",
        "  chain prerouting {",
        "    type nat hook prerouting priority dstnat;",
        "    dnat ip to ip daddr map @floating",
        "  }",
        "  chain postrouting {",
        "    type nat hook postrouting priority srcnat;",
        *([f"    {leaving} snat ip to ip saddr map @fixed"] if gateway else []),
        *([f"    {leaving} meta nfproto ipv4 {to_own}"] if closed else []),
        *([f"    {turning} snat ip to ip saddr map @fixed"] if gateway else []),
        *([f"    {turning} meta nfproto ipv4 {to_own}"] if gateway and own else []),
        "  }",
    ]
    return rules.table("\n".join(lines) + "\n")


def _map(name: str, pairs: list[tuple[str, str]]) -> str:
    elements = ", ".join(f"{key} : {value}" for key, value in sorted(dict(pairs).items()))
    content = f" elements = {{ {elements} }};" if elements else ""
    return f"  map {name} {{ type ipv4_addr : ipv4_addr;{content} }}"
