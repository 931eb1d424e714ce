"""Waiting for a server: until it is as wished, gone, or in ERROR."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from nova_lite.cli.connection import Connection
from nova_lite.cli.faults import ApiError, CommandError, Unreachable
from nova_lite.cli.hostile import clean
from nova_lite.cli.progress import Progress

TIMEOUT_S = 600
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 1.0
_GROWTH = 1.3
_AWAY = (502, 503, 504)
_PATIENCE_S = 60.0
"""How long the service may be away while we wait: it goes on with its work when it has been started again."""


class _Whatever(Collection[str]):
    """Every status."""

    def __contains__(self, status: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 1


WHATEVER = _Whatever()
"""For a wait that ends well as soon as nothing is under way."""


def add_options(parser: Any, what: str) -> None:
    """Add ``--wait`` and ``--timeout``."""
    parser.add_argument(
        "--wait", "--poll", action="store_true", help=f"wait {what}; ERROR ends it at once, exit code 1"
    )
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_S, metavar="SECONDS", help=f"how long to wait (default: {TIMEOUT_S})"
    )


def until(
    connection: Connection, server_id: str, wanted: Collection[str], progress: Progress, timeout_s: float
) -> dict[str, Any]:
    """Wait until nothing is under way with a server; return it.

    :param wanted: the statuses that are success; empty: that it is gone (an empty dict is returned).
    :raises CommandError: it ended otherwise (with its fault), or the time is over.
    """
    deadline = time.monotonic() + timeout_s
    answered = time.monotonic()
    pause = _FIRST_PAUSE_S
    while True:
        try:
            server: dict[str, Any] = connection.compute.get(f"servers/{server_id}")["server"]
        except (ApiError, Unreachable) as error:
            if isinstance(error, ApiError) and error.status == 404 and not wanted:
                return {}
            if isinstance(error, ApiError) and error.status not in _AWAY:
                raise
            if time.monotonic() > min(answered + _PATIENCE_S, deadline):
                raise
            progress.say("the service does not answer; waiting for it")
            time.sleep(_LONGEST_PAUSE_S)
            continue
        answered = time.monotonic()
        status, task = server["status"], server.get("OS-EXT-STS:task_state")
        progress.say(f"{server['name']}: {status}{f' ({task})' if task else ''}")
        if status in wanted and task is None:
            # What failed may have left the server as it was before.
            if failure := _last_message(connection, server_id):
                raise CommandError(f"{_named(server)} is {status}, but the last action failed: {failure}")
            return server
        # A server in ERROR with a task is being deleted or rebooted: that is how one gets out of it.
        if task is None and (status in ("ERROR", "DELETED") or (wanted and status != "BUILD")):
            raise CommandError(_ended(connection, server))
        if time.monotonic() + pause > deadline:
            after = " (nothing is given up: it goes on)" if task else ""
            raise CommandError(f"{_named(server)} is {status} still after {timeout_s:g} s{after}.")
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST_PAUSE_S)


def told(command: Any, parsed_args: Any, server_id: str, wanted: Collection[str]) -> dict[str, Any]:
    """Wait for a server as the options of *command* say, with its progress; an empty dict where nobody asked to wait.

    :raises CommandError: see :func:`until`.
    """
    if not parsed_args.wait:
        command.app.tell(f"{parsed_args.server}: {command.cmd_name.removeprefix('server ')} is accepted")
        return {}
    with Progress(command.app.stderr, enabled=bool(command.app.options.verbose_level)) as progress:
        end = until(command.connection, server_id, wanted, progress, parsed_args.timeout)
        progress.end(f"{parsed_args.server}: {end.get('status', 'gone')}")
    return end


def _named(server: Mapping[str, Any]) -> str:
    return clean(f"Server {server['name']} ({server['id']})")


def _ended(connection: Connection, server: Mapping[str, Any]) -> str:
    """Say how a server ended, and why: by its fault or, where it has none, by what was last done to it."""
    fault = server.get("fault") or {}
    reason = str(fault.get("message") or "") or _last_message(connection, server["id"])
    details = str(fault.get("details") or "").strip().splitlines()
    if details and details[-1] not in reason:
        reason += f" [{details[-1].strip()}]"
    why = f": {' '.join(clean(reason).split())}" if reason else ""
    return f"{_named(server)} ended {server['status']}{why}"


def _last_message(connection: Connection, server_id: str) -> str:
    try:
        actions = connection.compute.get(f"servers/{server_id}/os-instance-actions", limit=1)["instanceActions"]
    except CommandError:
        return ""
    if not actions or not actions[0].get("message"):
        return ""
    return f"{actions[0]['action']}: {actions[0]['message']} ({actions[0]['request_id']})"
