"""Routers."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names, network_names, network_options
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.faults import CommandError
from nova_lite.cli.network_options import fixed_ip, fixed_ips, given, settings, switch

_FIRST = ("id", "name", "status", "admin_state_up", "external_gateway_info", "routes")


def _gateway_options(parser: Any) -> None:
    parser.add_argument("--external-gateway", metavar="NETWORK", help="the external network that it leaves by")
    fixed_ips(parser, "an address of its gateway; either may be left out; may be repeated (admins)")
    switch(parser, "--enable-snat", "--disable-snat", "snat", "translate addresses", "translate none (admins)")


def _state_options(parser: Any) -> None:
    switch(parser, "--enable", "--disable", "up", "let it route", "let it route nothing")
    parser.add_argument("--description", metavar="TEXT", help="a description")


def _gateway(command: Command | ShowOne, parsed_args: argparse.Namespace, present: Any = None) -> dict[str, Any] | None:
    """Return what is to be said of the gateway; None: nothing."""
    addresses = [fixed_ip(command.connection, item) for item in parsed_args.fixed_ip]
    network_id = (present or {}).get("network_id")
    if parsed_args.external_gateway:
        network_id = names.network(command.connection, parsed_args.external_gateway)["id"]
    elif not addresses and parsed_args.snat is None:
        return None
    if network_id is None:
        raise CommandError("Name the external network, too: --external-gateway.")
    return given({"network_id": network_id, "external_fixed_ips": addresses or None, "enable_snat": parsed_args.snat})


class ListRouters(Lister):
    """List routers."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        network_options.filters(parser)
        parser.add_argument("--long", action="store_true", help="show routes and gateways")
        switch(parser, "--enable", "--disable", "up", "that route", "that route nothing")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {
            **network_options.filtered(parsed_args),
            "admin_state_up": parsed_args.up,
        }
        found = self.connection.network.pages("routers", "routers", **query)
        columns = ("ID", "Name", "Status", "State", "Project")
        rows = []
        for item in found:
            state = "UP" if item["admin_state_up"] else "DOWN"
            row: tuple[Any, ...] = (item["id"], item["name"], item["status"], state, item["project_id"])
            if parsed_args.long:
                shown = dict(zip(*fields(item), strict=True))
                row += (shown["Routes"], shown["External gateway info"])
            rows.append(row)
        return (*columns, "Routes", "External gateway info") if parsed_args.long else columns, rows


class ShowRouter(ShowOne):
    """Show a router."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the router."""
        parser = super().get_parser(prog_name)
        parser.add_argument("router", metavar="ROUTER", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it, and the addresses by which it joins networks."""
        found = network_names.router(self.connection, parsed_args.router)
        ports = self.connection.network.pages("ports", "ports", device_id=found["id"])
        legs = [
            {"port_id": port["id"], **held}
            for port in ports
            if port["device_owner"] == "network:router_interface"
            for held in port["fixed_ips"]
        ]
        return fields({**found, "interfaces_info": legs}, first=(*_FIRST, "interfaces_info"), without=("tenant_id",))


class CreateRouter(ShowOne):
    """Create a router."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the router's name")
        _state_options(parser)
        _gateway_options(parser)
        network_options.project_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        router = given(
            {
                "name": parsed_args.name,
                "description": parsed_args.description,
                "admin_state_up": parsed_args.up,
                "external_gateway_info": _gateway(self, parsed_args),
                "project_id": parsed_args.project,
            }
        )
        made = self.connection.network.post("routers", {"router": router})["router"]
        return fields(made, first=_FIRST, without=("tenant_id",))


class DeleteRouters(Deletion):
    """Delete routers that join no network."""

    noun = "router"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"routers/{network_names.router(self.connection, name)['id']}")


class _RouterCommand(Command):
    """A command about one router."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the router."""
        parser = super().get_parser(prog_name)
        parser.add_argument("router", metavar="ROUTER", help="name or id")
        return parser

    def _put(self, parsed_args: argparse.Namespace, action: str, body: dict[str, Any]) -> None:
        found = network_names.router(self.connection, parsed_args.router)
        self.connection.network.put(f"routers/{found['id']}{action}", body)


def _route(text: str) -> dict[str, str]:
    found = settings(text)
    if set(found) != {"destination", "gateway"}:
        raise argparse.ArgumentTypeError(f"{text!r} must be destination=CIDR,gateway=ADDRESS")
    return {"destination": found["destination"], "nexthop": found["gateway"]}


def _route_option(parser: Any, **more: Any) -> None:
    parser.add_argument(
        "--route",
        action="append",
        type=_route,
        metavar="destination=CIDR,gateway=ADDRESS",
        help="an extra route; may be repeated",
        **more,
    )


class SetRouter(_RouterCommand):
    """Change a router."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--name", metavar="NAME", help="another name")
        _state_options(parser)
        _gateway_options(parser)
        _route_option(parser)
        parser.add_argument("--no-route", action="store_true", help="first take its extra routes away")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = network_names.router(self.connection, parsed_args.router)
        values = given(
            {
                "name": parsed_args.name,
                "description": parsed_args.description,
                "admin_state_up": parsed_args.up,
                "external_gateway_info": _gateway(self, parsed_args, found["external_gateway_info"]),
            }
        )
        if parsed_args.route or parsed_args.no_route:
            kept = [] if parsed_args.no_route else found["routes"]
            values["routes"] = kept + [route for route in parsed_args.route or () if route not in kept]
        if values:
            self.connection.network.put(f"routers/{found['id']}", {"router": values})


class UnsetRouter(_RouterCommand):
    """Take a router's gateway or routes away."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to go."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--external-gateway", action="store_true", help="its way out")
        _route_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        if parsed_args.route:
            self._put(parsed_args, "/remove_extraroutes", {"router": {"routes": parsed_args.route}})
        if parsed_args.external_gateway:
            self._put(parsed_args, "", {"router": {"external_gateway_info": {}}})


class _Interface(_RouterCommand):
    noun = ""
    action = ""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is joined."""
        parser = super().get_parser(prog_name)
        parser.add_argument("thing", metavar=self.noun.upper(), help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Ask for it."""
        found = getattr(names, self.noun)(self.connection, parsed_args.thing)
        self._put(parsed_args, f"/{self.action}_router_interface", {f"{self.noun}_id": found["id"]})


class AddSubnet(_Interface):
    """Join a subnet to a router by the subnet's gateway address."""

    noun, action = "subnet", "add"


class AddPort(_Interface):
    """Join a network to a router by a port."""

    noun, action = "port", "add"


class RemoveSubnet(_Interface):
    """Let a subnet of a router go."""

    noun, action = "subnet", "remove"


class RemovePort(_Interface):
    """Let a network of a router go; the port goes, too."""

    noun, action = "port", "remove"


class _Routes(_RouterCommand):
    action = ""

    def get_parser(self, prog_name: str) -> Any:
        """Take routes."""
        parser = super().get_parser(prog_name)
        _route_option(parser, required=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Ask for it."""
        self._put(parsed_args, f"/{self.action}_extraroutes", {"router": {"routes": parsed_args.route}})


class AddRoutes(_Routes):
    """Add extra routes to a router."""

    action = "add"


class RemoveRoutes(_Routes):
    """Remove extra routes of a router."""

    action = "remove"
