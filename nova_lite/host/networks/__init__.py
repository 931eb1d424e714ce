"""The host's side of networks: a bridge, a dnsmasq and rules for each network, a device for each port.

:class:`HostNetworks` implements :class:`nova_lite.host.ports.Networks`.
"""

from __future__ import annotations

from nova_lite.host.networks.control import HostNetworks

__all__ = ["HostNetworks"]
