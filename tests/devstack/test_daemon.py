"""Daemons are started once, ended by their own pid, and a pid that is somebody else's now is left alone."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from shell import Shell


def descriptors(pid: int) -> set[int]:
    return {int(name) for name in os.listdir(f"/proc/{pid}/fd")}


def test_start_is_idempotent_and_stop_ends_it(shell: Shell, tmp_path: Path) -> None:
    log = tmp_path / "log" / "sleeper.log"
    start = f"daemon_start sleeper {log} sh -c 'echo begun; exec sleep 300'; daemon_pid sleeper"
    first = shell.run(start, "daemon")
    pid = int(first.stdout)
    try:
        assert int(shell.run(start, "daemon").stdout) == pid
        assert os.getsid(pid) == pid, "it must outlive the terminal"
        # A program that has just been started may have its libraries open.
        deadline = time.monotonic() + 60
        while log.read_text() != "begun\n" or descriptors(pid) != {0, 1, 2}:
            assert time.monotonic() < deadline, descriptors(pid)
            time.sleep(0.05)
    finally:
        assert shell.run("daemon_stop sleeper 5", "daemon").returncode == 0
    assert not Path(f"/proc/{pid}").exists() or "State:\tZ" in Path(f"/proc/{pid}/status").read_text()
    assert log.read_text() == "begun\n"
    assert shell.run("daemon_stop sleeper 5", "daemon").returncode == 0


def test_one_that_does_not_listen_is_killed(shell: Shell, tmp_path: Path) -> None:
    code = (
        f"daemon_start deaf {tmp_path}/deaf.log sh -c 'trap \"\" TERM; echo begun; while :; do sleep 0.2; done'\n"
        f"wait_until 50 grep -q begun {tmp_path}/deaf.log\ndaemon_stop deaf 1\n! daemon_pid deaf"
    )
    done = shell.run(code, "daemon")
    assert done.returncode == 0
    assert "did not end within 1 s" in done.stderr


def test_a_pid_that_was_given_to_another_program_is_not_ended(shell: Shell, tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "300"])
    try:
        run = tmp_path / "run"
        run.mkdir()
        (run / "ghost.pid").write_text(f"{other.pid}\n")
        (run / "ghost.start").write_text("1\n")
        assert shell.run("daemon_pid ghost", "daemon").returncode == 1
        assert shell.run("daemon_stop ghost 1", "daemon").returncode == 0
        assert other.poll() is None
        assert not (run / "ghost.pid").exists()
    finally:
        other.kill()
        other.wait()


SERVERS = ("libvirtd", "virtlogd", "rabbitmq", "mariadb", "postgresql")
TEARDOWN = ("daemon", "libvirt", "rabbitmq", "postgresql", "mariadb", "teardown")
STOP = """
    libvirt_forget_hostname() { echo forgot; }
    libvirt_unbound_consoles() { echo unbound; }
    system_services_stop
"""


def running(shell: Shell, tmp_path: Path, started_by: str) -> list[int]:
    """Start a process under the name of each server, and return their pids."""
    starts = "\n".join(f"daemon_start {name} {tmp_path}/{name}.log sleep 300; daemon_pid {name}" for name in SERVERS)
    return [int(pid) for pid in shell.run(starts, "daemon", STARTED_BY=started_by).stdout.split()]


def lives(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


def test_what_was_started_by_hand_outlives_a_stack(shell: Shell, tmp_path: Path) -> None:
    pids = running(shell, tmp_path, "hand")
    try:
        (tmp_path / "run" / "stack.lock").touch()
        done = shell.run(STOP + "run_dir_remove", *TEARDOWN)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert all(lives(pid) for pid in pids)
        left = sorted(path.name for path in (tmp_path / "run").iterdir())
        assert left == sorted(f"{name}.{what}" for name in SERVERS for what in ("by", "pid", "start"))
    finally:
        done = shell.run(STOP, *TEARDOWN, STARTED_BY="hand")
    assert done.stdout == "unbound\nforgot\n", done.stderr
    assert not any(lives(pid) for pid in pids)
    assert not list((tmp_path / "run").iterdir())


def test_what_a_stack_started_ends_with_it(shell: Shell, tmp_path: Path) -> None:
    pids = running(shell, tmp_path, "stack")
    try:
        assert shell.run(STOP + "run_dir_remove", *TEARDOWN).returncode == 0
        assert not any(lives(pid) for pid in pids)
        assert not (tmp_path / "run").exists()
    finally:
        for pid in filter(lives, pids):
            os.kill(pid, 9)


def test_a_unit_that_was_started_by_hand_outlives_a_stack(shell: Shell, tmp_path: Path) -> None:
    systemctl = f'systemctl() {{ [ "$1" = is-active ] && return 1; echo "$@" >>{tmp_path}/asked; }}\n'
    assert shell.run(f"{systemctl}unit_start postgresql a.service", "daemon", STARTED_BY="hand").returncode == 0
    assert shell.run(f"{systemctl}unit_stop postgresql", "daemon").returncode == 0
    assert (tmp_path / "asked").read_text() == "start a.service\n"
    assert shell.run(f"{systemctl}unit_stop postgresql", "daemon", STARTED_BY="hand").returncode == 0
    assert (tmp_path / "asked").read_text() == "start a.service\nstop a.service\n"
