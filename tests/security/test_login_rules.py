"""Logins: who guesses learns nothing, and not for long."""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from identity_cloud import ADMIN_PASSWORD, DEMO_PASSWORD, Cloud, open_cloud, password_body
from sqlalchemy import func, select

from nova_lite.db.models import LoginFailure
from nova_lite.db.types import now
from nova_lite.identity import attempts, users

LIFETIME = 3600


LOCKED_S = 600


class Clock:
    """The time as the count of failed logins has it: it goes on when a test says so as well."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> datetime.datetime:
        return now() + datetime.timedelta(seconds=self.ahead_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(attempts, "now", made.now)
    return made


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = open_cloud(tmp_path, **{"identity.lockout_attempts": 3, "identity.lockout_seconds": LOCKED_S})
    yield made
    made.store.close()


def _same(responses: list[Any]) -> None:
    shown = {(r.status_int, r.body, tuple(sorted(set(r.headers) - {"X-OpenStack-Request-ID"}))) for r in responses}
    assert len(shown) == 1, shown
    assert responses[0].status_int == 401


# Unknown user, wrong password and locked account look and last alike; attempts are limited.


def test_every_refused_login_looks_alike(cloud: Cloud) -> None:
    refused = [
        cloud.log_in("nobody", "x"),
        cloud.log_in("demo", "x"),
        cloud.log_in("demo", DEMO_PASSWORD, {"project": {"id": "nothing"}}),
        cloud.log_in("demo", DEMO_PASSWORD, {"project": {"name": "admin", "domain": {"id": "default"}}}),
        cloud.log_in("demo", DEMO_PASSWORD, {"system": {"all": True}}),
    ]
    for _ in range(3):
        cloud.log_in("admin", "x")
    refused.append(cloud.log_in("admin", ADMIN_PASSWORD))
    cloud.store.transact(lambda session: users.set_enabled(session, LIFETIME, cloud.user_id("demo"), False))
    refused.append(cloud.log_in("demo", DEMO_PASSWORD))
    elsewhere = password_body("demo", DEMO_PASSWORD)
    elsewhere["auth"]["identity"]["password"]["user"]["domain"] = {"name": "nothing"}
    refused.append(cloud.ask("POST", "/v3/auth/tokens", elsewhere))
    _same(refused)


def test_every_refused_login_lasts_alike(tmp_path: Path) -> None:
    """At OWASP's strength, where a missing hash would show as 50 ms: processor time, which no other program makes longer."""
    overrides = {"identity.bcrypt_rounds": 10, "identity.lockout_attempts": 4, "identity.lockout_seconds": 600}
    cloud = open_cloud(tmp_path, **overrides)
    for _ in range(4):
        cloud.log_in("admin", "x")
    attempts: dict[str, Callable[[], Any]] = {
        "unknown user": lambda: cloud.log_in("nobody", "x"),
        "wrong password": lambda: cloud.log_in("demo", "x"),
        "locked, wrong": lambda: cloud.log_in("admin", "x"),
        "locked, right": lambda: cloud.log_in("admin", ADMIN_PASSWORD),
    }
    for _ in range(5):  # what else a loaded machine does is not the same each time
        times: dict[str, list[float]] = {name: [] for name in attempts}
        for _ in range(7):
            for name, attempt in attempts.items():
                begun = time.thread_time()
                assert attempt().status_int == 401
                times[name].append(time.thread_time() - begun)
        medians = {name: statistics.median(taken) for name, taken in times.items()}
        if min(medians.values()) > 0.7 * max(medians.values()):
            break
    else:
        raise AssertionError(medians)
    cloud.store.close()


def test_a_name_is_refused_after_failures_and_let_in_again_later(cloud: Cloud, clock: Clock) -> None:
    for _ in range(3):
        cloud.log_in("demo", "x")
    assert cloud.log_in("demo").status_int == 401
    by_id = {"id": cloud.user_id("demo"), "password": DEMO_PASSWORD}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": by_id}}}}
    assert cloud.ask("POST", "/v3/auth/tokens", body).status_int == 401, "another way to name the same account"
    change = {"user": {"original_password": DEMO_PASSWORD, "password": "new"}}
    assert cloud.ask("POST", f"/v3/users/{by_id['id']}/password", change).status_int == 401
    assert cloud.log_in("admin").status_int == 201
    clock.ahead_s = LOCKED_S
    assert cloud.log_in("demo").status_int == 201


def test_guessing_does_not_keep_an_account_locked(cloud: Cloud, clock: Clock) -> None:
    for _ in range(3):
        cloud.log_in("demo", "x")
    for tenth in range(1, 9):
        clock.ahead_s = LOCKED_S * tenth / 10
        cloud.log_in("demo", "x")
    assert cloud.log_in("demo").status_int == 401, "it is locked"
    clock.ahead_s = LOCKED_S
    assert cloud.log_in("demo").status_int == 201, "a lock lasts from the failure that made it, not from the last guess"


def test_guesses_at_once_do_not_get_past_the_limit(tmp_path: Path) -> None:
    """Thirty attempts start before any has failed; the right one comes among the last to end and is refused too."""
    cloud = open_cloud(tmp_path, **{"identity.lockout_attempts": 3, "identity.lockout_seconds": 600})
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda n: cloud.log_in("demo", f"guess {n}").status_int, range(30)))
    assert set(statuses) == {401}
    assert cloud.log_in("demo").status_int == 401
    cloud.store.close()


def test_a_login_forgets_failures(cloud: Cloud) -> None:
    for _ in range(5):
        assert cloud.log_in("demo", "x").status_int == 401
        assert cloud.log_in("demo").status_int == 201


def test_made_up_names_do_not_fill_the_table(cloud: Cloud, clock: Clock) -> None:
    for number in range(20):
        cloud.log_in(f"nobody-{number}", "x")
    clock.ahead_s = LOCKED_S
    cloud.log_in("nobody", "x")
    with cloud.store.read() as session:
        assert session.scalar(select(func.count()).select_from(LoginFailure)) == 1
