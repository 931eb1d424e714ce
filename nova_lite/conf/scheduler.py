"""[scheduler]: which hosts are fit, which is best."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "scheduler"
OPTIONS = [
    cfg.IntOpt("workers", default=2, min=1, help="Placements worked on at once."),
    cfg.FloatOpt(
        "poll_interval", default=2.0, min=0.05, help="Seconds between looks at the queue when no message comes."
    ),
    cfg.FloatOpt(
        "sweep_interval", default=5.0, min=0.1, help="Seconds between looks for operations past their deadline."
    ),
    cfg.FloatOpt("memory_weight", default=1.0, help="Free memory's weight: above 0 spreads, below 0 packs."),
    cfg.FloatOpt("vcpu_weight", default=1.0, help="Free vCPUs' weight."),
]
