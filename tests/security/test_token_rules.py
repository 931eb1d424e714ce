"""Tokens: they end when what they stand for does, can't be made or changed, and mint nothing that they do not hold."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from identity_cloud import DEMO_PASSWORD, Cloud, open_cloud
from sqlalchemy import delete, func, select

from nova_lite.db.types import now
from nova_lite.identity import keys, projects, roles, tokens, users

LIFETIME = 3600


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = open_cloud(tmp_path, **{"identity.lockout_attempts": 3, "identity.lockout_seconds": 1})
    yield made
    made.store.close()


# What is taken away ends tokens everywhere within 5 s, at once where it is done.


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Cloud, Cloud]]:
    """Two API processes' front doors on one cloud, each with its own view of revocations."""
    first = open_cloud(tmp_path, **{"identity.revocation_refresh": 0.3})
    yield first, first.second_door()
    first.store.close()


def _ends(two: tuple[Cloud, Cloud], token: str, action: Any) -> None:
    here, there = two
    assert here.accepts(token)
    assert there.accepts(token)
    action()
    begun = time.monotonic()
    while here.accepts(token) or there.accepts(token):
        assert time.monotonic() - begun < 60, "it still works somewhere"
        time.sleep(0.05)


def test_revoked_token(two: tuple[Cloud, Cloud]) -> None:
    token, other = two[0].token("demo"), two[0].token("demo")
    _ends(two, token, lambda: two[0].ask("DELETE", "/v3/auth/tokens", token=token, X_Subject_Token=token))
    assert two[1].accepts(other)


def test_disabled_user(two: tuple[Cloud, Cloud]) -> None:
    cloud = two[0]
    user = cloud.user_id("demo")
    token = cloud.token("demo")
    _ends(two, token, lambda: cloud.store.transact(lambda session: users.set_enabled(session, LIFETIME, user, False)))
    cloud.store.transact(lambda session: users.set_enabled(session, LIFETIME, user, True))
    assert not cloud.accepts(token), "what ended stays ended"
    assert cloud.accepts(cloud.token("demo"))


def test_changed_password(two: tuple[Cloud, Cloud]) -> None:
    cloud = two[0]
    body = {"user": {"original_password": DEMO_PASSWORD, "password": "another"}}
    path = f"/v3/users/{cloud.user_id('demo')}/password"
    _ends(two, cloud.token("demo"), lambda: cloud.ask("POST", path, body))


def test_withdrawn_role(two: tuple[Cloud, Cloud]) -> None:
    cloud = two[0]
    admin = cloud.user_id("admin")
    demo_scope = {"project": {"name": "demo", "domain": {"id": "default"}}}
    token, other = cloud.token("admin", scope=demo_scope), cloud.token("admin")
    project = cloud.log_in("demo").json["token"]["project"]["id"]
    with cloud.store.read() as session:
        role = roles.list_all(session, "admin")[0].id

    def withdraw() -> None:
        assert cloud.store.transact(
            lambda session: roles.withdraw(session, LIFETIME, admin, role, roles.PROJECT, project)
        )

    _ends(two, token, withdraw)
    assert two[1].accepts(other)
    assert cloud.log_in("admin", scope=demo_scope).status_int == 401


def test_disabled_project(two: tuple[Cloud, Cloud]) -> None:
    cloud = two[0]
    project = cloud.log_in("demo").json["token"]["project"]["id"]
    _ends(
        two,
        cloud.token("demo"),
        lambda: cloud.store.transact(lambda session: projects.set_enabled(session, LIFETIME, project, False)),
    )
    assert cloud.log_in("demo").status_int == 401


def test_no_login_slips_past_a_change_of_password(tmp_path: Path) -> None:
    """Logins and a change of password race; whatever token was got with the old one must be dead afterwards."""
    cloud = open_cloud(tmp_path, **{"identity.revocation_refresh": 0.1, "identity.lockout_attempts": 0})
    user = cloud.user_id("demo")
    old = DEMO_PASSWORD
    for turn in range(4):
        new = f"turn-{turn}"
        with ThreadPoolExecutor(6) as pool:
            logins = [pool.submit(cloud.log_in, "demo", old) for _ in range(12)]
            body = {"user": {"original_password": old, "password": new}}
            changed = pool.submit(cloud.ask, "POST", f"/v3/users/{user}/password", body)
            logins += [pool.submit(cloud.log_in, "demo", old) for _ in range(12)]
            assert changed.result().status_int == 204
        got = [r.result().headers["X-Subject-Token"] for r in logins if r.result().status_int == 201]
        time.sleep(0.2)
        assert [token for token in got if cloud.accepts(token)] == []
        old = new
    cloud.store.close()


# A delegated credential never mints more than it holds.


def test_a_token_never_mints_a_longer_life(cloud: Cloud) -> None:
    token = cloud.token("admin", scope={"unscoped": {}})
    end = cloud.ask("GET", "/v3/auth/tokens", token=token, X_Subject_Token=token).json["token"]["expires_at"]
    for _ in range(4):
        time.sleep(0.3)
        response = cloud.rescope(token, {"project": {"name": "admin", "domain": {"id": "default"}}})
        assert response.json["token"]["expires_at"] == end
        token = response.headers["X-Subject-Token"]


def test_a_token_mints_only_what_its_user_has(cloud: Cloud) -> None:
    token = cloud.token("demo")
    for scope in (
        {"project": {"name": "admin", "domain": {"id": "default"}}},
        {"domain": {"id": "default"}},
        {"system": {"all": True}},
    ):
        assert cloud.rescope(token, scope).status_int == 401
    again = cloud.rescope(token, {"project": {"name": "demo", "domain": {"id": "default"}}}).json["token"]
    assert [role["name"] for role in again["roles"]] == ["member", "reader"]


def test_a_revoked_token_mints_nothing_though_this_process_has_not_heard(tmp_path: Path) -> None:
    here = open_cloud(tmp_path, **{"identity.revocation_refresh": 5.0})
    there = here.second_door()
    token = here.token("demo")
    assert there.accepts(token)
    here.ask("DELETE", "/v3/auth/tokens", token=token, X_Subject_Token=token)
    assert there.accepts(token), "the other process has not read the table yet"
    assert there.rescope(token, {"unscoped": {}}).status_int == 401
    here.store.close()


# Tokens can't be made, changed or outlived.


def test_tampered_tokens(cloud: Cloud) -> None:
    token = cloud.token("demo")
    for position in range(0, len(token) - 2, 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert not cloud.accepts(changed), position
    stranger = Fernet(Fernet.generate_key())
    payload = tokens.pack(cloud.services.authenticator.validate(token))
    for forged in (
        stranger.encrypt(payload).decode(),
        base64.urlsafe_b64encode(payload).decode(),
        token[:-8],
        "gAAAAA" + "A" * 200,
        "x" * 9000,
        "\u00e9" * 20,
        "=",
    ):
        with pytest.raises(Exception, match="requires authentication"):
            cloud.services.authenticator.validate(forged)


def test_an_expired_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime

    cloud = open_cloud(tmp_path)
    token = cloud.token("demo")
    assert cloud.accepts(token)
    later = now() + datetime.timedelta(seconds=cloud.conf.identity.token_lifetime + 1)
    monkeypatch.setattr("nova_lite.identity.tokens.now", lambda: later)
    assert not cloud.accepts(token)
    cloud.store.close()


def test_a_key_that_is_gone_takes_its_tokens_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_AGAIN_S", 0.0)
    cloud = open_cloud(tmp_path)
    token = cloud.token("demo")
    directory = keys.key_repository(cloud.conf)
    keys.rotate(directory, 3)
    assert cloud.accepts(token), "one rotation later it is still good"
    fresh = cloud.token("demo")
    keys.rotate(directory, 3)
    keys.rotate(directory, 3)
    assert not cloud.accepts(token)
    keys.rotate(directory, 3)
    assert not cloud.accepts(fresh)
    cloud.store.close()


# Memory is bounded before authentication.


def test_checked_tokens_are_forgotten_in_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "CACHE_SIZE", 5)
    authenticator = cloud.services.authenticator
    for _ in range(8):
        authenticator.validate(cloud.token("demo"))
    assert len(authenticator._checked) == 5  # type: ignore[attr-defined]
    for number in range(20):
        with pytest.raises(Exception, match="requires authentication"):
            authenticator.validate(f"made-up-{number}")
    assert len(authenticator._checked) == 5  # type: ignore[attr-defined]


def test_a_silent_database_lets_nobody_in(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from nova_lite.db.models import Base
    from nova_lite.errors import Unavailable
    from nova_lite.identity import revocations

    token = cloud.token("demo")
    assert cloud.accepts(token)
    monkeypatch.setattr(revocations, "BOUND_S", 0.2)
    cloud.services.authenticator.revocations._refresh_s = 0.1  # type: ignore[attr-defined]
    Base.metadata.tables["revocations"].drop(cloud.store.engine)
    time.sleep(0.3)
    with pytest.raises(Unavailable):
        cloud.services.authenticator.validate(token)


def test_what_ended_is_forgotten_when_its_tokens_would_have_ended(cloud: Cloud) -> None:
    import datetime

    from nova_lite.db.models import Revocation

    old = Revocation(audit_id="x", expires_at=now() - datetime.timedelta(seconds=1))
    cloud.store.transact(lambda session: session.add(old))
    token = cloud.token("demo")
    cloud.ask("DELETE", "/v3/auth/tokens", token=token, X_Subject_Token=token)
    with cloud.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Revocation)) == 1
    cloud.store.transact(lambda session: session.execute(delete(Revocation)))
