"""What a wait does when the host is slow, or fails."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_cloud import Cloud, cloud


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A host on which everything takes two seconds, and pausing fails."""
    knobs = {"persist": "true", "latency": "2", "fault_rate": "1.0", "faulty_actions": "pause"}
    with cloud(tmp_path_factory.mktemp("slow"), **knobs) as made:
        made.do("flavor", "create", "--id", "1", "--ram", "64", "m1.nano")
        made.do("image", "create", "--file", "-", "tiny", stdin=b"\0" * 100_000)
        yield made


def _create(name: str, *more: str) -> tuple[str, ...]:
    return ("server", "create", "--image", "tiny", "--flavor", "1", "--network", "none", *more, name)


def test_a_wait_has_an_end(slow: Cloud) -> None:
    answer = slow.run(*_create("late", "--wait", "--timeout", "0.5"))
    assert answer.code == 1
    assert "is BUILD still after 0.5 s (nothing is given up: it goes on)." in answer.err


def test_control_c_is_quiet_and_ends_nothing_else(slow: Cloud) -> None:
    process = subprocess.Popen(
        slow.command(*_create("stopped", "--wait")),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=slow.environment(),
        cwd=slow.directory,
        text=True,
    )
    assert process.stderr is not None
    assert "stopped: BUILD" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    deadline = time.monotonic() + 60
    while slow.do("server", "show", "-f", "value", "-c", "Status", "stopped") != "ACTIVE\n":
        assert time.monotonic() < deadline


def test_an_action_that_fails_says_why(slow: Cloud) -> None:
    slow.do(*_create("restless", "--wait"))
    answer = slow.run("server", "pause", "--wait", "restless")
    assert answer.code == 1
    assert "pause restless: Server restless (" in answer.err.splitlines()[-1]
    assert "pause" in answer.err.splitlines()[-1].partition(" ended ")[2]


def test_a_wait_outlives_the_service(slow: Cloud, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("wb") as stream:
        process = subprocess.Popen(
            slow.command(*_create("tough", "--wait")),
            stdout=subprocess.DEVNULL,
            stderr=stream,
            env=slow.environment(),
            cwd=slow.directory,
        )
    _await(said, "tough: BUILD")
    slow.kill()
    _await(said, "the service does not answer; waiting for it")
    slow.start()
    assert process.wait(180) == 0, said.read_text()


def _await(said: Path, text: str) -> None:
    deadline = time.monotonic() + 60
    while text not in said.read_text():
        assert time.monotonic() < deadline, said.read_text()
        time.sleep(0.02)
