"""Build the container images and hold them to what an OCI runtime, a registry tool and a user expect of them."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "devstack/images"
BUILD = IMAGES / "build.sh"
PATIENCE = 120.0

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("umoci") or not shutil.which("skopeo"), reason="needs root, umoci and skopeo"
)


def run(*argv: str | Path) -> str:
    """Run a program to its end and return what it printed; CalledProcessError when it fails."""
    done = subprocess.run(argv, check=True, text=True, capture_output=True, timeout=540)
    return str(done.stdout)


def read_index(out: Path) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in json.loads((out / "images.json").read_text())}


@pytest.fixture(scope="session")
def archive() -> Path:
    """Build the busybox archive, or take it from the cache of an earlier run."""
    out = Path(os.environ.get("NOVA_LITE_IMAGES", "/tmp/nova-lite-test-images"))
    run(BUILD, "--out", out, "busybox")
    return out / str(read_index(out)["busybox"]["file"])


@pytest.fixture(scope="session")
def rootfs(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the archive as a compute host does."""
    directory = tmp_path_factory.mktemp("oci")
    run("skopeo", "--insecure-policy", "copy", f"oci-archive:{archive}", f"oci:{directory / 'layout'}:latest")
    run("umoci", "unpack", "--image", f"{directory / 'layout'}:latest", directory / "bundle")
    return directory / "bundle/rootfs"


def test_configuration(archive: Path) -> None:
    image = json.loads(run("skopeo", "inspect", "--config", f"oci-archive:{archive}"))
    assert (image["os"], image["architecture"]) == ("linux", "amd64")
    config = image["config"]
    assert config["Entrypoint"] == ["/sbin/start"]
    assert config["StopSignal"] == "SIGTERM"
    assert list(config["ExposedPorts"]) == ["80/tcp"]
    assert len(image["rootfs"]["diff_ids"]) == 1


def test_root_file_system(rootfs: Path) -> None:
    assert (rootfs / "sbin/start").stat().st_mode & 0o777 == 0o755
    assert (rootfs / "bin/sh").is_symlink()
    assert "statically linked" in run("file", rootfs / "bin/busybox")
    assert (rootfs / "tmp").stat().st_mode & 0o7777 == 0o1777
    assert (rootfs / "etc/passwd").read_text().startswith("root:x:0:0:")
    assert {path.owner() for path in rootfs.rglob("*") if not path.is_symlink()} == {"root"}


def test_docker_archive_can_be_made_of_it(archive: Path, tmp_path: Path) -> None:
    target = f"docker-archive:{tmp_path / 'docker.tar'}"
    run("skopeo", "--insecure-policy", "copy", f"oci-archive:{archive}", f"{target}:busybox:latest")
    assert json.loads(run("skopeo", "inspect", "--config", target))["config"]["Entrypoint"] == ["/sbin/start"]


class Container:
    """The image's entry point as PID 1 in namespaces of its own, with an address on eth0."""

    def __init__(self, rootfs: Path, stack: ExitStack) -> None:
        self.network = f"nloci-{os.getpid()}"
        run("ip", "netns", "add", self.network)
        stack.callback(run, "ip", "netns", "del", self.network)
        inside = ("ip", "-n", self.network)
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "link", "add", "eth0", "type", "veth", "peer", "name", "peer")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "link", "set", "peer", "up")
        run(*inside, "addr", "add", "10.78.0.2/24", "dev", "eth0")
        script = f"hostname box && mount -t proc proc {rootfs}/proc && exec chroot {rootfs} /sbin/start"
        self.process = subprocess.Popen(
            [
                *("ip", "netns", "exec", self.network),
                *("unshare", "--mount", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", script),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stack.callback(self.process.wait)
        stack.callback(self.process.kill)
        assert self.process.stdout
        self.first_line = self.process.stdout.readline()
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        self.init = int(children.split()[0])

    def run(self, *argv: str) -> str:
        """Run a program beside PID 1."""
        namespaces = ("nsenter", f"--target={self.init}", "--all", f"--root=/proc/{self.init}/root")
        return run(*namespaces, f"--wd=/proc/{self.init}/root", *argv)

    def fetch(self) -> str:
        code = """import sys, time, urllib.error, urllib.request as u
for _ in range(600):  # its server begins beside the line that says that it is up
    try:
        print(u.build_opener(u.ProxyHandler({})).open(sys.argv[1]).read().decode())
        break
    except urllib.error.URLError:
        time.sleep(0.1)
"""
        return run("ip", "netns", "exec", self.network, sys.executable, "-c", code, "http://10.78.0.2/")


@pytest.fixture
def container(rootfs: Path) -> Iterator[Container]:
    with ExitStack() as stack:
        yield Container(rootfs, stack)


def test_container_tells_its_name_and_address(container: Container) -> None:
    assert container.first_line == "busybox: box up, eth0 10.78.0.2/24\n"


def test_container_serves_a_page(container: Container) -> None:
    assert "box serves this page" in container.fetch()


def test_container_reaps_orphans(container: Container) -> None:
    container.run("/bin/sh", "-c", "(sleep 0.2; exit 3) & (sleep 0.1 & exec sleep 0.3) & exit 0")
    deadline = time.monotonic() + PATIENCE
    states = "(sleep)"
    while "(sleep)" in states or re.findall(r"^\d+ \(.*\) Z", states, re.MULTILINE):
        assert time.monotonic() < deadline, states
        states = container.run("/bin/sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null || true")
    assert "serves this page" in container.fetch()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_container_ends_at_once_when_told(container: Container, number: int) -> None:
    os.kill(container.init, number)
    assert container.process.wait(timeout=PATIENCE) == 0


def test_container_ends_with_its_server(container: Container) -> None:
    # With PID 1 everything in the namespace ends, the shell that did it among them if it is still there.
    with contextlib.suppress(subprocess.CalledProcessError):
        container.run("/bin/sh", "-c", "kill -9 $(pidof httpd)")
    assert container.process.wait(timeout=PATIENCE) == 128 + 9


def test_two_builds_have_the_same_bytes_and_the_second_of_one_is_instant(archive: Path, tmp_path: Path) -> None:
    run(BUILD, "--out", tmp_path, "busybox")
    index = read_index(tmp_path)
    assert (tmp_path / index["busybox"]["file"]).read_bytes() == archive.read_bytes()
    begun = time.monotonic()
    assert "nothing to do" in run(BUILD, "--out", tmp_path, "busybox")
    assert time.monotonic() - begun < 60
    assert read_index(tmp_path) == index


def test_a_build_that_is_killed_leaves_nothing_that_counts(tmp_path: Path) -> None:
    """Kill the whole process group ever later; whatever has a final name must be whole, and the next run must succeed."""
    killed = 0
    for step in range(12):
        out = tmp_path / str(step)
        process = subprocess.Popen(
            [BUILD, "--out", out, "busybox"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(0.05 * step)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        for whole in out.glob("busybox-*"):
            assert {path.name for path in whole.iterdir()} == {"busybox.tar", "entries"}
        if (out / "images.json").exists():
            assert (out / read_index(out)["busybox"]["file"]).is_file()
        run(BUILD, "--out", out, "busybox")
        assert (out / read_index(out)["busybox"]["file"]).is_file()
        assert not list(out.glob(".work.*"))
    assert killed >= 3


def test_a_build_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    sources = tmp_path / "images"
    shutil.copytree(IMAGES, sources, symlinks=True)
    (sources / "busybox/make.sh").write_text("#!/bin/bash\necho the reason >&2\nexit 3\n")
    done = subprocess.run(
        [sources / "build.sh", "--out", tmp_path / "out", "busybox"], capture_output=True, text=True, timeout=300
    )
    assert done.returncode != 0
    assert "the reason" in done.stderr
    assert "busybox could not be built" in done.stderr
    assert not list((tmp_path / "out").glob("busybox*/")), "a failed build has no directory"
    assert not (tmp_path / "out/images.json").exists()


def test_a_changed_source_makes_a_new_build_and_drops_the_old(tmp_path: Path) -> None:
    sources = tmp_path / "images"
    shutil.copytree(IMAGES, sources, symlinks=True)
    out = tmp_path / "out"
    run(sources / "build.sh", "--out", out, "busybox")
    before = read_index(out)["busybox"]
    start = sources / "busybox/start"
    start.write_text(start.read_text() + "# changed\n")
    run(sources / "build.sh", "--out", out, "busybox")
    after = read_index(out)["busybox"]
    assert after["sha256"] != before["sha256"]
    assert not (out / before["file"]).exists()
    assert (out / after["file"]).is_file()


def test_unknown_images_and_options_are_refused(tmp_path: Path) -> None:
    for argument in ("nonsense", "--nonsense"):
        done = subprocess.run([BUILD, "--out", tmp_path, argument], capture_output=True, text=True, timeout=300)
        assert done.returncode != 0
        assert argument in done.stderr


def test_packages_file_names_all_that_the_images_need() -> None:
    listed = (IMAGES / "packages.txt").read_text().split()
    assert listed == sorted(listed)
    table = re.findall(r'^ {4}\[[\w-]+\]="([^"]+)"$', BUILD.read_text(), re.MULTILINE)
    assert len(table) == 4
    assert {package for line in table for package in line.split()} <= set(listed)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="needs shellcheck")
def test_scripts_are_clean() -> None:
    scripts = []
    for path in sorted(IMAGES.rglob("*")):
        if path.is_file() and "unikernel" not in path.parts:
            first = path.read_bytes().split(b"\n")[0]
            if re.match(rb"#!/bin/(ba)?sh\b", first):
                scripts.append(path)
    assert len(scripts) > 10
    run("shellcheck", *scripts)


@pytest.mark.slow
def test_debian_image(tmp_path: Path) -> None:
    run(BUILD, "--out", tmp_path, "debian")
    entry = read_index(tmp_path)["debian"]
    archive = tmp_path / entry["file"]
    assert json.loads(run("skopeo", "inspect", "--config", f"oci-archive:{archive}"))["config"]["Cmd"][0] == "/bin/sh"
    run("skopeo", "--insecure-policy", "copy", f"oci-archive:{archive}", f"oci:{tmp_path / 'layout'}:latest")
    run("umoci", "unpack", "--image", f"{tmp_path / 'layout'}:latest", tmp_path / "bundle")
    assert "debian" in run("chroot", tmp_path / "bundle/rootfs", "cat", "/etc/os-release")
