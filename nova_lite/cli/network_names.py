"""From a name, an address or an id to routers, floating IPs, security groups, address groups and QoS policies; and options that they share."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import ApiError
from nova_lite.cli.names import Thing, is_uuid, the_one


def _find(connection: Connection, noun: str, path: str, member: str, text: str, key: str = "name") -> Thing:
    network = connection.network
    if is_uuid(text):
        try:
            return dict(network.get(f"{path}/{quote(text, safe='')}")[member])
        except ApiError as error:
            if error.status != 404:
                raise
    plural = "policies" if member == "policy" else f"{member}s"
    return the_one(noun, text, network.pages(path, plural, **{key: text}), key=key)


def router(connection: Connection, text: str) -> Thing:
    """Find a router."""
    return _find(connection, "router", "routers", "router", text)


def floating_ip(connection: Connection, text: str) -> Thing:
    """Find a floating IP, by address or id."""
    return _find(connection, "floating IP", "floatingips", "floatingip", text, "floating_ip_address")


def security_group(connection: Connection, text: str) -> Thing:
    """Find a security group."""
    return _find(connection, "security group", "security-groups", "security_group", text)


def address_group(connection: Connection, text: str) -> Thing:
    """Find an address group."""
    return _find(connection, "address group", "address-groups", "address_group", text)


def qos_policy(connection: Connection, text: str) -> Thing:
    """Find a QoS policy."""
    return _find(connection, "QoS policy", "qos/policies", "policy", text)


def subnet_pool(connection: Connection, text: str) -> Thing:
    """Find a subnet pool."""
    return _find(connection, "subnet pool", "subnetpools", "subnetpool", text)


def rbac_policy(connection: Connection, text: str) -> Thing:
    """Find an RBAC policy, by its id."""
    return dict(connection.network.get(f"rbac-policies/{quote(text, safe='')}")["rbac_policy"])


def switch(parser: Any, on: str, off: str, dest: str, help_on: str, help_off: str) -> None:
    """Add two options that exclude one another; neither given is None."""
    pair = parser.add_mutually_exclusive_group()
    pair.add_argument(on, dest=dest, action="store_true", default=None, help=help_on)
    pair.add_argument(off, dest=dest, action="store_false", default=None, help=help_off)


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said, without what was not."""
    return {name: value for name, value in values.items() if value is not None}


def project_option(parser: Any) -> None:
    """Add the option of whose a new thing is to be."""
    parser.add_argument("--project", metavar="PROJECT-ID", help="whose it is to be: a project's id (admins)")


def settings(text: str) -> dict[str, str]:
    """Read ``key=value,key=value`` of an option. :raises argparse.ArgumentTypeError: it has another form."""
    found: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        if not equals or not key or not value:
            raise argparse.ArgumentTypeError(f"{text!r} must be KEY=VALUE,KEY=VALUE")
        found[key.strip()] = value.strip()
    return found
