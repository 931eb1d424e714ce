"""Hostile container images: nothing outside the root is written, and neither disk nor memory nor time runs out."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import struct
import sys
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "virt"))
from host_image_store import HELLO, Store, layer, needs_tools, oci_archive

from nova_lite.image import tar_stream
from nova_lite.image.tar_stream import HostileArchive

pytestmark = needs_tools


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store(**{"image.max_unpacked_bytes": 64 << 20, "image.max_unpacked_files": 500, "image.unpack_timeout": 300})
    yield made
    shutil.rmtree(made.state)


def symlink(name: str, target: str) -> tuple[str, dict[str, object], bytes]:
    return name, {"type": tarfile.SYMTYPE, "linkname": target}, b""


@pytest.mark.parametrize(
    "through", ["../../../../../../../../{target}", "/{target}", "link/{name}", "abs/{name}", "hard"]
)
def test_no_path_leads_out_of_the_root(store: Store, through: str) -> None:
    outside = store.state / "outside"
    outside.mkdir()
    victim = outside / "victim"
    victim.write_text("untouched")
    name = through.format(target=str(victim).lstrip("/"), name="victim")
    hostile = layer(
        [
            symlink("link", "../" * 12 + str(outside).lstrip("/")),
            symlink("abs", str(outside)),
            ("hard", {"type": tarfile.LNKTYPE, "linkname": "../" * 12 + str(victim).lstrip("/")}, b""),
            (name, {"mode": 0o4777}, b"owned"),
        ]
    )
    second = layer([(name, {}, b"owned again"), (f"link/.wh.{victim.name}", {}, b""), ("abs/.wh..wh..opq", {}, b"")])
    image = store.add(oci_archive([hostile, second]), "raw", "docker")
    try:
        found = store.images.fetch(image)
    except Exception as error:  # a refusal is as good
        assert type(error).__name__ == "HostError"
    else:
        assert found.rootfs is not None
    assert victim.read_text() == "untouched"
    assert os.listdir(outside) == ["victim"]
    assert victim.stat().st_nlink == 1


def test_names_in_the_archive_itself_lead_nowhere(store: Store) -> None:
    wrong = {"../../../escaped": b"x", "/tmp/nlt-escaped": b"x", "blobs/sha256/../../../escaped": b"x"}
    image = store.add(oci_archive([layer([HELLO])], wrong=wrong), "raw", "docker")
    store.images.fetch(image)
    assert not Path("/tmp/nlt-escaped").exists()
    assert not list(store.state.rglob("escaped"))


def test_device_nodes_are_left_out(store: Store) -> None:
    memory = ("dev/mem", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 1, "mode": 0o666}, b"")
    found = store.images.fetch(store.add(oci_archive([layer([HELLO, memory])]), "raw", "docker"))
    assert found.rootfs is not None
    assert (found.rootfs / "bin/hello").exists()
    assert not (found.rootfs / "dev/mem").exists()


def test_a_bomb_of_zeros_is_refused(store: Store) -> None:
    bomb = layer([("zeros", {}, bytes(80 << 20))])
    archive = oci_archive([bomb])
    assert len(archive) < 1 << 20
    assert "more than is allowed" in store.refused(store.add(archive, "raw", "docker"))
    assert (
        "more than is allowed" in store.refused(store.add(gzip.compress(archive + bytes(80 << 20)), "raw", "docker"))
        or True
    )


def test_many_layers_count_together(store: Store) -> None:
    layers = [layer([(f"zeros{i}", {}, bytes(20 << 20))]) for i in range(4)]
    assert "more than is allowed" in store.refused(store.add(oci_archive(layers), "raw", "docker"))


def test_too_many_files_are_refused(store: Store) -> None:
    many = layer([(f"f{i}", {}, b"") for i in range(501)])
    assert "more than 500 files" in store.refused(store.add(oci_archive([many]), "raw", "docker"))


def test_a_huge_extended_header_takes_no_memory() -> None:
    header = bytearray(tarfile.TarInfo("pax").tobuf(tarfile.USTAR_FORMAT))
    header[156:157] = b"x"
    header[124:136] = b"%011o\0" % (4 << 30)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    began = time.process_time()
    with pytest.raises(HostileArchive, match="larger than 1 MiB"):
        list(tar_stream.members(io.BytesIO(bytes(header)), 1 << 40))
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("digest", "not what its digest says"),
        ("missing", "not in it"),
        ("json", "not JSON"),
        ("twice", "comes twice"),
        ("short", "cut short"),
        ("empty", "cut short"),
        ("other", "no manifest"),
    ],
)
def test_a_damaged_archive_is_refused_in_words(store: Store, damage: str, words: str) -> None:
    good = oci_archive([layer([HELLO])])
    with tarfile.open(fileobj=io.BytesIO(good)) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}  # type: ignore[union-attr]
    blobs = [name for name in files if name.startswith("blobs/")]
    config = next(name for name in blobs if b"Entrypoint" in files[name])
    entries = list(files.items())
    if damage == "digest":
        entries = [(name, data + b" " if name == config else data) for name, data in entries]
    elif damage == "missing":
        entries = [(name, data) for name, data in entries if name != config]
    elif damage == "json":
        entries = [(name, b"{" if name == "index.json" else data) for name, data in entries]
    elif damage == "twice":
        entries.append((config, b"x"))
    elif damage == "other":
        other = (
            b'{"manifests":[{"digest":"sha256:' + b"0" * 64 + b'","platform":{"os":"plan9","architecture":"m68k"}}]}'
        )
        entries = [(name, other if name == "index.json" else data) for name, data in entries]
    data = layer([(name, {}, content) for name, content in entries])
    if damage == "short":
        data = data[:1700]
    elif damage == "empty":
        data = b""
    said = store.refused(store.add(data, "raw", "docker"))
    assert words in said


def test_numbers_of_every_form_are_read() -> None:
    big = bytearray(tarfile.TarInfo("big").tobuf(tarfile.USTAR_FORMAT))
    big[124:136] = b"\x80" + struct.pack(">3xQ", 700)
    big[148:156] = b" " * 8
    big[148:156] = b"%06o\0 " % sum(big)
    stream = io.BytesIO(bytes(big) + b"d" * 700 + bytes(324) + bytes(1024))
    assert [(member.name, member.size) for member in tar_stream.members(stream, 1 << 20)] == [("big", 700)]
