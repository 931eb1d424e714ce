"""Where a server's console is to be had: its URL, good for one use."""

from __future__ import annotations

import argparse
from typing import Any

from nova_lite.cli import names
from nova_lite.cli.command import ShowOne

_PROTOCOLS = {"serial": "serial", "novnc": "vnc", "spice-html5": "spice"}


def ask(connection: Any, server_id: str, kind: str) -> dict[str, Any]:
    """Return the API's answer (``protocol``, ``type``, ``url``). :raises ApiError: the server has no such console now."""
    body = {"remote_console": {"protocol": _PROTOCOLS[kind], "type": kind}}
    found: dict[str, Any] = connection.compute.post(f"servers/{server_id}/remote-consoles", body)["remote_console"]
    return found


def terminal_page(url: str) -> str:
    """Return the page that shows a serial console's WebSocket *url* in a browser."""
    return "http" + url.removeprefix("ws").replace("/console/websocket?", "/console/serial?", 1)


class ShowUrl(ShowOne):
    """Show the URL of a server's console. It is good for one use, and for some minutes."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the server and the kind of console."""
        parser = super().get_parser(prog_name)
        parser.add_argument("server", metavar="SERVER", help="name or id")
        kind = parser.add_mutually_exclusive_group()
        for name, what in (
            ("novnc", "its screen, if its image gives it one (default)"),
            ("serial", "its serial line"),
            ("spice", "its screen by SPICE, if its host has that"),
        ):
            const = "spice-html5" if name == "spice" else name
            kind.add_argument(f"--{name}", dest="kind", action="store_const", const=const, help=what)
        parser.set_defaults(kind="novnc")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Ask for it."""
        found = ask(self.connection, names.server(self.connection, parsed_args.server)["id"], parsed_args.kind)
        shown = {"Protocol": found["protocol"], "Type": found["type"], "URL": found["url"]}
        if found["type"] == "serial":
            shown["Page"] = terminal_page(found["url"])
        return tuple(shown), tuple(shown.values())
