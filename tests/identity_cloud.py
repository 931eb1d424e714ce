"""A cloud's identity in this process: the real application, store, keys and bootstrap; only hashing is made cheap."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import webob

from nova_lite import conf as configuration
from nova_lite.api.app import make_app
from nova_lite.api.context import Services
from nova_lite.api.identity import MOUNT
from nova_lite.api.policy import Policy
from nova_lite.api.routes import Table
from nova_lite.db import migrate
from nova_lite.db.store import Store
from nova_lite.identity import users
from nova_lite.identity.bootstrap import Account, bootstrap
from nova_lite.identity.tokens import Authenticator

ADMIN_PASSWORD = "admin-secret-7f"
DEMO_PASSWORD = "demo-secret-3a"
PASSWORDS = {"admin": ADMIN_PASSWORD, "demo": DEMO_PASSWORD}


class NoWorkers:
    """Nobody to wake, nobody to ask: identity needs neither."""

    def wake(self, topic: str, host: str | None = None) -> None:
        raise AssertionError("identity wakes nobody")

    def call(self, host: str, method: str, **arguments: Any) -> Any:
        raise AssertionError("identity asks nobody")


@dataclass
class Cloud:
    """The application, what is under it, and short ways to ask it."""

    conf: Any
    store: Store
    services: Services
    app: Any

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str) -> webob.Response:
        """Send a request below ``/identity``; bytes go out as they are."""
        request = webob.Request.blank(f"/identity{path}", method=method)
        if token:
            request.headers["X-Auth-Token"] = token
        if body is not None:
            request.body = body if isinstance(body, bytes) else json.dumps(body).encode()
            request.content_type = "application/json"
        for name, value in headers.items():
            request.headers[name.replace("_", "-")] = value
        return request.get_response(self.app)

    def accepts(self, token: str) -> bool:
        """Tell whether a token is good for anything."""
        return bool(self.ask("GET", "/v3/auth/projects", token=token).status_int == 200)

    def log_in(self, name: str, password: str | None = None, scope: Any = "own", query: str = "") -> webob.Response:
        """Ask for a token; *scope* ``own``: the project of the user's name, None: say nothing of it."""
        body = password_body(name, PASSWORDS.get(name, "") if password is None else password)
        if scope == "own":
            scope = {"project": {"name": name, "domain": {"id": "default"}}}
        if scope is not None:
            body["auth"]["scope"] = scope
        return self.ask("POST", f"/v3/auth/tokens{query}", body)

    def token(self, name: str, scope: Any = "own") -> str:
        """Return a token that must be got."""
        response = self.log_in(name, scope=scope)
        assert response.status_int == 201, response.text
        return str(response.headers["X-Subject-Token"])

    def rescope(self, token: str, scope: Any) -> webob.Response:
        """Ask for another token with a token."""
        body = {"auth": {"identity": {"methods": ["token"], "token": {"id": token}}, "scope": scope}}
        return self.ask("POST", "/v3/auth/tokens", body)

    def user_id(self, name: str) -> str:
        """Return a user's id."""
        with self.store.read() as session:
            user = users.find(session, user_id=None, name=name, domain_id="default")
        assert user is not None
        return user.id

    def second_door(self) -> Cloud:
        """Return another API process's front door on the same cloud."""
        return build(self.conf, self.store)


def password_body(name: str, password: str) -> dict[str, Any]:
    """Return the body of a login by name."""
    user = {"name": name, "domain": {"id": "default"}, "password": password}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}}


def build(conf: Any, store: Store) -> Cloud:
    """Make a front door."""
    nobody = NoWorkers()
    services = Services(
        conf=conf,
        store=store,
        authenticator=Authenticator(conf, store),
        policy=Policy(conf, ["identity"]),
        waker=nobody,
        agents=nobody,
    )
    return Cloud(conf, store, services, make_app(services, Table((MOUNT,))))


def open_cloud(directory: Path, **overrides: Any) -> Cloud:
    """Make a cloud in *directory* and its first accounts."""
    settings = {"state_path": str(directory), "identity.bcrypt_rounds": 4, **overrides}
    conf = configuration.load([], settings)
    store = migrate.open_store(conf)
    migrate.upgrade(store.engine)
    bootstrap(conf, store, (Account("admin", ADMIN_PASSWORD), Account("demo", DEMO_PASSWORD)))
    return build(conf, store)
