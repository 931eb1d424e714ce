"""``nova-lite-api``: the front door, alone. Any number of hosts may run it, each with any number of workers."""

from __future__ import annotations

import argparse
import functools
import os
import socket
import sys
from collections.abc import Sequence
from typing import Any

from oslo_config import cfg

from nova_lite.api.server.listening import listen
from nova_lite.api.server.workers import Workers
from nova_lite.cmd import logs, parts


def main(argv: Sequence[str] | None = None) -> int:
    """Run until SIGTERM; return the exit code."""
    return parts.exit_code(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="nova-lite-api", description="Serve every API of the cloud on one port.")
    parts.add_arguments(parser)
    parser.add_argument("--port", type=int, help="listen on this port instead of the configured one")
    arguments = parser.parse_args(argv)
    overrides: dict[str, Any] = {} if arguments.port is None else {"api.bind_port": arguments.port}
    conf = parts.load(arguments, overrides)
    logs.set_up(conf)
    listener = listen(conf.api.bind_host, conf.api.bind_port)
    print(f"nova-lite-api listens at http://{conf.api.bind_host}:{listener.getsockname()[1]}", file=sys.stderr)
    Workers(conf.api.workers, functools.partial(_work, conf, listener)).supervise()
    return 0


def _work(conf: cfg.ConfigOpts, listener: socket.socket, parent: int) -> None:
    """Be one worker; called in a process of its own."""
    from nova_lite.api.server import wsgi

    wsgi.patch()
    # Only now: what is imported from here on finds sockets and threads that cooperate.
    from nova_lite.bus import Bus, Waker
    from nova_lite.cmd.image_sweep import ImageSweep
    from nova_lite.cmd.presence import Presence
    from nova_lite.db.migrate import open_store

    store = open_store(conf)
    bus = Bus(conf)
    waker = Waker(bus.cast)
    application = parts.make_application(conf, store, waker, bus, wsgi.offload)
    presence = Presence(store, "nova-osapi_compute", conf.host, conf.compute.report_interval)
    image_sweep = ImageSweep(store, conf, wsgi.offload)
    presence.start()
    image_sweep.start()
    try:
        wsgi.serve(
            application, conf.api.bind_host, conf.api.bind_port, conf=conf, listener=listener, until_closed=parent
        )
    finally:
        presence.stop()
        image_sweep.stop()
        waker.stop()
        bus.close()
        store.close()
        os.close(parent)
