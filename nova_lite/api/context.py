"""What a handler is given: the request as it was checked, and the services that it may use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import webob

from nova_lite.api.routes import Mount, Route
from nova_lite.api.version import Version
from nova_lite.db.operations import Caller
from nova_lite.db.store import Store
from nova_lite.errors import Unauthenticated
from nova_lite.identity.principal import Principal

if TYPE_CHECKING:
    from nova_lite.api.policy import Policy


class Wakes(Protocol):
    """Whoever tells workers that there is work; never blocks, never fails."""

    def wake(self, topic: str, host: str | None = None) -> None:
        """Hint that *topic* (``scheduler`` or ``agent``) has work, on *host*."""


class Asks(Protocol):
    """Whoever puts a question to one host's agent and waits for the answer."""

    def call(self, host: str, method: str, **arguments: Any) -> Any:
        """Return the agent's answer. :raises nova_lite.errors.Unavailable: none came in time."""


class Validates(Protocol):
    """Whoever tells whose a token is."""

    def validate(self, token: str) -> Principal:
        """Return the token's principal. :raises nova_lite.errors.Unauthenticated: it is good for nothing."""


def _inline(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


@dataclass(frozen=True)
class Services:
    """What one process's front door works with. ``offload`` runs a slow function off the server's hub."""

    conf: Any
    store: Store
    authenticator: Validates
    policy: Policy
    waker: Wakes
    agents: Asks
    offload: Callable[..., Any] = _inline

    @property
    def endpoint(self) -> str:
        """How clients reach us: scheme, host and port, without a slash at the end."""
        api = self.conf.api
        return (api.public_endpoint or f"http://{api.bind_host}:{api.bind_port}").rstrip("/")


@dataclass
class Call:
    """One request on its way through a handler.

    ``params`` are the path's variables, ``body`` the validated JSON, ``query`` the query string's first values
    (``request.GET`` has them all). ``principal`` is None only on routes that are open.
    """

    services: Services
    request: webob.Request
    request_id: str
    mount: Mount
    route: Route
    params: Mapping[str, str]
    version: Version
    principal_or_none: Principal | None = None
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)
    authorized: bool = False

    @property
    def principal(self) -> Principal:
        """Who asks. :raises Unauthenticated: nobody is known to."""
        if self.principal_or_none is None:
            raise Unauthenticated("The request you have made requires authentication.")
        return self.principal_or_none

    @property
    def store(self) -> Store:
        """The state store."""
        return self.services.store

    @property
    def caller(self) -> Caller:
        """Who asks, as an operation remembers it."""
        who = self.principal
        return Caller(self.request_id, who.project_id, who.user_id)

    def authorize(self, target: Mapping[str, Any] | None = None, rule: str | None = None) -> None:
        """Enforce *rule* (the route's own by default) on *target*, which comes from a database row.

        *target* None: the caller's own project and user. :raises nova_lite.errors.Forbidden: the rule denies it.
        """
        self.services.policy.enforce(rule or self.route.rule, self.principal, target)
        self.authorized = True

    def may(self, rule: str, target: Mapping[str, Any] | None = None) -> bool:
        """Tell whether *rule* allows the caller *target*; for members that only some may see."""
        return self.services.policy.allows(rule, self.principal, target)

    def wake_hosts(self, hosts: Iterable[str]) -> None:
        """Hint to the agents of *hosts* that their networks changed; after the commit (``nova_lite.network.touch``)."""
        for host in hosts:
            self.services.waker.wake("agent", host)

    def link(self, path: str) -> str:
        """Make an absolute URL of *path* (which begins with a slash, below the endpoint)."""
        return self.services.endpoint + path
