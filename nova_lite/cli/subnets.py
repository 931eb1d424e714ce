"""Subnets."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names, network_names, network_options, network_tags
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.faults import CommandError
from nova_lite.cli.network_options import given, settings, switch

_FIRST = ("id", "name", "network_id", "cidr", "gateway_ip", "enable_dhcp")
_MODES = ("slaac", "dhcpv6-stateful", "dhcpv6-stateless")


class ListSubnets(Lister):
    """List subnets."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--network", metavar="NETWORK", help="of this network: name or id")
        network_options.filters(parser)
        parser.add_argument("--ip-version", choices=("4", "6"), help="of this IP version")
        parser.add_argument("--subnet-range", metavar="CIDR", help="with this range")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query: dict[str, Any] = {
            **network_options.filtered(parsed_args),
            "ip_version": parsed_args.ip_version,
            "cidr": parsed_args.subnet_range,
        }
        if parsed_args.network:
            query["network_id"] = names.network(self.connection, parsed_args.network)["id"]
        return ("ID", "Name", "Network ID", "CIDR"), [
            (item["id"], item["name"], item["network_id"], item["cidr"])
            for item in self.connection.network.pages("subnets", "subnets", **query)
        ]


class ShowSubnet(ShowOne):
    """Show a subnet."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the subnet."""
        parser = super().get_parser(prog_name)
        parser.add_argument("subnet", metavar="SUBNET", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return fields(names.subnet(self.connection, parsed_args.subnet), first=_FIRST, without=("tenant_id",))


def _options(parser: Any) -> None:
    parser.add_argument("--description", metavar="TEXT", help="a description")
    parser.add_argument("--gateway", metavar="ADDRESS", help="the gateway's address, or none (default: the first)")
    parser.add_argument(
        "--dns-nameserver", action="append", default=[], metavar="ADDRESS", help="a name server; may be repeated"
    )
    parser.add_argument(
        "--allocation-pool",
        action="append",
        default=[],
        type=settings,
        metavar="start=ADDRESS,end=ADDRESS",
        help="addresses that ports are given; may be repeated",
    )
    parser.add_argument(
        "--host-route",
        action="append",
        default=[],
        type=settings,
        metavar="destination=CIDR,gateway=ADDRESS",
        help="a route that guests are told; may be repeated",
    )
    _service_type(parser)
    switch(parser, "--dhcp", "--no-dhcp", "dhcp", "hand addresses out", "hand no addresses out")


def _service_type(parser: Any) -> None:
    parser.add_argument(
        "--service-type",
        action="append",
        default=[],
        metavar="OWNER",
        help="ports of this device owner get addresses here (network:floatingip, compute:nova); may be repeated",
    )


def _pool(item: Mapping[str, str]) -> dict[str, str]:
    if set(item) != {"start", "end"}:
        raise CommandError("--allocation-pool takes start=ADDRESS,end=ADDRESS.")
    return dict(item)


def _route(item: Mapping[str, str]) -> dict[str, str]:
    if set(item) != {"destination", "gateway"}:
        raise CommandError("--host-route takes destination=CIDR,gateway=ADDRESS.")
    return {"destination": item["destination"], "nexthop": item["gateway"]}


def _members(parsed_args: argparse.Namespace) -> dict[str, Any]:
    members = given({"name": parsed_args.name, "description": parsed_args.description, "enable_dhcp": parsed_args.dhcp})
    if parsed_args.gateway and parsed_args.gateway != "auto":
        members["gateway_ip"] = None if parsed_args.gateway == "none" else parsed_args.gateway
    return members


def _lists(parsed_args: argparse.Namespace) -> dict[str, list[Any]]:
    return {
        "dns_nameservers": list(parsed_args.dns_nameserver),
        "allocation_pools": [_pool(item) for item in parsed_args.allocation_pool],
        "host_routes": [_route(item) for item in parsed_args.host_route],
        "service_types": list(parsed_args.service_type),
    }


class CreateSubnet(ShowOne):
    """Create a subnet on a network."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the subnet's name")
        parser.add_argument("--network", required=True, metavar="NETWORK", help="the network: name or id")
        parser.add_argument("--subnet-range", "--cidr", metavar="CIDR", help="its addresses: 10.1.0.0/24")
        parser.add_argument("--subnet-pool", metavar="POOL", help="the pool that its addresses are from: name or id")
        parser.add_argument(
            "--use-default-subnet-pool", action="store_true", help="take its addresses from the default pool"
        )
        parser.add_argument(
            "--prefix-length", type=int, metavar="BITS", help="how many bits of a pool's range are fixed"
        )
        parser.add_argument(
            "--ip-version", type=int, choices=(4, 6), help="the IP version (default: the range's, else 4)"
        )
        parser.add_argument("--ipv6-address-mode", choices=_MODES, help="how guests get their IPv6 address")
        parser.add_argument("--ipv6-ra-mode", choices=_MODES, help="what routers announce")
        _options(parser)
        network_tags.new_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        version = parsed_args.ip_version or (6 if ":" in (parsed_args.subnet_range or "") else 4)
        pool = parsed_args.subnet_pool and network_names.subnet_pool(self.connection, parsed_args.subnet_pool)["id"]
        subnet = _members(parsed_args) | given(
            {
                "network_id": names.network(self.connection, parsed_args.network)["id"],
                "ip_version": version,
                "cidr": parsed_args.subnet_range,
                "subnetpool_id": pool or None,
                "use_default_subnetpool": parsed_args.use_default_subnet_pool or None,
                "prefixlen": parsed_args.prefix_length,
                "ipv6_address_mode": parsed_args.ipv6_address_mode,
                "ipv6_ra_mode": parsed_args.ipv6_ra_mode,
            }
        )
        subnet |= {name: items for name, items in _lists(parsed_args).items() if items}
        made = self.connection.network.post("subnets", {"subnet": subnet})["subnet"]
        made = network_tags.give(self.connection, "subnets", made, parsed_args.tag)
        return fields(made, first=_FIRST, without=("tenant_id",))


class SetSubnet(Command):
    """Change a subnet; what is given of lists is added."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the subnet and what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("subnet", metavar="SUBNET", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="another name")
        _options(parser)
        parser.add_argument("--no-dns-nameservers", action="store_true", help="drop its name servers first")
        parser.add_argument("--no-allocation-pool", action="store_true", help="drop its pools first")
        parser.add_argument("--no-host-route", action="store_true", help="drop its routes first")
        network_tags.set_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = names.subnet(self.connection, parsed_args.subnet)
        members = _members(parsed_args)
        dropped = {
            "dns_nameservers": parsed_args.no_dns_nameservers,
            "allocation_pools": parsed_args.no_allocation_pool,
            "host_routes": parsed_args.no_host_route,
            "service_types": False,
        }
        for name, added in _lists(parsed_args).items():
            if added or dropped[name]:
                members[name] = [*([] if dropped[name] else found[name]), *added]
        if members:
            self.connection.network.put(f"subnets/{found['id']}", {"subnet": members})
        network_tags.change(self.connection, "subnets", found, parsed_args)


class UnsetSubnet(Command):
    """Take things off a subnet."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the subnet and what is to go."""
        parser = super().get_parser(prog_name)
        parser.add_argument("subnet", metavar="SUBNET", help="name or id")
        parser.add_argument("--gateway", action="store_true", help="its gateway")
        parser.add_argument("--dns-nameserver", action="append", default=[], metavar="ADDRESS", help="a name server")
        _service_type(parser)
        for option, metavar in (
            ("--allocation-pool", "start=ADDRESS,end=ADDRESS"),
            ("--host-route", "destination=CIDR,gateway=ADDRESS"),
        ):
            parser.add_argument(
                option, action="append", default=[], type=settings, metavar=metavar, help="one of these"
            )
        network_tags.unset_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Take them off."""
        found = names.subnet(self.connection, parsed_args.subnet)
        members: dict[str, Any] = {"gateway_ip": None} if parsed_args.gateway else {}
        for name, gone in _lists(parsed_args).items():
            if gone:
                members[name] = [item for item in found[name] if item not in gone]
        if members:
            self.connection.network.put(f"subnets/{found['id']}", {"subnet": members})
        network_tags.take(self.connection, "subnets", found, parsed_args)


class DeleteSubnets(Deletion):
    """Delete subnets that nothing has an address of."""

    noun = "subnet"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"subnets/{names.subnet(self.connection, name)['id']}")
