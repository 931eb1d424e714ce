"""IP protocols as security group rules name them.

Source: https://docs.openstack.org/api-ref/network/v2/#security-group-rules-security-group-rules and IANA's protocol numbers.
"""

from __future__ import annotations

PROTOCOLS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "hopopt": 0,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "ip": 0,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}

ICMP = 1
ICMPV6 = 58
WITH_PORTS = frozenset({6, 17, 33, 132, 136})
"""Those whose rules may name ports."""


def protocol_number(name: str, version: int) -> int:
    """Return a protocol's number; *name* is a name or a number as text. ``icmp`` in an IPv6 rule is ICMPv6, as upstream has it.

    :raises KeyError: it is none.
    """
    lowered = name.lower()
    is_number = lowered.isascii() and lowered.isdigit() and int(lowered) <= 255
    number = int(lowered) if is_number else PROTOCOLS[lowered]
    return ICMPV6 if number == ICMP and version == 6 else number
