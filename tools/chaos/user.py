"""The user of a cloud that is being killed: asks for servers and actions, and asks again when no answer came."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
import uuid
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import action_requests
import options
from action_requests import LIVE
from sqlalchemy import select
from template import FLAVORS, IMAGES

from nova_lite.compute import kinds
from nova_lite.compute.transitions import TRANSITIONS
from nova_lite.db.models import Port, Server
from nova_lite.db.store import Store
from nova_lite.virt import refusals
from nova_lite.virt.fake import FakeDriver

ABILITIES = {"rescue": "rescue", "trigger_crash_dump": "crash_dump", "resize-live": "resize_live"}
"""Actions that not every kind of guest has, as ``nova_lite.virt.refusals`` calls them."""
AT_ONCE = 3
MOST_SERVERS = 20
PATIENCE_S = 20.0
"""How long a request is asked again."""


@dataclass
class User:
    """Asks, ``AT_ONCE`` requests at a time, until it is stopped. ``asked``: requests by action; ``answers``: by status, 0: none."""

    port: int
    store: Store
    driver: FakeDriver
    chance: random.Random
    token: str = ""
    asked: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    crashed: set[str] = field(default_factory=set)
    odd: list[str] = field(default_factory=list)
    """Answers that no request should get."""

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._number = itertools.count()
        chances = [random.Random(self.chance.getrandbits(32)) for _ in range(AT_ONCE)]
        self._threads = [threading.Thread(target=self._run, args=(chance,), daemon=True) for chance in chances]

    def start(self) -> None:
        """Begin to ask."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ask for nothing new; returns when the last request was answered or given up."""
        self._stop.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(PATIENCE_S + 10)

    def login(self) -> None:
        """Get a token."""
        user = {"name": "admin", "password": options.PASSWORD, "domain": {"id": "default"}}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        answer = self._ask("POST", "/identity/v3/auth/tokens", body)
        assert answer is not None and answer[0] == 201, answer
        self.token = answer[2]

    def delete(self, server_id: str) -> None:
        """Delete a server for good."""
        self._ask(
            "POST", f"/compute/v2.1/servers/{server_id}/action", action_requests.body("delete", image="", flavor="")
        )

    def _run(self, chance: random.Random) -> None:
        while not self._stop.is_set():
            try:
                self._do_something(chance)
            except Exception as error:
                self.odd.append(f"the user's own: {error!r}")
            time.sleep(chance.uniform(0, 0.03))

    def _do_something(self, chance: random.Random) -> None:
        with self.store.read() as session:
            rows = {row.id: row for row in session.query(Server).filter(Server.deleted.is_(False))}
        idle = sorted(one.id for one in rows.values() if one.task_state is None and one.vm_state != "building")
        if len(idle) < 4 or (len(rows) < MOST_SERVERS and chance.random() < 0.1):
            if len(rows) < MOST_SERVERS:
                self._create(chance)
            return
        # Most of what is asked of a busy server is refused; what interrupts is not.
        row = rows[chance.choice(idle if chance.random() < 0.9 else sorted(rows))]
        if row.id not in idle:
            self._interrupt(row, chance)
        else:
            self._do(row, chance)

    def _interrupt(self, row: Server, chance: random.Random) -> None:
        """Ask something of a server that is busy: a delete ends what is under way, a reboot is refused."""
        drawn = chance.random()
        if drawn < 0.4:
            self._act(row, "delete")
        elif drawn < 0.7:
            self._soft_delete(row)
        elif drawn < 0.8:
            self._reset(row)
        else:
            self._act(row, "reboot-hard")

    def _do(self, row: Server, chance: random.Random) -> None:
        drawn = chance.random()
        if drawn < 0.04:
            self._act(row, "delete")
        elif drawn < 0.08:
            self._soft_delete(row)
        elif drawn < 0.11 and row.vm_state == "active":
            self._crash(row.id)
        elif drawn < 0.13:
            self._reset(row)
        elif drawn < 0.18 and row.vm_state in TRANSITIONS["attach_interface"].allowed_from:
            self._change_interfaces(row, chance)
        else:
            fit = [name for name in action_requests.ACTIONS if self._fits(row, name)]
            if fit:
                self._act(row, chance.choice(fit))

    def _soft_delete(self, row: Server) -> None:
        self.asked["soft-delete"] += 1
        self._ask("DELETE", f"/compute/v2.1/servers/{row.id}")

    def _reset(self, row: Server) -> None:
        """Call a server broken, whatever it is doing. To call it active would be a lie that the next reconcile has to find out."""
        self.asked["resetState"] += 1
        self._ask("POST", f"/compute/v2.1/servers/{row.id}/action", {"os-resetState": {"state": "error"}}, row)

    def _fits(self, row: Server, action: str) -> bool:
        if action == "delete" or row.task_state is not None:
            return False
        if refusals.reason(row.kind, ABILITIES.get(action, "")) or (action, row.flavor["id"]) == (
            "resize-live",
            LIVE,
        ):
            return False
        return row.vm_state in TRANSITIONS[action].allowed_from

    def _crash(self, server_id: str) -> None:
        """Let a guest end by itself, as its own kernel would."""
        self.asked["restart"] += 1
        self.crashed.add(server_id)
        try:
            self.driver.crash(server_id)
        except Exception:  # it went meanwhile
            return

    def _change_interfaces(self, row: Server, chance: random.Random) -> None:
        """Attach another interface, or detach one."""
        with self.store.read() as session:
            ports = sorted(session.scalars(select(Port.id).where(Port.device_id == row.id)))
        action = "detach_interface" if len(ports) > 1 and chance.random() < 0.6 else "attach_interface"
        if row.vm_state != "stopped" and kinds.BY_TRANSITION[action].refusal(row.kind):
            return
        self.asked[action] += 1
        path = f"/compute/v2.1/servers/{row.id}/os-interface"
        if action == "attach_interface":
            self._ask("POST", path, {"interfaceAttachment": {}}, row)
        else:
            self._ask("DELETE", f"{path}/{chance.choice(ports)}", None, row)

    def _create(self, chance: random.Random) -> None:
        name = f"s{next(self._number)}"
        self.asked["create"] += 1
        image, flavor = chance.choice(sorted(IMAGES.values())), chance.choice(FLAVORS[:2])
        metadata = {"nova_lite:restart": "always"} if chance.random() < 0.5 else {}
        body = {"name": name, "imageRef": image, "flavorRef": flavor, "networks": "auto", "metadata": metadata}
        self._ask("POST", "/compute/v2.1/servers", {"server": body})

    def _act(self, row: Server, action: str) -> None:
        other = "large" if row.flavor["id"] != "large" else "small"
        body = action_requests.body(action, image=IMAGES[row.kind], flavor=other)
        self.asked[action] += 1
        self._ask("POST", f"/compute/v2.1/servers/{row.id}/action", body, row)

    def _ask(self, method: str, path: str, body: Any = None, row: Server | None = None) -> tuple[int, Any, str] | None:
        """Ask, with the same key each time, until there is an answer that is one. None: there was none in time.

        *row*: what the user took the server for.
        """
        headers = {"Content-Type": "application/json", "X-Auth-Token": self.token}
        headers |= {"OpenStack-API-Version": "compute 2.96", "Idempotency-Key": str(uuid.uuid4())}
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                status, answer, token = self._once(method, path, body, headers)
            except (OSError, http.client.HTTPException):
                self.answers[0] += 1
                time.sleep(0.02)
                continue
            self.answers[status] += 1
            if status >= 500 or (status == 409 and "Idempotency-Key is under way" in str(answer)):
                time.sleep(0.05)
                continue
            if status in (401, 403, 422) or (status == 400 and (row is None or not self._has_changed(row))):
                self.odd.append(f"{method} {path} {body}: {status} {answer}")
            return status, answer, token
        if self._stop.is_set() and not any(thread.is_alive() for thread in self._threads):
            # Nobody kills any more. Before that, a busy machine may be too slow to answer between two deaths.
            self.odd.append(f"{method} {path} {body}: no answer within {PATIENCE_S:.0f} s")
        return None

    def _has_changed(self, row: Server) -> bool:
        """Tell whether something was first, so that the user asked of a server what it is no more: to get the flavor that it now has, say."""
        with self.store.read() as session:
            return bool(session.get_one(Server, row.id).generation != row.generation)

    def _once(self, method: str, path: str, body: Any, headers: dict[str, str]) -> tuple[int, Any, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            raw = answer.read()
            is_json = "json" in (answer.headers.get("Content-Type") or "")
            value = json.loads(raw) if raw and is_json else raw.decode(errors="replace")
            return answer.status, value, answer.headers.get("X-Subject-Token") or ""
