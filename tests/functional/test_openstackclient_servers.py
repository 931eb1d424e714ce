"""Every ``openstack server …`` command, unmodified, at the highest microversion: what it says is what is so."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from cli_cloud import cloud
from openstack_shell import WAIT_S, Client

FUTURE, PAST = "2116-03-04T06:27:59Z", "2016-03-04T06:27:59Z"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with cloud(tmp_path_factory.mktemp("osc")) as made:
        client = Client(made)
        client.do("flavor", "create", "--id", "1", "--ram", "64", "--disk", "1", "--property", "a:b=c", "m1.nano")
        client.do("flavor", "create", "--id", "2", "--ram", "128", "--disk", "1", "m1.micro")
        client.do("network", "create", "--share", "private")
        client.do("subnet", "create", "--network", "private", "--subnet-range", "10.9.0.0/24", "private-v4")
        made.do("image", "create", "--public", "--file", "-", "tiny", stdin=b"\0" * 100_000)
        made.do("keypair", "create", "key")
        yield client


def boot(client: Client, name: str, *options: str, network: str = "--network=private") -> str:
    made = client.read("server", "create", "--image", "tiny", "--flavor", "m1.nano", network, *options, name)
    client.until(made["id"], "ACTIVE")
    return str(made["id"])


def test_list_has_every_filter(client: Client) -> None:
    identifier = boot(client, "first", "--tag", "blue", "--property", "role=web", "--key-name", "key")
    boot(client, "second", network="--no-network")
    shown = client.read("server", "show", identifier)
    reservation = shown["OS-EXT-SRV-ATTR:reservation_id"]
    (address,) = shown["addresses"]["private"]
    client.do("server", "lock", "first")
    both = {"first", "second"}
    for options, expected in {
        (): both,
        ("--all-projects",): both,
        ("--name", "^fir"): {"first"},
        ("--name", "s"): both,
        ("--instance-name", "first"): set(),
        ("--status", "ACTIVE"): both,
        ("--status", "SHUTOFF"): set(),
        ("--flavor", "m1.nano"): both,
        ("--flavor", "m1.micro"): set(),
        ("--image", "tiny"): both,
        ("--host", "host-1"): both,
        ("--ip", address.rpartition(".")[0]): {"first"},
        ("--ip6", "fd00"): set(),
        ("--project", "admin"): both,
        ("--project", "demo"): set(),
        ("--user", "admin"): both,
        ("--reservation-id", reservation): {"first"},
        ("--key-name", "key"): {"first"},
        ("--availability-zone", "nova"): both,
        ("--availability-zone", "elsewhere"): set(),
        ("--power-state", "running"): both,
        ("--power-state", "shutdown"): set(),
        ("--vm-state", "active"): both,
        ("--locked",): {"first"},
        ("--unlocked",): {"second"},
        ("--tags", "blue"): {"first"},
        ("--not-tags", "blue"): {"second"},
        ("--changes-since", PAST): both,
        ("--changes-since", FUTURE): set(),
        ("--changes-before", FUTURE): both,
        ("--changes-before", PAST): set(),
        ("--deleted",): set(),
        ("--limit", "1"): {"second"},
        ("--marker", "second"): {"first"},
        ("--no-name-lookup",): both,
        ("--name-lookup-one-by-one",): both,
    }.items():
        assert client.names("server", "list", *options) == expected, options
    (row,) = client.read("server", "list", "--long", "--tags", "blue")
    assert row["Properties"] == {"role": "web"}
    assert (row["Image Name"], row["Flavor"], row["Host"], row["Availability Zone"]) == (
        "tiny",
        "m1.nano",
        "host-1",
        "nova",
    )
    names = client.do("server", "list", "--sort-column", "Name", "-f", "value", "-c", "Name").split()
    assert names == ["first", "second"]
    client.do("server", "delete", "first", "second", "--wait")
    assert {"first", "second"} <= client.names("server", "list", "--deleted", "--all-projects")


def test_show_tells_diagnostics_and_topology(client: Client) -> None:
    identifier = boot(client, "shown")
    found = client.read("server", "show", "--diagnostics", "shown")
    assert (found["state"], found["num_nics"], found["num_cpus"]) == ("running", 1, 1)
    assert client.read("server", "show", "--topology", "shown")["topology"] == {"nodes": [], "pagesize_kb": None}
    shown = client.read("server", "show", identifier)
    assert shown["flavor"]["extra_specs"] == {"a:b": "c"}
    assert shown["server_groups"] == []
    assert re.search("shown: started", client.do("console", "log", "show", "shown"))
    assert client.do("console", "log", "show", "--lines", "1", "shown").count("\n") == 1
    assert client.read("server", "volume", "list", "shown") == []
    client.do("server", "delete", "--force", "shown")


def test_interfaces_come_and_go(client: Client) -> None:
    boot(client, "wired", network="--no-network")

    def addresses() -> list[str]:
        found: list[str] = client.read("server", "show", "wired")["addresses"].get("private", [])
        return found

    client.do("server", "add", "network", "wired", "private")
    assert len(addresses()) == 1
    client.do("port", "create", "--network", "private", "plug")
    client.do("server", "add", "port", "wired", "plug")
    assert len(addresses()) == 2
    client.do("server", "remove", "port", "wired", "plug")
    added = client.read("server", "add", "fixed", "ip", "wired", "private", "--fixed-ip-address", "10.9.0.77")
    assert [item["ip_address"] for item in added["Fixed IPs"]] == ["10.9.0.77"]
    assert "10.9.0.77" in addresses()
    client.do("security", "group", "create", "web")
    client.do("server", "add", "security", "group", "wired", "web")
    assert {"name": "web"} in client.read("server", "show", "wired")["security_groups"]
    client.do("server", "remove", "security", "group", "wired", "web")
    assert {"name": "web"} not in client.read("server", "show", "wired")["security_groups"]
    client.do("server", "remove", "network", "wired", "private")
    deadline = time.monotonic() + WAIT_S
    while addresses():  # a detach is asked for, and done a little later
        assert time.monotonic() < deadline
    assert client.read("console", "url", "show", "--serial", "wired")["type"] == "serial"
    client.do("server", "delete", "wired")


def test_set_and_unset_change_what_they_name(client: Client) -> None:
    boot(client, "plain", "--property", "kept=1")
    client.do(
        "server", "set", "plain", "--property", "x=y", "--tag", "red", "--description", "some", "--hostname", "other"
    )
    client.do("server", "set", "plain", "--name", "fancy")
    shown = client.read("server", "show", "fancy")
    assert (shown["description"], shown["tags"], shown["properties"], shown["OS-EXT-SRV-ATTR:hostname"]) == (
        "some",
        ["red"],
        {"kept": "1", "x": "y"},
        "other",
    )
    client.do("server", "unset", "fancy", "--property", "x", "--tag", "red", "--description")
    shown = client.read("server", "show", "fancy")
    assert (shown["description"], shown["tags"], shown["properties"]) == ("", [], {"kept": "1"})
    client.do("server", "set", "--state", "error", "--auto-approve", "fancy")
    assert client.read("server", "show", "fancy")["status"] == "ERROR"
    client.do("server", "set", "--state", "active", "--auto-approve", "fancy")
    assert "hw_qemu_guest_agent" in client.refused("server", "set", "--password", "secret", "fancy")
    client.do("server", "set", "--no-password", "fancy")
    client.do("server", "delete", "fancy")


def test_every_action_ends_where_it_says(client: Client) -> None:
    boot(client, "busy")
    for words, status in (
        (["lock", "--reason", "because"], "ACTIVE"),
        (["unlock"], "ACTIVE"),
        (["pause"], "PAUSED"),
        (["unpause"], "ACTIVE"),
        (["suspend"], "SUSPENDED"),
        (["resume"], "ACTIVE"),
        (["stop"], "SHUTOFF"),
        (["start"], "ACTIVE"),
        (["reboot"], "ACTIVE"),
        (["reboot", "--hard"], "ACTIVE"),
        (["resize", "--flavor", "m1.micro"], "VERIFY_RESIZE"),
        (["resize", "confirm"], "ACTIVE"),
        (["resize", "--flavor", "m1.nano"], "VERIFY_RESIZE"),
        (["resize", "revert"], "ACTIVE"),
        (["rescue", "--image", "tiny"], "RESCUE"),
        (["unrescue"], "ACTIVE"),
        (["shelve"], "SHELVED_OFFLOADED"),
        (["unshelve", "--availability-zone", "nova"], "ACTIVE"),
        (["shelve", "--offload", "--wait"], "SHELVED_OFFLOADED"),
        (["unshelve", "--host", "host-1"], "ACTIVE"),
        (["dump", "create"], "ACTIVE"),
    ):
        client.do("server", *words, "busy")
        client.until("busy", status)
    assert client.read("server", "show", "busy")["flavor"]["name"] == "m1.micro"
    rows = client.read("server", "migration", "list", "--server", "busy")
    assert {row["Status"] for row in rows} == {"confirmed", "reverted"}
    assert client.read("server", "migration", "list", "--status", "reverted", "--type", "resize")
    assert client.read("server", "migration", "list", "--project", "admin", "--changes-since", PAST[:-1])
    assert client.read("server", "migration", "list", "--host", "nowhere") == []
    # As in Nova, the server's state comes before its migrations.
    assert "it works in migrating" in client.refused("server", "migration", "abort", "busy", "1")
    assert "it works in migrating" in client.refused("server", "migration", "force", "complete", "busy", "1")
    rebuilt = client.read(
        "server", "rebuild", "busy", "--image", "tiny", "--description", "new", "--property", "z=1", "--hostname", "fresh",
        "--key-name", "key", "--name", "busier",
    )  # fmt: skip
    assert (rebuilt["status"], rebuilt["name"], rebuilt["key_name"]) == ("REBUILD", "busier", "key")
    client.until("busier", "ACTIVE")
    client.do("server", "delete", "busier")


def test_disks_are_given_as_asked_for(client: Client) -> None:
    client.do("flavor", "create", "--ram", "64", "--disk", "1", "--ephemeral", "5", "--swap", "128", "m1.scratch")
    for name, disks, told in (
        ("whole", (), ("5 GiB of ephemeral disk", "128 MiB of swap")),
        (
            "parts",
            ("--ephemeral", "size=2,format=ext4", "--swap", "64"),
            ("2 GiB of ephemeral disk", "64 MiB of swap"),
        ),
    ):
        made = client.read(
            *("server", "create", "--image", "tiny", "--flavor", "m1.scratch", "--no-network", *disks, name)
        )
        client.until(made["id"], "ACTIVE")
        log = client.do("console", "log", "show", name)
        assert all(line in log for line in told), log


def test_events_are_listed_in_pages(client: Client) -> None:
    identifier = boot(client, "eventful")
    client.do("server", "stop", "eventful")
    client.until("eventful", "SHUTOFF")
    rows = client.read("server", "event", "list", "eventful")
    assert [row["Action"] for row in rows] == ["stop", "create"]
    (older,) = client.read("server", "event", "list", "eventful", "--marker", rows[0]["Request ID"])
    assert older["Action"] == "create"
    long = client.read("server", "event", "list", "eventful", "--long", "--changes-since", PAST)
    assert len(long) == 2
    assert client.read("server", "event", "list", "eventful", "--changes-since", FUTURE) == []
    assert client.read("server", "event", "list", "eventful", "--changes-before", PAST) == []
    shown = client.read("server", "event", "show", "eventful", rows[0]["Request ID"])
    assert (shown["action"], shown["events"][-1]["result"]) == ("stop", "Success")
    client.do("server", "delete", "eventful", "--wait")
    assert client.read("server", "event", "list", identifier)[0]["Action"] == "delete"


def test_images_and_backups_of_a_server(client: Client) -> None:
    boot(client, "original")
    made = client.read("server", "image", "create", "--name", "snap", "--property", "a=b", "original")
    assert (made["name"], made["properties"]["a"], made["properties"]["image_type"]) == ("snap", "b", "snapshot")
    client.until("original", "ACTIVE")
    for number in range(3):
        client.do(
            "server", "backup", "create", "--name", f"back-{number}", "--type", "daily", "--rotate", "2", "original"
        )
        client.until("original", "ACTIVE")
    assert client.names("image", "list") >= {"snap", "back-1", "back-2"}
    assert "back-0" not in client.names("image", "list")
    client.do("server", "delete", "original")


def test_several_servers_one_group_and_refusals(client: Client) -> None:
    client.do("server", "group", "create", "--policy", "soft-anti-affinity", "apart")
    group = client.read("server", "group", "show", "apart")["id"]
    client.do(
        "server", "create", "--image", "tiny", "--flavor", "1", "--nic", "none", "--min", "2", "--max", "2",
        "--server-group", "apart", "--hint", "a=b", "--config-drive", "True", "--description", "d", "twin",
    )  # fmt: skip
    assert {"twin-1", "twin-2"} <= client.names("server", "list")
    assert len(client.read("server", "group", "show", "apart")["members"]) == 2
    one = client.read("server", "list", "--name", "twin-1")[0]["ID"]
    assert client.read("server", "show", one)["server_groups"] == [group]
    assert "key_name" in client.refused("server", "create", "--image", "tiny", "--flavor", "1", "--key-name", "no", "x")
    assert "VERIFY_RESIZE" in client.refused("server", "resize", "confirm", "twin-1")
    assert "No Server found" in client.refused("server", "show", "nobody")
    client.do("server", "delete", "twin-1", "twin-2", "--wait")
    client.do("server", "group", "delete", "apart")
