"""An image of a QEMU guest's disk, flattened: nothing of it is left in the host's image cache.

While the guest runs, libvirt copies the disk as it was at one instant (a push backup: QEMU keeps what the guest overwrites
meanwhile); the guest goes on. Reading the file beside QEMU (``qemu-img -U``) would give a mixture of instants. Nobody asks
the guest to sync, so the image is what a power cut would have left.
Source: https://libvirt.org/formatbackup.html
"""

from __future__ import annotations

import logging
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import libvirt

from nova_lite.virt import delivery
from nova_lite.virt.abilities import Snapshot
from nova_lite.virt.driver import DriverError, DriverTimeout, GuestSpec
from nova_lite.virt.libvirt import disks
from nova_lite.virt.libvirt.domains import Domains
from nova_lite.virt.libvirt.elements import add, text
from nova_lite.virt.libvirt.instances import Instance
from nova_lite.virt.waiting import GoOn

LOG = logging.getLogger(__name__)

_COPY_LIMITS = ("prlimit", "--as=2147483648", "--cpu=1800", "--core=0", "--")
_TIMEOUT_S = 1800.0
_POLL_S = 0.05
_ABORT_S = 20.0
_ANSWER_S = 10.0
_PART = "snapshot.part"


def take(
    domains: Domains, instance: Instance, spec: GuestSpec, target: Path, go_on: GoOn, *, running: bool
) -> Snapshot:
    """Write the image of *spec*'s disk to *target* as qcow2, or the image itself if the guest has no disk.

    :param go_on: what it raises ends the copy, with nothing of it left. :param running: QEMU has the disk open.
    :raises DriverError: it can't be copied.
    """
    if not instance.disk.exists():
        return _copy_image(spec, target, go_on)
    part = instance.path / _PART
    if running:
        _end_earlier(domains, spec.server_id)
    try:
        if running:
            part.unlink(missing_ok=True)  # libvirt makes the file itself, and takes none that is there.
            _back_up(domains, spec.server_id, part, go_on)
        else:
            command = ["qemu-img", "convert", "-q", "-f", "qcow2", "-O", "qcow2", str(instance.disk), str(part)]
            disks.make_for_guest_user(part)
            disks.give_to_guest_user(instance.disk)
            disks.run_qemu_img(command, "copied", _COPY_LIMITS, _TIMEOUT_S, go_on)
        size = part.stat().st_size
        delivery.deliver(part, target, go_on)
    finally:
        part.unlink(missing_ok=True)
    return Snapshot(target, "qcow2", "bare", size, {})


def _copy_image(spec: GuestSpec, target: Path, go_on: GoOn) -> Snapshot:
    """Give the image back that the guest was booted from: it can't have changed anything."""
    delivery.copy(spec.image.path, target, go_on)
    container_format = spec.image.disk_format if spec.image.disk_format in ("ami", "aki", "ari") else "bare"
    return Snapshot(target, spec.image.disk_format, container_format, target.stat().st_size, {})


def _end_earlier(domains: Domains, server_id: str) -> None:
    domains.on(server_id, "end an earlier snapshot of", _abort, timeout=_ABORT_S + _ANSWER_S)


def _abort(domain: Any) -> None:
    """End the backup of an agent that died; it writes into a file that is about to be made anew.

    A backup that is just beginning or ending can't be ended: libvirt says "backup job data missing". It is asked again.
    But a libvirtd that was killed when one had just begun says so as long as the guest runs.
    """
    deadline = time.monotonic() + _ABORT_S
    while True:
        try:
            if domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE:
                return
            domain.abortJob()
        except libvirt.libvirtError as error:
            if time.monotonic() > deadline:
                raise DriverError(
                    f"libvirt takes an earlier snapshot to be under way, and can't end it ({error.get_error_message()}); a hard "
                    "reboot of the guest does"
                ) from error
        if time.monotonic() > deadline:
            raise DriverTimeout(f"an earlier snapshot did not end within {_ABORT_S:.0f} s")
        time.sleep(_POLL_S)


def _back_up(domains: Domains, server_id: str, part: Path, go_on: GoOn) -> None:
    root = ET.Element("domainbackup", {"mode": "push"})
    names = domains.on(server_id, "look at", _disk_names)
    listed = add(root, "disks")
    for file, name in names.items():
        if file == str(part.with_name("disk")):
            disk = add(listed, "disk", name=name, backup="yes", type="file")
            add(disk, "target", file=str(part))
            add(disk, "driver", type="qcow2")
        else:
            add(listed, "disk", name=name, backup="no")
    domains.on(server_id, "snapshot", lambda domain: domain.backupBegin(text(root), None, 0))
    _await(domains, server_id, go_on)
    done = domains.on(server_id, "look at", lambda domain: domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED))
    if done.get("type") != libvirt.VIR_DOMAIN_JOB_COMPLETED:
        why = done.get("errmsg", "the guest stopped meanwhile")
        raise DriverError(f"the snapshot of guest {server_id} failed: {why}; it may be asked for again")


def _await(domains: Domains, server_id: str, go_on: GoOn) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while domains.on(server_id, "look at", lambda domain: domain.jobInfo()[0]) != libvirt.VIR_DOMAIN_JOB_NONE:
        if time.monotonic() > deadline:
            _end_earlier(domains, server_id)
            raise DriverTimeout(f"the snapshot of guest {server_id} was not done within {_TIMEOUT_S:.0f} s")
        try:
            go_on()
        except BaseException:
            _cut_off(domains, server_id)
            raise
        time.sleep(_POLL_S)


def _cut_off(domains: Domains, server_id: str) -> None:
    """End the backup that nobody wants any more; whoever asked for that is not kept from it by a backup that can't be ended.

    It ends with the guest at the latest, writes into a file without a name, and is ended by the next snapshot.
    """
    try:
        _end_earlier(domains, server_id)
    except DriverError as error:
        LOG.warning("server=%s event=backup-not-ended reason=%r", server_id, str(error))


def _disk_names(domain: Any) -> dict[str, str]:
    """Return the device name of each of the domain's files: vda, but vdb for the own disk of a rescued VM."""
    names = {}
    for disk in ET.fromstring(domain.XMLDesc()).iterfind("devices/disk"):  # noqa: S314 - libvirt's own answer
        source, target = disk.find("source"), disk.find("target")
        if source is not None and target is not None:
            names[str(source.get("file"))] = str(target.get("dev"))
    return names
