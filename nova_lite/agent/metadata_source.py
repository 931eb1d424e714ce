"""Answer guests' questions about themselves from the database: who asks was found out by the host's networks."""

from __future__ import annotations

import http
import os
import threading
import time

from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from nova_lite.agent import spec
from nova_lite.agent.network_keeper import NetworkKeeper
from nova_lite.agent.rows import ServerRows, read_server
from nova_lite.compute import guest_passwords
from nova_lite.db.models import Port
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.host import metadata_tree
from nova_lite.host.metadata import GuestNic
from nova_lite.host.metadata_http import Request
from nova_lite.host.metadata_tree import Answer, Tree
from nova_lite.host.ports import HostError, Networks

FRESH_S = 2.0
"""A guest that starts reads some thirty paths in a second or two; a changed value is seen this late."""
MOST_KEPT = 256
SEED_BYTES = 512


class MetadataSource:
    """Knows what each guest of a host is told. Threads may call at once."""

    def __init__(self, conf: cfg.ConfigOpts, store: Store, networks: Networks, keeper: NetworkKeeper) -> None:
        self._conf = conf
        self._store = store
        self._networks = networks
        self._keeper = keeper
        self._guard = threading.Lock()
        self._kept: dict[str, tuple[float, str, Tree]] = {}

    def answer(self, port_id: str, request: Request) -> Answer:
        """Answer the guest of a port."""
        try:
            return self._answer(port_id, request)
        except NotFound:
            return metadata_tree.NOT_FOUND
        except SQLAlchemyError:
            # Guests ask again; what the database said is not for them.
            return Answer(http.HTTPStatus.SERVICE_UNAVAILABLE, b"Try again\n")

    def _answer(self, port_id: str, request: Request) -> Answer:
        found = self._tree(port_id)
        if found is None:
            return metadata_tree.NOT_FOUND
        server_id, tree = found
        if metadata_tree.is_password(request.path):
            if request.method == "POST":
                return self._leave_password(server_id, request.body)
            return metadata_tree.answer(tree, request.path, guest_passwords.show(self._store, server_id))
        if request.method not in ("GET", "HEAD"):
            return Answer(http.HTTPStatus.METHOD_NOT_ALLOWED, b"Method not allowed\n")
        return metadata_tree.answer(tree, request.path, "")

    def _leave_password(self, server_id: str, content: bytes) -> Answer:
        try:
            guest_passwords.leave(self._store, server_id, content.decode("ascii", "replace").strip())
        except Conflict as error:
            return Answer(http.HTTPStatus.CONFLICT, f"{error.message}\n".encode())
        except Invalid as error:
            return Answer(http.HTTPStatus.BAD_REQUEST, f"{error.message}\n".encode())
        return Answer(http.HTTPStatus.OK)

    def _tree(self, port_id: str) -> tuple[str, Tree] | None:
        now = time.monotonic()
        with self._guard:
            known = self._kept.get(port_id)
        if known is not None and now - known[0] < FRESH_S:
            return known[1], known[2]
        rows = self._read(port_id)
        if rows is None:
            return None
        made = metadata_tree.tree(
            spec.guest_data(rows.server, self._conf.compute.availability_zone, os.urandom(SEED_BYTES)),
            self._nics(rows),
        )
        with self._guard:
            if len(self._kept) >= MOST_KEPT:
                self._kept = {key: each for key, each in self._kept.items() if now - each[0] < FRESH_S}
            if len(self._kept) < MOST_KEPT:
                self._kept[port_id] = (now, rows.server.id, made)
        return rows.server.id, made

    def _read(self, port_id: str) -> ServerRows | None:
        with self._store.read() as session:
            port = session.get(Port, port_id)
            if port is None or not port.device_id:
                return None
            rows = read_server(session, port.device_id)
        return None if rows is None or rows.server.deleted else rows

    def _nics(self, rows: ServerRows) -> list[GuestNic]:
        state = self._keeper.state
        found = []
        for port in rows.ports:
            network = state.networks.get(port.network_id)
            if network is None or port.port_id not in state.ports:
                continue
            try:
                found.append(GuestNic(self._networks.nic(state, port.port_id), network, port.tag))
            except HostError:
                continue  # it has an address on a subnet that this state has not: the next state will
        return found
