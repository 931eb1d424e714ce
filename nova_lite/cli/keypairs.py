"""Keypairs. A private key is made here, on the user's machine: it is never sent to anybody."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nova_lite.cli import names
from nova_lite.cli.cells import label
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne
from nova_lite.cli.faults import CommandError

_COLUMNS = ("Name", "Fingerprint", "Type")
_MEMBERS = ("name", "fingerprint", "type", "user_id", "created_at", "id")


def _add_user(parser: Any) -> None:
    parser.add_argument("--user", metavar="USER", help="of this user: name or id (admins)")


def _user(command: Any, parsed_args: argparse.Namespace) -> str | None:
    return names.user(command.connection, parsed_args.user)["id"] if parsed_args.user else None


class ListKeypairs(Lister):
    """List your keypairs."""

    def get_parser(self, prog_name: str) -> Any:
        """Take whose."""
        parser = super().get_parser(prog_name)
        _add_user(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        pages = self.connection.compute.pages("os-keypairs", "keypairs", user_id=_user(self, parsed_args))
        found = [item["keypair"] for item in pages]
        return _COLUMNS, [(key["name"], key["fingerprint"], key.get("type", "ssh")) for key in found]


class ShowKeypair(ShowOne):
    """Show a keypair, without the key unless asked for."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the keypair's name")
        parser.add_argument("--public-key", action="store_true", help="show the public key too")
        _add_user(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        path = f"os-keypairs/{quote(parsed_args.name, safe='')}"
        found = self.connection.compute.get(path, user_id=_user(self, parsed_args))["keypair"]
        members = [*(name for name in _MEMBERS if name in found), *(["public_key"] if parsed_args.public_key else [])]
        return tuple(label(name) for name in members), tuple(found[name] for name in members)


class CreateKeypair(Command):
    """Register a public key, or make a pair: the private key is printed (or saved), and kept nowhere else."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the name and maybe files."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the keypair's name")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--public-key", "--pub-key", "--pub_key", metavar="FILE", help="register this public key")
        which.add_argument("--private-key", metavar="FILE", help="save the new private key to FILE (0600)")
        parser.add_argument(
            "--type",
            choices=("ssh", "x509"),
            default="ssh",
            help="x509: a certificate, with --public-key (default: ssh)",
        )
        _add_user(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Register it; nothing private is shown before the service has taken the public half."""
        private = ""
        if parsed_args.type == "x509" and not parsed_args.public_key:
            raise CommandError(
                "A certificate is registered, not made: name its file with --public-key; "
                "`openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=me -keyout key.pem -out cert.pem` makes one."
            )
        if parsed_args.public_key:
            public = _read(parsed_args.public_key)
        else:
            public, private = make()
            if parsed_args.private_key and Path(parsed_args.private_key).exists():
                raise CommandError(f"{parsed_args.private_key} is there already; it is not overwritten.")
        wanted = {"name": parsed_args.name, "public_key": public, "type": parsed_args.type}
        if parsed_args.user:
            wanted["user_id"] = str(_user(self, parsed_args))
        made = self.connection.compute.post("os-keypairs", {"keypair": wanted})["keypair"]
        if not private:
            self.app.tell(f"Keypair {made['name']} is registered: {made['fingerprint']}")
        elif parsed_args.private_key:
            _save(Path(parsed_args.private_key), private)
            self.app.tell(f"The private key of {made['name']} is in {parsed_args.private_key}.")
        else:
            self.app.stdout.write(private)


class DeleteKeypairs(Deletion):
    """Delete keypairs; servers keep the key that they were given."""

    noun = "keypair"

    def get_parser(self, prog_name: str) -> Any:
        """Take whose."""
        parser = super().get_parser(prog_name)
        _add_user(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Delete them; 1 if any could not be."""
        self._user_id = _user(self, parsed_args)
        return super().take_action(parsed_args)

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.compute.delete(f"os-keypairs/{quote(name, safe='')}", user_id=self._user_id)


def make() -> tuple[str, str]:
    """Make an Ed25519 pair; return (public, private) in OpenSSH's forms."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(), private.decode()


def _read(name: str) -> str:
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The public key can't be read: {error}") from None
    if "PRIVATE KEY" in text:
        raise CommandError(f"{name} is a private key; keep it, and give the one that ends in .pub.")
    return text


def _save(path: Path, text: str) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        raise CommandError(f"{path} can't be written ({error.strerror}); delete the keypair and try again.") from None
