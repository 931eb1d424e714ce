"""A phase is timed and logged; one that fails tells what, why, where and what to do."""

from __future__ import annotations

import os
from pathlib import Path

from shell import Shell


def test_a_failure_tells_what_why_where_and_what_to_do(shell: Shell, tmp_path: Path) -> None:
    code = """
        good() { echo fine; }
        bad() { seq 100; false; echo never; }
        phase first good 'nothing'
        phase second bad 'turn it off and on'
        echo never
    """
    done = shell.run(code, "phases")
    assert done.returncode == 1
    assert "never" not in done.stdout
    log = tmp_path / "log" / "stack" / "02-second.log"
    assert log.read_text().splitlines() == [str(number) for number in range(1, 101)]
    assert "ok  first" in done.stderr
    assert "FAILED: phase second (exit status 1" in done.stderr
    assert "    | 81\n" in done.stderr and "    | 80\n" not in done.stderr
    assert f"The whole log: {log}" in done.stderr
    assert "What to do: turn it off and on" in done.stderr


def test_phases_may_run_beside_each_other(shell: Shell, tmp_path: Path) -> None:
    """Each waits for the other to have begun."""
    code = f"""
        met() {{ until [ -e {tmp_path}/$1 ]; do sleep 0.05; done; }}
        first() {{ touch {tmp_path}/first; met second; }}
        second() {{ touch {tmp_path}/second; met first; }}
        began=$(now_ms)
        phase_begin one first x
        phase_begin two second x
        phase_end one
        phase_end two
        phases_report "$(($(now_ms) - began))"
    """
    done = shell.run(code, "phases")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == ["one", "two", "TOTAL"]


def test_a_lock_is_not_kept_by_what_a_phase_starts(shell: Shell, tmp_path: Path) -> None:
    code = f"""
        exec 8>{tmp_path}/lock
        server() {{ ls /proc/self/fd; }}
        phase server server x
        cat {tmp_path}/log/stack/01-server.log
    """
    done = shell.run(code, "phases")
    assert done.returncode == 0
    assert "8" not in done.stdout.split()
    assert os.path.exists(tmp_path / "lock")
