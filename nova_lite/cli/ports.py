"""Ports."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names, network_names, network_options, network_tags
from nova_lite.cli.cells import Joined
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.faults import CommandError
from nova_lite.cli.network_options import fixed_ip, fixed_ips, given, settings, switch

_FIRST = ("id", "name", "status", "mac_address", "fixed_ips", "network_id", "device_id")
_RENAMED = {"fixed_ip_addresses": "Fixed IPs"}


def _addresses(port: Mapping[str, Any]) -> Joined:
    return Joined([item["ip_address"] for item in port.get("fixed_ips") or ()])


def _shown(port: Mapping[str, Any]) -> tuple[Any, Any]:
    return fields({**port, "fixed_ips": _addresses(port)}, first=_FIRST, without=("tenant_id",))


class ListPorts(Lister):
    """List ports."""

    renamed = _RENAMED

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--server", metavar="SERVER", help="of this server: name or id")
        parser.add_argument("--router", metavar="ROUTER", help="of this router: name or id")
        parser.add_argument("--network", metavar="NETWORK", help="on this network: name or id")
        parser.add_argument("--device-owner", metavar="OWNER", help="of such a device")
        parser.add_argument("--host", metavar="HOST", help="on this host (admins)")
        parser.add_argument("--mac-address", metavar="MAC", help="with this MAC")
        parser.add_argument("--security-group", metavar="GROUP", help="in this group: name or id")
        parser.add_argument("--tags", metavar="TAG,TAG", help="with all of these tags")
        fixed_ips(parser, "with such an address; may be repeated")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query: dict[str, Any] = {
            "device_owner": parsed_args.device_owner,
            "binding:host_id": parsed_args.host,
            "mac_address": parsed_args.mac_address,
            "tags": parsed_args.tags,
        }
        if parsed_args.server:
            query["device_id"] = names.server(self.connection, parsed_args.server)["id"]
        if parsed_args.router:
            query["device_id"] = network_names.router(self.connection, parsed_args.router)["id"]
        if parsed_args.network:
            query["network_id"] = names.network(self.connection, parsed_args.network)["id"]
        if parsed_args.security_group:
            query["security_groups"] = network_names.security_group(self.connection, parsed_args.security_group)["id"]
        held = [
            f"{key}={value}" for item in parsed_args.fixed_ip for key, value in fixed_ip(self.connection, item).items()
        ]
        if held:
            query["fixed_ips"] = held
        return ("ID", "Name", "MAC Address", "Fixed IPs", "Status", "Device ID"), [
            (item["id"], item["name"], item["mac_address"], _addresses(item), item["status"], item["device_id"])
            for item in self.connection.network.pages("ports", "ports", **query)
        ]


class ShowPort(ShowOne):
    """Show a port."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the port."""
        parser = super().get_parser(prog_name)
        parser.add_argument("port", metavar="PORT", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return _shown(names.port(self.connection, parsed_args.port))


def _options(parser: Any) -> None:
    parser.add_argument("--description", metavar="TEXT", help="a description")
    parser.add_argument("--mac-address", metavar="MAC", help="its MAC")
    parser.add_argument("--device", metavar="ID", help="the device that has it, where that is no server or router")
    parser.add_argument("--device-owner", metavar="OWNER", help="what that device is")
    parser.add_argument("--dns-name", metavar="NAME", help="its name in DNS")
    parser.add_argument("--host", metavar="HOST", help="where it is bound (admins)")
    parser.add_argument("--qos-policy", metavar="POLICY", help="its QoS policy: name or id")
    fixed_ips(parser, "an address; either may be left out; may be repeated")
    parser.add_argument("--no-fixed-ip", action="store_true", help="no address, or none of those that it has")
    parser.add_argument(
        "--security-group", action="append", default=[], metavar="GROUP", help="a security group; may be repeated"
    )
    parser.add_argument("--no-security-group", action="store_true", help="no group, or none of those that it is in")
    parser.add_argument(
        "--allowed-address",
        action="append",
        default=[],
        type=settings,
        metavar="ip-address=CIDR,mac-address=MAC",
        help="what it may send from, too; the MAC may be left out; may be repeated",
    )
    parser.add_argument("--no-allowed-address", action="store_true", help="none of those that it may send from")
    parser.add_argument(
        "--extra-dhcp-option",
        action="append",
        default=[],
        type=settings,
        metavar="name=NAME,value=VALUE,ip-version=4",
        help="a DHCP option; may be repeated",
    )
    switch(parser, "--enable", "--disable", "up", "let packets pass", "let none pass")
    switch(parser, "--enable-port-security", "--disable-port-security", "secured", "guard it", "do not guard it at all")


def _pair(item: Mapping[str, str]) -> dict[str, str]:
    if "ip-address" not in item or set(item) - {"ip-address", "mac-address"}:
        raise CommandError("--allowed-address takes ip-address=CIDR and mac-address=MAC.")
    return given({"ip_address": item["ip-address"], "mac_address": item.get("mac-address")})


def _option(item: Mapping[str, str]) -> dict[str, Any]:
    if "name" not in item or set(item) - {"name", "value", "ip-version"}:
        raise CommandError("--extra-dhcp-option takes name=NAME, value=VALUE and ip-version=4 or 6.")
    return {"opt_name": item["name"], "opt_value": item.get("value"), "ip_version": item.get("ip-version", "4")}


def _members(command: Command | ShowOne, parsed_args: argparse.Namespace, port: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options ask for; what they add comes beside what *port* has."""
    connection = command.connection
    members = given(
        {
            "name": parsed_args.name,
            "description": parsed_args.description,
            "mac_address": parsed_args.mac_address,
            "device_id": parsed_args.device,
            "device_owner": parsed_args.device_owner,
            "dns_name": parsed_args.dns_name,
            "binding:host_id": parsed_args.host,
            "admin_state_up": parsed_args.up,
            "port_security_enabled": parsed_args.secured,
        }
    )
    if parsed_args.qos_policy:
        members["qos_policy_id"] = network_names.qos_policy(connection, parsed_args.qos_policy)["id"]
    lists = {
        "fixed_ips": (parsed_args.no_fixed_ip, [fixed_ip(command.connection, item) for item in parsed_args.fixed_ip]),
        "security_groups": (
            parsed_args.no_security_group,
            [network_names.security_group(connection, name)["id"] for name in parsed_args.security_group],
        ),
        "allowed_address_pairs": (
            parsed_args.no_allowed_address,
            [_pair(item) for item in parsed_args.allowed_address],
        ),
    }
    for name, (emptied, added) in lists.items():
        if emptied or added:
            members[name] = [*([] if emptied else port.get(name) or []), *added]
    if parsed_args.extra_dhcp_option:
        members["extra_dhcp_opts"] = [_option(item) for item in parsed_args.extra_dhcp_option]
    return members


class CreatePort(ShowOne):
    """Create a port, for a server to be given."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the port's name")
        parser.add_argument("--network", required=True, metavar="NETWORK", help="its network: name or id")
        _options(parser)
        network_tags.new_options(parser)
        network_options.project_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        port = _members(self, parsed_args, {}) | given(
            {
                "network_id": names.network(self.connection, parsed_args.network)["id"],
                "project_id": parsed_args.project,
                "tags": sorted(set(parsed_args.tag)) or None,
            }
        )
        return _shown(self.connection.network.post("ports", {"port": port})["port"])


class SetPort(Command):
    """Change a port."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the port and what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("port", metavar="PORT", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="another name")
        _options(parser)
        network_tags.set_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = names.port(self.connection, parsed_args.port)
        members = _members(self, parsed_args, found)
        if members:
            self.connection.network.put(f"ports/{found['id']}", {"port": members})
        network_tags.change(self.connection, "ports", found, parsed_args)


class UnsetPort(Command):
    """Take things off a port."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the port and what is to go."""
        parser = super().get_parser(prog_name)
        parser.add_argument("port", metavar="PORT", help="name or id")
        parser.add_argument("--fixed-ip", action="append", default=[], metavar="ADDRESS", help="an address")
        parser.add_argument("--security-group", action="append", default=[], metavar="GROUP", help="a security group")
        parser.add_argument("--allowed-address", action="append", default=[], metavar="CIDR", help="an address pair")
        parser.add_argument("--qos-policy", action="store_true", help="its QoS policy")
        parser.add_argument("--device", action="store_true", help="the device that has it")
        parser.add_argument("--host", action="store_true", help="where it is bound (admins)")
        network_tags.unset_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Take them off."""
        found = names.port(self.connection, parsed_args.port)
        groups = {network_names.security_group(self.connection, name)["id"] for name in parsed_args.security_group}
        members: dict[str, Any] = {}
        for name, key, gone in (
            ("fixed_ips", "ip_address", set(parsed_args.fixed_ip)),
            ("allowed_address_pairs", "ip_address", set(parsed_args.allowed_address)),
        ):
            if gone:
                members[name] = [item for item in found[name] if item[key] not in gone]
        if groups:
            members["security_groups"] = [group for group in found["security_groups"] if group not in groups]
        if parsed_args.qos_policy:
            members["qos_policy_id"] = None
        if parsed_args.device:
            members |= {"device_id": "", "device_owner": ""}
        if parsed_args.host:
            members["binding:host_id"] = ""
        if members:
            self.connection.network.put(f"ports/{found['id']}", {"port": members})
        network_tags.take(self.connection, "ports", found, parsed_args)


class DeletePorts(Deletion):
    """Delete ports that no server and no router has."""

    noun = "port"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"ports/{names.port(self.connection, name)['id']}")
