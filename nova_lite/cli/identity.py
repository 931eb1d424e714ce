"""Tokens, the catalog, versions and extensions: what the cloud tells of itself."""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import urlsplit

from nova_lite.cli.cells import Structure
from nova_lite.cli.command import Lister, ShowOne
from nova_lite.cli.faults import CommandError


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


class ListExtensions(Lister):
    """List the Compute API's extensions."""

    def get_parser(self, prog_name: str) -> Any:
        """Take what is typed elsewhere too."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--compute", action="store_true", help="no effect; for those who type it")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = self.connection.compute.get("extensions")["extensions"]
        return ("Name", "Alias", "Description"), [
            (item["name"], item["alias"], item.get("description")) for item in found
        ]


class ShowVersions(Lister):
    """Show the versions of each API, and its microversions."""

    def get_parser(self, prog_name: str) -> Any:
        """Take a filter."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--service", metavar="TYPE", help="of this service: compute, image, …")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Ask each service that the catalog has."""
        rows = []
        for item in self.connection.access.service_catalog.catalog:
            if parsed_args.service not in (None, item["type"]):
                continue
            urls = [point["url"] for point in item["endpoints"] if point["interface"] == "public"]
            for version in self._versions(urls[0]) if urls else ():
                rows.append((item["type"], *version))
        if not rows:
            raise CommandError(f"The catalog has no service {parsed_args.service}; `nova-lite catalog list` shows all.")
        return ("Service Type", "Version", "Status", "Min Microversion", "Max Microversion", "Endpoint"), rows

    def _versions(self, url: str) -> list[tuple[Any, ...]]:
        """Read the document at the root of an API, whichever of its forms it has."""
        parts = urlsplit(url)
        root = f"{parts.scheme}://{parts.netloc}/{parts.path.strip('/').partition('/')[0]}/"
        document = self.connection.open_document(root)
        found = document.get("versions", [])
        listed = found["values"] if isinstance(found, dict) else found
        return [
            (
                item.get("version") or str(item["id"]).removeprefix("v"),
                item.get("status", "").upper(),
                item.get("min_version") or item.get("min_microversion"),
                item.get("version") if item.get("min_version") else item.get("max_microversion"),
                next((link["href"] for link in item.get("links", ()) if link.get("rel") == "self"), None),
            )
            for item in listed
        ]
