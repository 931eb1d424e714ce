"""Security groups and anti-spoofing on every port of a host, in two nftables tables, changed by one transaction at a time.

``table bridge nova_lite`` sees frames before br_netfilter does: it drops what a port may not send (MAC, IPv4, ARP, IPv6 source) and
marks the rest with the number of the port that sent it, and later with that of the port that will get it. ``table inet nova_lite_sg`` sees
the same packets as br_netfilter passes them on, whole again and with their connection's state: by the mark it finds the port's chain, and
that the groups'. Two late chains drop what did not pass there, so that a bridge without br_netfilter leaves nobody open.

What others must know:

- A device of a guest is ``nl-`` and the first 12 characters of its port's id. Such a device that is not in the state passes nothing.
  Other devices of ours (``nl-vx…``, legs) are not filtered here. Their names begin with ``nl-dh`` or another letter than a to f.
- A bridge must be made with ``nf_call_iptables`` and ``nf_call_ip6tables``.
- Connections of guarded ports bear a mark of ours (``ct mark``); in zone 0, only those with a port on a network that is ``hosted``.
- Nothing that a guest sends reaches the host's own stack through a bridge, but on the networks that are named as ``hosted``: there the
  bridge has an address of the host, which is the network's outside. What the host routes to a guest of such a network passes its groups, too.
"""

from nova_lite.host.networks.firewall.firewall import Firewall

__all__ = ["Firewall"]
