"""[fake]: the fake driver, for tests at the scale of many hosts and for trying the API out without a hypervisor."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "fake"
OPTIONS = [
    cfg.IntOpt("vcpus", default=64, min=1, help="vCPUs that the host says it has."),
    cfg.IntOpt("memory_mb", default=262_144, min=1, help="Memory (MiB) that the host says it has."),
    cfg.IntOpt("disk_gb", default=4096, min=1, help="Disk (GiB) that the host says it has."),
    cfg.ListOpt("kinds", default=["vm", "unikernel", "container"], help="Kinds of guests that the host says it runs."),
    cfg.ListOpt("lacking_traits", default=[], help="Traits that the host says it has not; it has all others."),
    cfg.FloatOpt("latency", default=0.0, min=0, help="Seconds that each action takes."),
    cfg.FloatOpt("latency_jitter", default=0.0, min=0, help="Up to this many seconds more, at random."),
    cfg.FloatOpt("fault_rate", default=0.0, min=0, max=1, help="The part of actions that fail with a DriverError."),
    cfg.FloatOpt("hang_rate", default=0.0, min=0, max=1, help="The part of actions that get no answer."),
    cfg.FloatOpt(
        "hang_seconds", default=1.0, min=0, help="Seconds after which an action without an answer is given up."
    ),
    cfg.ListOpt("faulty_actions", default=[], help="Only these actions fail or hang; empty: all of them."),
    cfg.BoolOpt(
        "persist",
        default=False,
        help="Keep the guests in <state_path>/fake-guests.db, so that they outlive the process as real ones do.",
    ),
]
