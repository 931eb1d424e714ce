"""``nova-lite-manage`` as an operator runs it: its own process, its output, its exit codes."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from nova_lite.agent.lock import HostLock
from nova_lite.cmd.manage import main
from nova_lite.cmd.manage_host import _guests
from nova_lite.compute.transitions import PowerState
from nova_lite.db import migrate
from nova_lite.db.models import Host, Operation, Server, Service
from nova_lite.db.store import Store, connect
from nova_lite.db.types import epoch, now
from nova_lite.virt.driver import Observed


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "nova-lite.conf"
    path.write_text(
        f"[DEFAULT]\nstate_path = {tmp_path}/state\nhost = here\n"
        f"[identity]\nbcrypt_rounds = 4\n[api]\npolicy_file = {tmp_path}/policy.yaml\n"
    )
    (tmp_path / "admin").write_text("first\n")
    (tmp_path / "admin").chmod(0o600)
    return path


def _store(settings: Path) -> Store:
    return Store(connect(f"sqlite:///{settings.parent}/state/nova-lite.db"))


def test_the_program_itself(settings: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "nova_lite.cmd.manage", "--config-file", str(settings), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert run("db", "sync").stdout == f"The database is now at revision {migrate.head()}.\n"
    wrong = run("db", "sink")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "invalid choice" in wrong.stderr
    failed = run("bootstrap", "--admin-password-file", "/nonexistent")
    assert failed.returncode == 1
    assert failed.stderr.startswith("nova-lite-manage: error: ")
    assert "Traceback" not in failed.stderr
    assert "bootstrap" in run("--help").stdout


def test_db(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--config-file", str(settings), "db"]
    assert main([*command, "version"]) == 0
    assert "current: none" in capsys.readouterr().out
    assert main([*command, "sync"]) == main([*command, "sync"]) == 0
    assert "was already at" in capsys.readouterr().out
    main([*command, "version"])
    assert f"current: {migrate.head()}" in capsys.readouterr().out


def test_db_purge(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--config-file", str(settings), "db"]
    main([*command, "sync"])
    store = _store(settings)
    sizes = {"kind": "vm", "flavor": {}, "vcpus": 1, "memory_mb": 1, "disk_gb": 1, "reservation_id": "r"}
    for name, days in (("old", 91), ("young", 1)):
        when = now() - datetime.timedelta(days=days)
        row = Server(id=name, project_id="p", user_id="u", name=name, hostname=name, vm_state="deleted", **sizes)
        row.deleted, row.deleted_at = True, when
        store.transact(lambda session, row=row: session.add(row))
    capsys.readouterr()
    assert main([*command, "purge", "--dry-run"]) == 0
    assert capsys.readouterr().out == "There are 1 deleted servers and 0 ended operations beside theirs.\n"
    assert main([*command, "purge"]) == 0
    assert capsys.readouterr().out == "Removed 1 deleted servers and 0 ended operations beside theirs.\n"
    assert main([*command, "purge", "--days", "0"]) == 0
    assert "Removed 1 deleted servers" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*command, "purge", "--days", "-1"])
    store.close()


def test_bootstrap(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    password = settings.parent / "admin"
    command = ["--config-file", str(settings), "bootstrap", "--admin-password-file", str(password)]
    assert main(command) == 1
    assert "db sync" in capsys.readouterr().err
    main(["--config-file", str(settings), "db", "sync"])
    capsys.readouterr()
    assert main(command) == 0
    first = capsys.readouterr()
    assert "made: user admin" in first.out
    assert "made: Fernet keys" in first.out
    assert main(command) == 0
    assert capsys.readouterr().out == "Everything was there already.\n"
    password.write_text("second\n")
    password.chmod(0o644)
    assert main(command) == 0
    again = capsys.readouterr()
    assert "made: password of admin" in again.out
    assert "chmod 600" in again.err
    assert "second" not in again.out + again.err + first.out + first.err
    password.write_text("\n")
    assert main(command) == 1
    assert main(["--config-file", str(settings), "fernet", "rotate"]) == 0
    assert capsys.readouterr().out.startswith("Key 2 in ")


def test_listings(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--config-file", str(settings)]
    main([*command, "db", "sync"])
    capsys.readouterr()

    def fill(session: object) -> None:
        add = session.add  # type: ignore[attr-defined]
        add(Host(name="alive", uuid=str(uuid.uuid4()), vcpus=4, last_seen=epoch(), kinds=["vm"], version="0.1"))
        add(Host(name="dead", uuid=str(uuid.uuid4()), last_seen=epoch() - 900))
        add(Service(uuid=str(uuid.uuid4()), binary="nova-lite-api", host="alive", last_seen=epoch()))
        common = {"request_id": "req-1", "target_type": "server", "queue": "agent", "deadline": 0.0}
        add(Operation(action="create", target_id="s1", state="pending", **common))
        add(Operation(action="delete", target_id="s2", state="failed", error="bad \x1b[31m words", **common))

    store = _store(settings)
    store.transact(fill)
    main([*command, "host", "list", "-f", "json"])
    hosts = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert (hosts["alive"]["state"], hosts["dead"]["state"]) == ("up", "down")
    assert hosts["alive"]["vcpus"] == "0/4"
    main([*command, "service", "list", "-f", "json"])
    services = json.loads(capsys.readouterr().out)
    assert [(row["binary"], row["host"], row["state"]) for row in services] == [
        ("nova-lite-api", "alive", "up"),
        ("nova-lite-compute", "alive", "up"),
        ("nova-lite-compute", "dead", "down"),
    ]
    main([*command, "operation", "list"])
    table = capsys.readouterr().out
    assert "create" in table
    assert "delete" not in table
    main([*command, "operation", "list", "--all"])
    table = capsys.readouterr().out
    assert "bad ?[31m words" in table
    assert table.index("delete") < table.index("create")
    store.close()


def test_policy_list_shows_what_is_in_force(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (settings.parent / "policy.yaml").write_text('"identity:list_users": "role:reader"\n')
    assert main(["--config-file", str(settings), "policy", "list", "-f", "json"]) == 0
    rules = {row["rule"]: row["check"] for row in json.loads(capsys.readouterr().out)}
    assert rules["identity:list_users *"] == "role:reader"
    assert rules["identity:list_projects"] == "rule:admin"


def test_config_check_says_all_at_once(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config-file", str(settings), "config", "check"]) == 0
    assert capsys.readouterr().out.startswith("0 problems in ")
    settings.write_text(
        settings.read_text() + "[identity]\ntoken_lifetime = soon\n[nonsense]\na = 1\n[bus]\ntransprot_url = x\n"
        "[database]\nconnection = oracle://u:hidden-secret@h/x\n[oslo_messaging_rabbit]\nssl = true\n"
    )
    (settings.parent / "policy.yaml").write_text('"identity:nothing": "!"\n')
    assert main(["--config-file", str(settings), "config", "check"]) == 1
    out = capsys.readouterr().out
    for words in ("[nonsense]", "transprot_url is not an option", "token_lifetime", "oracle", "identity:nothing"):
        assert words in out
    assert "oslo_messaging" not in out
    assert "hidden-secret" not in out
    assert "5 problems" in out


def test_clean_is_refused_while_an_agent_runs(settings: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lock = HostLock(settings.parent / "state", "here")
    lock.take()
    assert main(["--config-file", str(settings), "host", "clean"]) == 1
    assert "Another agent" in capsys.readouterr().err
    lock.release()


def test_clean_takes_only_this_installations_guests(tmp_path: Path) -> None:
    mine, lost, theirs = (str(uuid.uuid4()) for _ in range(3))
    for name in (mine, lost, ".removed-x", "not-a-guest"):
        (tmp_path / name).mkdir()

    class Observer:
        def observe(self) -> list[Observed]:
            running = PowerState.RUNNING
            return [
                Observed(mine, "a", running, "vm"),
                Observed(theirs, "b", running, "vm"),
                Observed(None, "c", running, "vm"),
            ]

    ours, others = _guests(Observer(), tmp_path)  # type: ignore[arg-type]
    assert ours == sorted([mine, lost])
    assert others == [theirs]
