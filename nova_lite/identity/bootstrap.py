"""The first accounts: a domain, four roles, three projects, two users. May be run again at any time.

Nothing that is there is taken away; a password is set only where it is another than the one that is given, as setting
it ends the user's tokens.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field

from oslo_config import cfg
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nova_lite.db.models import Domain, Project, Role, User
from nova_lite.db.store import Store
from nova_lite.identity import domains, keys, passwords, projects, roles, users

LOG = logging.getLogger(__name__)

PROJECTS = {
    "admin": "The administrators' own project.",
    "demo": "A project to try things in.",
    "service": "For services that talk to this cloud.",
}
ROLES = {
    "admin": "May do everything.",
    "manager": "May do more within a project than a member.",
    "member": "May change what is the project's.",
    "reader": "May see what is the project's.",
    "service": "Tells other services what they must know.",
}
GRANTS = (
    ("admin", "admin", roles.PROJECT, "admin"),
    ("admin", "admin", roles.PROJECT, "demo"),
    ("admin", "admin", roles.DOMAIN, domains.DEFAULT_ID),
    ("admin", "admin", roles.SYSTEM, roles.ALL_SYSTEM),
    ("demo", "member", roles.PROJECT, "demo"),
)
"""User, role, kind of target, target (a project by name)."""


@dataclass(frozen=True)
class Account:
    """A user that there shall be. ``password`` None: left as it is."""

    name: str
    password: str | None = field(repr=False)


def bootstrap(conf: cfg.ConfigOpts, store: Store, accounts: tuple[Account, ...]) -> list[str]:
    """Make what is missing and return a line for each thing that was made or changed.

    :param accounts: the users; their grants are in ``GRANTS``.
    """
    done: list[str] = []
    directory = keys.key_repository(conf)
    if keys.ensure(directory):
        done.append(f"Fernet keys in {directory}")
    changed = {account.name: _new_hash(conf, store, account) for account in accounts}
    lifetime: int = conf.identity.token_lifetime
    try:
        done += store.transact(lambda session: _make(session, changed, lifetime))
    except IntegrityError:
        # Another process is making the same; what it made is there now.
        done += store.transact(lambda session: _make(session, changed, lifetime))
    for line in done:
        LOG.info("bootstrap made=%s", line)
    return done


def _new_hash(conf: cfg.ConfigOpts, store: Store, account: Account) -> str | None:
    """Hash the account's password if it is another than the present one; hashing is too slow for a transaction."""
    if account.password is None:
        return None
    with store.read() as session:
        user = users.find(session, user_id=None, name=account.name, domain_id=domains.DEFAULT_ID)
    rounds = conf.identity.bcrypt_rounds
    if user is not None and passwords.matches(account.password, user.password_hash, rounds):
        return None
    return passwords.hash_password(account.password, rounds)


def _make(session: Session, changed: dict[str, str | None], lifetime_s: int) -> list[str]:
    done: list[str] = []
    if session.get(Domain, domains.DEFAULT_ID) is None:
        session.add(Domain(id=domains.DEFAULT_ID, name=domains.DEFAULT_NAME, description="The default domain"))
        session.flush()
        done.append(f"domain {domains.DEFAULT_NAME}")
    role_ids = {name: _role(session, name, done) for name in ROLES}
    project_ids = {name: _project(session, name, done) for name in PROJECTS}
    for name, password_hash in changed.items():
        user_id = _user(session, name, password_hash, lifetime_s, done)
        for user, role, kind, target in GRANTS:
            if user == name:
                target_id = project_ids[target] if kind == roles.PROJECT else target
                roles.grant(session, user_id, role_ids[role], kind, target_id)
    return done


def _role(session: Session, name: str, done: list[str]) -> str:
    for row in roles.list_all(session, name):
        return row.id
    made = Role(id=uuid.uuid4().hex, name=name, description=ROLES[name])
    session.add(made)
    session.flush()
    done.append(f"role {name}")
    return made.id


def _project(session: Session, name: str, done: list[str]) -> str:
    found = projects.find(session, project_id=None, name=name, domain_id=domains.DEFAULT_ID)
    if found is not None:
        return found.id
    made = Project(id=uuid.uuid4().hex, domain_id=domains.DEFAULT_ID, name=name, description=PROJECTS[name])
    session.add(made)
    session.flush()
    done.append(f"project {name}")
    return made.id


def _user(session: Session, name: str, password_hash: str | None, lifetime_s: int, done: list[str]) -> str:
    found = users.find(session, user_id=None, name=name, domain_id=domains.DEFAULT_ID)
    if found is None:
        made = User(id=uuid.uuid4().hex, domain_id=domains.DEFAULT_ID, name=name, password_hash=password_hash)
        session.add(made)
        session.flush()
        done.append(f"user {name}")
        return made.id
    if password_hash is not None:
        users.set_password_hash(session, lifetime_s, found.id, password_hash)
        done.append(f"password of {name}")
    return found.id
