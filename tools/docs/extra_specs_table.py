"""The table of the extra specs that are known, for ``doc/guests.rst``."""

from __future__ import annotations

import re

from nova_lite.compute.extra_specs import SPECS, Spec

_LONGEST = 60


def table() -> str:
    """Return a list-table: name, values, what becomes of it."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 40 34 26", ""]
    lines += ["   * - extra spec", "     - its values", "     - here"]
    for spec in SPECS:
        lines += [f"   * - ``{_shown(spec.name)}``", f"     - {spec.kind.says}", f"     - {_becomes(spec)}"]
    return "\n".join(lines)


def _shown(name: str) -> str:
    """Write a name's pattern as people would."""
    text = name.replace(r"\.\d+", ".N").replace("[a-zA-Z0-9_-]{0,64}", "").replace(r"(:\w+)*", "")
    text = text.replace("[A-Z0-9_]+", "…").replace(".+", "…")
    return re.sub(r"\(([^()]*)\)", lambda found: found[0] if len(found[1]) <= _LONGEST else "(…)", text)


def _becomes(spec: Spec) -> str:
    if spec.works:
        return "has its effect"
    if not spec.lacks:
        return "no effect"
    return f"refused where it asks for {spec.lacks}"
