"""RBAC policies: what projects lend to others."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names, network_names
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.connection import Connection

_FIRST = ("id", "object_type", "object_id", "action", "target_tenant")
_FINDERS = {
    "network": names.network,
    "subnetpool": network_names.subnet_pool,
    "security_group": network_names.security_group,
    "address_group": network_names.address_group,
    "qos_policy": network_names.qos_policy,
}
_ACTIONS = ("access_as_shared", "access_as_external")


def _target(connection: Connection, text: str) -> str:
    return "*" if text == "*" else str(names.project(connection, text)["id"])


class ListPolicies(Lister):
    """List RBAC policies."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--type", choices=sorted(_FINDERS), help="of things of this type")
        parser.add_argument("--action", choices=_ACTIONS, help="for this")
        parser.add_argument("--target-project", metavar="PROJECT-ID", help="lent to this project: its id, or *")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {
            "object_type": parsed_args.type,
            "action": parsed_args.action,
            "target_tenant": parsed_args.target_project,
        }
        return ("ID", "Object Type", "Object ID", "Target Project"), [
            (item["id"], item["object_type"], item["object_id"], item["target_tenant"])
            for item in self.connection.network.pages("rbac-policies", "rbac_policies", **query)
        ]


class ShowPolicy(ShowOne):
    """Show an RBAC policy."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the policy."""
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY-ID", help="its id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = network_names.rbac_policy(self.connection, parsed_args.policy)
        return fields(found, first=_FIRST, without=("tenant_id",))


class CreatePolicy(ShowOne):
    """Lend a thing to a project, or (admins) to all."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is lent to whom."""
        parser = super().get_parser(prog_name)
        parser.add_argument("thing", metavar="OBJECT", help="what is lent: name or id")
        parser.add_argument("--type", required=True, choices=sorted(_FINDERS), help="what it is")
        parser.add_argument("--action", choices=_ACTIONS, default=_ACTIONS[0], help="what for (default: to be used)")
        target = parser.add_mutually_exclusive_group(required=True)
        target.add_argument("--target-project", metavar="PROJECT", help="to whom: a project's id, or its name (admins)")
        target.add_argument(
            "--target-all-projects", action="store_const", dest="target_project", const="*", help="to all"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Lend it."""
        policy = {
            "object_type": parsed_args.type,
            "object_id": _FINDERS[parsed_args.type](self.connection, parsed_args.thing)["id"],
            "action": parsed_args.action,
            "target_tenant": _whom(self.connection, parsed_args.target_project),
        }
        made = self.connection.network.post("rbac-policies", {"rbac_policy": policy})["rbac_policy"]
        return fields(made, first=_FIRST, without=("tenant_id",))


def _whom(connection: Connection, text: str) -> str:
    """Return a project's id. What may be one is taken as it is: who is no admin can't look projects up."""
    compact = text.replace("-", "")
    if text == "*" or (len(compact) == 32 and all(char in "0123456789abcdef" for char in compact)):
        return text
    return _target(connection, text)


class SetPolicy(Command):
    """Lend a thing to another project instead."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the policy and the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("policy", metavar="POLICY-ID", help="its id")
        parser.add_argument(
            "--target-project", required=True, metavar="PROJECT", help="to whom: a project's id, or its name"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        found = network_names.rbac_policy(self.connection, parsed_args.policy)
        body = {"rbac_policy": {"target_tenant": _whom(self.connection, parsed_args.target_project)}}
        self.connection.network.put(f"rbac-policies/{found['id']}", body)


class DeletePolicies(Deletion):
    """Take back what is lent by RBAC policies."""

    noun = "RBAC policy"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.network.delete(f"rbac-policies/{network_names.rbac_policy(self.connection, name)['id']}")
