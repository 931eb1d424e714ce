"""This host's end of the tunnels to other hosts."""

from __future__ import annotations

import socket

from oslo_config import cfg
from pyroute2 import IPRoute

from nova_lite.host.networks import checks
from nova_lite.host.networks.namespace import Namespace
from nova_lite.host.networks.overlay import Tunnel
from nova_lite.host.ports import HostError

_ELSEWHERE = "192.0.2.1"
"""An address that is nobody's (RFC 5737): the way there is the default route's. Nothing is sent."""


def local_address(conf: cfg.ConfigOpts, host: Namespace | None = None) -> str | None:
    """Return the IPv4 address of this host that others send tunnels' packets to; None: it has none.

    :raises HostError: ``[network] local_ip`` is no IPv4 address.
    """
    if conf.network.local_ip:
        if checks.address_of(conf.network.local_ip).version != 4:
            raise HostError(f"[network] local_ip must be an IPv4 address, not {conf.network.local_ip}")
        return str(conf.network.local_ip)
    opened = host.udp_socket() if host is not None else socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with opened:
        try:
            opened.connect((_ELSEWHERE, 9))
            return str(opened.getsockname()[0])
        except OSError:
            return None


def tunnel(conf: cfg.ConfigOpts, host: Namespace) -> Tunnel | None:
    """Return this host's end of tunnels; None: it has no address for them."""
    local = local_address(conf, host)
    return Tunnel(local, conf.network.vxlan_port) if local else None


def underlay_mtu(ip: IPRoute, local: str) -> int | None:
    """Return the MTU of the interface that has the address *local*; None: none has it."""
    for raw in ip.get_addr(family=socket.AF_INET):
        if (raw.get_attr("IFA_LOCAL") or raw.get_attr("IFA_ADDRESS")) == local:
            return int(next(iter(ip.get_links(raw["index"]))).get_attr("IFLA_MTU"))
    return None
