"""What a server holds of a host: taken in one statement that can't oversubscribe, given back once.

The host's sums change only in the transaction that adds or removes the server's row in ``allocations``, so a
second claim or a second release of the same server does nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, bindparam, delete, insert, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.db.models import Allocation, Host, Server
from nova_lite.db.types import now

# Made once, over tables rather than entities: to make a statement anew takes longer than to run it.
_HOSTS: Any = Host.__table__
_ALLOCATIONS: Any = Allocation.__table__
_SIZES = ("vcpus", "memory_mb", "disk_gb")


def _more(name: str) -> Any:
    return _HOSTS.c[f"used_{name}"] + bindparam(f"more_{name}", type_=Integer)


def _less(name: str) -> Any:
    return _HOSTS.c[f"used_{name}"] - bindparam(f"less_{name}", type_=Integer)


_HELD_ON = select(_ALLOCATIONS.c.host).where(_ALLOCATIONS.c.server_id == bindparam("of_server"))
_TAKE = (
    update(_HOSTS)
    .where(
        _HOSTS.c.name == bindparam("of_host"),
        _HOSTS.c.enabled.is_(True),
        _more("vcpus") <= _HOSTS.c.vcpus * _HOSTS.c.vcpus_ratio,
        _more("memory_mb") <= (_HOSTS.c.memory_mb - _HOSTS.c.reserved_memory_mb) * _HOSTS.c.memory_ratio,
        _more("disk_gb") <= _HOSTS.c.disk_gb * _HOSTS.c.disk_ratio,
    )
    .values(
        {f"used_{name}": _more(name) for name in _SIZES}
        | {"running_servers": _HOSTS.c.running_servers + 1, "updated_at": bindparam("moment")}
    )
)
_HELD = select(_ALLOCATIONS).where(_ALLOCATIONS.c.server_id == bindparam("of_server")).with_for_update()
_DROP = delete(_ALLOCATIONS).where(_ALLOCATIONS.c.server_id == bindparam("of_server"))
_GIVE_BACK = (
    update(_HOSTS)
    .where(_HOSTS.c.name == bindparam("of_host"))
    .values(
        {f"used_{name}": _less(name) for name in _SIZES}
        | {"running_servers": _HOSTS.c.running_servers - 1, "updated_at": bindparam("moment")}
    )
)


def claim(session: Session, server: Server, host: str) -> bool:
    """Claim *server*'s vCPUs, memory (MiB) and disk (GiB) on *host*; False when they are no longer free there.

    A server that already holds this host's claim keeps it (True): the scheduler may have died after its commit.
    """
    held_on = session.scalar(_HELD_ON, {"of_server": server.id})
    if held_on is not None:
        return bool(held_on == host)
    amounts = {"vcpus": server.vcpus, "memory_mb": server.memory_mb, "disk_gb": server.disk_gb}
    wanted = {f"more_{name}": amount for name, amount in amounts.items()}
    if not _count(session.execute(_TAKE, {"of_host": host, "moment": now(), **wanted})):
        return False
    session.execute(insert(_ALLOCATIONS), {"server_id": server.id, "host": host, **amounts})
    return True


def release(session: Session, server_id: str) -> bool:
    """Give back what *server_id* holds; False when it holds nothing (any more)."""
    held = session.execute(_HELD, {"of_server": server_id}).first()
    if held is None or not _count(session.execute(_DROP, {"of_server": server_id})):
        return False
    less = {"less_vcpus": held.vcpus, "less_memory_mb": held.memory_mb, "less_disk_gb": held.disk_gb}
    session.execute(_GIVE_BACK, {"of_host": held.host, "moment": now(), **less})
    return True


def _count(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
