"""The unikernel's command line: a tenant writes its template, so it must neither reach into us nor break the line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite.agent.spec import PLACEHOLDERS, SpecError, render

VALUES = {name: f"<{name}>" for name in PLACEHOLDERS}


@given(st.text())
def test_any_template_is_rendered_or_refused_with_a_sentence(template: str) -> None:
    try:
        rendered = render(template, VALUES)
    except SpecError as error:
        assert error.message
        return
    assert all(ord(character) >= 32 for character in rendered)


@pytest.mark.parametrize(
    "template", ["{address.__class__}", "{0}", "{}", "{hostname!r}", "{mac:>9999999}", "{nonsense}"]
)
def test_nothing_but_plain_names(template: str) -> None:
    with pytest.raises(SpecError, match="unknown placeholder"):
        render(template, VALUES)


def test_every_placeholder() -> None:
    template = " ".join(f"{name}={{{name}}}" for name in PLACEHOLDERS)
    assert render(template, VALUES) == " ".join(f"{name}=<{name}>" for name in PLACEHOLDERS)
