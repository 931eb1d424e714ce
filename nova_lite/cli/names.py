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


def server_id(connection: Connection, text: str) -> str:
    """Return a server's id; a deleted one is not found any more, but much is still to be had by its id."""
    try:
        return str(server(connection, text)["id"])
    except Missing:
        if is_uuid(text):
            return text
        raise


def server_group(connection: Connection, text: str) -> Thing:
    """Find a server group."""
    compute = connection.compute
    found = _by_id(compute, "os-server-groups", text, "server_group")
    return found or the_one("server group", text, compute.get("os-server-groups")["server_groups"])


def aggregate(connection: Connection, text: str) -> Thing:
    """Find an aggregate."""
    return the_one("aggregate", text, connection.compute.get("os-aggregates")["aggregates"])


def project(connection: Connection, text: str) -> Thing:
    """Find a project; one's own without asking, as not everybody may look at projects."""
    mine = connection.access
    if text in (mine.project_id, mine.project_name):
        return {"id": mine.project_id, "name": mine.project_name}
    return _of_identity(connection, "project", text)


def user(connection: Connection, text: str) -> Thing:
    """Find a user; oneself without asking."""
    me = connection.access
    if text in (me.user_id, me.username):
        return {"id": me.user_id, "name": me.username}
    return _of_identity(connection, "user", text)


def role(connection: Connection, text: str) -> Thing:
    """Find a role."""
    return _of_identity(connection, "role", text)


def domain(connection: Connection, text: str) -> Thing:
    """Find a domain."""
    return _of_identity(connection, "domain", text)


def _of_identity(connection: Connection, noun: str, text: str) -> Thing:
    identity = connection.identity
    found = _by_id(identity, f"{noun}s", text, noun)
    # The one domain that is always there has a word for its id.
    if found is None and noun == "domain":
        return the_one(noun, text, identity.get("domains")["domains"])
    return found or the_one(noun, text, identity.get(f"{noun}s", name=text)[f"{noun}s"])


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
