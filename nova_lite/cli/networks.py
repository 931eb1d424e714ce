"""Networks."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names, network_names, network_options, network_tags
from nova_lite.cli.cells import Joined
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.network_options import given, switch

_FIRST = ("id", "name", "status")


class ListNetworks(Lister):
    """List the networks that you may use."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        network_options.filters(parser)
        parser.add_argument(
            "--provider-network-type", metavar="TYPE", help="carried so: vxlan, flat, vlan, local (admins)"
        )
        parser.add_argument("--long", action="store_true", help="show more columns")
        switch(parser, "--external", "--internal", "external", "only those that lead outside", "only those that do not")
        switch(parser, "--share", "--no-share", "shared", "only those that are shared", "only those that are not")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {
            **network_options.filtered(parsed_args),
            "provider:network_type": parsed_args.provider_network_type,
            "router:external": parsed_args.external,
            "shared": parsed_args.shared,
        }
        found = self.connection.network.pages("networks", "networks", **query)
        columns = ("ID", "Name", "Status", "Subnets", "Shared")
        rows = []
        for item in found:
            row: tuple[Any, ...] = (
                item["id"],
                item["name"],
                item["status"],
                Joined(item["subnets"]),
                item.get("shared"),
            )
            if parsed_args.long:
                more = (item["project_id"], item["mtu"], item["router:external"], Joined(item["tags"]))
                row += more
            rows.append(row)
        return (*columns, "Project", "MTU", "External", "Tags") if parsed_args.long else columns, rows


class ShowNetwork(ShowOne):
    """Show a network."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the network."""
        parser = super().get_parser(prog_name)
        parser.add_argument("network", metavar="NETWORK", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return fields(names.network(self.connection, parsed_args.network), first=_FIRST, without=("tenant_id",))


def _options(parser: Any) -> None:
    parser.add_argument("--description", metavar="TEXT", help="a description")
    parser.add_argument("--mtu", type=int, metavar="BYTES", help="the largest packet")
    parser.add_argument(
        "--dns-domain", metavar="DOMAIN.", help="the domain of its guests' names, with a dot at its end"
    )
    parser.add_argument("--qos-policy", metavar="POLICY", help="the QoS policy of its ports: name or id")
    switch(parser, "--enable", "--disable", "up", "let packets pass", "let none pass")
    switch(parser, "--share", "--no-share", "shared", "let every project use it (admins)", "keep it to its project")
    switch(parser, "--external", "--internal", "external", "it leads outside (admins)", "it does not")
    switch(parser, "--default", "--no-default", "default", "automatic topologies lead to it (admins)", "they do not")
    switch(
        parser,
        "--enable-port-security",
        "--disable-port-security",
        "secured",
        "new ports are guarded unless they say otherwise",
        "new ports are not",
    )


def _members(command: Command | ShowOne, parsed_args: argparse.Namespace) -> dict[str, Any]:
    policy = parsed_args.qos_policy and network_names.qos_policy(command.connection, parsed_args.qos_policy)["id"]
    return given(
        {
            "name": parsed_args.name,
            "description": parsed_args.description,
            "mtu": parsed_args.mtu,
            "dns_domain": parsed_args.dns_domain,
            "qos_policy_id": policy,
            "admin_state_up": parsed_args.up,
            "shared": parsed_args.shared,
            "router:external": parsed_args.external,
            "is_default": parsed_args.default,
            "port_security_enabled": parsed_args.secured,
        }
    )


class CreateNetwork(ShowOne):
    """Create a network."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the network's name")
        _options(parser)
        network_tags.new_options(parser)
        network_options.project_option(parser)
        parser.add_argument("--provider-network-type", metavar="TYPE", help="vxlan, flat, vlan or local (admins)")
        parser.add_argument(
            "--provider-physical-network", metavar="NAME", help="the physical network it is on (admins)"
        )
        parser.add_argument("--provider-segment", type=int, metavar="NUMBER", help="its VLAN or VNI (admins)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        network = _members(self, parsed_args) | given(
            {
                "project_id": parsed_args.project,
                "provider:network_type": parsed_args.provider_network_type,
                "provider:physical_network": parsed_args.provider_physical_network,
                "provider:segmentation_id": parsed_args.provider_segment,
            }
        )
        made = self.connection.network.post("networks", {"network": network})["network"]
        made = network_tags.give(self.connection, "networks", made, parsed_args.tag)
        return fields(made, first=_FIRST, without=("tenant_id",))


class SetNetwork(Command):
    """Change a network."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the network and what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("network", metavar="NETWORK", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="another name")
        _options(parser)
        parser.add_argument("--no-qos-policy", action="store_true", help="limit its ports no more")
        network_tags.set_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = names.network(self.connection, parsed_args.network)
        members = _members(self, parsed_args)
        if parsed_args.no_qos_policy:
            members["qos_policy_id"] = None
        if members:
            self.connection.network.put(f"networks/{found['id']}", {"network": members})
        network_tags.change(self.connection, "networks", found, parsed_args)


class UnsetNetwork(Command):
    """Take tags off a network."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the network and the tags."""
        parser = super().get_parser(prog_name)
        parser.add_argument("network", metavar="NETWORK", help="name or id")
        network_tags.unset_options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Take them off."""
        found = names.network(self.connection, parsed_args.network)
        network_tags.take(self.connection, "networks", found, parsed_args)


class DeleteNetworks(Deletion):
    """Delete networks that nothing is on."""

    noun = "network"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"networks/{names.network(self.connection, name)['id']}")
