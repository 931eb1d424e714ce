"""SECURITY.md's rules as far as they touch identity, beside those of logins and tokens."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from identity_cloud import ADMIN_PASSWORD, DEMO_PASSWORD, Cloud, open_cloud, password_body

from nova_lite.api.identity import ROUTES, policies
from nova_lite.db.types import now
from nova_lite.identity import keys, users
from nova_lite.identity.principal import Principal


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = open_cloud(tmp_path, **{"identity.lockout_attempts": 3, "identity.lockout_seconds": 1})
    yield made
    made.store.close()


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


def test_principals_cannot_be_changed() -> None:
    moment = now()
    who = Principal("u", "u", "d", "d", ("password",), ("a",), moment, moment)
    with pytest.raises(AttributeError):
        who.roles = ("admin",)  # type: ignore[misc]
