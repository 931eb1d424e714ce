"""Decide who is let through to which console. Knows nothing of how bytes are carried."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from nova_lite.api.console import urls
from nova_lite.api.context import Services
from nova_lite.compute import console_tokens
from nova_lite.errors import Forbidden


@dataclass(frozen=True)
class Passage:
    """Where a console's bytes are to be had: its host's relay, and the secret that is shown there, once."""

    server_id: str
    console_type: str
    host: str
    port: int
    secret: str


class Doorman:
    """Checks origins and tokens. The origins are fixed when it is made."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.origins = urls.allowed_origins(services.conf, services.endpoint)

    def check_origin(self, origin: str | None) -> None:
        """Do nothing for a page that may open consoles, and for what is no browser and so names no origin.

        :raises Forbidden: it is somebody else's page.
        """
        if origin is not None and urls.origin(origin) not in self.origins:
            raise Forbidden("This page may not open consoles here.", "console.origin")

    def let_through(self, token: str) -> Passage:
        """Use a token up and have its server's host ready for one connection.

        :raises NotFound: it is good for nothing (any more). :raises Conflict: the guest does not run (any more).
        :raises Unavailable: the host does not answer.
        """
        services = self._services
        ticket = console_tokens.use(services.store, token)
        ask = functools.partial(
            services.agents.call,
            ticket.host,
            "open_console",
            server_id=ticket.server_id,
            kind=ticket.console_type,
        )
        told = services.offload(ask)
        return Passage(ticket.server_id, ticket.console_type, told["host"], told["port"], told["secret"])
