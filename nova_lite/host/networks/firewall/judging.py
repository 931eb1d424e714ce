"""Judge each connection once by the groups of both its ends, and again as soon as the rules are others than they were.

A connection's mark says which rules let it pass: a number of 30 bits that is made from all rules (the generation), and a bit for
each end that was asked, the sender's (its rules of egress) and the receiver's (ingress). What is marked with the present generation
passes without a look at the rules. The generation changes in the same transaction as the rules, so there is no moment in which a removed
rule still lets anything pass, nothing to look through afterwards, and what is still allowed goes on: its next packet is judged
and it gets the new mark.

Which way that packet goes does not matter. Rules are about a connection as its first packet was: they ask for ``ct original``, so that an
answer is judged by the rule that let the question pass. The port is asked for in the answer's source: with translation of addresses on the
host that is the port that the guest knows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from nova_lite.host.networks.firewall.ruleset import INET, Chain, Elements, Name

OUT, IN = 1, 2
_FLAGS = OUT | IN
_WAYS = {"egress": ("out", OUT), "ingress": ("in", IN)}
_DIGITS = 16

TRACKED = {"egress": "tracked-out", "ingress": "tracked-in"}
"""Chains that let pass what was judged by the present rules, and drop what belongs to no connection."""
PASSED = {"egress": "passed-out", "ingress": "passed-in"}
"""Where a rule leads that lets a connection pass."""


def generation(judges: Mapping[str, str], chains: Mapping[Name, Chain], sets: Mapping[Name, Elements]) -> int:
    """Return the number of a set of rules, its lowest two bits 0: the same for the same rules, whoever asks and when.

    :param judges: by port, the name of what its connections are judged by.
    :param chains: the groups' chains. *sets*: those that they refer to.
    """
    parts = [f"{port_id} {judge}" for port_id, judge in judges.items()]
    parts += [f"{name} {chain.digest}" for name, chain in chains.items()]
    parts += [f"{name} {each.digest}" for name, each in sets.items()]
    digest = hashlib.blake2b("\n".join(sorted(parts)).encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") & ~_FLAGS


def base(number: int) -> dict[Name, Chain]:
    """Return the four chains that know the generation *number*."""
    found: dict[str, Chain] = {}
    for direction, (_, own) in _WAYS.items():
        # What a port sends is a question, which its egress must have let pass, or the answer to one, which its ingress must have.
        other = _FLAGS & ~own
        found[TRACKED[direction]] = Chain(
            (
                "ct state invalid drop",
                f"ct state {{ established, related }} ct direction original ct mark {_either(number, own)} accept",
                f"ct state {{ established, related }} ct direction reply ct mark {_either(number, other)} accept",
            )
        )
        found[PASSED[direction]] = Chain(
            (
                f"ct mark {_either(number, other)} ct mark set {number | _FLAGS:#010x} accept",
                f"ct mark set {number | own:#010x} accept",
            )
        )
    return {Name(INET, name): chain for name, chain in found.items()}


def _either(number: int, flag: int) -> str:
    return f"{{ {number | flag:#010x}, {number | _FLAGS:#010x} }}"


def judge_name(parts: Sequence[Sequence[str]]) -> str:
    """Name what is made of *parts*: ports of the same groups on the same network share it."""
    return hashlib.blake2b(repr([list(part) for part in parts]).encode(), digest_size=_DIGITS // 2).hexdigest()


def judge_chain(judge: str, direction: str) -> Name:
    """Return the name of the chain that judges connections of *direction* (ingress or egress)."""
    return Name(INET, f"judge-{_WAYS[direction][0]}-{judge}")


def port_rules(judge: str, direction: str) -> tuple[str, ...]:
    """Return how a port's chain for packets of *direction* ends."""
    opposite = "ingress" if direction == "egress" else "egress"
    return (
        f"jump {TRACKED[direction]}",
        f"ct direction reply goto {judge_chain(judge, opposite).name}",
        f"goto {judge_chain(judge, direction).name}",
    )


def chain(rules: Iterable[str]) -> Chain:
    """Return a judging chain: what none of *rules* lets pass is dropped."""
    return Chain((*rules, "drop"))
