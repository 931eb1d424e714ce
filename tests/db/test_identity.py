"""What identity leaves to the database's locks, on each database for real."""

from __future__ import annotations

import datetime
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from nova_lite import conf as configuration
from nova_lite.db.models import Assignment, LoginFailure, Project, Revocation, Role, User
from nova_lite.db.store import Store
from nova_lite.db.types import now
from nova_lite.errors import Unauthenticated
from nova_lite.identity import attempts, projects, roles, users
from nova_lite.identity.bootstrap import Account, bootstrap
from nova_lite.identity.login import Issued, Login, PasswordCredentials
from nova_lite.identity.scopes import Kind, Scope
from nova_lite.identity.tokens import Authenticator

DEMO = Scope(Kind.PROJECT, name="demo", domain_id="default")


@dataclass
class Cloud:
    """Identity on one database."""

    conf: Any
    store: Store
    authenticator: Authenticator
    login: Login

    def enter(self, password: str) -> Issued | None:
        """Log in as demo on demo; None: refused."""
        try:
            return self.login.by_password(PasswordCredentials(password, name="demo", domain_id="default"), DEMO)
        except Unauthenticated:
            return None


@pytest.fixture
def cloud(store: Store, tmp_path: Path) -> Iterator[Cloud]:
    settings = {"state_path": str(tmp_path), "identity.bcrypt_rounds": 4, "identity.revocation_refresh": 0.1}
    conf = configuration.load([], settings)
    bootstrap(conf, store, (Account("admin", "a-secret"), Account("demo", "d-secret")))
    authenticator = Authenticator(conf, store)
    yield Cloud(conf, store, authenticator, Login(conf, store, authenticator, lambda work, *given: work(*given)))


def test_bootstrap_again_changes_nothing(cloud: Cloud) -> None:
    def count() -> list[int | None]:
        with cloud.store.read() as session:
            tables = (Assignment, Project, Role, User, Revocation)
            return [session.scalar(select(func.count()).select_from(table)) for table in tables]

    before = count()
    issued = cloud.enter("d-secret")
    assert issued is not None
    assert bootstrap(cloud.conf, cloud.store, (Account("admin", "a-secret"), Account("demo", None))) == []
    assert count() == before == [5, 3, 5, 2, 0]
    assert cloud.authenticator.validate(issued.token).roles == ("member", "reader")


def test_bootstrap_with_another_password_sets_it_and_ends_tokens(cloud: Cloud) -> None:
    issued = cloud.enter("d-secret")
    assert issued is not None
    assert bootstrap(cloud.conf, cloud.store, (Account("demo", "other"),)) == ["password of demo"]
    assert cloud.enter("d-secret") is None
    assert cloud.enter("other") is not None
    time.sleep(0.15)
    with pytest.raises(Unauthenticated):
        cloud.authenticator.validate(issued.token)


def test_bootstraps_at_once(store: Store, tmp_path: Path) -> None:
    conf = configuration.load([], {"state_path": str(tmp_path), "identity.bcrypt_rounds": 4})
    accounts = (Account("admin", "a"), Account("demo", "d"))
    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(bootstrap, conf, store, accounts) for _ in range(4)]:
            future.result()
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 2
        assert session.scalar(select(func.count()).select_from(Assignment)) == 5


def test_first_failures_at_once_are_all_counted(cloud: Cloud) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda number: cloud.enter(f"guess-{number}"), range(8))) == {None}
    with cloud.store.read() as session:
        user = users.find(session, user_id=None, name="demo", domain_id="default")
        assert user is not None
        row = session.get_one(LoginFailure, attempts.subject(user.id))
    assert row.count == 8


def test_the_lock_begins_at_the_last_failure_that_counted(cloud: Cloud) -> None:
    """MariaDB assigns columns one after the other; the moment must not move while the name is refused."""
    for number in range(10):
        cloud.enter(f"guess-{number}")
    with cloud.store.read() as session:
        before = session.scalar(select(LoginFailure.last_at))
    for number in range(3):
        cloud.enter(f"guess-{number}")
    with cloud.store.read() as session:
        row = session.scalar(select(LoginFailure))
    assert row is not None
    assert (row.last_at, row.count) == (before, 13)
    assert cloud.enter("d-secret") is None


def test_no_login_slips_past_a_change_of_password(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    with cloud.store.read() as session:
        user = users.find(session, user_id=None, name="demo", domain_id="default")
    assert user is not None
    cloud.conf.set_override("lockout_attempts", 0, group="identity")
    old = "d-secret"
    for turn in range(3):
        new = f"turn-{turn}"
        with ThreadPoolExecutor(8) as pool:
            logins = [pool.submit(cloud.enter, old) for _ in range(8)]
            changed = pool.submit(cloud.login.change_password, user.id, old, new)
            logins += [pool.submit(cloud.enter, old) for _ in range(8)]
            changed.result()
        time.sleep(0.15)
        for issued in (login.result() for login in logins):
            if issued is not None:
                with pytest.raises(Unauthenticated):
                    cloud.authenticator.validate(issued.token)
        old = new
    assert cloud.enter(old) is not None


def _demo(cloud: Cloud) -> tuple[str, str]:
    """Return the ids of the user and the project that are called demo."""
    with cloud.store.read() as session:
        user = users.find(session, user_id=None, name="demo", domain_id="default")
        project = projects.find(session, project_id=None, name="demo", domain_id="default")
        assert user is not None and project is not None
        return user.id, project.id


def test_a_role_that_is_given_many_times_at_once_is_given_once(cloud: Cloud) -> None:
    user_id, project_id = _demo(cloud)
    role_id = roles.create(cloud.store, "auditor", "").id

    def give(_: int) -> None:
        cloud.store.transact(lambda session: roles.grant(session, user_id, role_id, roles.PROJECT, project_id))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(give, range(24)))
    with cloud.store.read() as session:
        assert len(roles.assignments(session, roles.RoleFilter(user_id, role_id))) == 1


@pytest.mark.parametrize("kind", [projects, users])
def test_what_clients_add_at_once_is_all_kept(cloud: Cloud, kind: Any) -> None:
    user_id, project_id = _demo(cloud)
    identifier = project_id if kind is projects else user_id

    def add(number: int) -> None:
        kind.update(cloud.store, 3600, identifier, {"extra": {f"member {number}": "kept"}})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    with cloud.store.read() as session:
        assert len(kind.get(session, identifier).extra) == 24


def test_a_revocation_is_seen_that_commits_after_a_later_one(cloud: Cloud) -> None:
    """Numbers are given when a row is written, and seen when it commits; the same transaction removes rows that have expired."""
    issued = cloud.enter("d-secret")
    assert issued is not None
    soon, past = now() + datetime.timedelta(hours=1), now() - datetime.timedelta(hours=1)

    def before(session: Session) -> None:
        session.add(Revocation(id=1001, audit_id="expired", expires_at=past))
        session.add(Revocation(id=1003, audit_id="another's", expires_at=soon))

    def later(session: Session) -> None:
        session.execute(delete(Revocation).where(Revocation.id == 1001))
        session.add(Revocation(id=1002, audit_id=issued.principal.audit_id, expires_at=soon))

    cloud.store.transact(before)
    cloud.authenticator.revocations.forget()
    assert cloud.authenticator.validate(issued.token)
    cloud.store.transact(later)
    cloud.authenticator.revocations.forget()
    with pytest.raises(Unauthenticated):
        cloud.authenticator.validate(issued.token)
