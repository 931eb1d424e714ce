"""QoS policies and their bandwidth limits."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import network_names, network_options
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields, not_negative, positive
from nova_lite.cli.network_options import given, switch

_FIRST = ("id", "name", "description", "shared", "is_default", "rules", "project_id")
_RULE_FIRST = ("id", "max_kbps", "max_burst_kbps", "direction")
_LIMIT = "bandwidth-limit"


def _options(parser: Any) -> None:
    parser.add_argument("--description", metavar="TEXT", help="a description")
    switch(parser, "--share", "--no-share", "shared", "let every project use it (admins)", "let its project use it")
    switch(parser, "--default", "--no-default", "default", "new networks have it", "they have it no more")


def _values(parsed_args: argparse.Namespace) -> dict[str, Any]:
    return given(
        {
            "name": parsed_args.name,
            "description": parsed_args.description,
            "shared": parsed_args.shared,
            "is_default": parsed_args.default,
        }
    )


class ListPolicies(Lister):
    """List QoS policies."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        return ("ID", "Name", "Shared", "Default", "Project"), [
            (item["id"], item["name"], item["shared"], item["is_default"], item["project_id"])
            for item in self.connection.network.pages("qos/policies", "policies")
        ]


class ShowPolicy(ShowOne):
    """Show a QoS policy with its limits."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the policy."""
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = network_names.qos_policy(self.connection, parsed_args.policy)
        return fields(found, first=_FIRST, without=("tenant_id",))


class CreatePolicy(ShowOne):
    """Create a QoS policy, without limits yet."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the policy's name")
        _options(parser)
        network_options.project_option(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        policy = _values(parsed_args) | given({"project_id": parsed_args.project})
        made = self.connection.network.post("qos/policies", {"policy": policy})["policy"]
        return fields(made, first=_FIRST, without=("tenant_id",))


class SetPolicy(Command):
    """Change a QoS policy."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="another name")
        _options(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = network_names.qos_policy(self.connection, parsed_args.policy)
        values = _values(parsed_args)
        if values:
            self.connection.network.put(f"qos/policies/{found['id']}", {"policy": values})


class DeletePolicies(Deletion):
    """Delete QoS policies that nothing has."""

    noun = "qos policy"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"qos/policies/{network_names.qos_policy(self.connection, name)['id']}")


def _rules(connection: Any, policy: str) -> str:
    return f"qos/policies/{network_names.qos_policy(connection, policy)['id']}/bandwidth_limit_rules"


def _way(parser: Any) -> None:
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--ingress", dest="direction", action="store_const", const="ingress", help="what it receives")
    way.add_argument(
        "--egress", dest="direction", action="store_const", const="egress", help="what it sends (the default)"
    )


class ListRules(Lister):
    """List a policy's limits."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the policy."""
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        policy = network_names.qos_policy(self.connection, parsed_args.policy)
        return ("ID", "QoS Policy ID", "Type", "Max Kbps", "Max Burst Kbits", "Direction"), [
            (rule["id"], policy["id"], rule["type"], rule["max_kbps"], rule["max_burst_kbps"], rule["direction"])
            for rule in policy["rules"]
        ]


class ShowRule(ShowOne):
    """Show a limit."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the policy and the rule."""
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY", help="name or id")
        parser.add_argument("rule", metavar="RULE", help="its id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        path = f"{_rules(self.connection, parsed_args.policy)}/{parsed_args.rule}"
        return fields(self.connection.network.get(path)["bandwidth_limit_rule"], first=_RULE_FIRST)


class CreateRule(ShowOne):
    """Add a bandwidth limit to a policy."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it limits."""
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY", help="name or id")
        parser.add_argument("--type", default=_LIMIT, choices=(_LIMIT,), help="its kind")
        parser.add_argument("--max-kbps", required=True, type=positive, metavar="KBPS", help="kbit/s")
        parser.add_argument("--max-burst-kbits", type=not_negative, metavar="KBITS", help="kbit at once")
        _way(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it."""
        rule = given(
            {
                "max_kbps": parsed_args.max_kbps,
                "max_burst_kbps": parsed_args.max_burst_kbits,
                "direction": parsed_args.direction,
            }
        )
        path = _rules(self.connection, parsed_args.policy)
        made = self.connection.network.post(path, {"bandwidth_limit_rule": rule})["bandwidth_limit_rule"]
        return fields(made, first=_RULE_FIRST)


class SetRule(Command):
    """Change a bandwidth limit."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY", help="name or id")
        parser.add_argument("rule", metavar="RULE", help="its id")
        parser.add_argument("--max-kbps", type=positive, metavar="KBPS", help="kbit/s")
        parser.add_argument("--max-burst-kbits", type=not_negative, metavar="KBITS", help="kbit at once")
        _way(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        rule = given(
            {
                "max_kbps": parsed_args.max_kbps,
                "max_burst_kbps": parsed_args.max_burst_kbits,
                "direction": parsed_args.direction,
            }
        )
        path = f"{_rules(self.connection, parsed_args.policy)}/{parsed_args.rule}"
        if rule:
            self.connection.network.put(path, {"bandwidth_limit_rule": rule})


class DeleteRule(Command):
    """Remove a limit of a policy."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the policy and the rule."""
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY", help="name or id")
        parser.add_argument("rule", metavar="RULE", help="its id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete it."""
        self.connection.network.delete(f"{_rules(self.connection, parsed_args.policy)}/{parsed_args.rule}")


class ListRuleTypes(Lister):
    """List the kinds of limits that there are."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.network.get("qos/rule-types")["rule_types"]
        return ("Type",), [(item["type"],) for item in found]
