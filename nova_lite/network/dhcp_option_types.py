"""The types of DHCP options: which there are, and what each may be set to. Pure.

The API refuses by it what a host would refuse later, and hosts write by it what dnsmasq reads.
Source: RFC 2132 and others as dnsmasq(8) names them (``dnsmasq --help dhcp``), and RFC 3315 for IPv6.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

_TEXT = re.compile(r"[\x20-\x7e]{1,255}", re.ASCII)
_LABELS = re.compile(r"[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?", re.ASCII)


def _text(value: str, version: int) -> str:
    if not _TEXT.fullmatch(value) or '"' in value or "\\" in value:
        raise ValueError("printable ASCII without quotes and backslashes, at most 255 characters")
    return f'"{value}"' if "," in value or " " in value or "#" in value else value


def _name(value: str, version: int) -> str:
    if len(value) > 253 or not _LABELS.fullmatch(value):
        raise ValueError("a domain name")
    return value


def _names(value: str, version: int) -> str:
    return ",".join(_name(part.strip(), version) for part in value.split(","))


def _addresses(value: str, version: int) -> str:
    found = []
    for part in value.split(","):
        address = ipaddress.ip_address(part.strip().strip("[]"))
        if address.version != version or "%" in part:
            raise ValueError(f"IPv{version} addresses")
        found.append(f"[{address}]" if version == 6 else str(address))
    return ",".join(found)


def _number(value: str, version: int) -> str:
    if not re.fullmatch(r"[0-9]{1,10}", value, re.ASCII) or int(value) >= 1 << 32:
        raise ValueError("a number below 2^32")
    return str(int(value))


def _flag(value: str, version: int) -> str:
    if value not in ("0", "1"):
        raise ValueError("0 or 1")
    return value


def _routes(value: str, version: int) -> str:
    parts = [part.strip() for part in value.split(",")]
    if len(parts) % 2:
        raise ValueError("pairs of a network and a next hop")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return ",".join(f"{ipaddress.IPv4Network(network)},{ipaddress.IPv4Address(hop)}" for network, hop in pairs)


SERVER_ADDRESS = 255
"""dnsmasq's own number for the field ``siaddr``, whose option number is that of the end."""

_V4: dict[str, tuple[int, Callable[[str, int], str]]] = {
    "netmask": (1, _addresses),
    "time-offset": (2, _number),
    "router": (3, _addresses),
    "dns-server": (6, _addresses),
    "log-server": (7, _addresses),
    "lpr-server": (9, _addresses),
    "hostname": (12, _name),
    "boot-file-size": (13, _number),
    "domain-name": (15, _name),
    "swap-server": (16, _addresses),
    "root-path": (17, _text),
    "extension-path": (18, _text),
    "ip-forward-enable": (19, _flag),
    "default-ttl": (23, _number),
    "mtu": (26, _number),
    "all-subnets-local": (27, _flag),
    "broadcast": (28, _addresses),
    "router-discovery": (31, _flag),
    "router-solicitation": (32, _addresses),
    "static-route": (33, _addresses),
    "arp-timeout": (35, _number),
    "tcp-ttl": (37, _number),
    "tcp-keepalive": (38, _number),
    "nis-domain": (40, _name),
    "nis-server": (41, _addresses),
    "ntp-server": (42, _addresses),
    "vendor-encap": (43, _text),
    "netbios-ns": (44, _addresses),
    "netbios-dd": (45, _addresses),
    "netbios-nodetype": (46, _number),
    "netbios-scope": (47, _text),
    "x-windows-fs": (48, _addresses),
    "x-windows-dm": (49, _addresses),
    "T1": (58, _number),
    "T2": (59, _number),
    "vendor-class": (60, _text),
    "nis+-domain": (64, _name),
    "nis+-server": (65, _addresses),
    "tftp-server": (66, _text),
    "bootfile-name": (67, _text),
    "mobile-ip-home": (68, _addresses),
    "smtp-server": (69, _addresses),
    "pop3-server": (70, _addresses),
    "nntp-server": (71, _addresses),
    "irc-server": (74, _addresses),
    "user-class": (77, _text),
    "client-arch": (93, _number),
    "client-interface-id": (94, _number),
    "client-machine-id": (97, _text),
    "posix-timezone": (100, _text),
    "tzdb-timezone": (101, _text),
    "ipv6-only": (108, _number),
    "domain-search": (119, _names),
    "sip-server": (120, _names),
    "classless-static-route": (121, _routes),
    "tftp-server-address": (150, _addresses),
    "server-ip-address": (SERVER_ADDRESS, _addresses),
}
_V6: dict[str, tuple[int, Callable[[str, int], str]]] = {
    "sip-server-domain": (21, _names),
    "sip-server": (22, _addresses),
    "dns-server": (23, _addresses),
    "domain-search": (24, _names),
    "nis-server": (27, _addresses),
    "nis+-server": (28, _addresses),
    "nis-domain": (29, _name),
    "nis+-domain": (30, _name),
    "sntp-server": (31, _addresses),
    "information-refresh-time": (32, _number),
    "FQDN": (39, _name),
    "ntp-server": (56, _addresses),
    "bootfile-url": (59, _text),
    "bootfile-param": (60, _text),
}
NAMES = {4: _V4, 6: _V6}
_RESERVED = {4: frozenset((0, 50, 51, 52, 53, 54, 55, 57, 61, 82, 255)), 6: frozenset(range(1, 16))}
"""Options with which DHCP itself works."""


def typed(name: str, value: str, version: int) -> tuple[int, str]:
    """Return the number of an option and its value as dnsmasq writes it.

    :param name: of a known option, with or without ``option:``, or its number.
    :raises ValueError: no such option, or the value is not of its type; the text says which.
    """
    name, number, check = _known(name, version)
    try:
        return number, check(value, version)
    except ValueError as error:
        raise ValueError(f"DHCP option {name} can't be {value[:64]!r}: {error}") from error


def is_of_the_other_version(name: str, value: str, version: int) -> bool:
    """Tell whether an option of addresses has ones of the IP version that is not *version*.

    Clients that name no version (4) write it for ports on IPv6 networks, as upstream's own do. No guest can be given it.
    """
    try:
        _, _, check = _known(name, version)
        if check is not _addresses:
            return False
        _addresses(value, 4 if version == 6 else 6)
    except ValueError:
        return False
    return True


def _known(name: str, version: int) -> tuple[str, int, Callable[[str, int], str]]:
    name = name.removeprefix("option6:").removeprefix("option:")
    known = NAMES.get(version)
    if known is None:
        raise ValueError(f"DHCP has versions 4 and 6, not {version}")
    return name, *(known.get(name) or _numbered(name, version))


def _numbered(name: str, version: int) -> tuple[int, Callable[[str, int], str]]:
    limit = 254 if version == 4 else 65_535
    if not re.fullmatch(r"[0-9]{1,5}", name, re.ASCII) or not 1 <= int(name) <= limit:
        raise ValueError(f"There is no DHCP option {name[:64]!r} for IPv{version}")
    number = int(name)
    if number in _RESERVED[version]:
        raise ValueError(f"DHCP option {number} is DHCP's own")
    return next(((known, check) for known, check in NAMES[version].values() if known == number), (number, _text))
