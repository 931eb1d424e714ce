"""[database]: where state is shared."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "database"
OPTIONS = [
    cfg.StrOpt(
        "connection",
        secret=True,
        sample_default="sqlite:///<state_path>/nova-lite.db",
        help="SQLAlchemy URL: sqlite:///…, postgresql+psycopg2://… or mysql+pymysql://…; unset: SQLite below state_path.",
    ),
    cfg.IntOpt("max_pool_size", default=10, min=1, help="Connections kept open by one process."),
    cfg.IntOpt("max_overflow", default=20, min=0, help="Connections beyond max_pool_size under load."),
    cfg.IntOpt(
        "keep_deleted_days",
        default=90,
        min=0,
        help="Days after which a deleted server is forgotten, with its actions and its part of the usage; 0: never.",
    ),
    cfg.IntOpt(
        "keep_operations_days",
        default=90,
        min=0,
        help="Days after which an ended action of a server that is still there is forgotten; 0: never.",
    ),
]
