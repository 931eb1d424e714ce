"""``nova-lite-scheduler``: chooses hosts. Any number of them may run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from nova_lite.bus import Bus, Waker
from nova_lite.cmd import logs, parts
from nova_lite.cmd.presence import Presence
from nova_lite.cmd.service import run_until_signal
from nova_lite.db.migrate import open_store
from nova_lite.scheduler.service import Scheduler


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; return the exit code."""
    return parts.exit_code(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="nova-lite-scheduler", description="Choose hosts for servers.")
    parts.add_arguments(parser)
    conf = parts.load(parser.parse_args(argv))
    logs.set_up(conf)
    store = open_store(conf)
    bus = Bus(conf)
    waker = Waker(bus.cast)
    scheduler = Scheduler(conf, store, bus, waker)
    presence = Presence(store, "nova-scheduler", conf.host, conf.compute.report_interval)

    def start() -> None:
        scheduler.start()
        presence.start()

    def stop() -> None:
        scheduler.stop()
        presence.stop()
        waker.stop()
        bus.close()
        store.close()

    run_until_signal(start, stop)
    return 0
