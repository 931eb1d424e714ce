"""The configuration of a cloud that is to be killed: the fake driver with guests on disk, and looks that come often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import servers
from oslo_config import cfg

from nova_lite import conf as configuration

HOST = "h1"
PASSWORD = "a password of the trials"  # not a secret: a cloud on loopback that lives for seconds


def load(directory: Path, port: int = 0, **more: Any) -> cfg.ConfigOpts:
    """Return the configuration of the cloud in *directory*."""
    options: dict[str, Any] = {
        "state_path": str(directory),
        "host": HOST,
        "log_file": str(directory / "log"),
        "api.bind_port": port,
        "identity.bcrypt_rounds": 4,
        "image.keep_free_bytes": 0,
        "quota.instances": 40,
        "quota.cores": 80,
        "quota.ram": 40_960,
        "compute.driver": "fake",
        "compute.poll_interval": 0.05,
        "compute.reconcile_interval": 1.0,
        "compute.report_interval": 1.0,
        "compute.down_after": 600.0,  # on a busy machine a process may be killed many times before its first report
        "compute.shutdown_timeout": 0.0,
        "compute.resize_confirm_window": -1,
        "compute.shelved_offload_time": -1,
        "compute.reclaim_instance_interval": 3600,
        "compute.restart_delay": 0.1,
        "compute.restart_limit": 1000,
        "scheduler.poll_interval": 0.05,
        "scheduler.sweep_interval": 0.5,
        "fake.persist": True,
        "fake.vcpus": 1000,
        "fake.latency": 0.002,
        "fake.latency_jitter": 0.008,
    }
    return configuration.load([], options | servers.of(directory) | more)
