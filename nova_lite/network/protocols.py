"""IP protocols as security group rules name them.

Source: https://docs.openstack.org/api-ref/network/v2/#security-group-rules-security-group-rules and IANA's protocol numbers.
"""

from __future__ import annotations

from nova_lite.errors import Invalid

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
ANY = ("any", "0")
"""What says the same as no protocol at all."""

NAMES_WITH_PORTS = ("dccp", "sctp", "tcp", "udp", "udplite")
WITH_PORTS = frozenset(PROTOCOLS[name] for name in NAMES_WITH_PORTS)
"""Those whose rules may name ports."""

ONLY_IPV6 = frozenset(PROTOCOLS[name] for name in PROTOCOLS if name.startswith("ipv6-"))


def protocol_number(name: str, version: int) -> int:
    """Return a protocol's number; *name* is a name or a number as text. ``icmp`` in an IPv6 rule is ICMPv6, as upstream has it.

    :raises KeyError: it is none.
    """
    lowered = name.lower()
    is_number = lowered.isascii() and lowered.isdigit() and int(lowered) <= 255
    number = int(lowered) if is_number else PROTOCOLS[lowered]
    return ICMPV6 if number == ICMP and version == 6 else number


def canonical(protocol: str | int | None, ethertype: str) -> str | None:
    """Return a protocol as it is kept and shown: a name in lower case or a number, as it was given; None: any.

    ICMP in a rule of IPv6 is ICMPv6, by name or by number, as upstream has it.

    :raises Invalid: there is no such protocol.
    """
    if protocol is None or str(protocol).lower() in ANY:
        return None
    text = str(protocol).lower()
    if text.isascii() and text.isdecimal() and int(text) <= 255:
        text = str(int(text))
    elif text not in PROTOCOLS:
        known = ", ".join(["any", *PROTOCOLS])
        raise Invalid(
            f"Security group rule protocol {str(protocol)[:64]} not supported. Only protocol values [{known}] and integer "
            "representations [0 to 255] are supported.",
            "network.security_group_rule_invalid_protocol",
        )
    if ethertype == "IPv6":
        if text in ("icmp", "icmpv6"):
            return "ipv6-icmp"
        if text == str(ICMP):
            return str(ICMPV6)
    return text


def number(protocol: str | None) -> int | None:
    """Return the number of a protocol in its canonical form; None: any.

    Protocol 0 (``ip``, ``hopopt``) is nothing that a packet carries as its own: upstream reads it as "any".
    """
    if protocol is None or protocol in ANY:
        return None
    return (PROTOCOLS[protocol] if protocol in PROTOCOLS else int(protocol)) or None
