"""Look at the host that the doctor runs on: its guests, files and devices. Changes nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path

from oslo_config import cfg

from nova_lite.conf import state_path
from nova_lite.doctor.facts import HostSight
from nova_lite.host.networks import devices, leases, netns
from nova_lite.virt.driver import Driver

NET = Path("/sys/class/net")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def look(conf: cfg.ConfigOpts, driver: Driver | None, net: Path | None = NET) -> HostSight:
    """Look once.

    :param driver: None where no other process can see its guests (the fake driver without ``[fake] persist``).
    :param net: where the kernel shows devices; None: this host's driver makes none.
    :raises nova_lite.virt.driver.DriverError: the hypervisor does not answer.
    """
    store = Path(conf.image.store_path) if conf.image.store_path else state_path(conf, "images")
    networks = state_path(conf, "networks")
    instances = state_path(conf, "instances")
    directories = frozenset(name for name in _names(instances) if _UUID.fullmatch(name))
    numbers = frozenset(int(name) for name in _names(networks) if name.isascii() and name.isdigit())
    return HostSight(
        name=conf.host,
        guests=None if driver is None else tuple(driver.observe()),
        directories=directories,
        logs=frozenset(name for name in directories if _is_log(instances / name)),
        devices=None if net is None else _devices(net),
        leases=frozenset(
            (number, lease.mac, lease.address)
            for number in numbers
            for lease in leases.read(networks / str(number) / "leases")
        ),
        networks=numbers,
        namespaces=frozenset() if net is None else frozenset(netns.present(devices.PREFIX)),
        image_files=_files(store) if store.is_dir() else None,
    )


def _names(directory: Path) -> list[str]:
    return [entry.name for entry in directory.iterdir() if entry.is_dir()] if directory.is_dir() else []


def _is_log(directory: Path) -> bool:
    """Say whether nothing but a console log is in the directory, or was until just now."""
    try:
        return all(entry.name.startswith("console.log") for entry in directory.iterdir())
    except FileNotFoundError:
        return True


def _devices(net: Path) -> dict[str, bool]:
    return {
        entry.name: _carries(entry)
        for entry in net.iterdir()
        if entry.name.startswith(devices.PREFIX) and _is_ours(entry.name)
    }


def _is_ours(name: str) -> bool:
    return devices.bridge_number(name) is not None or devices.is_port_device(name)


def _carries(device: Path) -> bool:
    try:
        return (device / "carrier").read_text().strip() == "1"
    except OSError:
        return False  # a device that is down has none to read


def _files(directory: Path) -> dict[str, float]:
    found = {}
    for path in directory.iterdir():
        try:
            found[path.name] = time.time() - path.stat().st_mtime
        except FileNotFoundError:
            continue
    return found
