"""libvirtd hangs, and is killed, while a real cloud makes, changes and deletes guests: the API answers, and all of it comes to its end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from private_host import wait_for
from real_cloud import Cloud, cloud_on_a_host, marks_of, traces

OPTIONS = (
    "[libvirt]\ncall_timeout = 3\n"
    "[compute]\npoll_interval = 0.5\nreconcile_interval = 2\nshutdown_timeout = 2\nmax_attempts = 10\n"
)
PATH = "/compute/v2.1/servers"


@contextmanager
def hanging(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def answers_at_once(cloud: Cloud) -> None:
    began = time.monotonic()
    cloud.read(f"{PATH}/detail")
    assert time.monotonic() - began < 3


@pytest.mark.timeout(600)
def test_libvirtd_hangs_and_is_killed(images: Path) -> None:
    with cloud_on_a_host(images, options=OPTIONS) as cloud:
        first = cloud.create("first", "unikernel")
        cloud.await_status(first, "ACTIVE")
        with hanging(cloud.host.libvirtd):
            second, third = cloud.create("second", "unikernel"), cloud.create("third", "container")
            assert cloud.act(first, **{"os-stop": None}).status == 202
            wait_for("first to be unknown", lambda: cloud.show(first)["OS-EXT-STS:power_state"] == 0, 30)
            answers_at_once(cloud)
        cloud.await_status(second, "ACTIVE", 90)
        cloud.await_status(third, "ACTIVE", 90)
        cloud.await_status(first, "SHUTOFF", 90)
        marks = [marks_of(cloud, server_id) for server_id in (first, second, third)]
        os.kill(cloud.host.libvirtd, signal.SIGSTOP)
        assert cloud.ask("DELETE", f"{PATH}/{second}", user="demo").status == 204
        assert cloud.act(first, **{"os-start": None}).status == 202
        time.sleep(4)
        answers_at_once(cloud)
        cloud.host.kill_libvirtd()
        cloud.await_status(first, "ACTIVE", 90)
        wait_for("second gone", lambda: cloud.show(second) is None, 90)
        assert traces(cloud, marks[1]) == []
        assert cloud.show(third)["status"] == "ACTIVE"
        cloud.delete([first, third], 60)
        for mark in marks:
            assert traces(cloud, mark) == [], cloud.tail()
        cloud.stop()
