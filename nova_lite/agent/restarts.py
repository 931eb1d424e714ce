"""The restart policy of guests that end by themselves: pure, but for the row that it is asked of."""

from __future__ import annotations

from typing import Any

from nova_lite.compute.transitions import PowerState
from nova_lite.db.models import Server
from nova_lite.db.types import JsonDict

KEY = "nova_lite:restart"
NEVER, ON_FAILURE, ALWAYS = "never", "on-failure", "always"
LONGEST_S = 300.0


def policy(server: Server) -> str:
    """Return what is to become of a guest that ended by itself: the server's metadata decides, then the flavor."""
    for source in (server.metadata_, server.flavor.get("extra_specs") or {}):
        asked = str(source.get(KEY, "")).strip().lower()
        if asked in (NEVER, ON_FAILURE, ALWAYS):
            return asked
    return NEVER


def plan(server: Server, power: PowerState | None, options: Any, moment: float) -> tuple[float, JsonDict] | None:
    """Return when to start the guest again (epoch s) and the ``restarts`` to remember; None: it stays stopped.

    *options*: ``[compute]``. Restarts that lie ``restart_reset`` seconds back, or more, are forgotten; after
    ``restart_limit`` of them it is the end.
    """
    wanted = policy(server)
    if wanted == NEVER or (wanted == ON_FAILURE and power is not PowerState.CRASHED):
        return None
    kept = (server.system_metadata or {}).get("restarts") or {}
    count = int(kept.get("count", 0))
    if moment - float(kept.get("last", 0.0)) >= options.restart_reset:
        count = 0
    if count >= options.restart_limit:
        return None
    due = moment + min(LONGEST_S, options.restart_delay * 2**count)
    return due, {"count": count + 1, "last": due}
