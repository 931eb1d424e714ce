"""What clouds may stand on instead of SQLite and a bus in memory: a database server and a broker."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from own_database import own_database
from sqlalchemy import make_url

FILE = "servers.json"
"""In a cloud's directory: the options that name its servers."""


class Servers:
    """A database of its own for each cloud on *database*, and a virtual host of *transports* that no other uses meanwhile.

    :param database: URL of an account that may make databases called ``nova_lite_test…``; None: SQLite, a file each.
    :param transports: URLs of virtual hosts, one for each cloud at a time; empty: a bus in memory, or none where a cloud is in pieces.
    """

    def __init__(self, database: str | None, transports: Sequence[str]) -> None:
        self.database = database
        self.transports = tuple(transports)
        self._free: queue.Queue[str] = queue.Queue()
        for url in transports:
            self._free.put(url)

    def describe(self) -> dict[str, str]:
        """Say what they are, without accounts."""
        return {
            "database": make_url(self.database).get_backend_name() if self.database else "sqlite",
            "bus": self.transports[0].partition(":")[0] if self.transports else "memory",
        }

    @contextmanager
    def lend(self, directory: Path) -> Iterator[bool]:
        """Give the cloud in *directory* its servers, by a file there, until it has been judged; False: it has none."""
        if self.database is None and not self.transports:
            yield False
            return
        options: dict[str, Any] = {}
        transport = self._free.get() if self.transports else None
        try:
            if transport is not None:
                options["bus.transport_url"] = transport
            if self.database is None:
                (directory / FILE).write_text(json.dumps(options))
                yield True
                return
            with own_database(self.database) as url:
                (directory / FILE).write_text(json.dumps(options | {"database.connection": url}))
                yield True
        finally:
            if transport is not None:
                self._free.put(transport)


def of(directory: Path) -> dict[str, Any]:
    """Return the options of the cloud in *directory* that name its servers."""
    path = directory / FILE
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found
