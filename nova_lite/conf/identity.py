"""[identity]: tokens, passwords."""

from __future__ import annotations

from oslo_config import cfg

GROUP = "identity"
OPTIONS = [
    cfg.IntOpt("token_lifetime", default=14_400, min=60, help="Seconds that a token is good for."),
    cfg.StrOpt(
        "key_repository",
        sample_default="<state_path>/fernet-keys",
        help="The directory of the Fernet keys (0700). API hosts that share a cloud share its content.",
    ),
    cfg.IntOpt("max_active_keys", default=3, min=1, help="Fernet keys kept after a rotation."),
    cfg.IntOpt("bcrypt_rounds", default=10, min=4, max=16, help="bcrypt's cost; OWASP asks for 10 or more."),
    cfg.FloatOpt(
        "revocation_refresh", default=2.0, min=0.1, max=5.0, help="Seconds until a revocation is seen everywhere."
    ),
    cfg.IntOpt("lockout_attempts", default=10, min=0, help="Failed logins of one name until it is refused; 0: never."),
    cfg.IntOpt("lockout_seconds", default=60, min=1, help="How long a name is refused after too many failures."),
    cfg.StrOpt("region", default="RegionOne", help="The region's name in the service catalog."),
]
