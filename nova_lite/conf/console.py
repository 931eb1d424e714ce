"""[console]: remote consoles: the tokens that open them, the proxy in the front door, and the agents' relays behind it."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "console"
OPTIONS = [
    cfg.IntOpt("token_ttl", default=600, min=1, help="Seconds within which a console's token must be used."),
    cfg.ListOpt(
        "allowed_origins",
        default=[],
        help="Origins (https://host:port) whose pages may open consoles beside those of the front door, of novnc_base_url and of spice_html5_base_url; "
        "read once, at the start.",
    ),
    cfg.StrOpt(
        "novnc_base_url",
        default="",
        help="A noVNC page (https://host/vnc_lite.html) that screens are shown with; empty: the front door's own small page.",
    ),
    cfg.StrOpt(
        "spice_html5_base_url",
        default="",
        help="A page of spice-html5 (https://host/spice_auto.html) that SPICE screens are shown with; empty: the front door's own, for "
        "which spice-html5 must be installed beside it.",
    ),
    cfg.StrOpt(
        "spice_html5_path",
        default="/usr/share/spice-html5",
        help="Where spice-html5 is installed. Its scripts are read once, at the start, and served below /console/spice-html5/.",
    ),
    cfg.IntOpt(
        "max_connections", default=100, min=1, help="Consoles that one API worker, and one agent, holds open at once."
    ),
    cfg.FloatOpt("connect_timeout", default=10.0, min=0.1, help="Seconds that a console is given to be reached."),
    cfg.FloatOpt("idle_timeout", default=3600.0, min=1, help="Seconds without a byte after which a console is closed."),
    cfg.FloatOpt(
        "session_timeout", default=43_200.0, min=1, help="Seconds after which a console is closed in any case."
    ),
    cfg.StrOpt(
        "relay_host",
        default="",
        help="The address that the agent's console relay listens on; empty: [compute] address, or 127.0.0.1 without one. "
        "Embedded it is always 127.0.0.1.",
    ),
    cfg.PortOpt("relay_port", default=0, min=0, help="The relay's TCP port; 0: any that is free."),
]
