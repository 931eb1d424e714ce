"""How each action of the table of transitions is asked for: one table, for the tests that walk all of it and for ``tools/chaos``.

What is not here has no body in ``POST /servers/{id}/action``: ``create`` and ``adopt`` begin a server, ``soft-delete`` is a DELETE,
``attach_interface`` and ``detach_interface`` are ``os-interface``'s, ``restart`` is what a guest's end brings about.
"""

from __future__ import annotations

from typing import Any

LIVE = "live"
"""The flavor that a live resize goes to; its extra specs are ``LIVE_SPECS``."""
LIVE_SPECS = {"nova_lite:live": "true"}

_BODIES: dict[str, Any] = {
    "start": {"os-start": None},
    "stop": {"os-stop": None},
    "reboot-soft": {"reboot": {"type": "SOFT"}},
    "reboot-hard": {"reboot": {"type": "HARD"}},
    "pause": {"pause": None},
    "unpause": {"unpause": None},
    "suspend": {"suspend": None},
    "resume": {"resume": None},
    "resize-live": {"resize": {"flavorRef": LIVE}},
    "confirmResize": {"confirmResize": None},
    "revertResize": {"revertResize": None},
    "createImage": {"createImage": {"name": "shot"}},
    "createBackup": {"createBackup": {"name": "backup", "backup_type": "daily", "rotation": 1}},
    "rescue": {"rescue": None},
    "unrescue": {"unrescue": None},
    "shelve": {"shelve": None},
    "shelveOffload": {"shelveOffload": None},
    "unshelve": {"unshelve": None},
    "restore": {"restore": None},
    "trigger_crash_dump": {"trigger_crash_dump": None},
    "delete": {"forceDelete": None},
}
_STATUS = {"rescue": 200, "confirmResize": 204}

ACTIONS = (*_BODIES, "rebuild", "resize")
"""All that can be asked for here, by its name in the table of transitions."""


def body(action: str, *, image: str, flavor: str) -> Any:
    """Return the request's body: a rebuild is from *image*, an ordinary resize to *flavor*."""
    if action == "rebuild":
        return {"rebuild": {"imageRef": image}}
    if action == "resize":
        return {"resize": {"flavorRef": flavor}}
    return _BODIES[action]


def accepted(action: str) -> int:
    """Return the status of the answer when the action is taken."""
    return _STATUS.get(action, 202)
