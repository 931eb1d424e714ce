"""Remove what servers have left on this host that are not on it any more, as the database remembers it, until it is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable

from nova_lite.agent.job import Tools, remove_guest
from nova_lite.compute import left_overs
from nova_lite.db.models import Server

LOG = logging.getLogger(__name__)


class LeftOvers:
    """What is to go from one host.

    :param try_hold: takes a server for this thread, False when an operation works on it; *release* lets it go.
    """

    def __init__(self, tools: Tools, try_hold: Callable[[str], bool], release: Callable[[str], None]) -> None:
        self._tools = tools
        self._try_hold = try_hold
        self._release = release

    def remove(self) -> int:
        """Try each once, and return how many are gone; what fails is tried again the next time."""
        with self._tools.store.read() as session:
            found = left_overs.on_host(session, self._tools.host)
        return sum(self._try(server_id) for server_id in found)

    def _try(self, server_id: str) -> bool:
        # While it is held, no operation of it begins here: should it be placed on this host again just now, that waits.
        if not self._try_hold(server_id):
            return False
        try:
            return self._remove(server_id)
        except Exception as error:
            LOG.error("server=%s event=left-over-not-removed reason=%r", server_id, str(error))
            return False
        finally:
            self._release(server_id)

    def _remove(self, server_id: str) -> bool:
        tools = self._tools
        with tools.store.read() as session:
            server = session.get(Server, server_id)
        if server is not None and server.host == tools.host and not server.deleted:
            return False  # it came back: its operation sees to it
        if server is None:
            tools.driver.destroy(server_id)
        else:
            remove_guest(tools, server)
        tools.keeper.unplug(server_id)
        tools.store.transact(lambda session: left_overs.forget(session, server_id, tools.host))
        LOG.info("server=%s event=left-over-removed host=%s", server_id, tools.host)
        return True
