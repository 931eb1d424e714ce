"""Roles, who has them, and domains."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.faults import CommandError

_ROLE = ("id", "name", "description")


class ListRoles(Lister):
    """List the roles."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        return ("ID", "Name"), [(item["id"], item["name"]) for item in self.connection.identity.get("roles")["roles"]]


class ShowRole(ShowOne):
    """Show a role."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the role."""
        parser = super().get_parser(prog_name)
        parser.add_argument("role", metavar="ROLE", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        return fields(names.role(self.connection, parsed_args.role), first=_ROLE, without=("options", "domain_id"))


class CreateRole(ShowOne):
    """Make a role (admins); rules of policy.yaml say what it may do."""

    def get_parser(self, prog_name: str) -> Any:
        """Take its name."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the role's name")
        parser.add_argument("--description", metavar="TEXT", help="a description")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Make it."""
        role = {"name": parsed_args.name}
        if parsed_args.description is not None:
            role["description"] = parsed_args.description
        made = self.connection.identity.post("roles", {"role": role})["role"]
        return fields(made, first=_ROLE, without=("options", "domain_id"))


class SetRole(Command):
    """Change a role's name or description (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("role", metavar="ROLE", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="the new name")
        parser.add_argument("--description", metavar="TEXT", help="the new description")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        changes = {"name": parsed_args.name, "description": parsed_args.description}
        changes = {key: value for key, value in changes.items() if value is not None}
        if not changes:
            raise CommandError("Nothing is to be changed: give --name or --description.")
        found = names.role(self.connection, parsed_args.role)
        self.connection.identity.patch(f"roles/{found['id']}", {"role": changes}, "application/json")


class DeleteRoles(Deletion):
    """Delete roles; nobody has them any more (admins)."""

    noun = "role"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.identity.delete(f"roles/{names.role(self.connection, name)['id']}")


class _Grant(Command):
    """The base: a role of a user on a project, a domain or the whole system."""

    def get_parser(self, prog_name: str) -> Any:
        """Take whose role on what."""
        parser = super().get_parser(prog_name)
        parser.add_argument("role", metavar="ROLE", help="name or id")
        parser.add_argument("--user", required=True, metavar="USER", help="name or id")
        where = parser.add_mutually_exclusive_group(required=True)
        where.add_argument("--project", metavar="PROJECT", help="on this project: name or id")
        where.add_argument("--domain", metavar="DOMAIN", help="on this domain: name or id")
        where.add_argument("--system", choices=("all",), help="on the whole system")
        return parser

    def path(self, wanted: argparse.Namespace) -> str:
        """Return the grant's path."""
        if wanted.project:
            where = f"projects/{names.project(self.connection, wanted.project)['id']}"
        elif wanted.domain:
            where = f"domains/{names.domain(self.connection, wanted.domain)['id']}"
        else:
            where = "system"
        user = names.user(self.connection, wanted.user)["id"]
        return f"{where}/users/{user}/roles/{names.role(self.connection, wanted.role)['id']}"


class AddRole(_Grant):
    """Give a user a role (admins)."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Give it."""
        self.connection.identity.put(self.path(parsed_args), None)


class RemoveRole(_Grant):
    """Take a role from a user (admins)."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Take it."""
        self.connection.identity.delete(self.path(parsed_args))


class ListAssignments(Lister):
    """List who has which role on what (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--user", metavar="USER", help="of this user: name or id")
        parser.add_argument("--project", metavar="PROJECT", help="on this project: name or id")
        parser.add_argument("--role", metavar="ROLE", help="this role: name or id")
        parser.add_argument("--names", action="store_true", help="show names instead of ids")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        query = {"include_names": "true"}
        if parsed_args.user:
            query["user.id"] = names.user(self.connection, parsed_args.user)["id"]
        if parsed_args.project:
            query["scope.project.id"] = names.project(self.connection, parsed_args.project)["id"]
        if parsed_args.role:
            query["role.id"] = names.role(self.connection, parsed_args.role)["id"]
        found = self.connection.identity.get("role_assignments", **query)["role_assignments"]
        key = "name" if parsed_args.names else "id"
        return ("Role", "User", "Project", "Domain", "System"), [
            (
                item["role"].get(key),
                (item.get("user") or {}).get(key),
                (item["scope"].get("project") or {}).get(key),
                (item["scope"].get("domain") or {}).get(key),
                "all" if item["scope"].get("system") else None,
            )
            for item in found
        ]


class ListDomains(Lister):
    """List the domains (admins)."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.identity.get("domains")["domains"]
        return ("ID", "Name", "Enabled", "Description"), [
            (item["id"], item["name"], item["enabled"], item.get("description")) for item in found
        ]
