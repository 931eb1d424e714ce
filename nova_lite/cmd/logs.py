"""The log of every process: one line an event, ``time level name request=… key=value …``."""

from __future__ import annotations

import logging
import logging.handlers
import time

from oslo_config import cfg

LOUD = ("oslo", "oslo_messaging", "oslo_service", "oslo_policy", "kombu", "amqp", "sqlalchemy", "alembic", "stevedore")
"""Libraries that say at INFO what only their authors want to know."""


class Lines(logging.Formatter):
    """Formats a record as one line; line breaks in a message become ``\\\\n``, so that nobody can forge a line."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Format all but a traceback, which follows on lines of its own, indented."""
        return super().formatMessage(record).replace("\r", "\\r").replace("\n", "\\n")

    def formatException(self, ei: object) -> str:
        """Indent a traceback."""
        return "  " + super().formatException(ei).replace("\n", "\n  ")  # type: ignore[arg-type]


def set_up(conf: cfg.ConfigOpts) -> None:
    """Send the process's log to ``log_file`` or to standard error, from ``log_level`` up.

    The file is opened again when somebody has moved it away (logrotate).
    """
    handler = logging.handlers.WatchedFileHandler(conf.log_file) if conf.log_file else logging.StreamHandler()
    handler.setFormatter(Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(conf.log_level)
    quiet = logging.DEBUG if conf.log_level == "DEBUG" else logging.WARNING
    for name in LOUD:
        logging.getLogger(name).setLevel(quiet)
    # Says at each connection of the in-process bus that it has no host name.
    logging.getLogger("kombu.connection").setLevel(logging.ERROR)
    logging.captureWarnings(True)
