"""Load on one URL over several connections: with wrk where it is installed, else with threads of our own."""

from __future__ import annotations

import http.client
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import cloud

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


def hammer(door: cloud.Cloud, port: int, path: str, *, connections: int = 16, seconds: int = 4) -> dict[str, Any]:
    """GET *path* as fast as it goes; return requests a second and latencies in milliseconds."""
    url = f"http://127.0.0.1:{port}{path}"
    program = shutil.which("wrk")
    if program is None:
        return _threads(door, port, path, connections, seconds)
    command = [program, "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
    for name, value in _headers(door).items():
        command += ["-H", f"{name}: {value}"]
    command.append(url)
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise cloud.Failed(f"{path} under load: {output}")
    figures: dict[str, Any] = {"tool": "wrk", "connections": connections}
    figures["requests_per_s"] = float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1])  # type: ignore[index]
    for name in ("50", "99"):
        value, unit = re.search(rf"\s{name}%\s+([\d.]+)(us|ms|s)", output).groups()  # type: ignore[union-attr]
        figures[f"p{name}_ms"] = round(float(value) * _UNITS[unit], 2)
    return figures


def _headers(door: cloud.Cloud) -> dict[str, str]:
    return {"X-Auth-Token": door.token, "OpenStack-API-Version": f"compute {door.microversion}"}


def _threads(door: cloud.Cloud, port: int, path: str, connections: int, seconds: int) -> dict[str, Any]:
    end = time.perf_counter() + seconds

    def client() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        count = 0
        while time.perf_counter() < end:
            connection.request("GET", path, headers=_headers(door))
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise cloud.Failed(f"{path} under load: {response.status}")
            count += 1
        return count

    counts = together([client] * connections)
    return {"tool": "threads", "connections": connections, "requests_per_s": round(sum(counts) / seconds, 1)}


def together(jobs: list[Callable[[], Any]]) -> list[Any]:
    """Run *jobs* side by side, each in a thread; return their results in their order. :raises Failed: one failed."""
    results: list[Any] = [None] * len(jobs)
    errors: list[BaseException] = []

    def run(index: int) -> None:
        try:
            results[index] = jobs[index]()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(jobs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise cloud.Failed(repr(errors[0])) from errors[0]
    return results
