"""Rules of security groups."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import network_names, network_options
from nova_lite.cli.command import Deletion, Lister, ShowOne, fields
from nova_lite.cli.faults import CommandError
from nova_lite.cli.network_options import given

_FIRST = ("id", "security_group_id", "direction", "ethertype", "protocol", "port_range_min", "port_range_max")
_ICMP = ("icmp", "icmpv6", "ipv6-icmp", "1", "58")


class ListSecurityGroupRules(Lister):
    """List rules: all, or those of one group."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="GROUP", nargs="?", help="of this group: name or id")
        parser.add_argument("--protocol", metavar="PROTOCOL", help="of this protocol")
        parser.add_argument("--ethertype", metavar="ETHERTYPE", help="IPv4 or IPv6")
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--ingress", dest="direction", action="store_const", const="ingress", help="that let in")
        way.add_argument("--egress", dest="direction", action="store_const", const="egress", help="that let out")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = given(
            {
                "protocol": parsed_args.protocol,
                "ethertype": parsed_args.ethertype,
                "direction": parsed_args.direction,
            }
        )
        if parsed_args.group:
            query["security_group_id"] = network_names.security_group(self.connection, parsed_args.group)["id"]
        columns = ("ID", "IP Protocol", "Ethertype", "IP Range", "Port Range", "Direction", "Remote Security Group")
        found = self.connection.network.pages("security-group-rules", "security_group_rules", **query)
        rows = [
            (
                item["id"],
                item["protocol"] or "any",
                item["ethertype"],
                item["remote_ip_prefix"] or ("::/0" if item["ethertype"] == "IPv6" else "0.0.0.0/0"),
                _range(item),
                item["direction"],
                item["remote_group_id"] or "",
                *(() if parsed_args.group else (item["security_group_id"],)),
            )
            for item in found
        ]
        return columns if parsed_args.group else (*columns, "Security Group"), rows


def _range(rule: dict[str, Any]) -> str:
    low, high = rule["port_range_min"], rule["port_range_max"]
    if rule["protocol"] in _ICMP:
        named = (("type", low), ("code", high))
        return ":".join(f"{name}={value}" for name, value in named if value is not None)
    return "" if low is None else f"{low}:{high}"


class ShowSecurityGroupRule(ShowOne):
    """Show a rule."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the rule."""
        parser = super().get_parser(prog_name)
        parser.add_argument("rule", metavar="RULE", help="its id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = self.connection.network.get(f"security-group-rules/{parsed_args.rule}")["security_group_rule"]
        return fields(found, first=_FIRST, without=("tenant_id",))


class CreateSecurityGroupRule(ShowOne):
    """Let something into a security group, or out of it."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it lets pass."""
        parser = super().get_parser(prog_name)
        parser.add_argument("group", metavar="GROUP", help="the group: name or id")
        remote = parser.add_mutually_exclusive_group()
        remote.add_argument("--remote-ip", metavar="CIDR", help="from or to these addresses (default: any)")
        remote.add_argument("--remote-group", metavar="GROUP", help="from or to ports in this group: name or id")
        remote.add_argument("--remote-address-group", metavar="GROUP", help="from or to this address group: name or id")
        parser.add_argument("--protocol", metavar="PROTOCOL", help="tcp, udp, icmp, …, or a number (default: any)")
        parser.add_argument("--dst-port", metavar="PORT[:PORT]", help="these ports")
        parser.add_argument("--icmp-type", type=int, metavar="TYPE", help="this type of ICMP")
        parser.add_argument("--icmp-code", type=int, metavar="CODE", help="this code of ICMP")
        parser.add_argument("--ethertype", metavar="ETHERTYPE", help="IPv4 or IPv6 (default: as the addresses)")
        parser.add_argument("--description", metavar="TEXT", help="a description")
        way = parser.add_mutually_exclusive_group()
        way.add_argument(
            "--ingress", dest="direction", action="store_const", const="ingress", help="let in (the default)"
        )
        way.add_argument("--egress", dest="direction", action="store_const", const="egress", help="let out")
        network_options.project_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        found = self.connection
        low, high = _ports(parsed_args)
        rule = given(
            {
                "security_group_id": network_names.security_group(found, parsed_args.group)["id"],
                "direction": parsed_args.direction or "ingress",
                "ethertype": parsed_args.ethertype or _ethertype(parsed_args),
                "protocol": parsed_args.protocol,
                "port_range_min": low,
                "port_range_max": high,
                "remote_ip_prefix": parsed_args.remote_ip,
                "description": parsed_args.description,
                "project_id": parsed_args.project,
            }
        )
        if parsed_args.remote_group:
            rule["remote_group_id"] = network_names.security_group(found, parsed_args.remote_group)["id"]
        if parsed_args.remote_address_group:
            named = network_names.address_group(found, parsed_args.remote_address_group)
            rule["remote_address_group_id"] = named["id"]
        made = found.network.post("security-group-rules", {"security_group_rule": rule})["security_group_rule"]
        return fields(made, first=_FIRST, without=("tenant_id",))


def _ethertype(parsed_args: argparse.Namespace) -> str:
    is_six = ":" in (parsed_args.remote_ip or "") or (parsed_args.protocol or "").startswith(("ipv6", "icmpv6"))
    return "IPv6" if is_six else "IPv4"


def _ports(parsed_args: argparse.Namespace) -> tuple[int | None, int | None]:
    """Read the port range, or ICMP's type and code, which take its place."""
    if parsed_args.dst_port is None:
        return parsed_args.icmp_type, parsed_args.icmp_code
    if parsed_args.icmp_type is not None or parsed_args.icmp_code is not None:
        raise CommandError("--dst-port and --icmp-type or --icmp-code exclude one another.")
    low, colon, high = parsed_args.dst_port.partition(":")
    if not low.isdecimal() or (colon and not high.isdecimal()):
        raise CommandError(f"--dst-port must be a port, or two with a colon between: {parsed_args.dst_port}")
    return int(low), int(high if colon else low)


class DeleteSecurityGroupRules(Deletion):
    """Take rules back."""

    noun = "security group rule"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"security-group-rules/{name}")
