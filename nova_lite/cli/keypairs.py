"""Keypairs. A private key is made here, on the user's machine: it is never sent to anybody."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nova_lite.cli.cells import label
from nova_lite.cli.command import Command, Deletion, Lister, ShowOne
from nova_lite.cli.faults import CommandError

_COLUMNS = ("Name", "Fingerprint", "Type")
_MEMBERS = ("name", "fingerprint", "type", "user_id", "created_at", "id")


class ListKeypairs(Lister):
    """List your keypairs."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch them."""
        found = [item["keypair"] for item in self.connection.compute.pages("os-keypairs", "keypairs")]
        return _COLUMNS, [(key["name"], key["fingerprint"], key.get("type", "ssh")) for key in found]


class ShowKeypair(ShowOne):
    """Show a keypair, without the key unless asked for."""

    def get_parser(self, prog_name: str) -> Any:
        """Take the name."""
        parser = super().get_parser(prog_name)
        parser.add_argument("name", metavar="NAME", help="the keypair's name")
        parser.add_argument("--public-key", action="store_true", help="show the public key too")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Any, Any]:
        """Fetch it."""
        found = self.connection.compute.get(f"os-keypairs/{quote(parsed_args.name, safe='')}")["keypair"]
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
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Register it; nothing private is shown before the service has taken the public half."""
        private = ""
        if parsed_args.public_key:
            public = _read(parsed_args.public_key)
        else:
            public, private = make()
            if parsed_args.private_key and Path(parsed_args.private_key).exists():
                raise CommandError(f"{parsed_args.private_key} is there already; it is not overwritten.")
        wanted = {"name": parsed_args.name, "public_key": public}
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

    def remove(self, name: str) -> None:
        """Delete one."""
        self.connection.compute.delete(f"os-keypairs/{quote(name, safe='')}")


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
