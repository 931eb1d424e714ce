"""``/os-instance_usage_audit_log``: which hosts have reported their use of the last month.

No host here is one that records it, so the log is of none: what Nova shows where ``instance_usage_audit`` is off, its default.
"""

from __future__ import annotations

import datetime
from typing import Any

from nova_lite.api.context import Call
from nova_lite.db.types import now
from nova_lite.errors import Invalid


def index(_call: Call) -> dict[str, Any]:
    """Show the last whole month."""
    return {"instance_usage_audit_logs": _log(now())}


def show(call: Call) -> dict[str, Any]:
    """Show the last whole month before a moment."""
    text = call.params["before"]
    try:
        moment = datetime.datetime.strptime(text, "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S")
    except ValueError:
        raise Invalid(f"Invalid timestamp for date {text[:64]}", "usage.datetime") from None
    return {"instance_usage_audit_log": _log(moment)}


def _log(moment: datetime.datetime) -> dict[str, Any]:
    end = datetime.datetime(moment.year, moment.month, 1)
    begin = (end - datetime.timedelta(days=1)).replace(day=1) if end > datetime.datetime.min else end
    return {
        "period_beginning": str(begin),
        "period_ending": str(end),
        "num_hosts": 0,
        "num_hosts_done": 0,
        "num_hosts_running": 0,
        "num_hosts_not_run": 0,
        "hosts_not_run": [],
        "total_instances": 0,
        "total_errors": 0,
        "overall_status": "ALL hosts done. 0 errors.",
        "log": {},
    }
