"""What builds the tiny image, and what reads JSON in it."""
# ruff: noqa: F811 - fixtures come by import

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tiny_station import (  # noqa: F401
    BUILD,
    JSON_READER,
    NEEDS_QEMU,
    Images,
    images,
    run,
)

pytestmark = NEEDS_QEMU


def read_json(text: str, path: str) -> str:
    done = subprocess.run(
        ["busybox", "awk", "-f", str(JSON_READER), path], input=text, text=True, capture_output=True, timeout=60
    )
    return str(done.stdout)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".a", "1\n"),
        (".b.c", 'q"\\/\tz\n'),
        (".b.*", 'q"\\/\tz\n\u00e9\u20ac\U0001f600\n'),
        (".l.1", "two\nlines\n\n"),
        (".l.*", "one\ntwo\nlines\n\n"),
        (".t", "true\n"),
        (".e", ""),
        (".missing.x", ""),
        (".dotted", ""),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_json_reader(path: str, expected: str, indent: int | None) -> None:
    document = {
        "dotted.name": "no",
        "e": {},
        "b": {"c": 'q"\\/\tz', "d": "\u00e9\u20ac\U0001f600"},
        "l": ["one", "two\nlines\n"],
        "a": 1,
        "t": True,
    }
    assert read_json(json.dumps(document, indent=indent), path) == expected


@pytest.mark.parametrize("text", ["", "{", '{"a": "', '{"a" "b"}', '{"a": 1', "[1, 2", "nonsense", '{"a": "\\u12'])
def test_json_reader_ends_on_what_is_no_json(text: str) -> None:
    read_json(text, ".nothing")


def test_index_orders_kernel_and_ramdisk_before_their_image(images: Images) -> None:
    names = list(images.index)
    properties = images.index["tiny"]["properties"]
    for reference in (properties["kernel_id"], properties["ramdisk_id"]):
        assert names.index(reference.removeprefix("@")) < names.index("tiny")
    for name in names:
        assert images.path(name).is_file()
        assert run("sha256sum", images.path(name)).split()[0] == images.index[name]["sha256"]


def test_second_build_is_instant_and_a_fresh_one_has_the_same_bytes(images: Images, tmp_path: Path) -> None:
    before = (images.directory / "images.json").read_text()
    done = subprocess.run([BUILD, "--out", images.directory, "tiny"], check=True, capture_output=True, text=True)
    assert "(nothing to do)" in done.stdout + done.stderr
    assert (images.directory / "images.json").read_text() == before
    shutil.copytree(images.directory / "downloads", tmp_path / "downloads")
    run(BUILD, "--out", tmp_path, "tiny")
    fresh = {entry["name"]: entry for entry in json.loads((tmp_path / "images.json").read_text())}
    assert {name: fresh[name] for name in fresh} == {name: images.index[name] for name in fresh}
