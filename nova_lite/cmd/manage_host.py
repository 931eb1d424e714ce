"""``nova-lite-manage host``: the hosts of the cloud, and removing what is ours from this one."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

from oslo_config import cfg
from sqlalchemy import select

from nova_lite.agent.lock import HostLock
from nova_lite.cmd.manage_table import add_format, age, show
from nova_lite.conf import state_path
from nova_lite.db import migrate
from nova_lite.db.models import Host
from nova_lite.db.types import epoch
from nova_lite.errors import NovaLiteError
from nova_lite.virt.abilities import Adopts
from nova_lite.virt.driver import Driver, GuestNotFound

DRIVERS = {"libvirt": "nova_lite.virt.libvirt.driver:LibvirtDriver"}
"""Drivers that leave something on a host when no agent runs."""


def register(nouns: Any) -> None:
    """Add the commands."""
    verbs = nouns.add_parser("host", help="compute hosts").add_subparsers(dest="verb", required=True)
    listing = verbs.add_parser("list", help="list the hosts, what they have, and whether they were heard of lately")
    add_format(listing)
    listing.set_defaults(run=_list)
    clean = verbs.add_parser(
        "clean",
        help="remove every guest, bridge, DHCP server and rule of ours from this host",
        description="Remove every guest of this installation with its disks, and its bridges, DHCP servers, rules and "
        "mounts, from this host. Needs no database and changes none: stop the services first. Guests of another "
        "installation (another state_path) on the same libvirt are left alone, and named.",
    )
    clean.add_argument(
        "--keep-disks", action="store_true", help="only stop the guests; started again, they have what they had"
    )
    clean.set_defaults(run=_clean)


def _list(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> int:
    store = migrate.open_store(conf)
    with store.read() as session:
        hosts = session.scalars(select(Host).order_by(Host.name)).all()
    moment = epoch()
    show(
        arguments,
        ("Name", "Zone", "State", "Enabled", "Seen", "VCPUs", "Memory MiB", "Disk GiB", "Servers", "Kinds", "Traits"),
        [
            (
                host.name,
                host.availability_zone,
                _state(conf, host, moment),
                host.enabled,
                age(moment - host.last_seen) if host.last_seen else "never",
                f"{host.used_vcpus}/{host.vcpus}",
                f"{host.used_memory_mb}/{host.memory_mb}",
                f"{host.used_disk_gb}/{host.disk_gb}",
                host.running_servers,
                ",".join(host.kinds),
                ",".join(host.traits),
            )
            for host in hosts
        ],
    )
    store.close()
    return 0


def _state(conf: cfg.ConfigOpts, host: Host, moment: float) -> str:
    return "down" if host.forced_down or moment - host.last_seen > conf.compute.down_after else "up"


def _clean(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> int:
    lock = HostLock(Path(conf.state_path), conf.host)
    lock.take()
    failures: list[str] = []
    try:
        _try(failures, "guests", lambda: _end_guests(conf, failures, keep_disks=arguments.keep_disks))
        _try(failures, "networks", lambda: _remove_networks(conf))
    finally:
        lock.release()
    for failure in failures:
        print(f"nova-lite-manage: error: {failure}", file=sys.stderr)
    if not failures:
        print(
            "The guests have ended; their disks are kept."
            if arguments.keep_disks
            else "Nothing of ours is left on this host."
        )
    return 1 if failures else 0


def _try(failures: list[str], what: str, work: Callable[[], None]) -> None:
    """Do *work*; what fails is kept, so that the rest is done all the same."""
    try:
        work()
    except NovaLiteError as error:
        failures.append(f"{what}: {error.message}")
    except ImportError as error:
        failures.append(f"{what}: {error}")


def _end_guests(conf: cfg.ConfigOpts, failures: list[str], *, keep_disks: bool) -> None:
    if conf.compute.driver not in DRIVERS:
        return
    module, _, name = DRIVERS[conf.compute.driver].partition(":")
    driver = cast(Driver, getattr(importlib.import_module(module), name)(conf))
    ours, others = _guests(driver, state_path(conf, "instances"))
    adopted = _adopted(driver)
    for server_id in ours:
        print(f"guest {server_id}" + (" (adopted: it goes on as its maker's)" if server_id in adopted else ""))
        _try(
            failures,
            f"guest {server_id}",
            partial(_end_guest, driver, server_id, keep_disks, is_adopted=server_id in adopted),
        )
    for server_id in others:
        print(f"left alone: guest {server_id} has no files below {conf.state_path}: another installation's")


def _adopted(driver: Driver) -> set[str]:
    """Return the ids of the guests that somebody else has made."""
    if not isinstance(driver, Adopts):
        return set()
    found = set()
    for guest in driver.observe():
        with contextlib.suppress(GuestNotFound):  # it has gone since
            if guest.server_id is not None and driver.describe(guest.name)["adopted"]:
                found.add(guest.server_id)
    return found


def _end_guest(driver: Driver, server_id: str, keep_disks: bool, *, is_adopted: bool) -> None:
    """End a guest; one that was adopted was there before us, and is there after us."""
    if is_adopted and isinstance(driver, Adopts):
        if not keep_disks:
            driver.disown(server_id)
        return
    if not keep_disks:
        driver.destroy(server_id)
        return
    with contextlib.suppress(GuestNotFound):
        driver.stop(server_id, 0.0)


def _guests(driver: Driver, instances: Path) -> tuple[list[str], list[str]]:
    """Return the ids of the guests that are this installation's (by their files), and of those that are not."""
    kept = {entry.name for entry in instances.iterdir() if entry.is_dir()} if instances.is_dir() else set()
    kept = {name for name in kept if len(name) == 36 and name.count("-") == 4}
    seen = {guest.server_id for guest in driver.observe() if guest.server_id is not None}
    return sorted(kept), sorted(seen - kept)


def _remove_networks(conf: cfg.ConfigOpts) -> None:
    from nova_lite.host.networks import HostNetworks

    networks = HostNetworks(conf)
    try:
        networks.clean()
    finally:
        networks.close()
