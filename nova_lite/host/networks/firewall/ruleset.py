"""Chains, sets and maps as plain data, and the nft script that leads from one ruleset to another. Format: nft(8)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

BRIDGE = "bridge nova_lite"
INET = "inet nova_lite_sg"
ARP = "arp nova_lite_sg"
TABLES = (BRIDGE, INET, ARP)
CLEAR = "".join(f"table {table}\ndelete table {table}\n" for table in TABLES)
_BATCH = 500
"""Elements in one command: nft's parser slows down on very long lines."""


class Name(NamedTuple):
    """A chain's, set's or map's name in its table. A tuple: a pass looks names up some 30,000 times on a host of 1,000 ports."""

    table: str
    name: str

    def __str__(self) -> str:
        return f"{self.table} {self.name}"


@dataclass(frozen=True)
class Chain:
    """A chain's rules in order. ``hook`` is the text that binds a base chain; empty: others jump to it."""

    rules: tuple[str, ...]
    hook: str = ""

    @cached_property
    def digest(self) -> int:
        """A hash of the content; whoever keeps the chain from one pass to the next has it made once."""
        return _hash("\n".join([self.hook, *self.rules]))


@dataclass(frozen=True)
class Elements:
    """A set (values empty) or a map. ``kind`` is ``set`` or ``map``, ``declaration`` its type and flags."""

    kind: str
    declaration: str
    content: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def digest(self) -> int:
        """A hash of the content, whatever its order."""
        return _hash("\n".join([self.kind, self.declaration, *sorted(f"{k} {v}" for k, v in self.content.items())]))


@dataclass(frozen=True)
class Ruleset:
    """All chains, sets and maps of both tables."""

    chains: Mapping[Name, Chain] = field(default_factory=dict)
    elements: Mapping[Name, Elements] = field(default_factory=dict)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all that is in it, of 32 hexadecimal digits; made once."""
        digests = [(str(name), chain.digest) for name, chain in self.chains.items()]
        digests += [(str(name), each.digest) for name, each in self.elements.items()]
        return hashlib.sha256(repr(sorted(digests)).encode()).hexdigest()[:32]


def versions(ruleset: Ruleset) -> list[Name]:
    """Return the names of the empty chains, one a table, that say in the kernel which ruleset is there."""
    name = f"version-{ruleset.fingerprint}"
    return [Name(table, name) for table in TABLES]


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")


def whole(ruleset: Ruleset) -> str:
    """Return the script that replaces both tables, whatever was there, by *ruleset*.

    In blocks: a third faster than a command a rule.
    """
    lines = [CLEAR.rstrip("\n")]
    marks = versions(ruleset)
    for table in TABLES:
        lines.append(f"table {table} {{")
        for name, each in ruleset.elements.items():
            if name.table == table:
                lines.append(f"{each.kind} {name.name} {{ {each.declaration}")
                if each.content:
                    lines.append(f"elements = {{ {', '.join(_pairs(each.content))} }}")
                lines.append("}")
        for name, chain in ruleset.chains.items():
            if name.table == table:
                lines += [f"chain {name.name} {{", chain.hook, *chain.rules, "}"]
        lines += [f"chain {mark.name} {{ }}" for mark in marks if mark.table == table]
        lines.append("}")
    return "\n".join(lines) + "\n"


def difference(old: Ruleset, new: Ruleset) -> str:
    """Return the script that makes *new* of *old*; empty: they are the same.

    Order: what is referred to is there before whoever refers to it, and goes after.
    """
    if any(_shape(old.elements[name]) != _shape(new.elements[name]) for name in old.elements.keys() & new.elements):
        return whole(new)
    if any(old.chains[name].hook != new.chains[name].hook for name in old.chains.keys() & new.chains):
        return whole(new)
    lines = _declarations(
        Ruleset(
            {name: chain for name, chain in new.chains.items() if name not in old.chains},
            {name: each for name, each in new.elements.items() if name not in old.elements},
        )
    )
    for name, chain in new.chains.items():
        before = old.chains.get(name)
        if before != chain:
            lines += ([f"flush chain {name}"] if before else []) + _rules(name, chain)
    nothing: dict[str, str] = {}
    for name, wanted in new.elements.items():
        had = old.elements[name].content if name in old.elements else nothing
        if had is not wanted.content:
            lines += _element_changes(name, had, wanted.content)
    gone = [name for name in old.chains if name not in new.chains]
    lines += [f"flush chain {name}" for name in gone] + [f"delete chain {name}" for name in gone]
    lines += [f"delete {old.elements[name].kind} {name}" for name in old.elements if name not in new.elements]
    if not lines:
        return ""
    lines += [f"delete chain {name}" for name in versions(old)] + [f"add chain {name}" for name in versions(new)]
    return "\n".join(lines) + "\n"


def _shape(elements: Elements) -> tuple[str, str]:
    return elements.kind, elements.declaration


def _declarations(ruleset: Ruleset) -> list[str]:
    """Sets first: a rule refers to them. Chains before maps' elements: verdicts refer to those."""
    lines = [f"add {each.kind} {name} {{ {each.declaration} }}" for name, each in ruleset.elements.items()]
    for name, chain in ruleset.chains.items():
        lines.append(f"add chain {name} {{ {chain.hook} }}" if chain.hook else f"add chain {name}")
    return lines


def _rules(name: Name, chain: Chain) -> list[str]:
    return [f"add rule {name} {rule}" for rule in chain.rules]


def _element_changes(name: Name, had: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    gone = [key for key, value in had.items() if wanted.get(key) != value]
    fresh = {key: value for key, value in wanted.items() if had.get(key) != value}
    return [*_elements("delete", name, gone), *_elements("add", name, _pairs(fresh))]


def _pairs(content: Mapping[str, str]) -> list[str]:
    return [f"{key} : {value}" if value else key for key, value in content.items()]


def _elements(verb: str, name: Name, items: Iterable[str]) -> Iterator[str]:
    rest = list(items)
    for start in range(0, len(rest), _BATCH):
        yield f"{verb} element {name} {{ {', '.join(rest[start : start + _BATCH])} }}"
