"""A port as its guest sees it: from network and port to the driver's Nic."""

from __future__ import annotations

import ipaddress

from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec
from nova_lite.host.networks import devices, rooms
from nova_lite.host.ports import HostError
from nova_lite.virt.driver import Nic


def of_state(state: HostState, port_id: str) -> Nic:
    """Describe the interface of a port in *state*. :raises HostError: the port or its network is not there."""
    port = state.ports.get(port_id)
    network = state.networks.get(port.network_id) if port else None
    if port is None or network is None:
        raise HostError(f"Port {port_id} is not of this host")
    return nic(network, port)


def nic(network: NetworkSpec, port: PortSpec) -> Nic:
    """Describe a port's interface as the guest's driver needs it. :raises HostError: an address is on no subnet."""
    subnets = {subnet.subnet_id: subnet for subnet in network.subnets}
    addresses: list[str] = []
    dns: list[str] = []
    routes: list[tuple[str, str]] = []
    gateway: str | None = None
    for subnet_id, address in port.addresses:
        subnet = subnets.get(subnet_id)
        if subnet is None:
            raise HostError(f"Port {port.port_id} has an address on a subnet that its network has not")
        addresses.append(f"{address}/{ipaddress.ip_network(subnet.cidr).prefixlen}")
        is_v4 = ":" not in subnet.cidr
        if is_v4 and gateway is None:
            gateway = subnet.gateway
        # Without a name server of its own a subnet has ours, and metadata is where that is.
        own = rooms.leg_address(network.dhcp, subnet_id)
        dns += subnet.dns or ([own] if own else [])
        routes += subnet.routes
        if own and is_v4:
            routes.append((f"{rooms.METADATA_V4}/32", own))
    return Nic(
        port_id=port.port_id,
        mac=port.mac,
        device=devices.device_name(port.port_id),
        bridge=devices.bridge_name(network.number),
        mtu=network.mtu,
        addresses=tuple(addresses),
        gateway=gateway,
        dns=tuple(dict.fromkeys(dns)),
        routes=tuple(dict.fromkeys(routes)),
    )
