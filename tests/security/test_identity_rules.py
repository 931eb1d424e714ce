"""SECURITY.md's rules as far as they touch identity, one test or more for each."""

from __future__ import annotations

import base64
import logging
import stat
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from identity_cloud import ADMIN_PASSWORD, DEMO_PASSWORD, Cloud, open_cloud, password_body
from sqlalchemy import delete, func, select

from nova_lite.api.identity import ROUTES, policies
from nova_lite.db.models import LoginFailure
from nova_lite.db.types import now
from nova_lite.identity import keys, projects, roles, tokens, users
from nova_lite.identity.principal import Principal

LIFETIME = 3600


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = open_cloud(tmp_path, **{"identity.lockout_attempts": 3, "identity.lockout_seconds": 1})
    yield made
    made.store.close()


def _works(cloud: Cloud, token: str) -> bool:
    return bool(cloud.ask("GET", "/v3/auth/projects", token=token).status_int == 200)


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
    times: dict[str, list[float]] = {name: [] for name in attempts}
    for _ in range(7):
        for name, attempt in attempts.items():
            begun = time.thread_time()
            assert attempt().status_int == 401
            times[name].append(time.thread_time() - begun)
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    assert min(medians.values()) > 0.7 * max(medians.values()), medians
    cloud.store.close()


def test_a_name_is_refused_after_failures_and_let_in_again_later(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.log_in("demo", "x")
    assert cloud.log_in("demo").status_int == 401
    by_id = {"id": cloud.user_id("demo"), "password": DEMO_PASSWORD}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": by_id}}}}
    assert cloud.ask("POST", "/v3/auth/tokens", body).status_int == 401, "another way to name the same account"
    change = {"user": {"original_password": DEMO_PASSWORD, "password": "new"}}
    assert cloud.ask("POST", f"/v3/users/{by_id['id']}/password", change).status_int == 401
    assert cloud.log_in("admin").status_int == 201
    time.sleep(1.1)
    assert cloud.log_in("demo").status_int == 201


def test_guessing_does_not_keep_an_account_locked(cloud: Cloud) -> None:
    end = time.monotonic() + 1.3
    while time.monotonic() < end:
        cloud.log_in("demo", "x")
    # At the latest one lock after the guessing ended; a lock that guesses prolong would last from the last guess.
    time.sleep(0.9)
    cloud.log_in("demo")
    with cloud.store.read() as session:
        row = session.scalar(select(LoginFailure))
    assert row is None or row.count < 1000


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


def test_made_up_names_do_not_fill_the_table(cloud: Cloud) -> None:
    for number in range(20):
        cloud.log_in(f"nobody-{number}", "x")
    time.sleep(1.1)
    cloud.log_in("nobody", "x")
    with cloud.store.read() as session:
        assert session.scalar(select(func.count()).select_from(LoginFailure)) == 1


# What is taken away ends tokens everywhere within 5 s, at once where it is done.


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Cloud, Cloud]]:
    """Two API processes' front doors on one cloud, each with its own view of revocations."""
    first = open_cloud(tmp_path, **{"identity.revocation_refresh": 0.3})
    yield first, first.second_door()
    first.store.close()


def _ends(two: tuple[Cloud, Cloud], token: str, action: Any) -> None:
    here, there = two
    assert _works(here, token)
    assert _works(there, token)
    action()
    begun = time.monotonic()
    while _works(here, token) or _works(there, token):
        assert time.monotonic() - begun < 5, "it still works somewhere"
        time.sleep(0.05)


def test_revoked_token(two: tuple[Cloud, Cloud]) -> None:
    token, other = two[0].token("demo"), two[0].token("demo")
    _ends(two, token, lambda: two[0].ask("DELETE", "/v3/auth/tokens", token=token, X_Subject_Token=token))
    assert _works(two[1], other)


def test_disabled_user(two: tuple[Cloud, Cloud]) -> None:
    cloud = two[0]
    user = cloud.user_id("demo")
    token = cloud.token("demo")
    _ends(two, token, lambda: cloud.store.transact(lambda session: users.set_enabled(session, LIFETIME, user, False)))
    cloud.store.transact(lambda session: users.set_enabled(session, LIFETIME, user, True))
    assert not _works(cloud, token), "what ended stays ended"
    assert _works(cloud, cloud.token("demo"))


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
    assert _works(two[1], other)
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
        assert [token for token in got if _works(cloud, token)] == []
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
    assert _works(there, token)
    here.ask("DELETE", "/v3/auth/tokens", token=token, X_Subject_Token=token)
    assert _works(there, token), "the other process has not read the table yet"
    assert there.rescope(token, {"unscoped": {}}).status_int == 401
    here.store.close()


# Tokens can't be made, changed or outlived.


def test_tampered_tokens(cloud: Cloud) -> None:
    token = cloud.token("demo")
    for position in range(0, len(token) - 2, 7):
        changed = token[:position] + ("A" if token[position] != "A" else "B") + token[position + 1 :]
        assert not _works(cloud, changed), position
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
    assert _works(cloud, token)
    later = now() + datetime.timedelta(seconds=cloud.conf.identity.token_lifetime + 1)
    monkeypatch.setattr("nova_lite.identity.tokens.now", lambda: later)
    assert not _works(cloud, token)
    cloud.store.close()


def test_a_key_that_is_gone_takes_its_tokens_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_AGAIN_S", 0.0)
    cloud = open_cloud(tmp_path)
    token = cloud.token("demo")
    directory = keys.key_repository(cloud.conf)
    keys.rotate(directory, 3)
    assert _works(cloud, token), "one rotation later it is still good"
    fresh = cloud.token("demo")
    keys.rotate(directory, 3)
    keys.rotate(directory, 3)
    assert not _works(cloud, token)
    keys.rotate(directory, 3)
    assert not _works(cloud, fresh)
    cloud.store.close()


def test_secrets_lie_where_only_we_can_read(cloud: Cloud) -> None:
    directory = keys.key_repository(cloud.conf)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in directory.iterdir())
    for path in directory.parent.glob("nova-lite.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


# Tokens and passwords never reach a log.


def test_no_secret_in_any_log(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    token = cloud.token("demo")
    second = cloud.rescope(token, {"unscoped": {}}).headers["X-Subject-Token"]
    cloud.log_in("demo", "wrong-secret-91")
    cloud.log_in("secret-typed-as-name", "wrong-secret-91")
    cloud.ask("POST", "/v3/auth/tokens", b'{"password": "broken-secret-17"')
    body = password_body("demo", DEMO_PASSWORD)
    body["auth"]["identity"]["password"]["user"]["domain"] = "secret-in-wrong-place"
    cloud.ask("POST", "/v3/auth/tokens", body)
    change = {"user": {"original_password": DEMO_PASSWORD, "password": "brand-new-secret"}}
    cloud.ask("POST", f"/v3/users/{cloud.user_id('demo')}/password", change)
    cloud.ask("DELETE", "/v3/auth/tokens", token=cloud.token("admin"), X_Subject_Token=second)
    cloud.ask("GET", "/v3/auth/projects", token="gAAAAABsomething-that-is-no-token")
    hashes = []
    with cloud.store.read() as session:
        hashes = [row.password_hash or "-" for row in users.list_all(session)]
    assert len(caplog.text) > 500
    for secret in (
        token,
        second,
        DEMO_PASSWORD,
        ADMIN_PASSWORD,
        "wrong-secret-91",
        "broken-secret-17",
        "secret-typed-as-name",
        "brand-new-secret",
        "gAAAAABsomething",
        *hashes,
    ):
        assert secret not in caplog.text


def test_a_refusal_never_repeats_the_password(cloud: Cloud) -> None:
    body = password_body("demo", "")
    user = body["auth"]["identity"]["password"]["user"]
    for wrong in ({**user, "password": ["secret-in-a-list"]}, {**user, "password": "secret" * 1000}):
        body["auth"]["identity"]["password"]["user"] = wrong
        response = cloud.ask("POST", "/v3/auth/tokens", body)
        assert response.status_int == 400
        assert "secret" not in response.text


def test_objects_that_hold_secrets_do_not_show_them() -> None:
    from nova_lite.identity.bootstrap import Account
    from nova_lite.identity.login import PasswordCredentials

    assert "s3" not in repr(Account("a", "s3")) + repr(PasswordCredentials("s3"))


# Identity headers from outside are lies.


def test_identity_headers_count_for_nothing(cloud: Cloud) -> None:
    lies = {"X_Roles": "admin", "X_User_Id": "x", "X_Project_Id": "x", "X_Identity_Status": "Confirmed"}
    assert cloud.ask("GET", "/v3/users", **lies).status_int == 401
    assert cloud.ask("GET", "/v3/users", token=cloud.token("demo"), **lies).status_int == 403


# Every route has a rule, and none that is unknown.


def test_every_route_has_a_rule() -> None:
    known = {rule.name for rule in policies.RULES}
    for route in ROUTES:
        assert route.open or route.rule in known, route.path
    used = {route.rule for route in ROUTES if route.rule}
    assert used == known, "a rule that guards nothing"


def test_nobodys_project_is_not_the_project_of_those_who_have_none(cloud: Cloud) -> None:
    """oslo.policy compares as text, where no project would equal no project."""
    moment = now()

    def member(**scope: str) -> Principal:
        return Principal("u", "u", "d", "d", ("password",), ("a",), moment, moment, ("member", "reader"), **scope)

    policy = cloud.services.policy
    assert policy.allows("project_member", member(project_id="p"))
    assert policy.allows("project_member", member(project_id="p"), {"project_id": "p"})
    for who in (member(), member(domain_id="d", domain_name="d"), member(system_scope="all")):
        for target in (None, {"project_id": None}, {"project_id": "None"}, {}):
            assert not policy.allows("project_member", who, target)
    assert not policy.allows("project_member", member(project_id="p"), {"project_id": None})


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
    assert _works(cloud, token)
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


def test_principals_cannot_be_changed() -> None:
    moment = now()
    who = Principal("u", "u", "d", "d", ("password",), ("a",), moment, moment)
    with pytest.raises(AttributeError):
        who.roles = ("admin",)  # type: ignore[misc]
