"""Make the driver that the configuration names; only that one is imported."""

from __future__ import annotations

import importlib

from oslo_config import cfg

from nova_lite.virt.driver import Driver, DriverError


def load_driver(conf: cfg.ConfigOpts) -> Driver:
    """Return the driver of ``[compute] driver``.

    :raises DriverError: libvirt's Python library is not installed.
    """
    if conf.compute.driver == "fake":
        from nova_lite.virt.fake import FakeDriver

        return FakeDriver.from_conf(conf)
    try:
        module = importlib.import_module("nova_lite.virt.libvirt.driver")
    except ImportError as error:
        raise DriverError(f"the libvirt driver can't be loaded: {error}") from error
    driver: Driver = module.LibvirtDriver(conf)
    return driver
