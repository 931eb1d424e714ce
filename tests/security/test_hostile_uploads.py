"""Uploads that are made to keep whoever looks into them busy: time and memory grow with the bytes that came, and with nothing else."""

from __future__ import annotations

import io
import struct
import subprocess
import tarfile
from pathlib import Path

import pytest

from nova_lite.image import inspection, qcow2
from nova_lite.image.inspection import FormatMismatch

CLUSTER = 64 * 1024


def with_tables(path: Path, offsets: list[int]) -> None:
    """Make a qcow2 whose L1 table names an L2 table at each of *offsets*, counted from the first cluster after what qemu-img wrote."""
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1G"], check=True)
    data = path.read_bytes()
    begin = len(data) + -len(data) % CLUSTER
    last = begin + max(offsets) + CLUSTER
    table = last + -last % CLUSTER
    header = bytearray(data[:CLUSTER])
    struct.pack_into(">I", header, 36, len(offsets))
    struct.pack_into(">Q", header, 40, table)
    entries = b"".join(struct.pack(">Q", (begin + offset) | 1 << 63) for offset in offsets)
    path.write_bytes((bytes(header) + data[CLUSTER:]).ljust(table, b"\0") + entries)


def test_tables_of_its_own_for_each_entry_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    with_tables(path, [number * CLUSTER for number in range(8)])
    assert inspection.inspect(path, "qcow2", "bare").format == "qcow2"


@pytest.mark.parametrize("step", [0, 512], ids=["the same table", "tables that overlap"])
def test_a_table_is_looked_through_once(tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path, looked_through = tmp_path / "disk", []
    monkeypatch.setattr(qcow2, "_check_clusters", lambda *arguments: looked_through.append(arguments))
    with_tables(path, [number * step for number in range(100_000)])
    with pytest.raises(FormatMismatch, match="lie over one another"):
        inspection.inspect(path, "qcow2", "bare")
    assert len(looked_through) == 1


@pytest.mark.parametrize("most", [3, 4])
def test_an_archive_has_a_bounded_number_of_entries(tmp_path: Path, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "archive"
    with tarfile.open(path, "w") as archive:
        for name in ("index.json", "one", "two", "three"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    monkeypatch.setattr(inspection, "_MOST_ENTRIES", most)
    if most == 4:
        assert inspection.inspect(path, "raw", "docker").format == "raw"
    else:
        with pytest.raises(FormatMismatch, match="more than 3 entries"):
            inspection.inspect(path, "raw", "docker")
