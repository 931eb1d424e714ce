#!/usr/bin/env python3
"""Time the real life of real guests against a running cloud: POST to ACTIVE, a VM's login prompt, DELETE to 404.

Usage, as a user who has sourced openrc: ``tools/bench/guests.py [--count 20] [--kind unikernel …] [--pid PID …]``.
Prints JSON.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import cloud

KINDS = {
    "unikernel": ("hello-unikernel", "u1.nano"),
    "container": ("busybox", "c1.tiny"),
    "vm": ("tiny", "m1.tiny"),
}
PROMPT = "login:"


def boot(door: cloud.Cloud, kind: str, image: str, flavor: str, network: str) -> tuple[str, float]:
    """Boot one guest; return its id and the seconds from POST to ACTIVE."""
    server = {"name": f"bench-{kind}", "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}]}
    begun = time.perf_counter()
    identifier = door.ask("POST", "/compute/v2.1/servers", {"server": server})["server"]["id"]
    while True:
        shown = door.ask("GET", f"/compute/v2.1/servers/{identifier}")["server"]
        if shown["status"] == "ACTIVE":
            return identifier, time.perf_counter() - begun
        if shown["status"] == "ERROR" or time.perf_counter() - begun > 60:
            raise cloud.Failed(f"{kind}: {shown['status']} {shown.get('fault')}")
        time.sleep(0.01)


def delete(door: cloud.Cloud, identifier: str) -> float:
    """Delete one guest; return the seconds until it is not found."""
    begun = time.perf_counter()
    door.ask("DELETE", f"/compute/v2.1/servers/{identifier}")
    while door.send("GET", f"/compute/v2.1/servers/{identifier}")[0] != 404:
        if time.perf_counter() - begun > 60:
            raise cloud.Failed(f"{identifier} is still there a minute after its deletion")
        time.sleep(0.01)
    return time.perf_counter() - begun


def prompt(door: cloud.Cloud, identifier: str, begun: float) -> float:
    """Return the seconds from *begun* until the console shows a login prompt."""
    body: dict[str, Any] = {"os-getConsoleOutput": {"length": 5}}
    while time.perf_counter() - begun < 60:
        status, _, answer = door.send("POST", f"/compute/v2.1/servers/{identifier}/action", body)
        if status == 200 and PROMPT in answer["output"]:
            return time.perf_counter() - begun
        time.sleep(0.05)
    raise cloud.Failed("no login prompt within a minute")


def measure(door: cloud.Cloud, kind: str, count: int, network: str) -> dict[str, Any]:
    """Boot and delete *count* guests of a kind, one at a time."""
    name, flavor_name = KINDS[kind]
    image = door.find(f"/image/v2/images?name={name}", "images", name)
    flavor = door.find("/compute/v2.1/flavors", "flavors", flavor_name)
    boots, deletes, prompts = [], [], []
    for number in range(count + 1):
        begun = time.perf_counter()
        identifier, active = boot(door, kind, image, flavor, network)
        if kind == "vm":
            prompts.append(prompt(door, identifier, begun))
        deletes.append(delete(door, identifier))
        boots.append(active)
        if number == 0:
            # The first one fetches the image into the host's cache.
            first = {"first_boot_ms": round(boots.pop() * 1000, 1)}
            deletes.clear()
            prompts.clear()
    figures: dict[str, Any] = {
        **first,
        "post_to_active": cloud.percentiles(boots),
        "delete_to_404": cloud.percentiles(deletes),
    }
    if prompts:
        figures["post_to_login_prompt"] = cloud.percentiles(prompts)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="guests of each kind")
    parser.add_argument("--kind", action="append", choices=sorted(KINDS), help="only this kind; may be repeated")
    parser.add_argument("--pid", action="append", type=int, default=[], help="a process whose memory is reported")
    arguments = parser.parse_args()
    door = cloud.Cloud()
    network = door.find("/network/v2.0/networks", "networks", "private")
    with cloud.report("guests") as figures:
        if arguments.pid:
            figures["idle_pss_mib"] = {str(pid): cloud.pss_mib(pid) for pid in arguments.pid}
        for kind in arguments.kind or KINDS:
            figures[kind] = measure(door, kind, arguments.count, network)


if __name__ == "__main__":
    main()
