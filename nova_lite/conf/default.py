"""[DEFAULT]: where state is kept, who this host is, the log."""

from __future__ import annotations

import socket

from oslo_config import cfg

GROUP: str | None = None
OPTIONS = [
    cfg.StrOpt(
        "state_path",
        default="/var/lib/nova-lite",
        help="The directory that all data is kept under: SQLite database, images, instances, keys.",
    ),
    cfg.HostAddressOpt(
        "host",
        default=socket.gethostname(),
        sample_default="<this host's name>",
        help="The name that this host's agent is known by. Changing it makes a new host of it.",
    ),
    cfg.StrOpt("log_file", help="Log to this file instead of standard error."),
    cfg.StrOpt(
        "log_level",
        default="INFO",
        choices=["DEBUG", "INFO", "WARNING", "ERROR"],
        help="What is logged; DEBUG is for finding a fault.",
    ),
]
