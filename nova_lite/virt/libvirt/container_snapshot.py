"""A container's root as an OCI archive: what a ``docker commit`` makes, as one layer.

The tar file is written by :mod:`container_tar` in a process of its own, in the container's mounts where it runs (frozen
meanwhile, so that all files are of one instant), else in mounts made for it as the launcher makes them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from nova_lite.compute.transitions import PowerState
from nova_lite.virt import delivery, oci_archive
from nova_lite.virt.abilities import Snapshot
from nova_lite.virt.driver import GuestSpec
from nova_lite.virt.libvirt import container_disk, container_tar, programs
from nova_lite.virt.libvirt.domains import Domains, DomainView
from nova_lite.virt.libvirt.instances import Instance
from nova_lite.virt.waiting import GoOn

_TIMEOUT_S = 1800.0


def take(
    domains: Domains, instance: Instance, spec: GuestSpec, target: Path, view: DomainView, go_on: GoOn
) -> Snapshot:
    """Write the archive to *target*, unless *go_on* raises something. :raises DriverError: the root can't be read."""
    layer = instance.path / "snapshot.part"
    archive = instance.path / "snapshot.oci"
    try:
        if view.active:
            _write_frozen(domains, instance, layer, view, go_on)
        else:
            container_disk.wait_released(instance.container_data)
            _run_tar(["unshare", "--mount", "--propagation", "slave", "--"], instance, layer, "mount", go_on)
        size = oci_archive.write(archive, layer, spec.image.config, go_on)
        layer.unlink()
        delivery.deliver(archive, target, go_on)
    finally:
        for path in (layer, archive):
            path.unlink(missing_ok=True)
    return Snapshot(target, "raw", "docker", size, {})


def _write_frozen(domains: Domains, instance: Instance, layer: Path, view: DomainView, go_on: GoOn) -> None:
    marker = _marker(instance)
    if view.power != PowerState.PAUSED:
        # Whoever comes after an agent that died here knows by this file that nobody has asked for the freeze.
        marker.touch(mode=0o600)
        domains.on(view.server_id, "freeze", lambda domain: domain.suspend())
    try:
        _run_tar(["nsenter", "--mount", f"--target={view.pid}", "--"], instance, layer, "", go_on)
    finally:
        thaw(domains, instance, view.server_id)


def thaw(domains: Domains, instance: Instance, server_id: str) -> None:
    """Let a container go on that a snapshot has frozen; one that somebody has paused stays so."""
    if not _marker(instance).exists():
        return
    view = domains.view(server_id)
    if view is not None and view.power == PowerState.PAUSED:
        domains.go_on(server_id, "thaw")
    _marker(instance).unlink(missing_ok=True)


def _marker(instance: Instance) -> Path:
    return instance.path / "snapshot.frozen"


def _run_tar(wrapper: list[str], instance: Instance, layer: Path, mode: str, go_on: GoOn) -> None:
    program = [sys.executable, "-I", str(container_tar.__file__), str(instance.path), str(layer), mode]
    what = "the container's root could not be read"
    programs.run([*wrapper, *program], what, package="util-linux", timeout=_TIMEOUT_S, go_on=go_on)
