"""Configuration: options live beside what they configure in name, one file a group, and are passed in.

Nothing reads a global: :func:`load` makes a ``ConfigOpts`` of its own. ``etc/nova_lite/nova-lite.conf.sample`` is generated from
:func:`list_opts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oslo_config import cfg

from nova_lite.conf import (
    api,
    bus,
    compute,
    console,
    database,
    default,
    fake,
    identity,
    image,
    libvirt,
    network,
    network_quota,
    quota,
    scheduler,
)

GROUPS = (
    default,
    bus,
    api,
    identity,
    compute,
    console,
    quota,
    scheduler,
    image,
    network,
    network_quota,
    libvirt,
    fake,
    database,
)
DEFAULT_FILES = ("/etc/nova-lite/nova-lite.conf",)


def load(config_files: Sequence[str] | None = None, overrides: dict[str, Any] | None = None) -> cfg.ConfigOpts:
    """Read the configuration and return it, with relative defaults filled in from ``state_path``.

    :param config_files: files to read, the last wins; None: ``/etc/nova-lite/nova-lite.conf`` if it is there.
    :param overrides: ``{"group.option": value}`` (``option`` alone for DEFAULT), stronger than the files.
    :raises oslo_config.cfg.ConfigFilesNotFoundError: a named file is not there.
    :raises oslo_config.cfg.ConfigFileValueError: a value is not of its option's type.
    """
    conf = cfg.ConfigOpts()
    register(conf)
    if config_files is None:
        config_files = [name for name in DEFAULT_FILES if Path(name).exists()]
    conf(args=[], project="nova-lite", default_config_files=list(config_files), default_config_dirs=[])
    for name, value in (overrides or {}).items():
        group, _, option = name.rpartition(".")
        conf.set_override(option, value, group=group or None)
    return conf


def register(conf: cfg.ConfigOpts) -> None:
    """Register every option of ours on *conf*."""
    for module in GROUPS:
        conf.register_opts(module.OPTIONS, group=module.GROUP)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """Give every group's options to oslo-config-generator."""
    return [(module.GROUP or "DEFAULT", list(module.OPTIONS)) for module in GROUPS]


def state_path(conf: cfg.ConfigOpts, *parts: str) -> Path:
    """Return a path below the state directory."""
    return Path(conf.state_path, *parts)
