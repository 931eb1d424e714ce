"""``Idempotency-Key``: a POST that may be asked again when its answer was lost.

The key is claimed first, in a transaction of its own; then the handler's whole work, the answer and the key's end commit
together. So a process that dies at any moment leaves either nothing but a claim, which runs out, or the work and its answer.
Source: draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import copy
import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import webob
from sqlalchemy.exc import DBAPIError

from nova_lite.api.context import Call, Services
from nova_lite.api.errors import Fault, respond
from nova_lite.db import idempotency
from nova_lite.db.idempotency import Differs, Kept, Mine, UnderWay
from nova_lite.errors import Invalid, NovaLiteError
from nova_lite.identity.keys import Keyring, key_repository

LOG = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
LONGEST_ANSWER = 1_048_576
"""Bytes of an answer that are kept; no handler's is near it."""

_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_PURGE_EVERY_S = 600.0
_RETRY_AFTER_S = 2

Run = Callable[[Call], webob.Response]


class _AsksAHost(Exception):
    """The handler asks a host, which takes long and can't be taken back: it must not hold a transaction open."""


@dataclass
class _LateWaker:
    """Keeps what is to be woken until there is something to be found."""

    woken: list[tuple[str, str | None]] = field(default_factory=list)

    def wake(self, topic: str, host: str | None = None) -> None:
        self.woken.append((topic, host))


class _NoAgents:
    """Stops a handler that is about to ask a host."""

    def call(self, host: str, method: str, **_arguments: Any) -> Any:
        raise _AsksAHost(f"{method} on {host}")


def _inline(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return function(*arguments, **named)


class KeptAnswers:
    """Runs handlers once for each key; one object a process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._keyring = Keyring(key_repository(services.conf))
        self._purging = threading.Lock()
        self._purged = time.monotonic()

    @staticmethod
    def apply_to(call: Call) -> bool:
        """Tell whether the request names a key on a route that heeds it: a POST by somebody, whose body is JSON."""
        route = call.route
        return route.method == "POST" and not route.open and not route.raw and HEADER in call.request.headers

    def answer(self, call: Call, run: Run) -> webob.Response:
        """Return what *run* answers, or what it answered when the key was used before.

        :raises Invalid: the key is not 1 to 255 printable ASCII characters. Whatever *run* raises lets the key go.
        """
        self._purge_now_and_then()
        lifetime = float(self._services.conf.api.idempotency_lifetime)
        claim = idempotency.claim(self._services.store, _row_key(call), _body_hash(call), lifetime)
        if isinstance(claim, Kept):
            return self._replayed(call, claim)
        if isinstance(claim, Differs):
            message = f"This {HEADER} was used for another request; take a new key for each."
            return respond(call.mount.style, Fault(422, message, "idempotency.key_reused"))
        if isinstance(claim, UnderWay):
            message = f"A request with this {HEADER} is under way; please ask again a little later."
            retry = {"Retry-After": str(_RETRY_AFTER_S)}
            return respond(call.mount.style, Fault(409, message, "idempotency.under_way", retry))
        try:
            return self._done(call, run, claim, lifetime)
        except Exception:
            self._release(claim)
            raise

    def _done(self, call: Call, run: Run, mine: Mine, lifetime: float) -> webob.Response:
        store, waker, body = self._services.store, _LateWaker(), call.body

        def whole() -> webob.Response:
            # May run again after a deadlock, so it begins as if it never had.
            waker.woken.clear()
            call.body, call.authorized = copy.deepcopy(body), False
            # Inline: whoever waits for another thread in here lets others of this one run into the store's lock.
            call.services = replace(self._services, waker=waker, agents=_NoAgents(), offload=_inline)
            return run(call)

        try:
            response = store.together(
                whole, lambda session, made: idempotency.end(session, mine, *self._sealed(made), lifetime)
            )
        except _AsksAHost:
            # Nothing of it was committed. Such actions are safe to repeat, so their answer is kept afterwards.
            call.body, call.authorized, call.services = body, False, self._services
            response = run(call)
            status, answer = self._sealed(response)
            store.transact(lambda session: idempotency.end(session, mine, status, answer, lifetime))
            return response
        for topic, host in waker.woken:
            self._services.waker.wake(topic, host)
        return response

    def _release(self, mine: Mine) -> None:
        try:
            idempotency.release(self._services.store, mine)
        except (DBAPIError, NovaLiteError) as error:
            LOG.warning("a key was not let go; it will be when its lease has run out: %s", type(error).__name__)

    def _sealed(self, response: webob.Response) -> tuple[int, str | None]:
        headers = [[name, value] for name, value in response.headerlist if name.lower() != "content-length"]
        plain = orjson.dumps({"headers": headers, "body": response.body.decode("latin-1")})
        answer = self._keyring.encrypt(plain).decode() if len(plain) <= LONGEST_ANSWER else None
        return response.status_int, answer

    def _replayed(self, call: Call, kept: Kept) -> webob.Response:
        plain = None if kept.answer is None else self._keyring.decrypt(kept.answer.encode())
        if plain is None:
            # Too long, or the Fernet keys were rotated away: it was done, and must not be done again.
            message = (
                f"The request with this {HEADER} was done, but its answer is kept no more; please look at what it made."
            )
            return respond(call.mount.style, Fault(409, message, "idempotency.answer_lost"))
        answer = orjson.loads(plain)
        response = webob.Response(status=kept.status, conditional_response=False)
        del response.content_type
        response.body = answer["body"].encode("latin-1")
        if kept.status == 204:
            del response.headers["Content-Length"]
        for name, value in answer["headers"]:
            response.headers[name] = value
        response.headers[REPLAYED] = "true"
        return response

    def _purge_now_and_then(self) -> None:
        moment = time.monotonic()
        if moment - self._purged < _PURGE_EVERY_S or not self._purging.acquire(blocking=False):
            return
        try:
            self._purged = moment
            idempotency.purge(self._services.store)
        finally:
            self._purging.release()


def _row_key(call: Call) -> str:
    key = call.request.headers[HEADER]
    if not _KEY.fullmatch(key):
        raise Invalid(f"{HEADER} must be 1 to 255 printable ASCII characters.", "idempotency.key")
    who = call.principal
    scope = [who.project_id, who.domain_id, who.system_scope]
    path = call.mount.prefix + call.request.path_info
    return _digest([who.user_id, scope, call.route.method, path, key])


def _body_hash(call: Call) -> str:
    """Hash what is asked for: the body as JSON, however it was spaced, the query string and the microversion.

    The key is its salt, so that a password in the body can't be guessed from the hash.
    """
    return _digest([call.request.headers[HEADER], call.body, call.request.query_string, str(call.version)])


def _digest(value: Any) -> str:
    return hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).hexdigest()
