"""Decide who is let through to which console. Knows nothing of how bytes are carried."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass

from nova_lite.api.console import urls
from nova_lite.api.context import Services
from nova_lite.compute import console_tokens
from nova_lite.compute.console_tokens import Ticket
from nova_lite.errors import Forbidden, NovaLiteError
from nova_lite.spice import Link

LOG = logging.getLogger(__name__)


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

    def has_channels(self, token: str) -> bool:
        """Say whether a token opens a session of several connections. :raises NotFound: it is good for nothing."""
        return console_tokens.look_at(self._services.store, token).console_type in console_tokens.WITH_CHANNELS

    def let_through(self, token: str) -> Passage:
        """Use a token up and have its server's host ready for one connection.

        :raises NotFound: it is good for nothing (any more). :raises Conflict: the guest does not run (any more).
        :raises Unavailable: the host does not answer.
        """
        return self._passage(console_tokens.use(self._services.store, token))

    def let_channel_through(self, token: str, link: Link) -> Passage:
        """Have a host ready for one channel: the first of a token's one session, or another while that lasts.

        :raises NotFound, Conflict, Unavailable: as :meth:`let_through`; and the channel was opened before, or has no session to belong to.
        """
        store = self._services.store
        if not link.begins:
            return self._passage(console_tokens.join(store, token, link.name))
        ticket = console_tokens.begin(store, token, link.name)
        try:
            return self._passage(ticket)
        except NovaLiteError:
            self.end_session(token)
            raise

    def end_session(self, token: str) -> None:
        """Let nobody in with *token* any more."""
        try:
            console_tokens.end(self._services.store, token)
        except NovaLiteError as error:
            # It begins no other session, and expires.
            LOG.warning("event=console-token-left reason=%r", str(error))

    def _passage(self, ticket: Ticket) -> Passage:
        services = self._services
        ask = functools.partial(
            services.agents.call,
            ticket.host,
            "open_console",
            server_id=ticket.server_id,
            kind=ticket.console_type,
        )
        told = services.offload(ask)
        return Passage(ticket.server_id, ticket.console_type, told["host"], told["port"], told["secret"])
