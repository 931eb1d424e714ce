"""The image cache on a real filesystem with real qemu-img, umoci and skopeo, and a process that is really killed."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from host_image_store import HELLO, Counting, Store, layer, needs_tools, oci_archive

from nova_lite.host.images import HostImages
from nova_lite.host.ports import ImageSpec

pytestmark = needs_tools


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    shutil.rmtree(made.state)


def qcow2(*argv: str, size: str = "8M") -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "disk")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *argv, str(path), size], check=True)
        return path.read_bytes()


def test_what_was_fetched_is_there_and_is_not_read_again(store: Store) -> None:
    image = store.add(os.urandom(3_000_000))
    first = store.images.fetch(image)
    assert first.path.read_bytes() == (store.root / image.image_id).read_bytes()
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o644
    for parent in (first.path.parent, first.path.parent.parent):
        assert stat.S_IMODE(parent.stat().st_mode) == 0o711
    os.chown(first.path, 64055, 64055)  # as libvirt does
    assert store.images.fetch(image) == first
    assert HostImages(store.conf, store.source).fetch(image) == first
    assert store.source.opened == 1


def test_a_file_that_was_changed_is_fetched_again(store: Store) -> None:
    image = store.add(b"good" * 1000)
    path = store.images.fetch(image).path
    path.write_bytes(b"evil" * 1000)
    assert store.images.fetch(image).path.read_bytes() == b"good" * 1000
    assert store.source.opened == 2


def test_kernel_and_ramdisk_come_along(store: Store) -> None:
    kernel, ramdisk = store.add(b"k" * 5000, "aki", "aki"), store.add(b"r" * 5000, "ari", "ari")
    plain = store.add(b"\0" * 4096, "ami", "ami")
    image = ImageSpec(plain.image_id, "ami", "ami", plain.size, plain.sha512, kernel, ramdisk)
    found = store.images.fetch(image)
    assert found.kernel is not None and found.kernel.read_bytes() == b"k" * 5000
    assert found.ramdisk is not None and found.ramdisk.read_bytes() == b"r" * 5000
    assert (found.disk_format, found.virtual_size) == ("raw", 4096)


def test_holes_stay_holes(store: Store) -> None:
    image = store.add(bytes(8 << 20) + b"end")
    path = store.images.fetch(image).path
    assert path.stat().st_size == (8 << 20) + 3
    assert path.stat().st_blocks * 512 < 1 << 20


def test_a_wrong_checksum_and_a_wrong_size_are_refused(store: Store) -> None:
    assert "another checksum" in store.refused(store.add(b"x" * 100, sha512="0" * 128))
    assert "cut short" in store.refused(store.add(b"x" * 100, size=101))
    assert "too long" in store.refused(store.add(b"x" * 100, size=99))
    assert "not in the image store" in store.refused(ImageSpec(str(uuid.uuid4()), "raw", "bare", 1, "0" * 128))


def test_a_format_lie_is_refused(store: Store) -> None:
    assert "qcow2" in store.refused(store.add(qcow2(), "raw"))
    assert "raw" in store.refused(store.add(b"x" * 100_000, "qcow2"))


def test_a_qcow2_is_taken_unless_it_refers_to_other_files(store: Store) -> None:
    found = store.images.fetch(store.add(qcow2(), "qcow2"))
    assert (found.disk_format, found.virtual_size) == ("qcow2", 8 << 20)
    shutil.rmtree(store.state / "cache")
    backed = qcow2("-u", "-b", "/etc/passwd", "-F", "raw")
    assert "backing_file" in store.refused(store.add(backed, "qcow2"))
    with tempfile.NamedTemporaryFile() as other:
        external = qcow2("-o", f"data_file={other.name},data_file_raw=on")
    assert "data_file" in store.refused(store.add(external, "qcow2"))


def test_two_callers_fetch_once(store: Store) -> None:
    store.source = Counting(store.root, delay=0.1)
    caches = [HostImages(store.conf, store.source) for _ in range(2)]
    image = store.add(os.urandom(1_000_000))
    found = []
    threads = [threading.Thread(target=lambda cache=cache: found.append(cache.fetch(image))) for cache in caches * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len(set(map(str, found))) == 1
    assert store.source.opened == 1


@pytest.mark.parametrize("after_s", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_killed_while_fetching(store: Store, after_s: float) -> None:
    """kill -9 at any moment: what counts as an entry is whole, and the next fetch gives the whole image."""
    image = store.add(os.urandom(40_000_000))
    code = (
        "import sys\nfrom nova_lite.conf import load\nfrom nova_lite.host.images import HostImages\n"
        "from nova_lite.host.ports import ImageSpec\n"
        f"images = HostImages(load([], {{'state_path': {str(store.state)!r}}}))\n"
        f"print('go', flush=True)\nimages.fetch({image!r})\nprint('done', flush=True)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "go\n"
    time.sleep(after_s)
    child.send_signal(signal.SIGKILL)
    child.wait()
    entry = store.state / "cache" / image.image_id
    if entry.exists():
        assert hashlib.sha512((entry / "image").read_bytes()).hexdigest() == image.sha512
    path = store.images.fetch(image).path
    assert hashlib.sha512(path.read_bytes()).hexdigest() == image.sha512
    assert sorted(each.name for each in (store.state / "cache").iterdir()) == sorted([".locks", image.image_id])


def test_evict(store: Store) -> None:
    used, unused, young = (store.add(os.urandom(1000)) for _ in range(3))
    for image in (used, unused, young):
        store.images.fetch(image)
    for image in (used, unused):
        os.utime(store.state / "cache" / image.image_id, (1, 1))
    (store.state / "cache" / f".new-{uuid.uuid4()}-abc").mkdir()
    assert store.images.evict([used.image_id]) == [unused.image_id]
    left = {path.name for path in (store.state / "cache").iterdir()}
    assert left == {".locks", used.image_id, young.image_id}
    store.images.fetch(unused)


# Containers


@pytest.mark.parametrize("compress", [True, False])
def test_an_oci_archive_becomes_a_root(store: Store, compress: bool) -> None:
    second = layer([("bin/.wh.gone", {}, b""), ("home/u", {"uid": 1000, "gid": 1001, "mode": 0o600}, b"mine")])
    first = layer([HELLO, ("bin/gone", {}, b"x")])
    image = store.add(oci_archive([first, second], compress=compress), "raw", "docker")
    found = store.images.fetch(image)
    assert found.rootfs is not None
    assert found.config == {"Entrypoint": ["/bin/hello"], "Env": ["A=b"], "User": "1000"}
    assert (found.rootfs / "bin/hello").read_bytes() == HELLO[2]
    assert (found.rootfs / "bin/hello").stat().st_mode & 0o7777 == 0o4755
    assert not (found.rootfs / "bin/gone").exists()
    owned = (found.rootfs / "home/u").stat()
    assert (owned.st_uid, owned.st_gid, owned.st_mode & 0o7777) == (1000, 1001, 0o600)
    assert stat.S_IMODE(found.rootfs.parent.stat().st_mode) == 0o700, "no user of the host comes to the setuid files"
    assert os.listdir(found.rootfs.parent) == ["rootfs"]
    assert store.images.fetch(image) == found and store.source.opened == 1


def test_what_umoci_and_skopeo_write_is_taken(store: Store) -> None:
    """The real tools' archives, OCI and docker form alike."""
    with tempfile.TemporaryDirectory() as directory:
        where = Path(directory)
        (where / "oci.tar").write_bytes(oci_archive([layer([HELLO])]))
        for source, target in (
            ("oci-archive:oci.tar", "docker-archive:docker.tar:x/y:z"),
            ("oci-archive:oci.tar", "oci-archive:again.tar:tag"),
        ):
            subprocess.run(["skopeo", "--insecure-policy", "copy", "-q", source, target], cwd=where, check=True)
        for name in ("docker.tar", "again.tar"):
            found = store.images.fetch(store.add((where / name).read_bytes(), "raw", "docker"))
            assert found.rootfs is not None and (found.rootfs / "bin/hello").read_bytes() == HELLO[2]
            assert found.config["Entrypoint"] == ["/bin/hello"]
