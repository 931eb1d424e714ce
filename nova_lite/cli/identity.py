"""Tokens, the catalog, projects and users."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli.cells import Structure
from nova_lite.cli.command import Lister, ShowOne
from nova_lite.cli.faults import ApiError


class IssueToken(ShowOne):
    """Log in and show the token; whoever has it is you until it expires."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Log in."""
        access = self.connection.access
        expires = access.expires.strftime("%Y-%m-%dT%H:%M:%S%z")
        shown = {
            "Expires": expires,
            "ID": access.auth_token,
            "Project ID": access.project_id,
            "User ID": access.user_id,
        }
        return tuple(shown), tuple(shown.values())


class _Endpoints(Structure):
    """A service's endpoints: region and interface before each URL."""

    def human_readable(self) -> str:
        """Return one a line."""
        return "\n".join(f"{item.get('region')} {item['interface']}: {item['url']}" for item in self._value)


class ListCatalog(Lister):
    """List the services of the cloud and where they are."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Read the token's catalog."""
        catalog = self.connection.access.service_catalog.catalog
        return ("Name", "Type", "Endpoints"), [
            (item.get("name"), item["type"], _Endpoints(item["endpoints"])) for item in catalog
        ]


class ListProjects(Lister):
    """List the projects: all for an admin, otherwise your own."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        identity = self.connection.identity
        try:
            found = identity.get("projects")["projects"]
        except ApiError as error:
            if error.status != 403:
                raise
            found = identity.get("auth/projects")["projects"]
        return ("ID", "Name", "Enabled"), [(item["id"], item["name"], item.get("enabled")) for item in found]


class ListUsers(Lister):
    """List the users (admins)."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.identity.get("users")["users"]
        return ("ID", "Name", "Enabled"), [(item["id"], item["name"], item.get("enabled")) for item in found]
