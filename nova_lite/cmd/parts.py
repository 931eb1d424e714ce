"""Make the parts that the commands put together, from the configuration. What is not asked for is not imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from oslo_config import cfg

from nova_lite import conf as configuration
from nova_lite.bus import Bus, Waker
from nova_lite.db.store import Store
from nova_lite.host.ports import Images, Networks
from nova_lite.virt.driver import Driver

POLICY_FILE = "policy.yaml"


def load(arguments: Any, overrides: dict[str, Any] | None = None) -> cfg.ConfigOpts:
    """Read the configuration that the command line names, with what else it says.

    :raises oslo_config.cfg.Error: a file is missing, or a value in it is not of its option's type.
    """
    found = dict(overrides or {})
    if arguments.log_file:
        found["log_file"] = arguments.log_file
    return configuration.load(arguments.config_file, found)


def add_arguments(parser: Any) -> None:
    """Add what every service's command line has."""
    parser.add_argument(
        "--config-file",
        action="append",
        metavar="FILE",
        help="read this file (may be given more than once, the last wins); default: /etc/nova-lite/nova-lite.conf",
    )
    parser.add_argument("--log-file", metavar="FILE", help="log to FILE instead of standard error")


def make_host(conf: cfg.ConfigOpts) -> tuple[Driver, Networks, Images]:
    """Make this host's driver, networks and image cache: the real ones, or the fake ones with ``driver = fake``.

    :raises nova_lite.virt.driver.DriverError: libvirt's Python library is not installed.
    """
    from nova_lite.virt.load import load_driver

    driver = load_driver(conf)
    if conf.compute.driver == "fake":
        from nova_lite.host.fake import FakeImages, FakeNetworks

        return driver, FakeNetworks(), FakeImages()
    from nova_lite.host.images import HostImages
    from nova_lite.host.networks import HostNetworks

    return driver, HostNetworks(conf), HostImages(conf)


def make_application(
    conf: cfg.ConfigOpts, store: Store, waker: Waker, bus: Bus, offload: Callable[..., Any]
) -> Callable[..., Any]:
    """Make the front door's application, with the console proxy before it."""
    from nova_lite.api.app import make_app
    from nova_lite.api.context import Services
    from nova_lite.api.policy import Policy
    from nova_lite.api.server.console_proxy import ConsoleProxy
    from nova_lite.identity.tokens import Authenticator

    services = Services(
        conf=conf,
        store=store,
        authenticator=Authenticator(conf, store),
        policy=Policy(conf),
        waker=waker,
        agents=bus,
        offload=offload,
    )
    return ConsoleProxy(make_app(services), services)


def exit_code(run: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Run a command and turn what it can't work with into a sentence on standard error."""
    import sys

    from nova_lite.errors import NovaLiteError

    try:
        return run(argv)
    except (NovaLiteError, cfg.Error, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
