"""Give one server its host: place, claim, bind its ports and hand the operation to that host's agent."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session, load_only

from nova_lite.compute import claims, lifecycle, server_groups
from nova_lite.compute.server_groups import Neighbours
from nova_lite.compute.transitions import TRANSITIONS, VmState
from nova_lite.db import operations
from nova_lite.db.models import Port, Server
from nova_lite.db.operations import Work
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.network import touch
from nova_lite.scheduler.place import Placement, Refusal, Request, Weights, place
from nova_lite.scheduler.snapshot import Snapshot, request_of

LOG = logging.getLogger(__name__)

SCHEDULING = TRANSITIONS["create"].during
NETWORKING = "networking"
"""What a server's task state shows from here until its agent spawns it; set here, the agent saves a transaction."""


@dataclass(frozen=True)
class Assigned:
    """Where the server went."""

    host: str


class _Full(Exception):
    """The host has no room any more; rolls the claim's transaction back."""


class _Apart(Exception):
    """The server's group forbids the host by now; rolls back."""


class _Gone(Exception):
    """The server is not to be placed any more (deleted, or asked to stop); rolls back."""


def assign(store: Store, work: Work, snapshot: Snapshot, weights: Weights) -> Assigned | Refusal | None:
    """Find *work*'s server a host and hand it over there, or end it with a fault; None when it need not be placed.

    Each try is one transaction, so a scheduler that dies leaves the server either unplaced and this operation to be
    taken again, or placed and handed over.

    :raises nova_lite.errors.StaleState: somebody else holds the operation; nothing was done.
    """
    with store.read() as session:
        server = session.scalar(_TO_PLACE, {"of_server": work.target_id})
    if server is None or server.deleted:
        store.transact(lambda session: operations.finish(session, work, "cancelled"))
        return None
    while True:
        request = request_of(server, work.arguments.get("host"), _neighbours(store, server))
        choice = place(request, snapshot.hosts(), weights)
        if isinstance(choice, Refusal):
            store.transact(partial(lifecycle.fail, work=work, message=choice.message, code=500))
            return choice
        outcome = _claim_one_of(store, work, server, request, choice, snapshot)
        if outcome is not None:
            return outcome if isinstance(outcome, Assigned) else None


def _neighbours(store: Store, server: Server) -> Neighbours | None:
    """Read anew for each try: another member of the group may have got its host meanwhile."""
    if not server.scheduler_hints:
        return None
    with store.read() as session:
        return server_groups.neighbours(session, server.id, server.scheduler_hints)


def _claim_one_of(
    store: Store, work: Work, server: Server, request: Request, choice: Placement, snapshot: Snapshot
) -> Assigned | bool | None:
    """Try the placement's hosts in turn; None: all were full; False: the server is gone."""
    for host in choice.hosts:
        try:
            store.transact(partial(_bind, work=work, server=server, host=host))
        except _Full:
            snapshot.note_full(request, host)
            LOG.info("server=%s host=%s event=claim-lost operation=%d", work.target_id, host, work.id)
            continue
        except _Apart:
            LOG.info("server=%s host=%s event=group-forbids operation=%d", work.target_id, host, work.id)
            return None
        except _Gone:
            store.transact(lambda session: lifecycle.cancel(session, work))
            return False
        snapshot.note_claim(request, host)
        LOG.info(
            "server=%s host=%s event=placed request=%s operation=%d", work.target_id, host, work.request_id, work.id
        )
        return Assigned(host)
    return None


# Made once, over tables rather than entities: to make a statement anew takes longer than to run it.
_TO_PLACE = (
    select(Server)
    .options(
        load_only(
            Server.kind,
            Server.vcpus,
            Server.memory_mb,
            Server.disk_gb,
            Server.ephemeral_gb,
            Server.swap_mb,
            Server.availability_zone,
            Server.flavor,
            Server.image_properties,
            Server.scheduler_hints,
            Server.deleted,
        )
    )
    .where(Server.id == bindparam("of_server"))
)
_SERVERS: Any = Server.__table__
_PORTS: Any = Port.__table__
_BIND_SERVER = (
    update(_SERVERS)
    .where(
        _SERVERS.c.id == bindparam("of_server"),
        _SERVERS.c.deleted.is_(False),
        _SERVERS.c.vm_state == bindparam("of_state"),
        _SERVERS.c.task_state == bindparam("of_task"),
    )
    .values(host=bindparam("chosen"), task_state=bindparam("next_task"), updated_at=bindparam("moment"))
)
_BIND_PORTS = (
    update(_PORTS)
    .where(_PORTS.c.device_id == bindparam("of_server"))
    .values(host=bindparam("chosen"), updated_at=bindparam("moment"))
)
_PORTS_OF = select(_PORTS.c.id).where(_PORTS.c.device_id == bindparam("of_server"))


_EXPECTED = {
    "create": {"of_state": VmState.BUILDING.value, "of_task": SCHEDULING, "next_task": NETWORKING},
    "unshelve": {
        "of_state": VmState.SHELVED_OFFLOADED.value,
        "of_task": TRANSITIONS["unshelve"].during,
        "next_task": TRANSITIONS["unshelve"].during,
    },
}
"""What a server that is to be placed shows, and what it shows from then on; by action."""


def _bind(session: Session, work: Work, server: Server, host: str) -> None:
    """Do it all in one transaction. A delete that was asked for since *server* was read shows in its task state."""
    if server.scheduler_hints and not server_groups.still_allows(session, server.id, server.scheduler_hints, host):
        raise _Apart
    if not claims.claim(session, server, host):
        raise _Full
    values = {"of_server": server.id, "chosen": host, "moment": now()}
    bound = session.execute(_BIND_SERVER, values | _EXPECTED[work.action])
    assert isinstance(bound, CursorResult)
    if not bound.rowcount:
        raise _Gone
    if session.execute(_BIND_PORTS, values).rowcount and touch.are_others(session, host):  # type: ignore[attr-defined]
        bound_ports = session.scalars(_PORTS_OF, values).all()
        # The host itself is told by the operation; others learn where the addresses are.
        touch.touch_ports(session, *bound_ports, besides=host)
    began = now().isoformat(timespec="microseconds")
    placed = {
        "event": "schedule",
        "start": began,
        "finish": now().isoformat(timespec="microseconds"),
        "result": "Success",
    }
    operations.hand_over(session, work, queue="agent", host=host, events=[*work.events, placed])
