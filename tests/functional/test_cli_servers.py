"""Every ``nova-lite server …`` command as it is typed, against a whole cloud in another process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_cloud import Cloud, cloud

FUTURE, PAST = "2116-03-04T06:27:59Z", "2016-03-04T06:27:59Z"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("cli")) as made:
        made.in_process = True
        made.do("flavor", "create", "--id", "1", "--ram", "64", "--disk", "1", "m1.nano")
        made.do("flavor", "create", "--id", "2", "--ram", "128", "--disk", "1", "m1.micro")
        made.do("flavor", "create", "--ram", "128", "--disk", "1", "--property", "nova_lite:live=true", "m1.live")
        roomy = ("--property", "nova_lite:max_memory_mb=256", "--property", "nova_lite:max_vcpus=2")
        made.do("flavor", "create", "--ram", "64", "--disk", "1", *roomy, "m1.roomy")
        made.do("image", "create", "--public", "--file", "-", "tiny", stdin=b"\0" * 100_000)
        yield made


def boot(running: Cloud, name: str, *options: str) -> str:
    words = ("server", "create", "--image", "tiny", "--flavor", "1", "--network", "none", "--wait", *options, name)
    return str(running.read(*words)["ID"])


def status(running: Cloud, name: str) -> str:
    return running.do("server", "show", "-f", "value", "-c", "Status", name).strip()


def test_actions_wait_for_where_they_lead(running: Cloud) -> None:
    boot(running, "busy")
    for words, expected in (
        (["rescue", "--image", "tiny", "--wait"], "RESCUE"),
        (["unrescue", "--wait"], "ACTIVE"),
        (["resize", "--flavor", "m1.micro", "--wait"], "VERIFY_RESIZE"),
        (["resize", "confirm", "--wait"], "ACTIVE"),
        (["resize", "--flavor", "m1.nano", "--wait"], "VERIFY_RESIZE"),
        (["resize", "--revert", "--wait"], "ACTIVE"),
        (["shelve", "--wait"], "SHELVED_OFFLOADED"),
        (["unshelve", "--wait"], "ACTIVE"),
        (["shelve", "--offload"], "SHELVED_OFFLOADED"),
        (["unshelve", "--wait", "--availability-zone", "nova", "--host", "host-1"], "ACTIVE"),
        (["dump", "create", "--wait"], "ACTIVE"),
        (["rebuild", "--wait", "--description", "new", "--property", "a=b", "--hostname", "other"], "ACTIVE"),
    ):
        running.do("server", *words, "busy")
        assert status(running, "busy") in (expected, "SHELVED")
    shown = running.read("server", "show", "busy")
    assert (shown["Flavor"]["name"], shown["Description"], shown["Properties"]) == ("m1.micro", "new", {"a": "b"})
    assert "NMI received" in running.do("console", "log", "show", "busy")
    rows = running.read("server", "migration", "list", "--server", "busy")
    assert sorted(row["Status"] for row in rows) == ["confirmed", "reverted"]
    assert running.read("server", "migration", "list", "--status", "reverted", "--type", "resize", "--project", "admin")
    assert running.read("server", "migration", "list", "--changes-since", FUTURE) == []
    assert running.read("server", "migration", "list", "--host", "host-1", "--user", "admin", "--limit", "1")
    running.do("server", "delete", "--wait", "busy")


def test_a_resize_is_live_where_the_flavor_lets_it(running: Cloud) -> None:
    boot(running, "tight")
    boot(running, "lively", "--flavor", "m1.roomy")
    failed = running.run("server", "resize", "--live", "--flavor", "m1.live", "--wait", "tight")
    assert failed.code == 1
    assert "is ACTIVE, but the last action failed: resize: the guest was started with room for" in failed.err
    refused = running.run("server", "resize", "--live", "--flavor", "m1.micro", "lively")
    assert refused.code == 1
    assert "`nova-lite flavor set --property nova_lite:live=true m1.micro`" in refused.err
    said = running.run("server", "resize", "--live", "--flavor", "m1.live", "--wait", "lively")
    assert said.code == 0, said
    assert (status(running, "lively"), "resize-live" in said.err) == ("ACTIVE", False)
    assert running.read("server", "show", "lively")["Flavor"]["name"] == "m1.live"
    running.do("server", "delete", "--wait", "lively", "tight")


def test_disks_are_given_as_asked_for(running: Cloud) -> None:
    running.do("flavor", "create", "--ram", "64", "--disk", "1", "--ephemeral", "5", "--swap", "128", "m1.scratch")
    shown = running.read("flavor", "list", "--long")
    assert [(row["Ephemeral"], row["Swap"]) for row in shown if row["Name"] == "m1.scratch"] == [(5, 128)]
    disks = ("--flavor", "m1.scratch", "--ephemeral", "size=2,format=ext4", "--swap", "64")
    boot(running, "scratch", *disks)
    log = running.do("console", "log", "show", "scratch")
    assert "2 GiB of ephemeral disk" in log and "64 MiB of swap" in log
    words = (
        "server",
        "create",
        "--image",
        "tiny",
        "--flavor",
        "m1.scratch",
        "--network",
        "none",
        "--swap",
        "129",
        "no",
    )
    assert "Swap drive requested is larger than instance type allows." in running.run(*words).err
    running.do("server", "delete", "--wait", "scratch")


def test_a_locked_server_is_refused_with_what_helps(running: Cloud) -> None:
    boot(running, "voter")
    owned = running.run("server", "list", "--name", "voter", user="demo")
    assert owned.code == 0
    running.do("server", "lock", "--reason", "it counts", "voter")
    shown = running.read("server", "show", "voter")
    assert (shown["Locked"], shown["Locked Reason"]) == (True, "it counts")
    assert [row["Name"] for row in running.read("server", "list", "--locked")] == ["voter"]
    running.do("server", "unlock", "voter")
    assert running.read("server", "list", "--locked") == []
    wrong = running.run("server", "resize", "confirm", "voter")
    assert wrong.code == 1
    assert "VERIFY_RESIZE" in wrong.err
    running.do("server", "resize", "--flavor", "2", "--wait", "voter")
    wrong = running.run("server", "pause", "voter")
    assert "nova-lite server resize confirm" in wrong.err
    running.do("server", "delete", "voter")


def test_a_member_meets_the_lock(running: Cloud) -> None:
    running.do(
        "server", "create", "--image", "tiny", "--flavor", "1", "--network", "none", "--wait", "theirs", user="demo"
    )
    identifier = running.read("server", "show", "theirs", user="demo")["ID"]
    running.do("server", "lock", identifier)
    wrong = running.run("server", "stop", "theirs", user="demo")
    assert wrong.code == 1
    assert "is locked" in wrong.err
    assert "Unlock it first: `nova-lite server unlock SERVER`" in wrong.err
    assert running.run("server", "unlock", "theirs", user="demo").code == 1
    running.do("server", "unlock", identifier)
    running.do("server", "stop", "--wait", "theirs", user="demo")
    running.do("server", "delete", "--wait", "theirs", user="demo")


def test_set_and_unset(running: Cloud) -> None:
    boot(running, "plain", "--property", "kept=1")
    running.do(
        "server", "set", "--name", "fancy", "--property", "x=y", "--tag", "red", "--description", "some", "--hostname",
        "other", "plain",
    )  # fmt: skip
    shown = running.read("server", "show", "fancy")
    assert (shown["Properties"], shown["Tags"], shown["Description"], shown["Hostname"]) == (
        {"kept": "1", "x": "y"},
        ["red"],
        "some",
        "other",
    )
    running.do("server", "unset", "--property", "kept", "--property", "never", "--tag", "red", "--description", "fancy")
    shown = running.read("server", "show", "fancy")
    assert (shown["Properties"], shown["Tags"], shown["Description"]) == ({"x": "y"}, [], None)
    running.do("server", "set", "--state", "error", "fancy")
    assert status(running, "fancy") == "ERROR"
    running.do("server", "set", "--state", "active", "fancy")
    for words in (("set", "--password", "secret-9"), ("password", "set", "--password", "secret-9")):
        wrong = running.run("server", *words, "fancy")
        assert wrong.code == 1
        assert "hw_qemu_guest_agent" in wrong.err
        assert "secret-9" not in wrong.err
    assert running.run("server", "password", "set", "fancy", stdin=b"").err.startswith("No password was given")
    assert running.run("server", "set", "fancy").err.startswith("Nothing is to be changed")
    assert running.run("server", "unset", "fancy").err.startswith("Nothing is to be changed")
    running.do("server", "delete", "fancy")


def test_list_and_show_take_what_the_api_has(running: Cloud) -> None:
    first = boot(running, "first", "--tag", "blue")
    boot(running, "second")
    shown = running.read("server", "show", first)
    both = ["second", "first"]
    for options, expected in {
        (): both,
        ("--flavor", "m1.nano"): both,
        ("--flavor", "m1.micro"): [],
        ("--image", "tiny"): both,
        ("--project", "admin"): both,
        ("--project", "demo"): [],
        ("--user", "admin"): both,
        ("--tags", "blue"): ["first"],
        ("--tags-any", "blue,green"): ["first"],
        ("--not-tags", "blue"): ["second"],
        ("--unlocked",): both,
        ("--availability-zone", "nova"): both,
        ("--power-state", "running"): both,
        ("--power-state", "paused"): [],
        ("--vm-state", "active"): both,
        ("--reservation-id", shown["Reservation ID"]): ["first"],
        ("--changes-since", FUTURE): [],
        ("--changes-before", PAST): [],
        ("--hostname", "first"): ["first"],
        ("--sort", "display_name:asc"): ["first", "second"],
        ("--sort", "display_name:desc"): both,
        ("--marker", "second"): ["first"],
        ("--limit", "1"): ["second"],
        ("--deleted", "--name", "first"): [],
    }.items():
        assert [row["Name"] for row in running.read("server", "list", *options)] == expected, options
    measured = running.read("server", "show", "--diagnostics", "first")
    assert (measured["State"], measured["Driver"]) == ("running", "libvirt")
    assert running.read("server", "show", "--topology", "first") == {"Nodes": [], "Pagesize Kb": None}
    running.do("server", "delete", "--wait", "first", "second")
    assert "first" in [row["Name"] for row in running.read("server", "list", "--deleted")]
    history = running.read("server", "event", "list", "--changes-since", PAST, "--limit", "1", first)
    assert [row["Action"] for row in history] == ["delete"]
    older = running.read("server", "event", "list", "--marker", history[0]["Request ID"], first)
    assert [row["Action"] for row in older] == ["create"]


def test_interfaces_come_and_go(running: Cloud) -> None:
    running.do("network", "create", "wires")
    running.do("subnet", "create", "--network", "wires", "--cidr", "10.8.0.0/24", "wires-v4")
    boot(running, "wired")

    def addresses() -> list[str]:
        found: list[str] = running.read("server", "show", "wired")["Networks"].get("wires", [])
        return found

    def become(wanted: list[str]) -> bool:
        """Wait until the guest has let go: a detach is carried out by the agent."""
        deadline = time.monotonic() + 60
        while addresses() != wanted and time.monotonic() < deadline:
            time.sleep(0.1)
        return addresses() == wanted

    made = running.read("server", "add", "network", "wired", "wires")
    assert made["Fixed IPs"] == addresses()
    running.do("server", "add", "fixed", "ip", "--fixed-ip-address", "10.8.0.77", "wired", "wires")
    assert "10.8.0.77" in addresses()
    running.do("server", "remove", "fixed", "ip", "wired", "10.8.0.77")
    assert become(made["Fixed IPs"])
    assert running.run("server", "remove", "fixed", "ip", "wired", "10.8.0.77").code == 1
    running.do("server", "remove", "port", "wired", made["Port ID"])
    assert become([])
    running.do("server", "add", "network", "wired", "wires")
    running.do("server", "remove", "network", "wired", "wires")
    assert become([])
    running.do("server", "delete", "--wait", "wired")


def test_snapshots_and_backups(running: Cloud) -> None:
    boot(running, "original")
    made = running.read("server", "image", "create", "--name", "golden", "--property", "a=b", "--wait", "original")
    assert (made["Name"], made["Status"], made["A"]) == ("golden", "active", "b")
    for number in range(3):
        running.do(
            "server",
            "backup",
            "create",
            "--type",
            "daily",
            "--rotate",
            "2",
            "--name",
            f"b{number}",
            "--wait",
            "original",
        )
    names = running.do("image", "list", "-f", "value", "-c", "Name").split()
    assert {"golden", "b1", "b2"} <= set(names)
    assert "b0" not in names
    running.do("server", "delete", "original")


def test_deleted_for_good(running: Cloud) -> None:
    boot(running, "doomed")
    running.do("server", "delete", "--force", "--wait", "doomed")
    assert running.run("server", "show", "doomed").code == 1


def test_a_deleted_server_comes_back_while_it_is_kept(tmp_path: Path) -> None:
    with cloud(tmp_path, compute={"reclaim_instance_interval": "3600"}) as kept:
        kept.in_process = True
        kept.do("flavor", "create", "--id", "1", "--ram", "64", "--disk", "1", "m1.nano")
        kept.do("image", "create", "--file", "-", "tiny", stdin=b"\0" * 100_000)
        identifier = boot(kept, "lost")
        kept.do("server", "delete", "lost")
        deadline = time.monotonic() + 60
        while status(kept, identifier) != "SOFT_DELETED":
            assert time.monotonic() < deadline
        assert kept.read("server", "list") == []
        kept.do("server", "restore", "--wait", identifier)
        assert status(kept, "lost") == "ACTIVE"
        kept.do("server", "delete", "--force", "--wait", "lost")
