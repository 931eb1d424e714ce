"""[api]: the front door."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "api"
OPTIONS = [
    cfg.HostAddressOpt("bind_host", default="127.0.0.1", help="The address to listen on."),
    cfg.PortOpt("bind_port", default=8774, help="The one port of all APIs."),
    cfg.StrOpt(
        "public_endpoint",
        sample_default="http://<bind_host>:<bind_port>",
        help="How clients reach the front door (scheme, host, port); the service catalog and links are made from it.",
    ),
    cfg.IntOpt("workers", default=1, min=1, help="Processes of nova-lite-api that share the port."),
    cfg.IntOpt("max_connections", default=1000, min=1, help="Connections that one worker holds at once."),
    cfg.IntOpt("max_body_bytes", default=114_688, min=1024, help="The largest JSON body, in bytes."),
    cfg.IntOpt("max_limit", default=1000, min=1, help="The most items that one page of a listing holds."),
    cfg.IntOpt("keepalive_timeout", default=75, min=0, help="Seconds that an idle connection is kept open."),
    cfg.IntOpt(
        "idempotency_lifetime",
        default=86_400,
        min=60,
        help="Seconds that the answer to a request with an Idempotency-Key is kept.",
    ),
    cfg.StrOpt(
        "policy_file", default="policy.yaml", help="Overrides of the policy rules; beside the configuration file."
    ),
]
