"""From what a user types, a name or an id, to the one thing that is meant."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from nova_lite.cli.connection import Connection, Service
from nova_lite.cli.faults import ApiError, CommandError, Missing

_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)
_SPECIAL = re.compile(r"([.^$*+?{}\[\]\\|()])")

Thing = dict[str, Any]


def is_uuid(text: str) -> bool:
    """Tell whether *text* has the form of an id."""
    return _UUID.fullmatch(text) is not None


def the_one(noun: str, text: str, found: Iterable[Mapping[str, Any]], *, key: str = "name") -> Thing:
    """Return the only one of *found* whose id or name is *text*; an id goes before names.

    :raises Missing: there is none. :raises CommandError: there are several.
    """
    things = [dict(thing) for thing in found]
    by_id = [thing for thing in things if str(thing.get("id")) == text]
    named = by_id or [thing for thing in things if thing.get(key) == text]
    if not named:
        raise Missing(f"There is no {noun} called {text}.")
    if len(named) > 1:
        ids = ", ".join(sorted(str(thing["id"]) for thing in named))
        raise CommandError(f"More than one {noun} is called {text}: ids {ids}. Say which by its id.")
    return named[0]


def _by_id(service: Service, path: str, text: str, member: str | None) -> Thing | None:
    """Fetch by id what may be one; None: it is none."""
    if not is_uuid(text):
        return None
    try:
        answer = service.get(f"{path}/{quote(text, safe='')}")
    except ApiError as error:
        if error.status == 404:
            return None
        raise
    return dict(answer[member] if member else answer)


def server(connection: Connection, text: str) -> Thing:
    """Find a server, with details."""
    compute = connection.compute
    found = _by_id(compute, "servers", text, "server")
    if found is not None:
        return found
    pattern = "^" + _SPECIAL.sub(r"\\\1", text) + "$"
    return the_one("server", text, compute.pages("servers/detail", "servers", name=pattern))


def flavor(connection: Connection, text: str) -> Thing:
    """Find a flavor. Ids of flavors may be any word, so that one listing tells both."""
    return the_one("flavor", text, connection.compute.pages("flavors/detail", "flavors", is_public="None"))


def image(connection: Connection, text: str) -> Thing:
    """Find an image."""
    found = _by_id(connection.image, "images", text, None)
    return found or the_one("image", text, connection.image.pages("images", "images", name=text))


def network(connection: Connection, text: str) -> Thing:
    """Find a network."""
    return _of_network(connection, "network", text)


def subnet(connection: Connection, text: str) -> Thing:
    """Find a subnet."""
    return _of_network(connection, "subnet", text)


def port(connection: Connection, text: str) -> Thing:
    """Find a port."""
    return _of_network(connection, "port", text)


def _of_network(connection: Connection, noun: str, text: str) -> Thing:
    found = _by_id(connection.network, f"{noun}s", text, noun)
    return found or the_one(noun, text, connection.network.pages(f"{noun}s", f"{noun}s", name=text))
