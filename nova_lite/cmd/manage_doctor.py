"""``nova-lite-manage doctor``: what differs between database, hypervisor and host, and its cure."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oslo_config import cfg
from sqlalchemy.exc import SQLAlchemyError

from nova_lite.cmd.manage_table import add_format, show
from nova_lite.conf import state_path
from nova_lite.db import migrate
from nova_lite.db.models import Host
from nova_lite.db.store import Store
from nova_lite.doctor import cures, diagnosis, gathering, sight
from nova_lite.doctor.findings import Finding
from nova_lite.errors import NovaLiteError
from nova_lite.virt.driver import Driver

NOTHING, DIFFERENCES, BLIND = 0, 1, 2
"""Exit codes."""


def register(nouns: Any) -> None:
    """Add the command."""
    doctor = nouns.add_parser(
        "doctor",
        help="list what differs between database, hypervisor and host, and its cure",
        description="Compare the database, the hypervisor and this host, and list each difference with its cure. What is under "
        "way is told from what is wrong by a second look. Exit code 0: nothing differs (any more, with --fix); 1: something "
        "does; 2: could not look. May be run at any time.",
    )
    doctor.add_argument("--fix", action="store_true", help="apply the cures that can't harm a running cloud")
    doctor.add_argument("--host", help="only what concerns this host; another one than this is seen by its rows alone")
    doctor.add_argument(
        "--interval", type=float, default=3.0, metavar="SECONDS", help="between the two looks; default: 3"
    )
    add_format(doctor)
    doctor.set_defaults(run=_run)


def _run(conf: cfg.ConfigOpts, arguments: argparse.Namespace) -> int:
    try:
        store = migrate.open_store(conf)
        here = arguments.host in (None, conf.host)
        driver = _driver(conf, store) if here else None
        found, cured = examine(conf, store, driver, arguments, here=here)
    except (NovaLiteError, SQLAlchemyError, OSError, ImportError) as error:
        said = error.message if isinstance(error, NovaLiteError) else str(getattr(error, "orig", error))
        print(f"nova-lite-manage: error: could not look: {' '.join(said.split())}", file=sys.stderr)
        return BLIND
    store.close()
    headers = ("Kind", "Object", "Host", "Problem", "Cure", "Safe", "Cured")
    if found or arguments.format == "json":
        rows = [(row.kind, row.object_id, row.host, row.problem, row.cure, row.safe, row in cured) for row in found]
        show(arguments, headers, rows)
    else:
        print("Nothing differs.")
    return DIFFERENCES if any(row not in cured for row in found) else NOTHING


def examine(
    conf: cfg.ConfigOpts, store: Store, driver: Driver | None, arguments: argparse.Namespace, *, here: bool
) -> tuple[list[Finding], set[Finding]]:
    """Look twice; with ``--fix``, cure what is safe. Return what both looks found, and what of it was cured."""

    def look() -> list[Finding]:
        net = None if conf.compute.driver == "fake" else sight.NET
        seen = sight.look(conf, driver, net) if here else None
        found = diagnosis.diagnose(gathering.gather(store, seen))
        return found if arguments.host is None else diagnosis.of_host(found, arguments.host)

    found = _lasting(look, arguments.interval)
    if not arguments.fix:
        return found, set()
    images = Path(conf.image.store_path) if conf.image.store_path else state_path(conf, "images")
    surgery = cures.Surgery(store, driver, state_path(conf, "instances"), images)
    return found, {finding for finding in found if _cured(surgery, finding)}


def _lasting(look: Callable[[], list[Finding]], interval: float) -> list[Finding]:
    first = look()
    if not first:
        return []
    time.sleep(max(interval, 0.0))
    return diagnosis.lasting(first, look())


def _cured(surgery: cures.Surgery, finding: Finding) -> bool:
    try:
        return cures.cure(surgery, finding)
    except (NovaLiteError, SQLAlchemyError, OSError) as error:
        said = error.message if isinstance(error, NovaLiteError) else type(error).__name__
        print(f"nova-lite-manage: error: {finding.kind} {finding.object_id}: {said}", file=sys.stderr)
        return False


def _driver(conf: cfg.ConfigOpts, store: Store) -> Driver | None:
    """Make this host's driver; None: no agent was ever here, or nobody else can see its guests."""
    with store.read() as session:
        if session.get(Host, conf.host) is None:
            return None
    if conf.compute.driver == "fake":
        if not conf.fake.persist:
            return None
        from nova_lite.virt.fake import FakeDriver

        return FakeDriver.from_conf(conf)
    from nova_lite.virt.libvirt.driver import LibvirtDriver

    return LibvirtDriver(conf)
