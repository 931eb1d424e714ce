"""What the benchmarks share: a bare HTTP client, timings, a calibration, and the JSON they print."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit


class Failed(Exception):
    """The cloud did not do what the benchmark asked."""


@dataclass
class Cloud:
    """One kept-alive connection to the front door, with a token of the project that the environment names.

    Reads OS_AUTH_URL, OS_USERNAME, OS_PASSWORD and OS_PROJECT_NAME.
    """

    auth_url: str = field(default_factory=lambda: os.environ["OS_AUTH_URL"])
    token: str = ""
    microversion: str = "latest"
    """Of the Compute API; what its clients use."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.auth_url)
        self._connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port or 80, timeout=60)
        if not self.token:
            self.token = self._login()

    def _login(self) -> str:
        domain = {"name": os.environ.get("OS_USER_DOMAIN_NAME", "Default")}
        user = {"name": os.environ["OS_USERNAME"], "password": os.environ["OS_PASSWORD"], "domain": domain}
        scope = {"project": {"name": os.environ["OS_PROJECT_NAME"], "domain": domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        status, headers, answer = self.send("POST", "/identity/v3/auth/tokens", body)
        if status != 201:
            raise Failed(f"login: {status} {answer!r}")
        return headers["x-subject-token"]

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
        """Send one request; return status, headers in lower case, and the JSON (None where there is none)."""
        headers = {"X-Auth-Token": self.token, "Content-Type": "application/json", "Accept": "application/json"}
        headers["OpenStack-API-Version"] = f"compute {self.microversion}"
        payload = None if body is None else json.dumps(body)
        try:
            self._connection.request(method, path, payload, headers)
            response = self._connection.getresponse()
        except (http.client.HTTPException, ConnectionError):
            self._connection.close()
            self._connection.request(method, path, payload, headers)
            response = self._connection.getresponse()
        raw = response.read()
        kind = response.headers.get("Content-Type", "")
        value = json.loads(raw) if raw and "json" in kind else (raw or None)
        return response.status, {key.lower(): text for key, text in response.getheaders()}, value

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return its JSON. :raises Failed: the status is not a 2xx."""
        status, _, answer = self.send(method, path, body)
        if not 200 <= status < 300:
            raise Failed(f"{method} {path}: {status} {answer!r}")
        return answer

    def find(self, path: str, key: str, name: str) -> str:
        """Return the id of the one called *name* in a list."""
        for entry in self.ask("GET", path)[key]:
            if entry["name"] == name:
                return str(entry["id"])
        raise Failed(f"{path} has none called {name}")


def percentiles(seconds: list[float], digits: int = 1) -> dict[str, float | int]:
    """Return count, median, p95, least and greatest in milliseconds."""
    ordered = sorted(value * 1000 for value in seconds)
    return {
        "count": len(ordered),
        "median_ms": round(statistics.median(ordered), digits),
        "p95_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], digits),
        "min_ms": round(ordered[0], digits),
        "max_ms": round(ordered[-1], digits),
    }


def calibration() -> float:
    """Time a fixed piece of pure Python work in milliseconds, so that figures of different hours can be compared."""
    best = float("inf")
    for _ in range(5):
        begun = time.perf_counter()
        total = 0
        for number in range(1_000_000):
            total += number * number % 7
        best = min(best, time.perf_counter() - begun)
    return round(best * 1000, 1)


def timed(work: Callable[[], Any], count: int, warm: int = 3) -> list[float]:
    """Run *work* *count* times after *warm* runs that do not count; return the seconds of each."""
    for _ in range(warm):
        work()
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return taken


def pss_mib(pid: int) -> float:
    """Return the proportional set size of a process in MiB."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Pss:"):
                return round(int(line.split()[1]) / 1024, 1)
    return 0.0


@contextlib.contextmanager
def report(name: str) -> Iterator[dict[str, Any]]:
    """Collect figures in the dict that it gives, and print them as one JSON object at the end."""
    figures: dict[str, Any] = {
        "benchmark": name,
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
        "calibration_ms": calibration(),
        "load_average_before": round(os.getloadavg()[0], 1),
    }
    yield figures
    figures["load_average_after"] = round(os.getloadavg()[0], 1)
    json.dump(figures, sys.stdout, indent=2)
    print()
