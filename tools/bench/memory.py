#!/usr/bin/env python3
"""Watch the memory of an embedded cloud (fake driver) while servers are booted and deleted by the thousand.

Usage: ``.venv/bin/python tools/bench/memory.py [--servers 10000] [--batch 100] [--every 500]``. Prints JSON: resident and proportional
set size, threads and open files after each so many boots and deletes, and how much the second half of the run added. 10,000 take
about ten minutes.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import cloud
import embedded
import load
from control_plane import COMPUTE, Bench

CONNECTIONS = 4


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--batch", type=int, default=100, help="servers that are there at once")
    parser.add_argument("--every", type=int, default=500, help="boots between two samples")
    asked = parser.parse_args()
    with cloud.report("memory") as figures, embedded.Embedded() as own:
        bench = Bench(own, asked.batch)
        bench.seed()
        doors = [own.connect() for _ in range(CONNECTIONS)]
        samples = [sample(own, 0)]
        began = time.perf_counter()
        for done in range(asked.batch, asked.servers + 1, asked.batch):
            boot_and_delete(bench, doors, asked.batch)
            if done % asked.every == 0:
                samples.append(sample(own, done))
                print(json.dumps(samples[-1]), file=sys.stderr, flush=True)
        seconds = time.perf_counter() - began
        figures |= {
            "servers": asked.servers,
            "seconds": round(seconds, 1),
            "servers_per_s": round(asked.servers / seconds, 1),
            "growth": growth(samples),
            "samples": samples,
        }


def boot_and_delete(bench: Bench, doors: list[cloud.Cloud], count: int) -> None:
    """Boot *count* servers with a port each by one request, wait until all are
    ACTIVE, delete them, wait until all are gone."""
    bench.door.ask("POST", f"{COMPUTE}/servers", bench.body(port=True, count=count))
    bench.await_all_active(count)
    identifiers = bench.servers()

    def remove(door: cloud.Cloud, share: list[str]) -> None:
        for identifier in share:
            door.ask("DELETE", f"{COMPUTE}/servers/{identifier}")

    shares = [identifiers[number :: len(doors)] for number in range(len(doors))]
    load.together([functools.partial(remove, door, share) for door, share in zip(doors, shares, strict=True)])
    deadline = time.perf_counter() + 120
    while bench.servers():
        if time.perf_counter() > deadline:
            raise cloud.Failed("the servers are not all gone")
        time.sleep(0.05)


def sample(own: embedded.Embedded, done: int) -> dict[str, Any]:
    """Look at the service's process after *done* boots and deletes."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{own.pid}/status").read_text().splitlines() if ":" in line
    )
    database = sum(path.stat().st_size for path in own.state.glob("nova-lite.db*"))
    return {
        "boots_and_deletes": done,
        "rss_mib": round(int(status["VmRSS"].split()[0]) / 1024, 1),
        "pss_mib": cloud.pss_mib(own.pid),
        "threads": int(status["Threads"]),
        "files": len(os.listdir(f"/proc/{own.pid}/fd")),
        "database_mib": round(database / 1_048_576, 1),
    }


def growth(samples: list[dict[str, Any]]) -> dict[str, float]:
    """Return what the second half of the run added: the first fills pools and caches."""
    middle, last = samples[len(samples) // 2], samples[-1]
    thousands = (last["boots_and_deletes"] - middle["boots_and_deletes"]) / 1000 or 1.0
    pss = last["pss_mib"] - middle["pss_mib"]
    return {"second_half_pss_mib": round(pss, 1), "kib_per_1000_servers": round(pss * 1024 / thousands, 1)}


if __name__ == "__main__":
    main()
