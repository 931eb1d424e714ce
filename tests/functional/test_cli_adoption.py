"""``server adopt`` as it is typed, against a cloud in another process whose fake hypervisor has a stranger."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from cli_cloud import Cloud, cloud

from nova_lite.virt.fake_abilities import foreign_uuid


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("adopt"), persist="true") as made:
        made.do("flavor", "create", "--ram", "128", "--disk", "1", "m1.nano")
        made.do("flavor", "create", "--ram", "32", "--disk", "1", "m1.less")
        with closing(sqlite3.connect(made.directory / "fake-guests.db", timeout=60)) as guests:
            for name, power in (("old-web", 1), ("stopped", 4)):
                guests.execute(
                    "INSERT INTO guests VALUES (?, ?, 'vm', ?, 0, 0, 64, 1, 1, 0, '', '')",
                    (f"foreign-{name}", name, power),
                )
            guests.commit()
        yield made


def test_strangers_are_listed_and_one_is_adopted(running: Cloud) -> None:
    listed = running.read("server", "adopt", "--list", "--host", "host-1")
    assert [(row["Guest"], row["Running"], row["vCPUs"], row["RAM"]) for row in listed] == [
        ("old-web", True, 1, 64),
        ("stopped", False, 1, 64),
    ]
    adopt = ["server", "adopt", "old-web", "--host", "host-1", "--wait", "--property", "was=here"]
    small = running.run(*adopt, "--flavor", "m1.less")
    assert small.code == 1
    assert "is smaller than what guest old-web has" in small.err
    answer = running.run(*adopt, "--flavor", "m1.nano", "--name", "web", "-f", "value", "-c", "ID", "-c", "Status")
    assert answer.code == 0, answer
    assert answer.out.split() == [foreign_uuid("old-web"), "ACTIVE"]
    assert "interface 52:54:00:00:00:01 stays on br0" in answer.err
    assert [row["Guest"] for row in running.read("server", "adopt", "--list")] == ["stopped"]
    running.do("server", "stop", "--wait", "web")
    running.do("server", "start", "--wait", "web")


def test_what_is_left_out_is_named(running: Cloud) -> None:
    for words in (["old-web"], ["--host", "host-1"], ["--list", "old-web"]):
        answer = running.run("server", "adopt", *words)
        assert answer.code == 1
        assert "--list" in answer.err
    stopped = running.run("server", "adopt", "stopped", "--host", "host-1", "--flavor", "m1.nano")
    assert "does not run" in stopped.err
    assert running.run("server", "adopt", "--list", user="demo").code == 1
