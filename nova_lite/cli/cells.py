"""Cells of a table that hold more than a word: readable in a table, structured in JSON and YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from cliff.columns import FormattableColumn

_WORDS = {
    "cidr": "CIDR",
    "cpu": "CPU",
    "dhcp": "DHCP",
    "dns": "DNS",
    "fqdn": "FQDN",
    "gb": "GB",
    "id": "ID",
    "ids": "IDs",
    "ip": "IP",
    "ips": "IPs",
    "ipv4": "IPv4",
    "ipv6": "IPv6",
    "mac": "MAC",
    "mb": "MB",
    "mtu": "MTU",
    "os": "OS",
    "ra": "RA",
    "ram": "RAM",
    "rxtx": "RXTX",
    "url": "URL",
    "uuid": "UUID",
    "vcpus": "VCPUs",
    "vif": "VIF",
    "vm": "VM",
    "vms": "VMs",
    "vnic": "VNIC",
}


_WORD = re.compile(r"[^ :]+")


def label(member: str) -> str:
    """Return the name that a member of the API has in our tables: ``min_ram`` is ``Min RAM``."""
    return _WORD.sub(lambda found: _WORDS.get(found[0], found[0][:1].upper() + found[0][1:]), member.replace("_", " "))


class Pairs(FormattableColumn):  # type: ignore[misc]
    """A mapping: ``key='value', …``."""

    def human_readable(self) -> str:
        """Return the pairs by key."""
        return ", ".join(f"{key}='{value}'" for key, value in sorted(self._value.items()))


class Joined(FormattableColumn):  # type: ignore[misc]
    """A list of words."""

    def human_readable(self) -> str:
        """Return them with commas between."""
        return ", ".join(str(item) for item in self._value)


class Addresses(FormattableColumn):  # type: ignore[misc]
    """A server's addresses: network → list of addresses."""

    def human_readable(self) -> str:
        """Return ``network=address, address; network=…``."""
        return "; ".join(f"{name}={', '.join(items)}" for name, items in sorted(self._value.items()))


def cell(value: Any) -> Any:
    """Wrap what is no word or number."""
    if isinstance(value, Mapping):
        return Pairs(dict(value))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return Joined(list(value)) if all(isinstance(item, str | int) for item in value) else Structure(value)
    return value


class Structure(FormattableColumn):  # type: ignore[misc]
    """A list of mappings: one a line."""

    def human_readable(self) -> str:
        """Return each on a line of its own."""
        return "\n".join(str(cell(item)) for item in self._value)
