"""oslo.messaging, imported without eventlet and configured from ``[bus]``."""

from __future__ import annotations

import importlib
import sys
import warnings
from typing import Any

from oslo_config import cfg

from nova_lite.bus import inprocess

POOL_THREADS = 8
"""Calls that one process answers at once; casts take a moment each."""


def load_messaging() -> Any:
    """Import oslo.messaging and return it.

    On its own it imports eventlet wherever that is installed (through oslo.service's default backend, futurist and
    oslo.utils: 17 MiB and 0.25 s), which agents and schedulers must not have. So oslo.service is told to use threads,
    and eventlet is out of sight meanwhile, unless this process has imported it before: then (the stand-alone API,
    which is monkey-patched) oslo.messaging has to know of it.
    """
    if "oslo_messaging" in sys.modules:
        return sys.modules["oslo_messaging"]
    hidden = "eventlet" not in sys.modules
    if hidden:
        sys.modules["eventlet"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            backend = importlib.import_module("oslo_service.backend")
            backend.init_backend(backend.BackendType.THREADING)
            return importlib.import_module("oslo_messaging")
    finally:
        if hidden:
            del sys.modules["eventlet"]


def failures() -> tuple[type[Exception], ...]:
    """Return what oslo.messaging raises when the broker is not to be had: its own errors, and kombu's and amqp's bare."""
    kombu, amqp = importlib.import_module("kombu.exceptions"), importlib.import_module("amqp.exceptions")
    return (load_messaging().MessagingException, kombu.KombuError, amqp.AMQPError, OSError)


def make(conf: cfg.ConfigOpts) -> Any:
    """Return the RPC transport that ``[bus] transport_url`` asks for.

    oslo.messaging reads its own groups (``[oslo_messaging_rabbit]`` …) from the same files, in a ConfigOpts apart, so
    that its options never mix with ours.
    """
    messaging = load_messaging()
    own = _own_conf(conf)
    url = conf.bus.transport_url
    if url.startswith("kombu+memory:"):
        inprocess.register()
        url = url.replace("kombu+memory:", f"kombu+{inprocess.SCHEME}:", 1)
    return messaging.get_rpc_transport(own, url=url)


def _own_conf(conf: cfg.ConfigOpts) -> cfg.ConfigOpts:
    own = cfg.ConfigOpts()
    own(args=[], project="nova-lite", default_config_files=list(conf.config_file or []), default_config_dirs=[])
    _register(own)
    defaults: dict[str, Any] = {
        "heartbeat_timeout_threshold": 20,
        "kombu_reconnect_delay": 0.2,
        "rabbit_interval_max": 2,  # seconds between tries (else up to 30): soon there when the broker is
        "kombu_missing_consumer_retry_timeout": 5,  # an answer nobody waits for holds a thread of POOL_THREADS so long
        "rabbit_transient_queues_ttl": 300,  # the reply queue of who is gone
    }
    if conf.bus.transport_url.startswith("kombu+"):
        defaults["heartbeat_timeout_threshold"] = 0  # a transport in the process has none, and says so loudly
    elif conf.bus.quorum_queues:
        defaults |= {"rabbit_quorum_queue": True, "rabbit_transient_quorum_queue": True}
    for name, value in defaults.items():
        own.set_default(name, value, group="oslo_messaging_rabbit")
    own.set_default("executor_thread_pool_size", POOL_THREADS)
    return own


_GROUPS = (
    ("oslo_messaging._drivers.impl_rabbit", "rabbit_opts", "oslo_messaging_rabbit"),
    ("oslo_messaging._drivers.amqp", "amqp_opts", "oslo_messaging_rabbit"),
    ("oslo_messaging.server", "_pool_opts", None),
    ("oslo_messaging._metrics.client", "oslo_messaging_metrics", "oslo_messaging_metrics"),
    ("oslo_messaging._tracing.client", "oslo_messaging_tracing", "oslo_messaging_tracing"),
)
"""(module, list of options, group). oslo.messaging registers the first three too late for a default of ours, and the last
two (18.3.1) on the global CONF only: on a ConfigOpts of one's own each message would fail with NoSuchOptError."""


def _register(own: cfg.ConfigOpts) -> None:
    for module, name, group in _GROUPS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                options = getattr(importlib.import_module(module), name)
        except ImportError:
            continue  # older releases have no tracing and no metrics
        own.register_opts(options, group=group)
