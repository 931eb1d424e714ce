"""The compute domain's pure parts."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nova_lite.api.compute import parameters
from nova_lite.compute.creation import _numbered, host_label
from nova_lite.compute.hosts import host_status, number_of
from nova_lite.compute.listing import safe_pattern
from nova_lite.db.types import epoch
from nova_lite.network.addresses import _gaps, _nth


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Web Server_1", "web-server-1"),
        ("a.b.example", "a-b-example"),
        ("--x--", "x"),
        ("Ünï", "n"),
        ("日本", ""),
        ("x" * 80, "x" * 63),
        ("a" * 62 + " b", "a" * 62),
    ],
)
def test_a_host_name_is_made_of_a_servers_name(name, label):
    assert host_label(name) == label


@given(st.text(max_size=255))
def test_a_host_name_is_always_one_that_dns_takes(name):
    label = host_label(name)
    assert len(label) <= 63 and not label.startswith("-") and not label.endswith("-")
    assert all(char in "abcdefghijklmnopqrstuvwxyz0123456789-" for char in label)


def test_numbered_names_fit():
    assert _numbered("vm", 0, 255) == "vm-1"
    assert _numbered("x" * 255, 99, 255) == "x" * 251 + "-100"


@pytest.mark.parametrize(
    ("enabled", "age", "forced", "word"),
    [
        (None, None, None, ""),
        (True, 1, False, "UP"),
        (False, 1, False, "MAINTENANCE"),
        (True, 100, False, "UNKNOWN"),
        (True, 1, True, "DOWN"),
    ],
)
def test_the_word_for_a_host(enabled, age, forced, word):
    assert host_status(enabled, None if age is None else epoch() - age, forced, 30.0) == word


def test_old_numbers_are_the_same_each_time_and_fit_a_client():
    number = number_of("99999999-9999-4999-8999-999999999999")
    assert number == number_of("99999999-9999-4999-8999-999999999999") and 0 <= number < 1 << 31


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-31T12:00:00Z", datetime.datetime(2026, 1, 31, 12)),
        ("2026-01-31T12:00:00+02:00", datetime.datetime(2026, 1, 31, 10)),
        ("2026-01-31T12:00:00 02:00", datetime.datetime(2026, 1, 31, 10)),
        ("2026-01-31 12:00:00", datetime.datetime(2026, 1, 31, 12)),
        ("2026-01-31", datetime.datetime(2026, 1, 31)),
    ],
)
def test_moments_are_read_as_utc(text, moment):
    assert parameters.moment(text) == moment


@pytest.mark.parametrize("text", ["web", "^web-[0-9]+$", "a.*b", "(a|b)", r"10\.0\.0\.5", ""])
def test_ordinary_expressions_are_taken(text):
    assert safe_pattern(text) == text


RANGES = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 20)), min_size=1, max_size=4)


@given(RANGES, st.sets(st.integers(0, 600)))
def test_gaps_are_what_the_pools_have_and_nobody_holds(starts, held):
    ranges, number = [], 0
    for gap, length in starts:
        ranges.append((number + gap, number + gap + length))
        number += gap + length + 1
    whole = [each for first, last in ranges for each in range(first, last + 1)]
    assert list(_gaps(ranges, held)) == [each for each in whole if each not in held]
    assert [_nth(ranges, index) for index in range(len(whole))] == whole
