"""The way to the services: a keystoneauth1 session, the catalog, and requests whose refusals are one line."""

from __future__ import annotations

import functools
import ipaddress
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from keystoneauth1 import exceptions
from keystoneauth1.session import Session

from nova_lite import __version__
from nova_lite.cli.clouds import Cloud
from nova_lite.cli.faults import ApiError, CommandError, Unreachable, refusal

LOG = logging.getLogger(__name__)

COMPUTE_VERSION = "2.96"
"""The Compute API that the commands are written for; an older service is asked for the newest that it has."""
TIMEOUT_S = 60.0
TRANSFER_TIMEOUT_S = 900.0
"""How long an upload may wait for its answer: the service inspects the image first."""

_MAXIMUM = re.compile(r"maximum is (\d+\.\d+)", re.IGNORECASE)
_VERSION = re.compile(r"/v\d+(\.\d+)?/?$")
_SECRETS = re.compile(r"pass(word)?$|token|secret|user_data|private_key|contents|^id_token$", re.IGNORECASE)

_TOKENS = re.compile(r"(\btoken(?:=|%3D))[^&\s]+", re.IGNORECASE)
"""In a console's URL."""


class Connection:
    """One cloud, as one user. Nothing is asked before a service is."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    @functools.cached_property
    def session(self) -> Any:
        """The keystoneauth1 session; it logs in at its first request."""
        carrier = requests.Session()
        # A proxy that can't reach this machine's own loopback is a classic way to lose an hour.
        carrier.trust_env = not _is_loopback(self.cloud.auth_url)
        return Session(
            auth=_plugin(self.cloud),
            session=carrier,
            verify=self.cloud.verify,
            timeout=TIMEOUT_S,
            user_agent=f"nova-lite/{__version__}",
        )

    @functools.cached_property
    def compute(self) -> Service:
        """The Compute API."""
        return Service(self, "compute", microversion=COMPUTE_VERSION)

    @functools.cached_property
    def image(self) -> Service:
        """The Image API."""
        return Service(self, "image", version="v2")

    @functools.cached_property
    def network(self) -> Service:
        """The Network API."""
        return Service(self, "network", version="v2.0")

    @functools.cached_property
    def identity(self) -> Service:
        """The Identity API."""
        return Service(self, "identity", version="v3")

    @property
    def access(self) -> Any:
        """What the token says: keystoneauth1's AccessInfo. :raises CommandError: there was no login."""
        with _Told(self.cloud.auth_url):
            return self.session.auth.get_access(self.session)

    @property
    def project_id(self) -> str:
        """The project of the token. :raises CommandError: it has none."""
        found = self.access.project_id
        if not found:
            raise CommandError("The token is for no project: set OS_PROJECT_NAME.")
        return str(found)

    def open_document(self, url: str) -> dict[str, Any]:
        """Fetch a document that is there for everybody, as the versions of an API are. :raises CommandError: it isn't."""
        with _Told(url):
            answer = self.session.request(
                url, "GET", headers={"Accept": "application/json"}, authenticated=False, raise_exc=False, log=False
            )
        return dict(_parsed(answer) or {})


class Service:
    """One API. Paths are relative to its version; JSON in, JSON out.

    :param version: what its URL ends with, where the catalog may leave that out.
    :param microversion: what is asked for in ``OpenStack-API-Version``.
    """

    def __init__(
        self, connection: Connection, kind: str, *, version: str | None = None, microversion: str | None = None
    ) -> None:
        self._connection = connection
        self._kind = kind
        self._version = version
        self._microversion = microversion

    @functools.cached_property
    def endpoint(self) -> str:
        """Its URL by the catalog. :raises CommandError: the catalog has no such service."""
        cloud, session = self._connection.cloud, self._connection.session
        with _Told(cloud.auth_url):
            found = session.get_endpoint(
                service_type=self._kind,
                interface=cloud.interface,
                region_name=cloud.region_name,
                skip_discovery=True,
            )
        if not found:
            where = f" in region {cloud.region_name}" if cloud.region_name else ""
            raise CommandError(f"The catalog of {cloud.auth_url} has no {self._kind} service{where}.")
        if self._version is None:
            return str(found).rstrip("/")
        return f"{_VERSION.sub('', str(found)).rstrip('/')}/{self._version}"

    def at(self, microversion: str) -> Service:
        """Return the same API asked for in another microversion: for what a later one took away."""
        return Service(self._connection, self._kind, version=self._version, microversion=microversion)

    def get(self, path: str, **query: Any) -> Any:
        """Fetch JSON; *query* values that are None are left out."""
        return self._json("GET", path, query=query)

    def post(self, path: str, body: Any) -> Any:
        """Send *body*, return the answer's JSON (None: it had none)."""
        return self._json("POST", path, body=body)

    def put(self, path: str, body: Any) -> Any:
        """Likewise with PUT."""
        return self._json("PUT", path, body=body)

    def patch(self, path: str, body: Any, content_type: str) -> Any:
        """Likewise with PATCH and a content type of its own."""
        text = json.dumps(body).encode()
        return _parsed(self.request("PATCH", path, data=text, headers={"Content-Type": content_type}))

    def delete(self, path: str, **query: Any) -> None:
        """Send DELETE; *query* values that are None are left out."""
        self.request("DELETE", path, query=query)

    def pages(self, path: str, member: str, **query: Any) -> Iterator[dict[str, Any]]:
        """Go through a listing, page after page, by the links that each page gives."""
        asked: dict[str, Any] = query
        while True:
            page = self.get(path, **asked)
            yield from page[member]
            links = [link["href"] for link in page.get(f"{member}_links", ()) if link.get("rel") == "next"]
            following = links[0] if links else page.get("next")
            if not following:
                return
            further = dict(parse_qsl(urlsplit(following).query))
            if further == asked:
                return
            asked = further

    def _json(self, method: str, path: str, *, body: Any = None, query: Mapping[str, Any] | None = None) -> Any:
        return _parsed(self.request(method, path, body=body, query=query))

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: Any = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
        timeout: float = TIMEOUT_S,
    ) -> requests.Response:
        """Send a request with the token.

        :raises ApiError: the answer's status is 400 or more. :raises CommandError: none came.
        """
        response = self._send(method, path, body, data, query, headers, stream, timeout)
        if response.status_code == 406 and (found := _MAXIMUM.search(response.text)) and data is None:
            self._microversion = found[1]
            response = self._send(method, path, body, data, query, headers, stream, timeout)
        if response.status_code >= 400:
            raise refusal(response.status_code, response.text, response.headers)
        return response

    def _send(
        self,
        method: str,
        path: str,
        body: Any,
        data: Any,
        query: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        stream: bool,
        timeout: float,
    ) -> requests.Response:
        url = f"{self.endpoint}/{path.lstrip('/')}"
        sent = {"Accept": "application/json", **(headers or {})}
        if self._microversion:
            # The second makes our own service show its own members; others ignore it.
            sent |= {"OpenStack-API-Version": f"{self._kind} {self._microversion}", "X-Nova-Lite": "1"}
        more = {} if body is None else {"json": body}
        begun = time.monotonic()
        with _Told(url):
            response: requests.Response = self._connection.session.request(
                url,
                method,
                headers=sent,
                params={key: value for key, value in (query or {}).items() if value is not None},
                data=data,
                stream=stream,
                timeout=timeout,
                raise_exc=False,
                log=False,
                **more,
            )
        LOG.debug(
            "%s %s status=%d ms=%.0f request=%s sent=%s",
            method,
            response.url,
            response.status_code,
            (time.monotonic() - begun) * 1000,
            response.headers.get("X-OpenStack-Request-ID", "-"),
            json.dumps(without_secrets(body)),
        )
        return response


class _Told:
    """Turns keystoneauth1's errors into ours. :param url: what was asked, for the message."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is not None and (told := explain(error, self._url)) is not None:
            raise told from error


def explain(error: BaseException, url: str) -> CommandError | None:
    """Say what one of keystoneauth1's errors means to a user; None: it is none of them."""
    parts = urlsplit(url)
    place = f"{parts.scheme}://{parts.netloc}"
    if isinstance(error, exceptions.http.HttpError):
        if error.http_status == 401:
            return ApiError(401, "The user name, the password or the project is wrong.", error.request_id or "")
        if error.http_status == 404:
            return CommandError(f"No Identity API answers at {url}; is OS_AUTH_URL right?")
        if error.response is not None:
            return refusal(error.http_status, error.response.text, error.response.headers)
        return ApiError(error.http_status, str(error.message), error.request_id or "")
    if isinstance(error, exceptions.connection.SSLError):
        return CommandError(
            f"{place} has no certificate that we trust (--os-cacert names a CA's): {_last_cause(error)}"
        )
    if isinstance(error, exceptions.connection.ConnectTimeout):
        return Unreachable(f"{place} did not answer in time.")
    if isinstance(error, exceptions.connection.ConnectionError):
        if "refused" in str(error):
            return Unreachable(f"Nothing answers at {place}; is it up? (`nova-lite up`, or devstack/stack.sh)")
        return Unreachable(f"{place} can't be reached, or broke the connection off: {_last_cause(error)}")
    if isinstance(error, exceptions.discovery.DiscoveryFailure):
        return CommandError(f"No Identity API answers at {url}; is it up, and is OS_AUTH_URL right?")
    if isinstance(error, exceptions.ClientException):
        return CommandError(" ".join(str(error).split()))
    return None


def _last_cause(error: BaseException) -> str:
    if found := re.search(r"\[SSL[^(]*", str(error)):
        return found[0].strip()
    return " ".join(str(error).rsplit(":", 1)[-1].split()).strip("')(\"") or type(error).__name__


def without_secrets(value: Any) -> Any:
    """Return a JSON value with everything that may be secret masked."""
    if isinstance(value, Mapping):
        return {key: "***" if _SECRETS.search(key) else without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    if isinstance(value, str):
        return _TOKENS.sub(r"\1***", value)
    return value


def _parsed(response: requests.Response) -> Any:
    if not response.content:
        return None
    try:
        return response.json()
    except ValueError:
        raise CommandError(f"{response.url} answered with something else than JSON; is it the right address?") from None


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _plugin(cloud: Cloud) -> Any:
    """Make the way to log in. An address that ends with the version needs no discovery, which is a request less."""
    scope = {
        "project_name": cloud.project_name,
        "project_id": cloud.project_id,
        "project_domain_name": cloud.project_domain_name if cloud.project_name else None,
        "project_domain_id": cloud.project_domain_id if cloud.project_name else None,
    }
    if cloud.project_id:
        scope = {"project_id": cloud.project_id}
    who: dict[str, Any]
    if cloud.token:
        who = {"token": cloud.token}
    elif cloud.user_id:
        who = {"user_id": cloud.user_id, "password": cloud.password}
    else:
        domain = {"user_domain_name": cloud.user_domain_name, "user_domain_id": cloud.user_domain_id}
        who = {"username": cloud.username, "password": cloud.password, **domain}
    if cloud.auth_url.endswith("/v3"):
        from keystoneauth1.identity import v3

        return (v3.Token if cloud.token else v3.Password)(cloud.auth_url, **who, **scope)
    from keystoneauth1.identity import generic

    return (generic.Token if cloud.token else generic.Password)(cloud.auth_url, **who, **scope)
