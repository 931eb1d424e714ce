"""Boot a VM, a unikernel and a container, try them from the host, and write what the user wants to see.

Run again, it keeps the servers that are well, starts those that are off, and replaces those in ERROR.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud import Cloud, CloudError, connect, listing, reason
from keystoneauth1.exceptions import ClientException, NotFound
from networks import floating_address

POWER_STATES = {0: "NOSTATE", 1: "Running", 3: "Paused", 4: "Shutdown", 6: "Crashed", 7: "Suspended"}
# What a terminal would obey and no log should say.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Guest:
    """One demo server: what to boot, and whether it serves a page."""

    name: str
    kind: str
    image: str
    flavor: str
    page: bool = False


GUESTS = (
    Guest("demo-vm", "vm", "tiny", "m1.nano"),
    Guest("demo-unikernel", "unikernel", "hello-unikernel", "u1.nano", page=True),
    Guest("demo-container", "container", "busybox", "c1.tiny"),
)


@dataclass(frozen=True)
class Limits:
    """How long to wait, in seconds: for ACTIVE (or gone), then for an answer from the guest, and before each new look."""

    state: float = 60.0
    answer: float = 45.0
    look: float = 8.0


@dataclass(frozen=True)
class Outcome:
    """What came of one guest; ``seconds`` from the request to ACTIVE, or None when it ran already."""

    guest: Guest
    server: dict[str, Any]
    seconds: float | None
    ping: str
    page: str
    console: str


def image_ids(cloud: Cloud) -> dict[str, str]:
    """Return the ids of the active images by name."""
    return {image["name"]: image["id"] for image in listing(cloud.image, "/images", "images", status="active")}


def show(cloud: Cloud, server_id: str) -> dict[str, Any]:
    """Return the server as the API shows it."""
    server: dict[str, Any] = cloud.compute.get(f"/servers/{server_id}").json()["server"]
    return server


def await_active(cloud: Cloud, server_id: str, limit: float) -> dict[str, Any]:
    """Poll until the server is ACTIVE and return it.

    :raises CloudError: it went to ERROR (at once, with the fault), or took longer than *limit* seconds.
    """
    deadline = time.monotonic() + limit
    while True:
        server = show(cloud, server_id)
        if server["status"] == "ACTIVE" and not server.get("OS-EXT-STS:task_state"):
            return server
        if server["status"] == "ERROR":
            fault = server.get("fault", {})
            raise CloudError(f"{server['name']} is in ERROR: {fault.get('message', 'no fault was given')}")
        if server["status"] == "SHUTOFF" and not server.get("OS-EXT-STS:task_state"):
            raise CloudError(f"{server['name']} could not be started; its host's nova-lite log says why")
        if time.monotonic() > deadline:
            raise CloudError(f"{server['name']} is {server['status']} after {limit:.0f} s, not ACTIVE")
        time.sleep(0.1)


def remove(cloud: Cloud, server_id: str, limit: float) -> None:
    """Delete the server and wait until it is gone.

    :raises CloudError: it was still there after *limit* seconds.
    """
    deadline = time.monotonic() + limit
    try:
        cloud.compute.delete(f"/servers/{server_id}")
        while time.monotonic() < deadline:
            show(cloud, server_id)
            time.sleep(0.1)
    except NotFound:
        return
    raise CloudError(f"server {server_id} could not be deleted within {limit:.0f} s")


def boot(cloud: Cloud, guest: Guest, limits: Limits) -> tuple[dict[str, Any], float | None]:
    """Have *guest* ACTIVE; return its server and the seconds that it took, None when it ran already."""
    for known in listing(cloud.compute, "/servers/detail", "servers", name=f"^{re.escape(guest.name)}$"):
        if known["status"] == "ERROR":
            remove(cloud, known["id"], limits.state)
            continue
        if known["status"] == "ACTIVE":
            return known, None
        began = time.monotonic()
        if known["status"] == "SHUTOFF":
            cloud.compute.post(f"/servers/{known['id']}/action", json={"os-start": None})
        return await_active(cloud, known["id"], limits.state), time.monotonic() - began
    network = listing(cloud.network, "/networks", "networks", name="private")
    flavors = {flavor["name"]: flavor["id"] for flavor in listing(cloud.compute, "/flavors", "flavors")}
    images = image_ids(cloud)
    if guest.image not in images or not network:
        missing = f"image {guest.image}" if network else "network private"
        raise CloudError(f"{guest.name}: there is no {missing}")
    body = {
        "name": guest.name,
        "imageRef": images[guest.image],
        "flavorRef": flavors[guest.flavor],
        "networks": [{"uuid": network[0]["id"]}],
    }
    began = time.monotonic()
    server_id = cloud.compute.post("/servers", json={"server": body}).json()["server"]["id"]
    return await_active(cloud, server_id, limits.state), time.monotonic() - began


def ping(address: str, limit: float) -> str:
    """Ping until the first answer; return how long the guest took to give it.

    :raises CloudError: there was none within *limit* seconds.
    """
    began = time.monotonic()
    while time.monotonic() - began < limit:
        command = ["ping", "-n", "-c", "1", "-W", "1", address]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            took = re.search(r"time[=<]([\d.]+) ms", done.stdout)
            return f"answers in {took.group(1) if took else '?'} ms, after {time.monotonic() - began:.1f} s"
        time.sleep(0.1)
    raise CloudError(f"{address} did not answer a ping within {limit:.0f} s")


def fetch_page(address: str, limit: float) -> str:
    """Return the first line of the guest's page.

    :raises CloudError: it could not be had within *limit* seconds.
    """
    # Never by a proxy: the address is on this host only.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + limit
    while True:
        try:
            with opener.open(f"http://{address}/", timeout=5) as answer:
                return ESCAPES.sub("", answer.read(4096).decode("utf-8", "replace")).strip().partition("\n")[0]
        except (urllib.error.URLError, OSError) as error:
            if time.monotonic() > deadline:
                raise CloudError(f"http://{address}/ could not be fetched: {error}") from error
            time.sleep(0.2)


def last_console_line(cloud: Cloud, server_id: str, limit: float) -> str:
    """Return the last line that is not blank of the console; "" when the guest wrote none within *limit* seconds."""
    deadline = time.monotonic() + limit
    while True:
        body = {"os-getConsoleOutput": {"length": 20}}
        text = cloud.compute.post(f"/servers/{server_id}/action", json=body).json()["output"]
        lines = [line.strip() for line in ESCAPES.sub("", text.replace("\r", "\n")).split("\n") if line.strip()]
        if lines or time.monotonic() > deadline:
            return lines[-1] if lines else ""
        time.sleep(0.2)


def boot_and_ping(cloud: Cloud, guest: Guest, limits: Limits) -> tuple[dict[str, Any], float | None, str]:
    """Have *guest* ACTIVE and answering; return its server, the seconds to ACTIVE and what the ping said.

    A server may be called ACTIVE until the agent, itself just started, has seen that its guest was stopped meanwhile;
    so while there is no answer, its state is looked at again.

    :raises CloudError: it did not answer in time.
    """
    deadline = time.monotonic() + limits.answer
    began: float | None = None
    while True:
        server, seconds = boot(cloud, guest, limits)
        began = seconds if began is None else began
        try:
            return server, began, ping(floating_address(cloud, server), limits.look)
        except CloudError:
            if time.monotonic() > deadline:
                raise


def try_guest(cloud: Cloud, guest: Guest, limits: Limits) -> Outcome:
    """Boot *guest* and try it from the host."""
    server, seconds, answered = boot_and_ping(cloud, guest, limits)
    address = floating_address(cloud, server)
    server = show(cloud, server["id"])  # with its floating address
    page = fetch_page(address, limits.answer) if guest.page else ""
    console = last_console_line(cloud, server["id"], limits.answer)
    print(f"{guest.name}: {address} {answered}; {page}; {console}", flush=True)
    return Outcome(guest, server, seconds, answered, page, console)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return *rows* under *head* as the table that OpenStack's clients print."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in (head, *rows)
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def row_of(outcome: Outcome, host: str) -> tuple[str, ...]:
    """Return the server's row of the table."""
    server = outcome.server
    networks = "; ".join(
        f"{name}={', '.join(address['addr'] for address in addresses)}"
        for name, addresses in server["addresses"].items()
    )
    power = POWER_STATES.get(server.get("OS-EXT-STS:power_state", 0), "?")
    task = server.get("OS-EXT-STS:task_state") or "-"
    return server["id"], server["name"], server["status"], task, power, networks, outcome.guest.kind, host


def report(outcomes: Sequence[Outcome], hosts: dict[str, str]) -> str:
    """Return all that the user sees of the three servers."""
    head = ("ID", "Name", "Status", "Task State", "Power State", "Networks", "Kind", "Host")
    lines = [table(head, [row_of(outcome, hosts.get(outcome.server["id"], "")) for outcome in outcomes]), ""]
    for outcome in outcomes:
        took = "ran already" if outcome.seconds is None else f"ACTIVE after {outcome.seconds:.2f} s"
        lines.append(f"{outcome.guest.name}: {took}; ping {outcome.ping}")
        if outcome.page:
            lines.append(f"    page:    {outcome.page}")
        lines.append(f"    console: {outcome.console}")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Boot, try and report; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clouds", type=Path, required=True, help="clouds.yaml")
    parser.add_argument("--cloud", required=True, help="the user's cloud in it")
    parser.add_argument("--admin", required=True, help="the administrator's, who may see the hosts")
    parser.add_argument("--report", type=Path, required=True, help="where the report goes")
    options = parser.parse_args()
    failures: list[str] = []
    outcomes: list[Outcome] = []
    try:
        cloud = connect(options.clouds, options.cloud)
        with ThreadPoolExecutor(len(GUESTS)) as pool:
            work = [pool.submit(try_guest, cloud, guest, Limits()) for guest in GUESTS]
        for future in work:
            try:
                outcomes.append(future.result())
            except (CloudError, ClientException, OSError) as error:
                failures.append(reason(error))
        admin = connect(options.clouds, options.admin)
        servers = listing(admin.compute, "/servers/detail", "servers", all_tenants="1")
    except (CloudError, ClientException, OSError) as error:
        failures.append(reason(error))
        servers = []
    for failure in failures:
        print(f"demo.py: {failure}", file=sys.stderr)
    if failures:
        return 1
    hosts = {server["id"]: server.get("OS-EXT-SRV-ATTR:host") or "" for server in servers}
    options.report.write_text(report(outcomes, hosts), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
