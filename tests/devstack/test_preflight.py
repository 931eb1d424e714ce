"""Preflight tells every problem at once, each with a cure, and changes nothing."""

from __future__ import annotations

import socket
from pathlib import Path

from shell import DEVSTACK, Shell


def test_all_problems_are_told_at_once_and_nothing_is_changed(shell: Shell, tmp_path: Path) -> None:
    memory = tmp_path / "meminfo"
    memory.write_text("MemTotal:         262144 kB\n")
    (tmp_path / "dest").write_text("a file where a directory should be")
    settings = tmp_path / "local.conf"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings.write_text(f"API_PORT={port}\nDATABASE=oracle\nCOLOUR=blue\nthis is no setting\n")
        done = shell.execute(
            [str(DEVSTACK / "stack.sh")],
            LOCAL_CONF=str(settings),
            MEMINFO=str(memory),
            TUN_DEVICE=str(tmp_path / "no-tun"),
            PYTHON="/bin/false",
        )
    assert done.returncode == 1
    for problem in (
        "too little memory: 256 MiB",
        f"port {port} is taken by another program",
        f"there is no {tmp_path}/no-tun",
        "DATABASE=oracle can't be used",
        "no setting is called COLOUR",
        "line 4 is not KEY=value",
        f"{tmp_path}/dest is no directory",
        "is too old",
    ):
        assert problem in done.stderr
    assert done.stderr.count("cure:") == done.stderr.count("\n  * ") == 8
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dest", "local.conf", "meminfo"]


def test_a_package_source_that_lacks_a_package_is_a_problem(shell: Shell) -> None:
    code = """
        packages_wanted() { echo no-such-package-of-nova-lite; }
        apt_quiet() { echo 'E: The repository does not answer'; return 100; }
        check_package_source
        printf '%s\\n' "${PROBLEMS[@]}"
    """
    done = shell.run(code, "settings", "packages", "preflight")
    assert "packages can't be installed: E: Unable to locate package no-such-package-of-nova-lite" in done.stdout
    assert "The repository does not answer" in done.stderr


def test_a_listening_port_is_seen_and_a_free_one_is_not(shell: Shell) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert shell.run(f"port_listening {port}", "preflight").returncode == 0
    assert shell.run(f"port_listening {port}", "preflight").returncode == 1
