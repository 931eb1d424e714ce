"""What a server holds of a host: taken in one statement that can't oversubscribe, given back once.

The host's sums change only in the transaction that adds or removes the server's row in ``allocations``, so a
second claim or a second release of the same server does nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Integer, bindparam, delete, insert, select, true, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from nova_lite.compute import local_disks, quotas
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


def held_by(server: Server) -> tuple[int, int, int]:
    """Return the vCPUs, memory (MiB) and disk (GiB) that *server* is to hold of its host, with its ephemeral disks and swap."""
    return (
        server.vcpus,
        server.memory_mb,
        local_disks.held_gb(server.disk_gb, server.ephemeral_gb or 0, server.swap_mb or 0),
    )


def claim(session: Session, server: Server, host: str) -> bool:
    """Claim *server*'s vCPUs, memory (MiB) and disk (GiB) on *host*; False when they are no longer free there.

    A server that already holds this host's claim keeps it (True): the scheduler may have died after its commit.
    """
    held_on = session.scalar(_HELD_ON, {"of_server": server.id})
    if held_on is not None:
        return bool(held_on == host)
    amounts = dict(zip(_SIZES, held_by(server), strict=True))
    wanted = {f"more_{name}": amount for name, amount in amounts.items()}
    if not _count(session.execute(_TAKE, {"of_host": host, "moment": now(), **wanted})):
        return False
    session.execute(insert(_ALLOCATIONS), {"server_id": server.id, "host": host, **amounts})
    return True


def grow(session: Session, server_id: str, vcpus: int, memory_mb: int, disk_gb: int) -> bool:
    """Hold room for another size beside what is held; False when the host has not so much free.

    A guest is never of both sizes at once on one host, so the greater of each amount is held: going on and going back
    are both possible then. :func:`settle` ends it.
    """
    held = session.scalar(select(Allocation).where(Allocation.server_id == server_id).with_for_update())
    if held is None:
        return False
    more = [
        max(0, wanted - has)
        for wanted, has in ((vcpus, held.vcpus), (memory_mb, held.memory_mb), (disk_gb, held.disk_gb))
    ]
    result = session.execute(
        update(Host)
        .where(
            Host.name == held.host,
            Host.used_vcpus + more[0] <= Host.vcpus * Host.vcpus_ratio if more[0] else true(),
            Host.used_memory_mb + more[1] <= (Host.memory_mb - Host.reserved_memory_mb) * Host.memory_ratio
            if more[1]
            else true(),
            Host.used_disk_gb + more[2] <= Host.disk_gb * Host.disk_ratio if more[2] else true(),
        )
        .values(
            used_vcpus=Host.used_vcpus + more[0],
            used_memory_mb=Host.used_memory_mb + more[1],
            used_disk_gb=Host.used_disk_gb + more[2],
            updated_at=now(),
        )
        .execution_options(synchronize_session=False)
    )
    if not _count(result):
        return False
    held.vcpus, held.memory_mb, held.disk_gb = held.vcpus + more[0], held.memory_mb + more[1], held.disk_gb + more[2]
    session.flush()
    return True


def settle(session: Session, server_id: str, vcpus: int, memory_mb: int, disk_gb: int) -> None:
    """Hold exactly this from now on, of the host and of the quota; not more than is held, unless the guest has it already."""
    quotas.settle(session, server_id, vcpus, memory_mb)
    held = session.scalar(select(Allocation).where(Allocation.server_id == server_id).with_for_update())
    if held is None:
        return
    session.execute(
        update(Host)
        .where(Host.name == held.host)
        .values(
            used_vcpus=Host.used_vcpus + (vcpus - held.vcpus),
            used_memory_mb=Host.used_memory_mb + (memory_mb - held.memory_mb),
            used_disk_gb=Host.used_disk_gb + (disk_gb - held.disk_gb),
            updated_at=now(),
        )
        .execution_options(synchronize_session=False)
    )
    held.vcpus, held.memory_mb, held.disk_gb = vcpus, memory_mb, disk_gb
    session.flush()


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
