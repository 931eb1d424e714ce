"""Every option of the configuration file, as tables of ``doc/configuration.rst``."""

from __future__ import annotations

import importlib
from typing import Any

from tables import code, table

from nova_lite.conf import list_opts


def options() -> str:
    """Return a section for each group of options."""
    return "\n\n".join(_section(group, opts) for group, opts in list_opts())


def _section(group: str, opts: list[Any]) -> str:
    title = f"[{group}]"
    rows = [(code(opt.dest), _default(opt), _limits(opt), opt.help) for opt in opts]
    about = importlib.import_module(f"nova_lite.conf.{group.lower()}").__doc__ or ""
    subject = about.split("\n")[0].partition(": ")[2]
    sentence = f"{subject[:1].upper()}{subject[1:]}"
    return f"{title}\n{'-' * len(title)}\n\n{sentence}\n\n" + table(
        ("Option", "Default", "Values", "What it does"), rows, (22, 22, 14, 42)
    )


def _default(opt: Any) -> str:
    # sample_default stands for what is made from other options, or is a fact of the machine.
    shown = opt.default if opt.sample_default is None else opt.sample_default
    if shown is None or shown == "" or shown == []:
        return "none"
    return code(",".join(shown) if isinstance(shown, list) else str(shown))


def _limits(opt: Any) -> str:
    kind = opt.type
    choices = getattr(kind, "choices", None)
    if choices:
        return ", ".join(choices)
    least, most = getattr(kind, "min", None), getattr(kind, "max", None)
    name = type(kind).__name__.lower().removesuffix("opt")
    if least is not None and most is not None:
        return f"{name}, {least} to {most}"
    if least is not None:
        return f"{name}, at least {least}"
    return name
