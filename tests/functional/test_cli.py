"""The client as it is typed, against a whole cloud in another process."""

from __future__ import annotations

import csv
import io
import os
import pty
import re
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_cloud import PASSWORD, Cloud, cloud

SERVER_COLUMNS = ["ID", "Name", "Status", "Task State", "Power State", "Networks", "Kind", "Host"]
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with cloud(tmp_path_factory.mktemp("cli")) as made:
        made.do("flavor", "create", "--id", "1", "--ram", "64", "--disk", "1", "--property", "a:b=c", "m1.nano")
        made.do("flavor", "create", "--ram", "9000000", "m1.huge")
        made.do("quota", "set", "--ram", "-1", "admin")
        made.do("network", "create", "--share", "private")
        made.do("subnet", "create", "--network", "private", "--cidr", "10.9.0.0/24", "private-v4")
        made.do("image", "create", "--public", "--file", "-", "tiny", stdin=b"\0" * 100_000)
        yield made


def test_a_server_lives_and_dies(running: Cloud) -> None:
    made = running.run(
        "server",
        "create",
        "--image",
        "tiny",
        "--flavor",
        "m1.nano",
        "--network",
        "private",
        "--wait",
        "web",
        "-f",
        "json",
    )
    assert made.code == 0, made
    assert "web: ACTIVE" in made.err
    shown = running.read("server", "show", "web")
    assert list(shown)[: len(SERVER_COLUMNS)] == SERVER_COLUMNS
    assert UUID.fullmatch(shown["ID"])
    assert shown["Status"] == "ACTIVE"
    assert shown["Kind"] == "vm"
    assert shown["Host"] == "host-1"
    assert shown["Power State"] == "Running"
    assert shown["Networks"]["private"][0].startswith("10.9.0.")
    assert shown["Image"].startswith("tiny (")
    assert shown["Flavor"]["name"] == "m1.nano"
    (listed,) = [row for row in running.read("server", "list") if row["Name"] == "web"]
    assert listed == {name: shown[name] for name in SERVER_COLUMNS}
    for verb, status in (
        ("suspend", "SUSPENDED"),
        ("resume", "ACTIVE"),
        ("pause", "PAUSED"),
        ("unpause", "ACTIVE"),
        ("stop", "SHUTOFF"),
        ("start", "ACTIVE"),
        ("reboot", "ACTIVE"),
    ):
        running.do("server", verb, "--wait", "web")
        assert running.do("server", "show", "-f", "value", "-c", "status", "web") == f"{status}\n"
    assert "started" in running.do("server", "console", "web")
    assert [event["Action"] for event in running.read("server", "event", "list", "web")][-2:] == ["suspend", "create"]
    running.do("server", "delete", "--wait", "web")
    gone = running.run("server", "show", "web")
    assert (gone.code, gone.out, gone.err) == (1, "", "There is no server called web.\n")
    deleted = running.read("server", "event", "list", shown["ID"])
    assert deleted[0]["Action"] == "delete"


def test_the_old_names_and_spellings_work(running: Cloud) -> None:
    running.do(
        "boot", "--flavor", "1", "--image", "tiny", "--nic", "net-id=private", "--meta", "role=db", "--meta", "n=1",
        "--config-drive", "true", "--min-count", "2", "--max-count", "2", "--poll", "old",
    )  # fmt: skip
    names = {row["Name"] for row in running.read("list")}
    assert {"old-1", "old-2"} <= names
    assert running.read("show", "old-1")["Properties"] == {"role": "db", "n": "1"}
    assert running.read("show", "old-1")["Config Drive"] is True
    assert "started" in running.do("console-log", "old-1")
    for name in ("image-list", "flavor-list", "keypair-list", "net-list", "hypervisor-list", "service-list"):
        assert isinstance(running.read(name), list)
    running.do("image-show", "tiny")
    running.do("flavor-show", "m1.nano")
    running.do("rename", "old-1", "older")
    running.do("stop", "older", "old-2")
    failed = running.run("delete", "--wait", "older", "nobody", "old-2")
    assert failed.code == 1
    assert "delete nobody: There is no server called nobody." in failed.err
    assert "older: gone" in failed.err
    assert "old-2: gone" in failed.err


def test_a_name_that_two_have_is_not_guessed(running: Cloud) -> None:
    for _ in range(2):
        running.do("server", "create", "--image", "tiny", "--flavor", "1", "--network", "none", "--wait", "twin.a")
    answer = running.run("server", "delete", "twin.a")
    ids = sorted(row["ID"] for row in running.read("server", "list", "--name", "^twin"))
    assert answer.code == 1
    assert f"More than one server is called twin.a: ids {ids[0]}, {ids[1]}." in answer.err
    assert "no server called twinxa" in running.run("server", "show", "twinxa").err
    running.do("server", "delete", "--wait", *ids)


def test_a_wait_ends_at_once_on_error_with_the_fault(running: Cloud) -> None:
    begun = time.monotonic()
    answer = running.run(
        "server", "create", "--image", "tiny", "--flavor", "m1.huge", "--network", "none", "--wait", "big"
    )
    assert time.monotonic() - begun < 60
    assert answer.code == 1
    assert answer.out == ""
    last = answer.err.splitlines()[-1]
    assert re.match(r"Server big \([0-9a-f-]{36}\) ended ERROR: .*host", last), answer.err
    assert "Traceback" not in answer.err
    assert "host" in running.read("server", "show", "big")["Fault"]
    running.do("server", "delete", "--wait", "big")


def test_every_format_says_the_same(running: Cloud) -> None:
    (flavor,) = [row for row in running.read("flavor", "list") if row["Name"] == "m1.nano"]
    (row,) = [
        row
        for row in csv.DictReader(io.StringIO(running.do("flavor", "list", "-f", "csv")))
        if row["Name"] == "m1.nano"
    ]
    assert row == {name: str(value) for name, value in flavor.items()}
    assert "RAM: 64" in running.do("flavor", "show", "-f", "yaml", "m1.nano")
    assert running.do("flavor", "show", "-f", "value", "-c", "ram", "m1.nano") == "64\n"
    assert running.do("flavor", "show", "-f", "csv", "-c", "ID", "-c", "RAM", "m1.nano") == '"ID","RAM"\n"1",64\n'
    assert "| RAM" in running.do("flavor", "show", "m1.nano")
    names = running.do("flavor", "list", "-f", "value", "-c", "Name", "--sort-column", "Name").split()
    assert names == sorted(names)
    assert running.run("flavor", "list", "-c", "Nonsense").code == 1


def test_an_image_goes_up_and_comes_back(running: Cloud, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "disk").write_bytes(data)
    running.do("image", "create", "--file", str(tmp_path / "disk"), "--property", "os=x", "--min-ram", "32", "there")
    shown = running.read("image", "show", "there")
    assert (shown["Status"], shown["Size"], shown["Min RAM"], shown["OS"]) == ("active", 3_000_000, 32, "x")
    running.do("image", "save", "--file", str(tmp_path / "back"), "there")
    assert (tmp_path / "back").read_bytes() == data
    running.do("image", "set", "--name", "elsewhere", "--property", "os=y", "--property", "a/b=c", "there")
    changed = running.read("image", "show", "elsewhere")
    assert (changed["OS"], changed["A/b"]) == ("y", "c")
    running.do("image", "delete", "elsewhere")
    assert running.run("image", "show", "elsewhere").code == 1


def test_an_image_that_is_refused_leaves_nothing(running: Cloud, tmp_path: Path) -> None:
    (tmp_path / "lie").write_bytes(b"\0" * 100_000)
    answer = running.run("image", "create", "--file", str(tmp_path / "lie"), "--disk-format", "qcow2", "liar")
    assert answer.code == 1
    assert "qcow2" in answer.err
    assert re.search(r"\(HTTP 400, req-[0-9a-f-]{36}\)\n$", answer.err)
    assert "liar" not in running.do("image", "list", "-f", "value", "-c", "Name")
    assert list(tmp_path.iterdir()) == [tmp_path / "lie"]


def test_a_new_private_key_stays_here(running: Cloud, tmp_path: Path) -> None:
    private = running.do("keypair", "create", "made")
    assert "PRIVATE KEY" in private
    (tmp_path / "key").write_text(private)
    (tmp_path / "key").chmod(0o600)
    running.do("keypair", "create", "--private-key", str(tmp_path / "own"), "saved")
    assert (tmp_path / "own").stat().st_mode & 0o777 == 0o600
    for name, path in (("made", tmp_path / "key"), ("saved", tmp_path / "own")):
        public = subprocess.run(
            ["ssh-keygen", "-y", "-f", str(path)], capture_output=True, text=True, check=True
        ).stdout
        assert running.read("keypair", "show", "--public-key", name)["Public Key"].split()[:2] == public.split()[:2]
    log = (running.directory / "up.log").read_text()
    assert "PRIVATE KEY" not in log
    assert running.run("keypair", "create", "--public-key", str(tmp_path / "own"), "x").code == 1
    running.do("keypair", "delete", "made", "saved")
    assert running.run("keypair", "show", "made").code == 1


def test_networks_subnets_and_ports(running: Cloud) -> None:
    network = running.read("network", "show", "private")
    (subnet,) = running.read("subnet", "list", "--network", "private")
    assert network["Subnets"] == [subnet["ID"]]
    assert subnet["CIDR"] == "10.9.0.0/24"
    running.do("server", "create", "--image", "tiny", "--flavor", "1", "--wait", "plugged")
    (port,) = running.read("port", "list", "--server", "plugged")
    assert port["Fixed IPs"] == running.read("server", "show", "plugged")["Networks"]["private"]
    assert running.read("port", "show", port["ID"])["MAC Address"] == port["MAC Address"]
    running.do("server", "delete", "--wait", "plugged")


def test_the_cloud_tells_of_itself(running: Cloud) -> None:
    assert {item["Type"] for item in running.read("catalog", "list")} == {"identity", "compute", "image", "network"}
    assert len(running.read("token", "issue")["ID"]) > 100
    assert {"admin", "demo"} <= {item["Name"] for item in running.read("project", "list")}
    assert {"admin", "demo"} <= {item["Name"] for item in running.read("user", "list")}
    assert [item["Name"] for item in running.read("project", "list", user="demo")] == ["demo"]
    (hypervisor,) = running.read("hypervisor", "list")
    assert hypervisor["Hypervisor Hostname"] == "host-1"
    assert running.read("hypervisor", "show", "host-1")["Hypervisor Type"] == "fake"
    assert all(item["State"] == "up" for item in running.read("service", "list"))
    assert running.read("availability", "zone", "list")[0]["Zone Status"] == "available"
    assert {item["Name"] for item in running.read("limits", "show")} >= {"maxTotalCores"}
    assert {item["Resource"] for item in running.read("usage", "show")} >= {"VCPUs"}
    refused = running.run("hypervisor", "list", user="demo")
    assert refused.code == 1
    assert re.search(r"\(HTTP 403, req-[0-9a-f-]{36}\)\n$", refused.err)
    assert refused.err.count("\n") == 1


def test_what_is_wrong_is_said_in_a_line(running: Cloud) -> None:
    wrong = running.run("server", "list", OS_PASSWORD="not-it")
    assert wrong.code == 1
    assert re.fullmatch(r"The user name, the password or the project is wrong\. \(HTTP 401, req-\S+\)\n", wrong.err)
    nobody = running.run("server", "list", OS_AUTH_URL="http://127.0.0.1:1/identity/v3")
    assert nobody.code == 1
    assert nobody.err.startswith("Nothing answers at http://127.0.0.1:1; is it up?")
    assert nobody.err.count("\n") == 1
    nothing = running.run("server", "list", OS_AUTH_URL="")
    assert nothing.code == 1
    assert "source /etc/nova-lite/openrc" in nothing.err
    assert running.run("server", "lsit").code == 2
    assert running.run("server", "show").code == 2
    proxied = running.run("server", "list", http_proxy="http://127.0.0.1:1", HTTP_PROXY="http://127.0.0.1:1")
    assert proxied.code == 0, proxied


def test_an_address_without_its_version_is_found_out(running: Cloud) -> None:
    running.do("server", "list", OS_AUTH_URL=f"http://127.0.0.1:{running.port}/identity")


def test_a_cloud_of_clouds_yaml(running: Cloud) -> None:
    folder = running.directory / ".config" / "openstack"
    folder.mkdir(parents=True)
    (folder / "clouds.yaml").write_text(
        f"clouds:\n  mine:\n    auth:\n      auth_url: http://127.0.0.1:{running.port}/identity/v3\n"
        f"      username: demo\n      password: {PASSWORD}\n      project_name: demo\n    region_name: RegionOne\n"
    )
    # What an openrc left in the environment doesn't mix with it.
    assert [item["Name"] for item in running.read("--os-cloud", "mine", "project", "list")] == ["demo"]
    assert [item["Name"] for item in running.read("project", "list", OS_CLOUD="mine")] == ["demo"]


def test_debug_tells_the_requests_and_no_secret(running: Cloud, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("the-user-data")
    answer = running.run(
        "--debug", "server", "create", "--image", "tiny", "--flavor", "1", "--network", "none", "--user-data",
        str(tmp_path / "data"), "--wait", "quiet",
    )  # fmt: skip
    assert answer.code == 0
    assert f"POST http://127.0.0.1:{running.port}/compute/v2.1/servers status=202" in answer.err
    assert PASSWORD not in answer.err
    assert "gAAAAA" not in answer.err
    assert "dGhlLXVzZXItZGF0YQ" not in answer.err
    assert '"user_data": "***"' in answer.err
    running.do("server", "delete", "quiet")


def test_a_reader_that_goes_away_is_no_error(running: Cloud) -> None:
    # The reader has gone long before anything is written.
    script = f"{' '.join(running.command('flavor', 'list'))} | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=running.environment(), cwd=running.directory
    )
    assert (done.returncode, done.stderr) == (141, "")


def test_completion_knows_every_command(running: Cloud) -> None:
    script = running.do("complete")
    assert "complete -F _nova_lite nova-lite" in script
    assert re.search(r"cmds_server='[^']*\bcreate\b[^']*\bsuspend\b", script)
    assert re.search(r"cmds_server_create='[^']*--user-data", script)
    assert subprocess.run(["bash", "-n"], input=script, text=True).returncode == 0
    assert running.do("--version") == "nova-lite 0.1.0\n"
    assert "--config-file" in running.do("up", "--help")
    assert re.search(r"server create\s+Create a server", running.do("help"))
    assert "--availability-zone" in running.do("server", "create", "--help")


def test_on_a_terminal_progress_is_one_line_that_changes(running: Cloud) -> None:
    leader, follower = pty.openpty()
    try:
        process = subprocess.Popen(
            running.command(
                "server", "create", "--image", "tiny", "--flavor", "1", "--network", "none", "--wait", "tty"
            ),
            stdout=subprocess.DEVNULL,
            stderr=follower,
            env=running.environment(),
            cwd=running.directory,
        )
        assert process.wait(60) == 0
        os.set_blocking(leader, False)
        said = os.read(leader, 65_536).decode()
    finally:
        os.close(leader)
        os.close(follower)
    assert said.startswith("\r\x1b[Ktty: ")
    assert "\n" not in said
    assert said.endswith("\r\x1b[K")
    running.do("server", "delete", "tty")


def processor_s() -> float:
    """Return the processor time of the commands so far: nearly all that one takes by itself, and no other program makes it longer."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_a_whole_command_takes_half_a_second_at_most(running: Cloud) -> None:
    def fastest(*command: str) -> float:
        spent = []
        for _ in range(7):
            begun = processor_s()
            subprocess.run(command, check=True, capture_output=True, env=running.environment(), cwd=running.directory)
            spent.append(processor_s() - begun)
        return min(spent)

    # An interpreter alone takes 0.02 s where the limit was set; a machine that is slow today gets its due.
    slowness = max(1.0, fastest(sys.executable, "-c", "pass") / 0.02)
    # 0.08 s of the 0.5 are kept for a password that is hashed at full strength, which the tests' cloud doesn't.
    assert fastest(*running.command("server", "list")) <= 0.42 * slowness
