#!/usr/bin/env python3
"""Measure the control plane by itself: an embedded cloud with the fake driver, started and thrown away by this program.

Usage: ``.venv/bin/python tools/bench/control_plane.py [--rows ROW …] [--count 30]``. Prints JSON: for each row of the
table of targets what was measured, the targets, and whether each was met. Takes 2 to 4 minutes; nothing of it stays.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cloud
import embedded
import load
import ports

COMPUTE = "/compute/v2.1"
EXISTING = 1000
LIMIT_S = 60.0


@dataclass(frozen=True)
class Target:
    """``figure`` (a dotted path into a row) must be at most or at least ``value``."""

    figure: str
    value: float
    at_least: bool = False

    def judge(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return the target with what was measured and whether that meets it."""
        measured: Any = figures
        for key in self.figure.split("."):
            measured = measured[key]
        met = measured >= self.value if self.at_least else measured <= self.value
        sign = ">=" if self.at_least else "<="
        return {"figure": self.figure, "target": f"{sign} {self.value}", "measured": measured, "met": met}


@dataclass
class Bench:
    """What the rows work with."""

    own: embedded.Embedded
    count: int
    door: cloud.Cloud = field(init=False)
    image: str = ""
    network: str = ""

    def seed(self) -> None:
        """Make a flavor, an image and a network over the APIs."""
        self.door = self.own.connect()
        self.await_host()
        for number in range(5):
            flavor = {"id": f"b{number}", "name": f"bench{number}", "ram": 64, "vcpus": 1, "disk": 1}
            self.door.ask("POST", f"{COMPUTE}/flavors", {"flavor": flavor})
        made = self.door.ask(
            "POST", "/image/v2/images", {"name": "bench", "disk_format": "raw", "container_format": "bare"}
        )
        self.image = made["id"]
        self._upload(b"\1" * 4096)
        self.network = self.door.ask("POST", "/network/v2.0/networks", {"network": {"name": "bench"}})["network"]["id"]
        subnet = {"network_id": self.network, "cidr": "10.80.0.0/16", "ip_version": 4}
        self.door.ask("POST", "/network/v2.0/subnets", {"subnet": subnet})

    def _upload(self, data: bytes) -> None:
        connection = self.door._connection
        headers = {"X-Auth-Token": self.door.token, "Content-Type": "application/octet-stream"}
        connection.request("PUT", f"/image/v2/images/{self.image}/file", data, headers)
        response = connection.getresponse()
        response.read()
        if response.status != 204:
            raise cloud.Failed(f"upload: {response.status}")

    def await_host(self) -> None:
        """Wait until the host's agent has reported."""
        deadline = time.perf_counter() + LIMIT_S
        while not any(
            service["binary"] == "nova-compute" and service["state"] == "up"
            for service in self.door.ask("GET", f"{COMPUTE}/os-services")["services"]
        ):
            if time.perf_counter() > deadline:
                raise cloud.Failed("no compute host came up")
            time.sleep(0.02)

    def body(self, *, port: bool, count: int = 1) -> dict[str, Any]:
        """Make the body of ``POST /servers``."""
        networks: Any = [{"uuid": self.network}] if port else "none"
        server = {"name": "bench", "imageRef": self.image, "flavorRef": "b0", "networks": networks}
        return {"server": server | ({"min_count": count} if count > 1 else {})}

    def post(self, door: cloud.Cloud, *, port: bool = False) -> str:
        """Ask for one server; return its id."""
        return str(door.ask("POST", f"{COMPUTE}/servers", self.body(port=port))["server"]["id"])

    def await_active(self, door: cloud.Cloud, identifier: str, pause: float = 0.003) -> None:
        """Ask until the server is ACTIVE."""
        deadline = time.perf_counter() + LIMIT_S
        while True:
            shown = door.ask("GET", f"{COMPUTE}/servers/{identifier}")["server"]
            if shown["status"] == "ACTIVE":
                return
            if shown["status"] == "ERROR" or time.perf_counter() > deadline:
                raise cloud.Failed(f"{identifier}: {shown['status']} {shown.get('fault')}")
            time.sleep(pause)

    def delete(self, door: cloud.Cloud, identifier: str, pause: float = 0.003) -> None:
        """Delete a server and ask until it is not found."""
        door.ask("DELETE", f"{COMPUTE}/servers/{identifier}")
        deadline = time.perf_counter() + LIMIT_S
        while door.send("GET", f"{COMPUTE}/servers/{identifier}")[0] != 404:
            if time.perf_counter() > deadline:
                raise cloud.Failed(f"{identifier} is still there")
            time.sleep(pause)

    def servers(self) -> list[str]:
        """List the ids of all servers (at most 1,000)."""
        listed = self.door.ask("GET", f"{COMPUTE}/servers?limit={EXISTING}")["servers"]
        return [server["id"] for server in listed]

    def await_all_active(self, count: int) -> None:
        """Ask until *count* servers (at most 1,000) are ACTIVE."""
        deadline = time.perf_counter() + 2 * LIMIT_S
        while True:
            if len(self.door.ask("GET", f"{COMPUTE}/servers?status=ACTIVE")["servers"]) >= count:
                return
            if time.perf_counter() > deadline:
                raise cloud.Failed(f"{count} servers are not all ACTIVE: {self._others()}")
            time.sleep(0.01)

    def _others(self) -> list[str]:
        """Say what the servers are that are not ACTIVE, and why."""
        listed = self.door.ask("GET", f"{COMPUTE}/servers/detail?limit={EXISTING}")["servers"]
        return [
            f"{server['id']} {server['status']} {server['OS-EXT-STS:task_state']} {server.get('fault')}"
            for server in listed
            if server["status"] != "ACTIVE"
        ]

    def clear(self) -> None:
        """Delete every server."""
        while identifiers := self.servers():
            for identifier in identifiers:
                self.door.send("DELETE", f"{COMPUTE}/servers/{identifier}")
            time.sleep(0.2)

    def fill(self) -> None:
        """Have ``EXISTING`` servers, each with a port."""
        present = len(self.servers())
        while present < EXISTING:
            step = min(100, EXISTING - present)
            self.door.ask("POST", f"{COMPUTE}/servers", self.body(port=True, count=step))
            present += step
            self.await_all_active(present)


def latency(bench: Bench, path: str) -> dict[str, Any]:
    return cloud.percentiles(cloud.timed(lambda: bench.door.ask("GET", path), bench.count * 3), 2)


def reading(bench: Bench, path: str) -> dict[str, Any]:
    return {"one_client": latency(bench, path), "load": load.hammer(bench.door, bench.own.port, path)}


def warm_start(bench: Bench) -> dict[str, Any]:
    taken = []
    for _ in range(3):
        bench.own.stop()
        taken.append(bench.own.start())
    bench.door = bench.own.connect()
    bench.await_host()
    return {
        "seconds_until_the_apis_answer": round(statistics.median(taken), 2),
        "runs": [round(one, 2) for one in taken],
    }


def idle(bench: Bench) -> dict[str, Any]:
    latency(bench, f"{COMPUTE}/flavors")
    time.sleep(2)
    used, begun = bench.own.cpu_seconds(), time.perf_counter()
    time.sleep(20)
    share = (bench.own.cpu_seconds() - used) / (time.perf_counter() - begun)
    return {"pss_mib": cloud.pss_mib(bench.own.pid), "cpu_percent": round(share * 100, 2)}


def flavors(bench: Bench) -> dict[str, Any]:
    return reading(bench, f"{COMPUTE}/flavors")


def tokens(bench: Bench) -> dict[str, Any]:
    one = cloud.percentiles(cloud.timed(bench.door._login, min(bench.count, 15), warm=1))
    doors = [cloud.Cloud(bench.door.auth_url, token=bench.door.token) for _ in range(4)]
    count = 6
    begun = time.perf_counter()
    load.together([lambda door=door: [door._login() for _ in range(count)] for door in doors])  # type: ignore[misc]
    rate = len(doors) * count / (time.perf_counter() - begun)

    stop = time.perf_counter() + 1.5

    def log_in() -> None:
        while time.perf_counter() < stop:
            doors[0]._login()

    def read() -> list[float]:
        taken = []
        while time.perf_counter() < stop:
            taken += cloud.timed(lambda: bench.door.ask("GET", f"{COMPUTE}/flavors"), 1, warm=0)
        return taken

    beside = load.together([log_in, read])[1]
    return {"one_client": one, "logins_per_s": round(rate, 1), "flavors_beside_a_login": cloud.percentiles(beside, 2)}


def lives(bench: Bench, *, port: bool) -> dict[str, Any]:
    posts, actives, deletes = [], [], []
    for number in range(bench.count + 2):
        begun = time.perf_counter()
        identifier = bench.post(bench.door, port=port)
        posted = time.perf_counter()
        bench.await_active(bench.door, identifier)
        active = time.perf_counter()
        bench.delete(bench.door, identifier)
        if number >= 2:
            posts.append(posted - begun)
            actives.append(active - begun)
            deletes.append(time.perf_counter() - active)
    parts = {"post": posts, "post_to_active": actives, "delete_to_404": deletes}
    return {name: cloud.percentiles(taken) for name, taken in parts.items()}


def one_at_a_time(bench: Bench) -> dict[str, Any]:
    return {"without_a_port": lives(bench, port=False), "with_a_port": lives(bench, port=True)}


def of_networks(bench: Bench) -> dict[str, Any]:
    one = ports.lives(bench.door, bench.network, bench.count)
    return {**one, "page_of_100": ports.page(bench.door, bench.network, bench.count)}


def crowd(bench: Bench, *, port: bool, clients: int = 10, each: int = 20) -> dict[str, Any]:
    """Have *clients* each create servers one after the other, waiting until each is ACTIVE; then delete them likewise."""
    doors = [cloud.Cloud(bench.door.auth_url, token=bench.door.token) for _ in range(clients)]

    def create(door: cloud.Cloud) -> list[tuple[str, float]]:
        made = []
        for _ in range(each):
            begun = time.perf_counter()
            identifier = bench.post(door, port=port)
            bench.await_active(door, identifier, 0.02)
            made.append((identifier, time.perf_counter() - begun))
        return made

    begun, used = time.perf_counter(), bench.own.cpu_seconds()
    made = load.together([lambda door=door: create(door) for door in doors])  # type: ignore[misc]
    created, create_cpu = time.perf_counter() - begun, bench.own.cpu_seconds() - used

    def remove(door: cloud.Cloud, mine: list[tuple[str, float]]) -> list[float]:
        return [cloud.timed(lambda one=one: bench.delete(door, one[0], 0.02), 1, warm=0)[0] for one in mine]  # type: ignore[misc]

    begun, used = time.perf_counter(), bench.own.cpu_seconds()
    pairs = zip(doors, made, strict=True)
    removed = load.together([lambda door=door, mine=mine: remove(door, mine) for door, mine in pairs])  # type: ignore[misc]
    deleted, delete_cpu = time.perf_counter() - begun, bench.own.cpu_seconds() - used
    return {
        "created_per_s": round(clients * each / created, 1),
        # The service's own processor time, questions of the clients among it: what others take of the machine shows less in it.
        "create_cpu_ms_each": round(create_cpu * 1000 / (clients * each), 1),
        "delete_cpu_ms_each": round(delete_cpu * 1000 / (clients * each), 1),
        "post_to_active": cloud.percentiles([one[1] for mine in made for one in mine]),
        "deleted_per_s": round(clients * each / deleted, 1),
        "delete_to_404": cloud.percentiles(list(itertools.chain(*removed))),
    }


def ten_clients(bench: Bench) -> dict[str, Any]:
    return {"without_a_port": crowd(bench, port=False), "with_a_port": crowd(bench, port=True)}


def fifty(bench: Bench) -> dict[str, Any]:
    accepted, active = [], []
    for _ in range(3):
        bench.clear()
        begun = time.perf_counter()
        bench.door.ask("POST", f"{COMPUTE}/servers", bench.body(port=False, count=50))
        accepted.append(time.perf_counter() - begun)
        bench.await_all_active(50)
        active.append(time.perf_counter() - begun)
    bench.clear()
    return {
        "accepted_s": round(statistics.median(accepted), 3),
        "all_active_s": round(statistics.median(active), 2),
        "runs_s": [round(one, 2) for one in active],
    }


def one_host(bench: Bench) -> dict[str, Any]:
    """Fill one host one server at a time; the last fifty must take no longer than the first fifty (a tenth is noise)."""
    taken, used = [], []
    for _ in range(200):
        begun, before = time.perf_counter(), bench.own.cpu_seconds()
        bench.await_active(bench.door, bench.post(bench.door, port=True))
        taken.append(time.perf_counter() - begun)
        used.append(bench.own.cpu_seconds() - before)
    first, last = statistics.median(taken[:50]), statistics.median(taken[-50:])
    return {
        "first_50_median_ms": round(first * 1000, 1),
        "last_50_median_ms": round(last * 1000, 1),
        "last_to_first": round(last / first, 2),
        # What others take of the machine does not show in these.
        "first_50_cpu_ms_each": round(sum(used[:50]) * 20, 1),
        "last_50_cpu_ms_each": round(sum(used[-50:]) * 20, 1),
    }


def thousand(bench: Bench) -> dict[str, Any]:
    bench.fill()
    identifier = bench.servers()[EXISTING // 2]
    return {
        "show": reading(bench, f"{COMPUTE}/servers/{identifier}"),
        "detail_100": reading(bench, f"{COMPUTE}/servers/detail?limit=100"),
        "list_1000": reading(bench, f"{COMPUTE}/servers?limit=1000"),
        "pss_mib": cloud.pss_mib(bench.own.pid),
    }


def commands(bench: Bench) -> dict[str, Any]:
    figures = {}
    for name in ("nova-lite", "openstack"):
        program = embedded.PROGRAMS / name
        if not program.exists():
            continue
        command = [str(program), "server", "list", "--limit", "5"]
        run = functools.partial(subprocess.run, command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        once = functools.partial(run, env=bench.own.environment)
        figures[name] = cloud.percentiles(cloud.timed(once, 5, warm=1), 0)
    return figures


def host_choice(bench: Bench) -> dict[str, Any]:
    """Time from POST until the server's host is seen, among hosts without an agent."""
    figures = {}
    present = 1
    for hosts in (10, 100, 1000):
        with bench.own.sql() as database:
            _add_hosts(database, range(present, hosts))
        present = hosts
        taken = []
        for number in range(bench.count + 3):
            begun = time.perf_counter()
            path = f"{COMPUTE}/servers/{bench.post(bench.door)}"
            while not bench.door.ask("GET", path)["server"]["OS-EXT-SRV-ATTR:host"]:
                if time.perf_counter() - begun > LIMIT_S:
                    raise cloud.Failed("no host was chosen")
                time.sleep(0.001)
            if number >= 3:
                taken.append(time.perf_counter() - begun)
        figures[f"hosts_{hosts}"] = cloud.percentiles(taken)
    return figures


def _add_hosts(database: Any, numbers: range) -> None:
    """Copy the one real host's row under other names, alive for as long as this takes."""
    columns = [row[1] for row in database.execute("PRAGMA table_info(hosts)")]
    own = {"name": "?", "uuid": "?", "last_seen": "?"}
    columns = [name for name in columns if name not in own]
    names = ", ".join(columns)
    statement = (
        f"INSERT INTO hosts ({names}, name, uuid, last_seen) SELECT {names}, ?, ?, ? FROM hosts WHERE name = 'bench'"
    )
    seen = time.time() + 3600
    database.executemany(statement, [(f"host{number}", f"bench-{number}", seen) for number in numbers])


ROWS: dict[str, tuple[Callable[[Bench], dict[str, Any]], tuple[Target, ...]]] = {
    "warm_start": (warm_start, (Target("seconds_until_the_apis_answer", 2),)),
    "idle": (idle, (Target("pss_mib", 150),)),
    "flavors": (flavors, (Target("one_client.median_ms", 2), Target("load.requests_per_s", 1500, at_least=True))),
    "tokens": (tokens, (Target("one_client.median_ms", 90),)),
    "one_at_a_time": (
        one_at_a_time,
        (
            Target("without_a_port.post.median_ms", 10),
            Target("without_a_port.post_to_active.median_ms", 50),
            Target("without_a_port.delete_to_404.median_ms", 40),
            Target("with_a_port.post.median_ms", 15),
            Target("with_a_port.post_to_active.median_ms", 80),
            Target("with_a_port.delete_to_404.median_ms", 40),
        ),
    ),
    "ports": (of_networks, (Target("post.median_ms", 15),)),
    "ten_clients": (
        ten_clients,
        tuple(
            target
            for case in ("without_a_port", "with_a_port")
            for target in (
                Target(f"{case}.created_per_s", 40, at_least=True),
                Target(f"{case}.post_to_active.p95_ms", 4000),
                Target(f"{case}.deleted_per_s", 60, at_least=True),
            )
        ),
    ),
    "fifty": (fifty, (Target("accepted_s", 0.1), Target("all_active_s", 1.5))),
    "one_host": (one_host, (Target("last_to_first", 1.1),)),
    "thousand": (
        thousand,
        (
            Target("show.one_client.median_ms", 3),
            Target("show.load.requests_per_s", 400, at_least=True),
            Target("detail_100.one_client.median_ms", 20),
            Target("detail_100.load.requests_per_s", 60, at_least=True),
            Target("list_1000.one_client.median_ms", 50),
            Target("list_1000.load.requests_per_s", 25, at_least=True),
        ),
    ),
    "commands": (commands, (Target("nova-lite.median_ms", 500),)),
    "host_choice": (
        host_choice,
        (
            Target("hosts_10.median_ms", 25),
            Target("hosts_100.median_ms", 25),
            Target("hosts_1000.median_ms", 40),
        ),
    ),
}
"""In this order: the later ones need, or leave, many servers."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", nargs="+", choices=list(ROWS), default=list(ROWS), metavar="ROW", help=", ".join(ROWS)
    )
    parser.add_argument("--count", type=int, default=30, help="repetitions of what is measured one at a time")
    arguments = parser.parse_args()
    with cloud.report("control_plane") as figures, embedded.Embedded() as one:
        bench = Bench(one, arguments.count)
        bench.seed()
        verdicts = []
        for name in [row for row in ROWS if row in arguments.rows]:
            measure, targets = ROWS[name]
            begun = time.perf_counter()
            figures[name] = measure(bench)
            figures[name]["row_took_s"] = round(time.perf_counter() - begun, 1)
            verdicts += [{"row": name, **target.judge(figures[name])} for target in targets]
        figures["targets"] = verdicts
        figures["missed"] = [f"{one['row']}.{one['figure']}" for one in verdicts if not one["met"]]
        figures["calibration_after_ms"] = cloud.calibration()


if __name__ == "__main__":
    main()
