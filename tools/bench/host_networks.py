"""What a host's networks take to be applied: many networks, routers and ports on one host, and one change at a time.

In network namespaces of its own, as root; nothing is left behind. One JSON object on standard output. 200 networks have a namespace and a
dnsmasq each, so the first pass takes some 20 s. ``--networks``, ``--ports`` and ``--routers`` set the size.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests/virt"))
from host_sandbox import (
    Sandbox,
    a_floating,
    a_network,
    a_port,
    a_router,
    a_state,
    an_outside,
    sandbox,
)

from nova_lite.host.network_state import HostState, NetworkSpec, PortSpec, RemotePort, RouterSpec
from nova_lite.host.ports import NetworksFailed

TURNS = 15
TARGETS = {"one_port_ms": 300.0, "port_to_traffic_ms": 300.0}


class Host:
    """A host's state that grows and changes."""

    def __init__(self, networks: int, ports: int, routers: int) -> None:
        self.out: NetworkSpec = an_outside(prefix="172.24.4")
        self.networks = [a_network(100 + n, f"10.{n >> 8}.{n & 255}") for n in range(networks)]
        self.ports: list[PortSpec] = []
        for n in range(ports):
            self.grow(n % networks, "tap")
        self.routers: list[RouterSpec] = [
            a_router([network], self.out, 2 + n) for n, network in enumerate(self.networks[:routers])
        ]

    def grow(self, which: int, kind: str) -> PortSpec:
        """Add a port to a network and return it."""
        network = self.networks[which]
        used = sum(1 for port in self.ports if port.network_id == network.network_id)
        made = replace(a_port(network, 10 + used, f"guest-{len(self.ports)}", kind), secured=True)
        self.ports.append(made)
        return made

    @property
    def state(self) -> HostState:
        return a_state([*self.networks, self.out], self.ports, self.routers)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def middle(work: Callable[[int], object]) -> dict[str, float]:
    """Return median and worst of doing *work* some times, in ms, and the processor time of one, which a busy machine changes less."""
    before = processor()
    taken = [timed(lambda turn=turn: work(turn)) for turn in range(TURNS)]  # type: ignore[misc]
    spent = (processor() - before) * 1000 / TURNS
    return {"median": round(statistics.median(taken), 1), "worst": round(max(taken), 1), "processor": round(spent, 1)}


def processor() -> float:
    """Return the processor time of this process and the programs that it has run, in s."""
    return sum(os.times()[:4])


def changes(box: Sandbox, host: Host) -> dict[str, object]:
    """Measure one change at a time."""

    def port(turn: int) -> None:
        host.grow(turn % len(host.networks), "tap")
        box.networks.apply(host.state)

    def floating(turn: int) -> None:
        router = host.routers[turn % len(host.routers)]
        fixed = next(each for each in host.ports if each.network_id == router.legs[0].network_id)
        host.routers[turn % len(host.routers)] = replace(
            router, floating=(a_floating(f"172.24.4.{200 + turn}", fixed),)
        )
        box.networks.apply(host.state)

    def elsewhere(turn: int) -> None:
        network = host.networks[turn]
        remote = RemotePort(
            "fa:16:3e:77:00:01", (network.subnets[0].cidr.rpartition(".")[0] + ".250",), "203.0.113.2", "x"
        )
        host.networks[turn] = replace(network, remote=(remote,), remote_hosts=("203.0.113.2",))
        box.networks.apply(host.state)

    def gone(turn: int) -> None:
        host.ports.pop()
        box.networks.apply(host.state)

    return {
        "no_change_ms": middle(lambda turn: box.networks.apply(host.state)),
        "one_port_ms": middle(port),
        "one_floating_ip_ms": middle(floating),
        "one_port_on_another_host_ms": middle(elsewhere),
        "one_port_less_ms": middle(gone),
    }


def traffic(box: Sandbox, host: Host) -> dict[str, float]:
    """Measure from a new port's pass to the first answer that its guest gets from its gateway.

    The guest is a veth, made as libvirt makes a container's when the pass is done, with its address set from outside.
    """
    taken, applied = [], []
    for turn in range(TURNS):
        which = turn % len(host.routers)
        port = replace(host.grow(which, "veth"), secured=False)
        host.ports[-1] = port
        network = host.networks[which]
        state = host.state
        began = time.perf_counter()
        box.networks.apply(state)
        applied.append((time.perf_counter() - began) * 1000)
        # What the test's own programs take is not the host's.
        guest = box.settled(port, network)
        gateway = str(network.subnets[0].gateway)
        answered = timed(lambda guest=guest, gateway=gateway: first_answer(box, guest, gateway))  # type: ignore[misc]
        taken.append(applied[-1] + answered)
    return {
        "median": round(statistics.median(taken), 1),
        "worst": round(max(taken), 1),
        "of_it_applied": round(statistics.median(applied), 1),
    }


def first_answer(box: Sandbox, guest: str, address: str) -> None:
    done = subprocess.run(
        ["ip", "netns", "exec", guest, "busybox", "ping", "-c1", "-W2", address], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout


def measure(options: argparse.Namespace) -> dict[str, object]:
    host = Host(options.networks, options.ports, options.routers)
    with sandbox(**{"network.local_ip": "203.0.113.1"}) as box:
        figures: dict[str, object] = {"first_pass_ms": round(timed(lambda: box.networks.apply(host.state)))}
        box.restart()
        before = processor()
        figures["agent_restart_ms"] = round(timed(lambda: box.networks.apply(host.state)))
        figures["agent_restart_processor_ms"] = round((processor() - before) * 1000)
        figures |= changes(box, host)
        figures["port_to_traffic_ms"] = traffic(box, host)
        figures["tend_ms"] = round(timed(box.networks.tend), 1)
        figures["agent_memory_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        figures["clean_ms"] = round(timed(box.networks.clean))
        return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--ports", type=int, default=1000)
    parser.add_argument("--routers", type=int, default=100)
    options = parser.parse_args()
    logging.disable(logging.INFO)
    load = os.getloadavg()[0]
    try:
        figures = measure(options)
    except NetworksFailed as error:
        print(error.message, file=sys.stderr)
        return 1
    met = {name: figures[name]["median"] <= limit for name, limit in TARGETS.items()}  # type: ignore[index]
    report = {"size": vars(options), "figures": figures, "targets_ms": TARGETS, "met": met, "load": round(load, 1)}
    print(json.dumps(report, indent=2))
    return 0 if all(met.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
