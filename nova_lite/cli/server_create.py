"""``server create``, which fingers also know as ``boot``."""

from __future__ import annotations

import argparse
import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nova_lite.cli import names, server_disks, servers, waiting
from nova_lite.cli.command import ShowOne, pair, positive
from nova_lite.cli.faults import CommandError
from nova_lite.cli.progress import Progress

_MOST_USER_DATA = 49_149
"""Bytes; what base64 makes of more is longer than the 65,535 characters that the API takes."""


class CreateServer(ShowOne):
    """Create a server, or several alike."""

    renamed = servers.RENAMED

    def get_parser(self, prog_name: str) -> Any:
        """Take what the server is made of."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the server's name")
        parser.add_argument("--image", required=True, metavar="IMAGE", help="what to boot: name or id")
        parser.add_argument("--flavor", required=True, metavar="FLAVOR", help="its size: name or id")
        _add_nics(parser)
        server_disks.add_options(parser)
        parser.add_argument("--key-name", "--key_name", metavar="KEYPAIR", help="the public key that it gets")
        parser.add_argument("--user-data", "--user_data", metavar="FILE", help="what it gets as user data; - is stdin")
        parser.add_argument(
            "--property",
            "--meta",
            type=pair,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="a property that it gets; may be repeated",
        )
        _add_config_drive(parser)
        parser.add_argument("--description", metavar="TEXT", help="a description")
        parser.add_argument(
            "--availability-zone",
            "--availability_zone",
            metavar="ZONE",
            help="where; ZONE:HOST names the host (admins)",
        )
        parser.add_argument("--host", metavar="HOST", help="the host (admins)")
        parser.add_argument("--hostname", metavar="NAME", help="its host name (default: made of its name)")
        parser.add_argument("--server-group", metavar="GROUP", help="the server group that it joins: name or id")
        parser.add_argument(
            "--security-group",
            action="append",
            default=[],
            metavar="GROUP",
            help="a security group that its new ports are in: name or id (default: the project's default one); may be repeated",
        )
        parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="a tag; may be repeated")
        parser.add_argument(
            "--hint",
            type=pair,
            action="append",
            default=[],
            metavar="KEY=VALUE",
            help="a hint for the scheduler; may be repeated",
        )
        parser.add_argument("--min", "--min-count", type=positive, dest="least", metavar="N", help="at least N servers")
        parser.add_argument("--max", "--max-count", type=positive, dest="most", metavar="N", help="at most N servers")
        waiting.add_options(parser, "until it is ACTIVE")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Create it, wait if asked to, and show it."""
        ids = self._created(parsed_args)
        compute = self.connection.compute
        if parsed_args.wait:
            shown = self._waited(ids, parsed_args)
        else:
            shown = [compute.get(f"servers/{server_id}")["server"] for server_id in ids]
        self._several = [servers.row(server) for server in shown] if len(shown) > 1 else []
        return servers.details(self.connection, shown[0])

    def produce_output(self, parsed_args: Any, column_names: Sequence[str], data: Sequence[Any]) -> int:
        """Show one server's fields, or several in a list."""
        if self._several:
            return self.produce_rows(parsed_args, servers.COLUMNS, self._several)
        return super().produce_output(parsed_args, column_names, data)

    def _created(self, wanted: argparse.Namespace) -> list[str]:
        """Send the request; return the servers' ids."""
        compute = self.connection.compute
        body = self._body(wanted)
        if (wanted.most or wanted.least or 1) == 1:
            return [compute.post("servers", body)["server"]["id"]]
        body["server"]["return_reservation_id"] = True
        reservation = compute.post("servers", body)["reservation_id"]
        made = sorted(compute.pages("servers", "servers", reservation_id=reservation), key=_place)
        return [server["id"] for server in made]

    def _waited(self, ids: Sequence[str], wanted: argparse.Namespace) -> list[dict[str, Any]]:
        """Wait for each. :raises CommandError: one or more ended otherwise."""
        shown, failures = [], []
        with Progress(self.app.stderr, enabled=bool(self.app.options.verbose_level)) as progress:
            for server_id in ids:
                try:
                    shown.append(waiting.until(self.connection, server_id, ("ACTIVE",), progress, wanted.timeout))
                except CommandError as error:
                    failures.append(str(error))
        if failures:
            raise CommandError("\n".join(failures))
        return shown

    def _body(self, wanted: argparse.Namespace) -> dict[str, Any]:
        image = names.image(self.connection, wanted.image)
        flavor = names.flavor(self.connection, wanted.flavor)
        server: dict[str, Any] = {
            "name": wanted.name,
            "imageRef": image["id"],
            "flavorRef": flavor["id"],
            "networks": self._networks(wanted),
            "key_name": wanted.key_name,
            "hostname": wanted.hostname,
            "description": wanted.description,
            "availability_zone": wanted.availability_zone,
            "host": wanted.host,
            "config_drive": wanted.config_drive,
            "min_count": wanted.least,
            "max_count": wanted.most or wanted.least,
            "metadata": dict(wanted.property) or None,
            "tags": wanted.tag or None,
            "security_groups": [{"name": name} for name in wanted.security_group] or None,
            "block_device_mapping_v2": server_disks.devices(image["id"], wanted) or None,
            "user_data": read_user_data(self.app, wanted.user_data) if wanted.user_data else None,
        }
        body: dict[str, Any] = {"server": {key: value for key, value in server.items() if value is not None}}
        hints = dict(wanted.hint)
        if wanted.server_group:
            hints["group"] = names.server_group(self.connection, wanted.server_group)["id"]
        if hints:
            body["os:scheduler_hints"] = hints
        return body

    def _networks(self, wanted: argparse.Namespace) -> Any:
        """Return the ``networks`` member: a word, or what was asked for in the order of the options."""
        if not wanted.nics:
            return "auto"
        if ("word", "none") in wanted.nics or ("word", "auto") in wanted.nics:
            if len(wanted.nics) > 1:
                raise CommandError("--network none (or auto) stands alone.")
            return wanted.nics[0][1]
        found = []
        for kind, value in wanted.nics:
            if kind == "port":
                found.append({"port": names.port(self.connection, value)["id"]})
            elif kind == "network":
                found.append({"uuid": names.network(self.connection, value)["id"]})
            else:
                found.append(self._nic(value))
        return found

    def _nic(self, parts: dict[str, str]) -> dict[str, str]:
        item: dict[str, str] = {}
        if "port" in parts:
            item["port"] = names.port(self.connection, parts["port"])["id"]
        if "network" in parts:
            item["uuid"] = names.network(self.connection, parts["network"])["id"]
        if "address" in parts:
            item["fixed_ip"] = parts["address"]
        if "tag" in parts:
            item["tag"] = parts["tag"]
        return item


def read_user_data(app: Any, name: str) -> str:
    """Read a file of user data (``-``: stdin) as the API takes it. :raises CommandError: it can't be, or is too long."""
    try:
        data = app.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise CommandError(f"The user data can't be read: {error.strerror}: {name}") from None
    if len(data) > _MOST_USER_DATA:
        raise CommandError(f"{name} has {len(data)} bytes; user data has {_MOST_USER_DATA} at most.")
    return base64.b64encode(data).decode()


def _place(server: dict[str, Any]) -> tuple[int, str]:
    """Sort ``web-10`` after ``web-9``."""
    return len(server["name"]), server["name"]


_NIC_KEYS = {
    "net-id": "network",
    "net-name": "network",
    "port-id": "port",
    "v4-fixed-ip": "address",
    "v6-fixed-ip": "address",
    "tag": "tag",
}


def _network(text: str) -> tuple[str, str]:
    return ("word", text) if text in ("none", "auto") else ("network", text)


def _nic_option(text: str) -> tuple[str, Any]:
    """Read ``net-id=ID[,v4-fixed-ip=ADDRESS]``, ``port-id=ID``, or a word, as older clients spell a network."""
    if text in ("none", "auto"):
        return ("word", text)
    parts: dict[str, str] = {}
    for item in text.split(","):
        key, value = pair(item)
        if key not in _NIC_KEYS:
            raise argparse.ArgumentTypeError(f"{key!r} is none of {', '.join(_NIC_KEYS)}")
        parts[_NIC_KEYS[key]] = value
    if not {"network", "port"} & parts.keys():
        raise argparse.ArgumentTypeError(f"{text!r} names neither a network nor a port")
    return ("nic", parts)


def _add_nics(parser: Any) -> None:
    parser.add_argument(
        "--network",
        dest="nics",
        action="append",
        type=_network,
        metavar="NETWORK",
        help="a network to be on: name or id, none, or auto (the default); may be repeated",
    )
    parser.add_argument(
        "--port",
        dest="nics",
        action="append",
        type=lambda text: ("port", text),
        metavar="PORT",
        help="a port to take: name or id; may be repeated",
    )
    parser.add_argument(
        "--nic",
        dest="nics",
        action="append",
        type=_nic_option,
        metavar="net-id=NETWORK[,v4-fixed-ip=ADDRESS]|port-id=PORT|none|auto",
        help="the same as older clients spell it",
    )


_TRUE, _FALSE = ("true", "yes", "1"), ("false", "no", "0")


def _add_config_drive(parser: Any) -> None:
    drive = parser.add_mutually_exclusive_group()
    drive.add_argument(
        "--config-drive",
        "--config_drive",
        nargs="?",
        const=True,
        default=None,
        type=_truth,
        metavar="true|false",
        help="give it its metadata on a disk, too",
    )
    drive.add_argument("--use-config-drive", dest="config_drive", action="store_true", default=None, help="the same")
    drive.add_argument("--no-config-drive", dest="config_drive", action="store_false", default=None, help="don't")
    parse = parser.parse_args
    parser.parse_args = lambda args=None, namespace=None: parse(args and spell_out(args), namespace)


def spell_out(words: Sequence[str]) -> list[str]:
    """Give a bare ``--config-drive`` its value: older clients write one after it, and what follows may be the name."""
    spelt = list(words)
    for place, word in enumerate(words):
        following = words[place + 1].lower() if place + 1 < len(words) else ""
        if word in ("--config-drive", "--config_drive") and following not in (*_TRUE, *_FALSE):
            spelt[place] = f"{word}=true"
    return spelt


def _truth(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise argparse.ArgumentTypeError(f"{text!r} must be true or false")
    return text.lower() in _TRUE
