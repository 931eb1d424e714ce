"""An nftables table of ours as one text that replaces the table in one transaction, and says itself which text it is.

The stamp in the table's comment is a hash of the text: a table that has it needs no replacing, so that an agent that starts changes
nothing. Format: nft(8).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from subprocess import CompletedProcess
from typing import Protocol

from nova_lite.host.ports import HostError

TABLE = "inet nova_lite"
_STAMP = re.compile(r'comment "nova_lite ([0-9a-f]{16})"')


class Place(Protocol):
    """Where programs can be run: a :class:`~nova_lite.host.networks.place.Place` or a ``Namespace``."""

    def run(self, argv: Sequence[str], stdin: str | None = None) -> CompletedProcess[str]:
        """Run a program to its end."""


def table(body: str, name: str = TABLE) -> str:
    """Return the whole text of a table with *body* (chains and sets); an empty body removes the table."""
    clear = f"table {name}\ndelete table {name}\n"
    if not body:
        return clear
    stamp = hashlib.sha256(body.encode()).hexdigest()[:16]
    return f'{clear}table {name} {{\n  comment "nova_lite {stamp}"\n{body}}}\n'


def ensure(place: Place, text: str, name: str = TABLE) -> bool:
    """Have the table be as *text* says; True: it was replaced. :raises HostError: nft refused it, so nothing changed."""
    wanted = _STAMP.search(text)
    done = place.run(["nft", "--terse", "list", "table", *name.split()])
    found = _STAMP.search(done.stdout) if done.returncode == 0 else None
    if found and wanted and found[1] == wanted[1]:
        return False
    if wanted is None and done.returncode != 0:
        return False
    apply(place, text)
    return True


def apply(place: Place, text: str) -> None:
    """Replace the table in one transaction; connections go on. :raises HostError: nft refused it, so nothing changed."""
    done = place.run(["nft", "-f", "-"], text)
    if done.returncode != 0:
        raise HostError(f"nft refused our rules: {done.stderr.strip()[:500]}")
