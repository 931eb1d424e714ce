"""Cure what is safe to cure: each by a statement that does nothing unless things still are as they were found.

A cure may be applied again, and while the services run. No cure touches a guest that the database does not know to be deleted.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from nova_lite.compute import claims, endings, lifecycle, quota_recount
from nova_lite.compute.transitions import VmState
from nova_lite.db.models import Allocation, Host, Image, Operation, Port, Server
from nova_lite.db.operations import UNFINISHED
from nova_lite.db.store import Store
from nova_lite.db.types import epoch, now
from nova_lite.doctor.diagnosis import SAVING_S
from nova_lite.doctor.findings import Finding
from nova_lite.virt.abilities import Adopts
from nova_lite.virt.driver import Driver


@dataclass(frozen=True)
class Surgery:
    """What cures work with. ``driver`` None: this host's guests can't be seen from here."""

    store: Store
    driver: Driver | None
    instances: Path
    images: Path


def cure(surgery: Surgery, finding: Finding) -> bool:
    """Apply the cure of a safe finding; False: it is not as it was found any more, or can't be cured from here."""
    return finding.safe and _CURES[finding.kind](surgery, finding)


def _in_database(work: Callable[[Session, Finding], bool]) -> Callable[[Surgery, Finding], bool]:
    return lambda surgery, finding: surgery.store.transact(lambda session: work(session, finding))


def _changed(session: Session, statement: Any) -> bool:
    result: Any = session.execute(statement.execution_options(synchronize_session=False))
    return bool(result.rowcount)


def _idle(session: Session, finding: Finding) -> Server | None:
    """Lock and return the finding's server if nothing has changed it since and nobody has asked for anything."""
    busy = exists().where(
        Operation.target_type == "server", Operation.target_id == Server.id, Operation.state.in_(UNFINISHED)
    )
    return session.scalar(
        select(Server)
        .where(
            Server.id == finding.object_id,
            Server.deleted.is_(False),
            Server.generation == int(finding.basis),
            ~busy,
        )
        .with_for_update()
    )


def _end_stranded(session: Session, finding: Finding) -> bool:
    server = _idle(session, finding)
    if server is None:
        return False
    message = f"Nothing was at work on the server any more, though its task state was {server.task_state}."
    created = now().isoformat(timespec="seconds") + "Z"
    server.vm_state, server.task_state = VmState.ERROR.value, None
    server.fault = {"code": 500, "message": message, "details": "", "created": created}
    server.generation += 1
    return True


def _cancel(session: Session, finding: Finding) -> bool:
    row = session.scalar(select(Operation).where(Operation.id == int(finding.object_id)).with_for_update())
    if row is None or row.state not in UNFINISHED or (row.state == "running" and row.lease_until > epoch()):
        return False
    if session.scalar(select(Server.id).where(Server.id == row.target_id, Server.deleted.is_(False))) is not None:
        return False
    endings.cancelled(session, row)
    row.state, row.owner, row.lease_until, row.finished_at = "cancelled", None, 0.0, now()
    row.error = "Its server is gone."
    return True


def _add_up(session: Session, finding: Finding) -> bool:
    # The host's row is locked first: whoever claims changes it before it adds its allocation, whoever releases after.
    host = session.scalar(select(Host).where(Host.name == finding.object_id).with_for_update())
    if host is None:
        return False
    columns = (Allocation.vcpus, Allocation.memory_mb, Allocation.disk_gb)
    sums = [func.coalesce(func.sum(column), 0) for column in columns]
    query = select(*sums, func.count(Allocation.server_id)).where(Allocation.host == host.name)
    vcpus, memory_mb, disk_gb, servers = (int(value) for value in session.execute(query).one())
    host.used_vcpus, host.used_memory_mb, host.used_disk_gb = vcpus, memory_mb, disk_gb
    host.running_servers = servers
    return True


def _give_back(session: Session, finding: Finding) -> bool:
    if finding.basis:
        server = _idle(session, finding)
        if server is None or server.host is not None:
            return False
    else:
        gone = select(Server.id).where(Server.id == finding.object_id, Server.deleted.is_(True))
        if session.scalar(gone) is None:
            return False
    return claims.release(session, finding.object_id)


def _hold_its_size(session: Session, finding: Finding) -> bool:
    server = _idle(session, finding)
    if server is None:
        return False
    claims.settle(session, server.id, *claims.held_by(server))
    return True


def _hold(session: Session, finding: Finding) -> bool:
    server = _idle(session, finding)
    if server is None or server.host is None or session.get(Allocation, server.id) is not None:
        return False
    vcpus, memory_mb, disk_gb = claims.held_by(server)
    held = _changed(
        session,
        update(Host)
        .where(Host.name == server.host)
        .values(
            used_vcpus=Host.used_vcpus + vcpus,
            used_memory_mb=Host.used_memory_mb + memory_mb,
            used_disk_gb=Host.used_disk_gb + disk_gb,
            running_servers=Host.running_servers + 1,
            updated_at=now(),
        ),
    )
    if held:
        sizes = {"vcpus": vcpus, "memory_mb": memory_mb, "disk_gb": disk_gb}
        session.add(Allocation(server_id=server.id, host=server.host, **sizes))
    return held


def _release_port(session: Session, finding: Finding) -> bool:
    server_id = session.scalar(
        select(Port.device_id)
        .join(Server, Server.id == Port.device_id)
        .where(Port.id == finding.object_id, Server.deleted.is_(True))
    )
    if server_id is None:
        return False
    lifecycle.release_ports(session, server_id)
    return True


def _requeue(session: Session, finding: Finding) -> bool:
    image = session.scalar(select(Image).where(Image.id == finding.object_id).with_for_update())
    if image is None or image.status != "saving":
        return False
    if (now() - (image.updated_at or image.created_at)).total_seconds() < SAVING_S:
        return False
    image.status, image.upload_owner = "queued", None
    return True


def _count_quota(surgery: Surgery, _finding: Finding) -> bool:
    quota_recount.repair(surgery.store)
    return True


def _remove_guest(surgery: Surgery, finding: Finding) -> bool:
    # Deleted is for ever: no id is used twice, so nothing can come between this and the removal.
    if surgery.driver is None or not _is_deleted(surgery, finding.object_id):
        return False
    _remove_from_host(surgery, surgery.driver, finding.object_id)
    return True


def _remove_from_host(surgery: Surgery, driver: Driver, server_id: str) -> None:
    """Remove a deleted server's guest; one whose adoption never came to its end is let go, as it never was ours."""
    with surgery.store.read() as session:
        row = session.get(Server, server_id)
    if row is not None and (row.system_metadata or {}).get("adopted") and row.launched_at is None:
        if isinstance(driver, Adopts):
            driver.disown(server_id)
        return
    driver.destroy(server_id)


def _remove_directory(surgery: Surgery, finding: Finding) -> bool:
    if not _is_deleted(surgery, finding.object_id):
        return False
    if surgery.driver is not None:
        _remove_from_host(surgery, surgery.driver, finding.object_id)
    shutil.rmtree(surgery.instances / finding.object_id, ignore_errors=True)
    return not (surgery.instances / finding.object_id).exists()


def _is_deleted(surgery: Surgery, server_id: str) -> bool:
    with surgery.store.read() as session:
        return session.scalar(select(Server.deleted).where(Server.id == server_id)) is True


def _remove_device(surgery: Surgery, finding: Finding) -> bool:
    with surgery.store.read() as session:
        prefix = finding.object_id.removeprefix("nl-")
        if session.scalar(select(Port.id).where(Port.id.startswith(prefix, autoescape=True))) is not None:
            return False
    command = ["ip", "link", "delete", finding.object_id]
    return subprocess.run(command, capture_output=True, check=False, timeout=10).returncode == 0


def _remove_image_file(surgery: Surgery, finding: Finding) -> bool:
    with surgery.store.read() as session:
        if session.get(Image, finding.object_id) is not None:
            return False
    (surgery.images / finding.object_id).unlink(missing_ok=True)
    return True


_CURES: dict[str, Callable[[Surgery, Finding], bool]] = {
    "server-stranded": _in_database(_end_stranded),
    "operation-orphan": _in_database(_cancel),
    "claim-sum": _in_database(_add_up),
    "claim-stale": _in_database(_give_back),
    "claim-size": _in_database(_hold_its_size),
    "claim-missing": _in_database(_hold),
    "quota-sum": _count_quota,
    "port-of-deleted-server": _in_database(_release_port),
    "image-saving": _in_database(_requeue),
    "guest-left-over": _remove_guest,
    "directory-left-over": _remove_directory,
    "device-left-over": _remove_device,
    "image-file-left-over": _remove_image_file,
}
