"""Every message that there is, in one table.

A cast is a hint: lost, doubled or late, it changes nothing but how soon work begins. A call asks one agent for what
only its host knows, and has an answer within its time-out class or none.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

SCHEDULER = "scheduler"
AGENT = "agent"
EXCHANGE = "nova_lite"


class Kind(enum.Enum):
    """Whether the sender waits for an answer."""

    CAST = "cast"
    CALL = "call"


class Patience(enum.Enum):
    """How long a caller waits, in units of ``[compute] rpc_timeout``; a cast waits for nothing."""

    NONE = 0
    SHORT = 1
    LONG = 6


@dataclass(frozen=True)
class Message:
    """One kind of message: who gets it, how it is sent, and what it is for."""

    name: str
    topic: str
    kind: Kind
    patience: Patience
    doc: str


MESSAGES: dict[tuple[str, str], Message] = {
    (row.topic, row.name): row
    for row in (
        Message("wake", SCHEDULER, Kind.CAST, Patience.NONE, "Some scheduler: look at the queue of servers to place."),
        Message("wake", AGENT, Kind.CAST, Patience.NONE, "The agent of one host: look at the operations of this host."),
        Message(
            "cache_images",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "image_ids → nothing, at once; the agent fetches them into its cache one after the other.",
        ),
        Message(
            "console_output",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "server_id, length (lines; null: all that is kept) → the last lines of the console log, as text.",
        ),
        Message(
            "check_console",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "server_id, kind (serial, novnc, …) → nothing, where the running guest has a console of that kind.",
        ),
        Message(
            "open_console",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "server_id, kind → host, port and a secret that lets one connection through the host's relay to that console.",
        ),
        Message(
            "diagnostics",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "server_id → cpu_time_ns, memory_mb, uptime_s, nics and disks (name: bytes in, bytes out), hypervisor.",
        ),
        Message(
            "host_uptime", AGENT, Kind.CALL, Patience.SHORT, "Nothing → how long the host is up, as uptime(1) says it."
        ),
        Message(
            "describe_guest",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "name (the hypervisor's) → what the guest has: uuid, kind, vcpus, memory_mb, power, disks, nics, server_id.",
        ),
        Message(
            "strangers",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "Nothing → what each guest of the host has that is no server, as describe_guest says it; a hundred at most.",
        ),
        Message(
            "trace_packet",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "server_id, destination, protocol (number), port → hops of a packet's way, and what goes on on another host.",
        ),
        Message(
            "trace_arrival",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "network_id, source, destination, protocol, port → hops of what comes to this host by that network's tunnel.",
        ),
        Message(
            "set_password",
            AGENT,
            Kind.CALL,
            Patience.SHORT,
            "server_id, user, password → nothing, once it is set inside the guest. Doing it again does no harm.",
        ),
    )
}
"""Keyed by topic and name."""
