"""Projects and users."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne, fields
from nova_lite.cli.faults import ApiError, CommandError
from nova_lite.cli.server_states import ask_password

_PROJECT = ("id", "name", "description", "domain_id", "enabled")
_USER = ("id", "name", "description", "email", "default_project_id", "domain_id", "enabled")
_LEFT_OUT = ("links", "options", "password_expires_at", "parent_id", "is_domain")


def _shown(thing: Mapping[str, Any], first: tuple[str, ...]) -> tuple[Any, Any]:
    return fields(thing, first=first, without=_LEFT_OUT)


def _add_common(parser: Any) -> None:
    parser.add_argument("--description", metavar="TEXT", help="a description")
    able = parser.add_mutually_exclusive_group()
    able.add_argument("--enable", dest="enabled", action="store_true", default=None, help="let it be used")
    able.add_argument("--disable", dest="enabled", action="store_false", help="its tokens end within seconds")


def _given(parsed_args: argparse.Namespace, *members: str) -> dict[str, Any]:
    return {name: getattr(parsed_args, name) for name in members if getattr(parsed_args, name) is not None}


class ListProjects(Lister):
    """List the projects: all for an admin, otherwise your own."""

    def get_parser(self, prog_name: str) -> Any:
        """Take filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--my-projects", action="store_true", help="those that you have a role on")
        parser.add_argument("--user", metavar="USER", help="those that this user has a role on (admins)")
        parser.add_argument("--long", action="store_true", help="show more columns")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self._found(parsed_args)
        rows = [(item["id"], item["name"], item.get("enabled")) for item in found]
        if not parsed_args.long:
            return ("ID", "Name", "Enabled"), rows
        more = [(item.get("description"), item.get("domain_id")) for item in found]
        return ("ID", "Name", "Enabled", "Description", "Domain ID"), [
            row + extra for row, extra in zip(rows, more, strict=True)
        ]

    def _found(self, wanted: argparse.Namespace) -> list[dict[str, Any]]:
        identity = self.connection.identity
        if wanted.user:
            return list(identity.get(f"users/{names.user(self.connection, wanted.user)['id']}/projects")["projects"])
        try:
            if not wanted.my_projects:
                return list(identity.get("projects")["projects"])
        except ApiError as error:
            if error.status != 403:
                raise
        return list(identity.get("auth/projects")["projects"])


class ShowProject(ShowOne):
    """Show a project."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the project."""
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = names.project(self.connection, parsed_args.project)
        return _shown(self.connection.identity.get(f"projects/{found['id']}")["project"], _PROJECT)


class CreateProject(ShowOne):
    """Make a project (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the project's name")
        parser.add_argument("--domain", metavar="DOMAIN", help="its domain: name or id (default: your own)")
        parser.add_argument("--or-show", action="store_true", help="if there is one of that name, show it")
        _add_common(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Make it."""
        project = _given(parsed_args, "name", "description", "enabled")
        if parsed_args.domain:
            project["domain_id"] = names.domain(self.connection, parsed_args.domain)["id"]
        try:
            made = self.connection.identity.post("projects", {"project": project})["project"]
        except ApiError as error:
            if error.status != 409 or not parsed_args.or_show:
                raise
            made = names.project(self.connection, parsed_args.name)
        return _shown(made, _PROJECT)


class SetProject(Command):
    """Change a project (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("project", metavar="PROJECT", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="the new name")
        _add_common(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        changes = _given(parsed_args, "name", "description", "enabled")
        if not changes:
            raise CommandError("Nothing is to be changed: give --name, --description, --enable or --disable.")
        found = names.project(self.connection, parsed_args.project)
        self.connection.identity.patch(f"projects/{found['id']}", {"project": changes}, "application/json")


class DeleteProjects(Deletion):
    """Delete projects (admins)."""

    noun = "project"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.identity.delete(f"projects/{names.project(self.connection, name)['id']}")


class ListUsers(Lister):
    """List the users (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take a filter."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--project", metavar="PROJECT", help="those that have a role on this project: name or id")
        parser.add_argument("--long", action="store_true", help="show more columns")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        identity = self.connection.identity
        found = identity.get("users")["users"]
        if parsed_args.project:
            scope = {"scope.project.id": names.project(self.connection, parsed_args.project)["id"]}
            given = identity.get("role_assignments", **scope)["role_assignments"]
            theirs = {item["user"]["id"] for item in given if "user" in item}
            found = [item for item in found if item["id"] in theirs]
        rows = [(item["id"], item["name"], item.get("enabled")) for item in found]
        if not parsed_args.long:
            return ("ID", "Name", "Enabled"), rows
        more = [(item.get("email"), item.get("default_project_id"), item.get("description")) for item in found]
        return ("ID", "Name", "Enabled", "Email", "Default Project ID", "Description"), [
            row + extra for row, extra in zip(rows, more, strict=True)
        ]


class ShowUser(ShowOne):
    """Show a user."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the user."""
        parser = super().get_parser(prog_name)
        parser.add_argument("user", metavar="USER", help="name or id")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = names.user(self.connection, parsed_args.user)
        return _shown(self.connection.identity.get(f"users/{found['id']}")["user"], _USER)


def _add_user(parser: Any) -> None:
    word = parser.add_mutually_exclusive_group()
    word.add_argument("--password", metavar="TEXT", help="others may see it in a list of processes")
    word.add_argument("--password-prompt", action="store_true", help="ask for the password, or read it from stdin")
    parser.add_argument("--email", metavar="ADDRESS", help="an email address")
    parser.add_argument("--project", metavar="PROJECT", help="the default project: name or id; it gives no role on it")
    _add_common(parser)


def _user(command: Any, parsed_args: argparse.Namespace) -> dict[str, Any]:
    user = _given(parsed_args, "name", "description", "email", "enabled", "password")
    if parsed_args.project:
        user["default_project_id"] = names.project(command.connection, parsed_args.project)["id"]
    if parsed_args.password_prompt:
        user["password"] = ask_password(command.app)
    return user


class CreateUser(ShowOne):
    """Make a user (admins); `role add` gives it a role on a project."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what it is."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the user's name")
        parser.add_argument("--domain", metavar="DOMAIN", help="its domain: name or id (default: your own)")
        _add_user(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Make it."""
        user = _user(self, parsed_args)
        if parsed_args.domain:
            user["domain_id"] = names.domain(self.connection, parsed_args.domain)["id"]
        return _shown(self.connection.identity.post("users", {"user": user})["user"], _USER)


class SetUser(Command):
    """Change a user (admins)."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is to change."""
        parser = super().get_parser(prog_name)
        parser.add_argument("user", metavar="USER", help="name or id")
        parser.add_argument("--name", metavar="NAME", help="the new name")
        _add_user(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        changes = _user(self, parsed_args)
        if not changes:
            raise CommandError(
                "Nothing is to be changed: give --name, --password, --email, --project, --description, --enable or --disable."
            )
        found = names.user(self.connection, parsed_args.user)
        self.connection.identity.patch(f"users/{found['id']}", {"user": changes}, "application/json")


class SetOwnPassword(Command):
    """Change your own password; every token of yours ends."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the new one; the old one is what was logged in with."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--password", metavar="TEXT", help="the new one (default: ask, or one line on stdin)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Change it."""
        old = self.connection.cloud.password
        if not old:
            raise CommandError("You are logged in by a token; the old password is needed: set OS_PASSWORD.")
        new = parsed_args.password or ask_password(self.app)
        body = {"user": {"original_password": old, "password": new}}
        self.connection.identity.post(f"users/{self.connection.access.user_id}/password", body)
        self.app.tell("Your password is changed; openrc or clouds.yaml must have the new one.")


class DeleteUsers(Deletion):
    """Delete users (admins)."""

    noun = "user"

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.identity.delete(f"users/{names.user(self.connection, name)['id']}")
