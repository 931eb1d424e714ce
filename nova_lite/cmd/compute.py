"""``nova-lite-compute``: the agent of this host."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from nova_lite.agent.service import Agent
from nova_lite.bus import Bus
from nova_lite.cmd import logs, parts
from nova_lite.cmd.service import run_until_signal
from nova_lite.db.migrate import open_store


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; return the exit code."""
    return parts.exit_code(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="nova-lite-compute", description="Run the guests of this host.")
    parts.add_arguments(parser)
    conf = parts.load(parser.parse_args(argv))
    logs.set_up(conf)
    store = open_store(conf)
    bus = Bus(conf)
    agent = Agent(conf, store, *parts.make_host(conf), bus)

    def stop() -> None:
        agent.stop()
        bus.close()
        store.close()

    run_until_signal(agent.start, stop)
    return 0
