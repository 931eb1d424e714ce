"""The WSGI application: everything that is done for every request, in one place and one order."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

import orjson
import webob
from sqlalchemy.exc import DBAPIError, TimeoutError

from nova_lite import errors
from nova_lite.api import validation
from nova_lite.api.context import Call, Services
from nova_lite.api.errors import MALFORMED, Fault, respond, status_of
from nova_lite.api.idempotency import KeptAnswers
from nova_lite.api.routes import Match, Mount, Reply, Route, Schema, Table
from nova_lite.api.version import Version, VersionNotAcceptable

LOG = logging.getLogger(__name__)

# Keystone's middleware sets these behind a proxy; from outside they are lies.
_IDENTITY_HEADERS = re.compile(
    r"HTTP_X_(ROLES?|USER(_.*)?|PROJECT(_.*)?|DOMAIN(_.*)?|TENANT(_.*)?|IDENTITY_STATUS|SERVICE_(ROLES|USER.*|PROJECT.*|"
    r"IDENTITY_STATUS)|IS_ADMIN_PROJECT|SYSTEM_SCOPE|OPENSTACK_SYSTEM_SCOPE)"
)
_NO_VERSION = Version(0, 0)
_WIDEST_PATH = 2048

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def make_app(services: Services, table: Table | None = None) -> WsgiApp:
    """Make the application. :param table: the routes; the whole catalogue of mounts by default."""
    if table is None:
        from nova_lite.api.mounts import MOUNTS

        table = Table(MOUNTS)
    return Application(services, table)


class Application:
    """See :func:`make_app`."""

    def __init__(self, services: Services, table: Table) -> None:
        self.services = services
        self.table = table
        self.kept_answers = KeptAnswers(services)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        begun = time.monotonic()
        request_id = f"req-{uuid.uuid4()}"
        for name in [key for key in environ if key.startswith("HTTP_X_") and _IDENTITY_HEADERS.fullmatch(key)]:
            del environ[name]
        request = webob.Request(environ)
        response = self._respond(request, request_id)
        LOG.info(
            "method=%s path=%s status=%d ms=%.1f request=%s",
            request.method,
            _printable(environ.get("PATH_INFO", "")),
            response.status_int,
            (time.monotonic() - begun) * 1000,
            request_id,
        )
        result: Iterable[bytes] = response(environ, start_response)
        return result

    def _respond(self, request: webob.Request, request_id: str) -> webob.Response:
        mount = self.table.mount_of(request.environ.get("PATH_INFO", ""))
        extra: dict[str, str] = {}
        try:
            match = self._match(request)
            mount = match.mount
            response = self._dispatch(request, request_id, match, extra)
        except errors.NovaLiteError as error:
            status = status_of(error)
            if status >= 500:
                LOG.warning("request=%s error=%s: %s", request_id, error.code, error.message)
            headers = {"WWW-Authenticate": f'Keystone uri="{self.services.endpoint}/identity"'} if status == 401 else {}
            response = respond(_style(mount, request), Fault(status, error.message, error.code, headers))
        except (DBAPIError, TimeoutError) as error:
            if isinstance(error, DBAPIError) and not _is_outage(error):
                response = self._unexpected(mount, request, request_id)
            else:
                # The driver's own words only: the statement's parameters may hold what no log should.
                words = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
                LOG.error("request=%s the database does not answer: %s: %s", request_id, type(error).__name__, words)
                fault = Fault(
                    503,
                    "The state store does not answer; please try again.",
                    "service.unavailable",
                    {"Retry-After": "2"},
                )
                response = respond(_style(mount, request), fault)
        except Exception:
            response = self._unexpected(mount, request, request_id)
        response.headers["X-OpenStack-Request-ID"] = request_id
        if mount is not None and mount.style == "compute":
            response.headers["X-Compute-Request-ID"] = request_id
        response.headers.update(extra)
        return response

    def _unexpected(self, mount: Mount | None, request: webob.Request, request_id: str) -> webob.Response:
        LOG.exception("request=%s failed unexpectedly", request_id)
        message = f"Unexpected error; the service's log has it under {request_id}."
        return respond(_style(mount, request), Fault(500, message, "internal.error"))

    def _match(self, request: webob.Request) -> Match:
        try:
            path = request.path_info
        except UnicodeDecodeError:
            raise errors.Invalid("The path is not UTF-8.", "request.path") from None
        if len(path) > _WIDEST_PATH:
            raise errors.Invalid(f"The path is longer than {_WIDEST_PATH} characters.", "request.path")
        if "\0" in path:
            raise errors.Invalid("The path has a NUL character.", "request.path")
        match = self.table.match(path or "/") if path else None
        if match is None:
            raise errors.NotFound("The resource could not be found.", "request.no_route")
        return match

    def _dispatch(self, request: webob.Request, request_id: str, match: Match, extra: dict[str, str]) -> webob.Response:
        mount = match.mount
        version = self._version(request, match, extra)
        route = self._route(request, match, version)
        if isinstance(route, webob.Response):
            return route
        principal = None
        if not route.open:
            principal = self.services.authenticator.validate(_token(request))
            if match.project_id is not None and match.project_id != principal.project_id:
                raise errors.Invalid(
                    f"Malformed request URL: URL's project_id '{match.project_id}' doesn't match Context's project_id "
                    f"'{principal.project_id}'",
                    "request.other_project",
                )
        call = Call(self.services, request, request_id, mount, route, match.params, version, principal)
        if not route.open and not route.late:
            call.authorize()
        if route.query is not None:
            call.query = _query(request, _schema(route.query, version))
        else:
            call.query = {key: items[-1] for key, items in _asked(request).items()}
        if route.body is not None:
            call.body = self._body(request, mount, _schema(route.body, version))
        if self.kept_answers.apply_to(call):
            return self.kept_answers.answer(call, _handled)
        return _handled(call)

    def _version(self, request: webob.Request, match: Match, extra: dict[str, str]) -> Version:
        versions = match.mount.versions
        if versions is None:
            return _NO_VERSION
        if any(route.path in match.mount.unversioned for routes in match.methods.values() for route in routes):
            return versions.least
        if match.legacy:
            return versions.least
        extra.update(versions.headers(versions.least))
        try:
            version = versions.chosen(request.headers)
        except VersionNotAcceptable:
            extra.update(versions.headers(versions.greatest))
            raise
        extra.update(versions.headers(version))
        return version

    def _route(self, request: webob.Request, match: Match, version: Version) -> Route | webob.Response:
        method = request.method
        present = {
            name: route
            for name, routes in match.methods.items()
            for route in routes
            if (route.since is None or version >= route.since) and (route.until is None or version <= route.until)
        }
        if not present:
            raise errors.NotFound("The resource could not be found.", "request.no_route")
        route = present.get(method) or (present.get("GET") if method == "HEAD" else None)
        if route is None:
            if method in match.methods:
                # Another microversion has it; upstream says 404 then, too.
                raise errors.NotFound(
                    f"API version {version} is not supported on this method.", "request.no_route_in_version"
                )
            if request.path_info.endswith("/"):
                # One thing's path with its id left out: what is there is the collection, which is not what was meant.
                raise errors.NotFound("The resource could not be found.", "request.no_route")
            fault = Fault(
                405,
                f"The method {method} is not allowed here.",
                "request.method",
                {"Allow": ", ".join(sorted(present))},
            )
            return respond(match.mount.style, fault)
        return route

    def _body(self, request: webob.Request, mount: Mount, schema: Schema) -> Any:
        limit = self.services.conf.api.max_body_bytes
        if (request.content_length or 0) > limit:
            raise errors.TooLarge(f"The body is larger than {limit} bytes.")
        raw = request.body_file.read(limit + 1) if request.is_body_readable else b""
        if len(raw) > limit:
            raise errors.TooLarge(f"The body is larger than {limit} bytes.")
        kind = request.content_type
        if raw and kind and "json" not in kind:
            raise errors.UnsupportedMedia(f"Unsupported Content-Type {kind}; it must be application/json.")
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise errors.Invalid(MALFORMED[mount.style], "request.malformed") from None
        if b"\\u0000" in raw:
            validation.refuse_nul(value)
        return validation.validate(schema, value)


def _handled(call: Call) -> webob.Response:
    route = call.route
    answer = route.handler(call)
    if route.late and not call.authorized:
        raise RuntimeError(f"{route.method} {call.mount.prefix}{route.path} answered without asking its policy")
    return _response(answer, route)


def _style(mount: Mount | None, request: webob.Request) -> str:
    return mount.style if mount else "compute"


def _token(request: webob.Request) -> str:
    token = request.headers.get("X-Auth-Token")
    if not token:
        raise errors.Unauthenticated("The request you have made requires authentication.")
    return str(token)


def _schema(schema: Any, version: Version) -> Schema:
    result: Schema = schema(version) if callable(schema) else schema
    return result


def _asked(request: webob.Request) -> dict[str, list[str]]:
    """Return the query's parameters. :raises Invalid: they are no text, or have a NUL character."""
    try:
        values = {key: request.GET.getall(key) for key in request.GET}
    except UnicodeDecodeError:
        raise errors.Invalid("The query string is not UTF-8.", "request.query") from None
    if "%00" in request.query_string:
        validation.refuse_nul(values)
    return values


def _query(request: webob.Request, schema: Schema) -> dict[str, str]:
    checked: dict[str, list[str]] = validation.validate(schema, _asked(request), where="query")
    return {key: items[-1] for key, items in checked.items()}


def _encoded(body: dict[str, Any] | list[Any]) -> bytes:
    """Encode an answer; orjson knows no number beyond 64 bits, as the count of an IPv6 network's addresses is."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        return json.dumps(body).encode()


def _response(answer: Any, route: Route) -> webob.Response:
    reply = answer if isinstance(answer, Reply) else Reply(answer, route.status)
    response = webob.Response(status=reply.status, conditional_response=False)
    body = reply.body
    if body is None:
        del response.content_type
        response.body = b""
        if reply.status == 204:
            del response.headers["Content-Length"]
    elif isinstance(body, bytes):
        response.content_type = reply.content_type
        response.body = body
    elif isinstance(body, dict | list):
        response.content_type = reply.content_type
        response.body = _encoded(body)
    else:
        response.content_type = reply.content_type
        response.app_iter = body
    for name, value in reply.headers.items():
        response.headers[name] = value
    return response


def _is_outage(error: DBAPIError) -> bool:
    return error.connection_invalidated or type(error).__name__ in {"OperationalError", "InterfaceError"}


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() and char != " " else "?" for char in text[:200])
