"""Extra DHCP options of ports for dnsmasq: a value that is not of its option's type never reaches it."""

from __future__ import annotations

from nova_lite.host.ports import HostError
from nova_lite.network.dhcp_option_types import SERVER_ADDRESS, typed


def line(tag: str, name: str, value: str, version: int) -> str:
    """Return a line of dnsmasq's dhcp-optsfile that gives hosts with *tag* an option.

    :param name: of a known option, with or without ``option:``, or its number.
    :raises HostError: no such option, or the value is not of its type.
    """
    try:
        number, content = typed(name, value, version)
    except ValueError as error:
        raise HostError(str(error), code="host.refused_value") from error
    if version == 6:
        return f"tag:{tag},option6:{number},{content}"
    return f"tag:{tag},{'option:server-ip-address' if number == SERVER_ADDRESS else number},{content}"
