"""What an administrator changes of a compute host's service: enabled, forced down, gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.orm import Session

from nova_lite.compute.hosts import number_of
from nova_lite.db.models import AggregateHost, Host, Server, Service
from nova_lite.db.store import Store
from nova_lite.errors import Conflict, Invalid, NotFound

COMPUTE = "nova-compute"


def _not_found(identifier: str) -> NotFound:
    return NotFound(f"Service {identifier} could not be found.", "service.not_found")


def name_of(store: Store, identifier: str) -> str:
    """Return the host whose agent has this UUID or old number.

    :raises NotFound: no service has it.
    :raises Invalid: it is another service than an agent.
    """
    with store.read() as session:
        for name, uuid in session.execute(select(Host.name, Host.uuid)):
            if identifier in (uuid, str(number_of(uuid))):
                return str(name)
        for binary, uuid in session.execute(select(Service.binary, Service.uuid)):
            if identifier in (uuid, str(number_of(uuid))):
                raise Invalid(
                    f"Updating a {binary} service is not supported. Only nova-compute services can be updated.",
                    "service.not_compute",
                )
    raise _not_found(identifier)


def change(store: Store, name: str, values: Mapping[str, Any]) -> Host:
    """Set ``enabled``, ``disabled_reason``, ``forced_down``; the scheduler heeds them from its next look on.

    :raises NotFound: there is no such host.
    """

    def work(session: Session) -> Host:
        row = session.get(Host, name, with_for_update=True, populate_existing=True)
        if row is None:
            raise NotFound(f"Could not find binary {COMPUTE} on host {name}.", "service.not_found")
        for column, value in values.items():
            setattr(row, column, value)
        return row

    return store.transact(work)


def remove(store: Store, name: str) -> None:
    """Forget a host whose agent will not come back; one that does is there again at its next report.

    :raises NotFound: there is no such host.
    :raises Conflict: it has servers.
    """

    def work(session: Session) -> None:
        row = session.get(Host, name, with_for_update=True, populate_existing=True)
        if row is None:
            raise _not_found(name)
        servers = select(Server.id).where(Server.host == name, Server.deleted.is_(False)).limit(1)
        if row.running_servers or session.scalar(servers):
            raise Conflict(
                "Unable to delete compute service that is hosting instances. Migrate or delete the instances first.",
                "service.has_servers",
            )
        session.execute(
            sql_delete(AggregateHost).where(AggregateHost.host == name).execution_options(synchronize_session=False)
        )
        session.delete(row)

    store.transact(work)
