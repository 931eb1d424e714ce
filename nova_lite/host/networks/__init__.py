"""The host's side of networks: a bridge, a dnsmasq and rules for each network, a device for each port.

:class:`HostNetworks` implements :class:`nova_lite.host.ports.Networks`. It is imported when it is first asked for: pyroute2
takes 19 MiB and 0.1 s, which the fakes, who use the pure modules here, need not pay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nova_lite.host.networks.hostnet import HostNetworks

__all__ = ["HostNetworks"]


def __getattr__(name: str) -> Any:
    if name != "HostNetworks":
        raise AttributeError(f"module {__name__} has no {name}")
    from nova_lite.host.networks.hostnet import HostNetworks

    return HostNetworks
