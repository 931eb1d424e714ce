"""The distributed way: API workers, scheduler and agent as processes of their own, over RabbitMQ and a database server."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from private_host import PrivateHost
from real_cloud import DISTRIBUTED, KINDS, Cloud, await_ping, fetch, marks_of, traces
from relay import Relay
from sqlalchemy import URL, create_engine, make_url, text

DATABASES = ("postgresql", "mariadb")
PORTS = {"postgresql": 5432, "mariadb": 3306, "rabbit": 5672}


def server_url(name: str) -> URL:
    """Return the URL of a real server of this machine, or skip."""
    found = os.environ.get(f"TEST_{name.upper()}_URL")
    if not found:
        pytest.skip(f"TEST_{name.upper()}_URL names no server (devstack/services.sh env)")
    return make_url(found)


@contextmanager
def own_database(name: str) -> Iterator[str]:
    """Have a database of one's own; yield its URL."""
    url = server_url(name)
    database = f"nova_lite_test_e2e_{secrets.token_hex(4)}"
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {database}"))
    try:
        yield url.set(database=database).render_as_string(hide_password=False)
    finally:
        forced = " WITH (FORCE)" if name == "postgresql" else ""
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {database}{forced}"))
        engine.dispose()


@contextmanager
def distributed(images: Path, database: str, more: str = "") -> Iterator[tuple[Cloud, Relay]]:
    """Have a distributed cloud, and the relay that its broker is reached by; the caller is inside its host.

    :param more: lines of its configuration.
    """
    bus = server_url("rabbit").render_as_string(hide_password=False)
    with ExitStack() as stack:
        url = stack.enter_context(own_database(database))
        host = PrivateHost()
        stack.callback(host.remove)
        host.start()
        relays = [Relay(host, PORTS[name]) for name in ("rabbit", database)]
        for relay in relays:
            stack.callback(relay.close)
        options = f"workers = 2\n[database]\nconnection = {url}\n[bus]\ntransport_url = {bus}\n"
        stack.enter_context(host.inside())
        cloud = Cloud(host, DISTRIBUTED, f"[api]\n{options}{more}")
        stack.callback(cloud.remove)
        cloud.prepare(images)
        yield cloud, relays[0]
        cloud.stop()


@pytest.mark.parametrize("database", DATABASES)
@pytest.mark.timeout(600)
def test_three_guests(images: Path, database: str) -> None:
    with distributed(images, database) as (cloud, broker):
        ids = {kind: cloud.create(f"far-{kind}", kind) for kind in KINDS}
        for server_id in ids.values():
            cloud.await_status(server_id, "ACTIVE", 60)
            await_ping(cloud.address(server_id))
        assert "far-unikernel" in fetch(cloud.address(ids["unikernel"]))
        assert "far-container" in cloud.await_console(ids["container"], "far-container")
        marks = [marks_of(cloud, server_id) for server_id in ids.values()]
        assert "Traceback" not in cloud.log.read_text(), cloud.tail()

        broker.cut()
        late = cloud.create("no-broker", "unikernel")
        cloud.await_status(late, "ACTIVE", 60)
        marks.append(marks_of(cloud, late))
        cloud.delete([ids["container"]], 60)
        broker.mend()

        cloud.delete([*ids.values(), late], 60)
        assert [trace for mark in marks for trace in traces(cloud, mark)] == []
