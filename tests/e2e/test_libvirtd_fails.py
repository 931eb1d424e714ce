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
from real_cloud import Cloud, await_ping, cloud_on_a_host, marks_of, traces

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
    assert time.monotonic() - began < 30


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


@pytest.mark.timeout(300)
def test_frozen_containers_are_known_to_a_libvirtd_that_was_started_again(images: Path) -> None:
    with cloud_on_a_host(images, options=OPTIONS) as cloud:
        paused, suspended = cloud.create("paused", "container"), cloud.create("suspended", "container")
        for server_id, action, status in ((paused, "pause", "PAUSED"), (suspended, "suspend", "SUSPENDED")):
            cloud.await_status(server_id, "ACTIVE")
            assert cloud.act(server_id, **{action: None}).status == 202
            cloud.await_status(server_id, status)
        marks = [marks_of(cloud, server_id) for server_id in (paused, suspended)]
        cloud.host.kill_libvirtd()
        # Their pages would not be there: they are frozen, whatever libvirt says.
        wait_for("it to be looked at", lambda: cloud.log.read_text().count("lxc:///system event=watched") >= 2, 20)
        time.sleep(2.5)
        assert [cloud.show(one)["status"] for one in (paused, suspended)] == ["PAUSED", "SUSPENDED"]
        assert cloud.act(paused, unpause=None).status == 202
        cloud.await_status(paused, "ACTIVE")
        await_ping(cloud.address(paused))
        cloud.delete([paused, suspended])
        for mark in marks:
            assert traces(cloud, mark) == [], cloud.tail()
        cloud.stop()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_snapshot_that_libvirtd_has_lost_is_told_and_a_hard_reboot_ends_it(images: Path) -> None:
    with cloud_on_a_host(images) as cloud:
        server_id = cloud.create("vm", "vm")
        cloud.await_status(server_id, "ACTIVE")
        kept = Path(f"{cloud.host.directory}/host/run/libvirt/qemu/nl-{server_id}.xml")

        def forget() -> None:
            """Leave what a libvirtd leaves that dies when a backup has begun and it has not written down which."""
            text = kept.read_text()
            job = "  <job type='none' async='backup' phase='none' flags='0x0'/>\n  <monitor path"
            assert "<job " not in text
            kept.write_text(text.replace("  <monitor path", job, 1))

        cloud.host.kill_libvirtd(forget)
        assert cloud.act(server_id, createImage={"name": "lost"}).status == 202
        cloud.await_status(server_id, "ACTIVE", 60)
        assert "hard reboot" in reason(cloud, server_id)
        assert cloud.act(server_id, reboot={"type": "HARD"}).status == 202
        # libvirt waits for 30 s for the job that it takes to be under way.
        cloud.await_status(server_id, "ACTIVE", 90)
        await_ping(cloud.address(server_id))
        assert cloud.act(server_id, createImage={"name": "whole"}).status == 202
        cloud.await_status(server_id, "ACTIVE", 60)
        found = {image["name"]: image["status"] for image in cloud.read("/image/v2/images")["images"]}
        assert found["whole"] == "active" and "lost" not in found
        cloud.delete([server_id], 60)
        cloud.stop()


def reason(cloud: Cloud, server_id: str) -> str:
    """Return why what was last done to a server failed."""
    path = f"{PATH}/{server_id}/os-instance-actions"
    last = cloud.read(path, "admin")["instanceActions"][0]
    return str(cloud.read(f"{path}/{last['request_id']}", "admin")["instanceAction"]["message"])
