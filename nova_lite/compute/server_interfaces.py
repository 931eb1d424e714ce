"""Give a server another interface, and take one away: the port is the server's at once, and the guest follows.

Source: https://docs.openstack.org/api-ref/compute/#port-interfaces-servers-os-interface
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from nova_lite.compute import interfaces, kinds, lifecycle
from nova_lite.compute.interfaces import PlannedNic, WantedNic
from nova_lite.compute.servers import to_act_on
from nova_lite.compute.transitions import VmState
from nova_lite.db.models import Operation, Port, Server
from nova_lite.db.operations import UNFINISHED, Caller
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.errors import Conflict, Invalid, NotFound
from nova_lite.network import ports, touch


@dataclass(frozen=True)
class Change:
    """What a change of interfaces came to: its port, and the hosts to be woken."""

    port_id: str
    hosts: tuple[str, ...]


def attach(
    store: Store,
    caller: Caller,
    server_id: str,
    wanted: WantedNic | None,
    *,
    scope: str | None,
    override_lock: bool,
    mac_prefix: str,
) -> Change:
    """Give a server an interface: on the port or network that *wanted* names, or (None) on its project's only network.

    :param scope: the project whose networks and ports may be named; None: any.
    :raises NotFound: the server, port or network is not there.
    :raises Conflict: the server's state does not allow it, it is locked, or the port or address is in use.
    :raises Invalid: there is no network to attach to, or several.
    """

    def work(session: Session) -> Change:
        server = to_act_on(session, server_id, override_lock=override_lock)
        _check_kind(server, "attach_interface")
        nic = _plan(session, server, wanted, scope)
        arguments: dict[str, str] = {}
        operation = lifecycle.begin(session, caller, server, "attach_interface", arguments)
        assert operation is not None
        port_id = _give(session, server, nic, scope, mac_prefix)
        operation.arguments = {"port_id": port_id}
        told = touch.touch_ports(session, port_id, besides=server.host)
        return Change(port_id, tuple({*told, *([server.host] if server.host else [])}))

    return store.transact(work)


def _plan(session: Session, server: Server, wanted: WantedNic | None, scope: str | None) -> PlannedNic:
    try:
        planned = interfaces.plan(
            session, server.project_id, None if wanted is None else [wanted], count=1, is_admin=scope is None
        )
    except Invalid as error:
        if error.code in ("server.port_not_found", "server.network_not_found"):
            raise NotFound(error.message, error.code) from None
        raise
    except Conflict as error:
        if error.code == "network.ambiguous":
            raise Invalid(error.message, error.code) from None
        raise
    if not planned:
        raise Invalid(f"No network could be found to attach server {server.id} to; name one.", "server.no_network")
    return planned[0]


def _give(session: Session, server: Server, nic: PlannedNic, scope: str | None, mac_prefix: str) -> str:
    """Make the port or take the one that is there, bound to the server's host, behind its other interfaces."""
    last = session.scalar(select(func.max(Port.position)).where(Port.device_id == server.id))
    position = 0 if last is None else last + 1
    if nic.port_id is not None:
        ports.bind_to_server(session, nic.port_id, server.id, scope, position)
        port_id = nic.port_id
    else:
        wanted = ports.ServerPort(server.id, server.project_id, nic.network_id, position, nic.fixed_ip)
        ports.create_for_servers(session, [wanted], mac_prefix)
        port_id = session.scalars(select(Port.id).where(Port.device_id == server.id, Port.position == position)).one()
    session.execute(
        update(Port)
        .where(Port.id == port_id)
        .values(host=server.host, nic_tag=nic.tag, updated_at=now())
        .execution_options(synchronize_session=False)
    )
    return port_id


def detach(store: Store, caller: Caller, server_id: str, port_id: str, *, override_lock: bool) -> Change:
    """Take an interface from a server; its port goes, or is its user's again, once the guest has let it go.

    Asked for twice, it is done once.

    :raises NotFound: the server has no such port. :raises Conflict: its state does not allow it, or it is locked.
    """

    def work(session: Session) -> Change:
        server = to_act_on(session, server_id, override_lock=override_lock)
        own = session.scalar(select(Port.id).where(Port.id == port_id, Port.device_id == server_id))
        if own is None:
            raise NotFound(f"Port id {port_id[:64]} could not be found.", "server.port_not_found")
        if not _asked_for(session, server_id, port_id):
            _check_kind(server, "detach_interface")
            lifecycle.begin(session, caller, server, "detach_interface", {"port_id": port_id})
        return Change(port_id, (server.host,) if server.host else ())

    return store.transact(work)


def _check_kind(server: Server, transition: str) -> None:
    """Refuse at once what this kind of guest can't have while it runs."""
    # It could be had of the same server in another state, so it is a conflict (409), not a bad request.
    runs = server.vm_state in (VmState.ACTIVE, VmState.PAUSED)
    if runs and (why := kinds.BY_TRANSITION[transition].refusal(server.kind)):
        raise Conflict(f"Instance {server.id} runs: {why}", "server.kind_cannot")


def _asked_for(session: Session, server_id: str, port_id: str) -> bool:
    query = select(Operation.arguments).where(
        Operation.target_type == "server",
        Operation.target_id == server_id,
        Operation.action == "detach_interface",
        Operation.state.in_(UNFINISHED),
    )
    return any((arguments or {}).get("port_id") == port_id for arguments in session.scalars(query))
