"""``/os-instance_usage_audit_log``: which hosts have reported their use of the last month.

Nothing here sends such notifications, so no host ever has: that is what is shown.
"""

from __future__ import annotations

import datetime
from typing import Any

from nova_lite.api.context import Call
from nova_lite.compute import hosts
from nova_lite.db.types import now
from nova_lite.errors import Invalid


def index(call: Call) -> dict[str, Any]:
    """Show the last whole month."""
    return {"instance_usage_audit_logs": _log(call, now())}


def show(call: Call) -> dict[str, Any]:
    """Show the last whole month before a moment."""
    text = call.params["before"]
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(f"Invalid timestamp for date {text[:64]}", "usage.datetime") from None
    return {"instance_usage_audit_log": _log(call, moment)}


def _log(call: Call, moment: datetime.datetime) -> dict[str, Any]:
    names = [host.name for host in hosts.find(call.store)]
    end = datetime.datetime(moment.year, moment.month, 1)
    begin = (end - datetime.timedelta(days=1)).replace(day=1) if end > datetime.datetime.min else end
    return {
        "period_beginning": str(begin),
        "period_ending": str(end),
        "num_hosts": len(names),
        "num_hosts_done": 0,
        "num_hosts_running": 0,
        "num_hosts_not_run": len(names),
        "hosts_not_run": names,
        "total_instances": 0,
        "total_errors": 0,
        "overall_status": f"0 of {len(names)} hosts done. 0 errors.",
        "log": {},
    }
