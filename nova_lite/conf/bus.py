"""[bus]: the message bus, which only wakes workers up; what is to be done stands in the database."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "bus"
OPTIONS = [
    # Not DEFAULT.transport_url: oslo.messaging registers that name itself, with a default of its own.
    cfg.StrOpt(
        "transport_url",
        default="kombu+memory:////",
        secret=True,
        help="kombu+memory://// within one process (embedded), or rabbit://user:password@host:5672/vhost.",
    ),
    cfg.BoolOpt("quorum_queues", default=True, help="Ask RabbitMQ for quorum queues, which survive a broker's death."),
]
