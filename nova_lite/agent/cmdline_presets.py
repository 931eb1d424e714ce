"""Templates of command lines for the unikernels that there are, by name: how each of them is told its address.

An image names one with the property ``nova_lite_cmdline_preset``, or with ``nova_lite_cmdline=preset:NAME``. What its program shall be
told beside is the property ``nova_lite_cmdline_args``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "preset:"


@dataclass(frozen=True)
class Word:
    """A part of a command line, that is left out where one of ``needs`` has no value."""

    text: str
    needs: tuple[str, ...] = ()


_SOLO5 = (
    Word("--ipv4={address}/{prefix}", ("address",)),
    Word("--ipv4-gateway={gateway}", ("gateway",)),
    Word("{args}", ("args",)),
)
_RUMPRUN_NET = '"net":{"if":"vioif0","type":"inet","method":"static","addr":"{address}","mask":"{prefix}"'
_RUMPRUN_BEGIN = '{"cmdline":"{args}","hostname":"{hostname}"'

PRESETS: Mapping[str, tuple[Word, ...]] = {
    # https://unikraft.org/docs: address/prefix:gateway:dns0:dns1:hostname; the program's own arguments come after "--".
    "unikraft": (
        Word("netdev.ip={address}/{prefix}:{gateway}:{dns1}::{hostname}", ("address",)),
        Word("--"),
        Word("{args}", ("args",)),
    ),
    # MirageOS' keys, which every unikernel for Solo5 with its network stack has.
    "solo5": _SOLO5,
    "mirageos": _SOLO5,
    # OSv's loader; {args} begins with the program's path.
    "osv": (
        Word("--ip=eth0,{address},{netmask}", ("address",)),
        Word("--defaultgw={gateway}", ("gateway",)),
        Word("--nameserver={dns1}", ("dns1",)),
        Word("--hostname={hostname}"),
        Word("{args}", ("args",)),
    ),
    # JSON without a space, as the tool `rumprun` writes it; {args} is the program's command line.
    "rumprun": (
        Word(_RUMPRUN_BEGIN),
        Word("," + _RUMPRUN_NET, ("address",)),
        Word(',"gw":"{gateway}"', ("address", "gateway")),
        Word("}", ("address",)),
        Word("}"),
    ),
}
_WITHOUT_SPACES = ("rumprun",)


def template(name: str, values: Mapping[str, str]) -> str | None:
    """Return a preset's template, without what *values* has nothing for; None: there is no such preset."""
    words = PRESETS.get(name)
    if words is None:
        return None
    space = "" if name in _WITHOUT_SPACES else " "
    return space.join(word.text for word in words if all(values.get(need) for need in word.needs))
