"""What a container runs, read from a hostile image."""

from __future__ import annotations

from pathlib import Path

import pytest

from nova_lite.virt.driver import DriverError
from nova_lite.virt.libvirt.container_process import from_config, resolve


@pytest.fixture
def rootfs(tmp_path: Path) -> Path:
    root = tmp_path / "rootfs"
    for folder in ("usr/bin", "etc"):
        (root / folder).mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    for name in ("sh", "app"):
        (root / "usr/bin" / name).write_text("")
        (root / "usr/bin" / name).chmod(0o755)
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nweb:x:33:34:Web:/srv:/bin/sh\nbad:x:no:0:::\n")
    (root / "etc/group").write_text("root:x:0:\nstaff:x:50:\n")
    (tmp_path / "secret").write_text("outside")
    return root


def test_entrypoint_comes_before_cmd_and_is_looked_up_in_path(rootfs: Path) -> None:
    found = from_config(rootfs, {"Entrypoint": ["app"], "Cmd": ["-x"], "Env": ["PATH=/nowhere:/bin"]}, {"A": "1"})
    assert found.arguments == ("/bin/app", "-x")
    assert dict(found.environment)["A"] == "1"
    assert (found.uid, found.gid, found.directory) == (0, 0, "/")


@pytest.mark.parametrize(
    ("user", "ids"),
    [("", (0, 0)), ("web", (33, 34)), ("web:staff", (33, 50)), ("12", (12, 0)), ("12:13", (12, 13)), ("33", (33, 34))],
)
def test_users_are_looked_up_in_the_image(rootfs: Path, user: str, ids: tuple[int, int]) -> None:
    found = from_config(rootfs, {"Cmd": ["app"], "User": user}, {})
    assert (found.uid, found.gid) == ids


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"Cmd": "app"},
        {"Cmd": [1]},
        {"Cmd": ["nothing"]},
        {"Cmd": ["../../secret"]},
        {"Cmd": ["app"], "User": "nobody-here"},
        {"Cmd": ["app"], "User": "bad"},
        {"Cmd": ["app"], "User": "70000"},
        {"Cmd": ["app"], "User": 5},
        {"Cmd": ["app"], "WorkingDir": "relative"},
        {"Cmd": ["app"], "WorkingDir": "/a<b"},
        {"Cmd": ["app"], "Env": ["bad name=x"]},
        {"Cmd": ["app"], "Env": ["a.b=<x>"]},
    ],
)
def test_what_can_not_be_run_is_refused_in_words(rootfs: Path, config: dict[str, object]) -> None:
    with pytest.raises(DriverError):
        from_config(rootfs, config, {})


def test_a_variable_with_markup_never_reaches_libvirt_as_one(rootfs: Path) -> None:
    hostile = "</initenv><devices><filesystem/></devices>"
    found = from_config(rootfs, {"Cmd": ["app", "arg"], "Env": [f"X={hostile}", "Y=plain", "E="]}, {})
    assert all("<" not in value and value for _, value in found.environment)
    assert found.arguments[:2] == ("/bin/sh", "-c")
    assert f"X={hostile}" in found.arguments
    assert found.arguments[-2:] == ("/usr/bin/app", "arg")
    (rootfs / "usr/bin/sh").unlink()
    with pytest.raises(DriverError, match="/bin/sh"):
        from_config(rootfs, {"Cmd": ["app"], "Env": [f"X={hostile}"]}, {})


def test_links_stay_inside(rootfs: Path, tmp_path: Path) -> None:
    (rootfs / "up").symlink_to("../../../../../../secret")
    (rootfs / "abs").symlink_to("/etc/passwd")
    (rootfs / "loop").symlink_to("loop")
    (rootfs / "host").symlink_to(tmp_path / "secret")
    assert resolve(rootfs, "/up") is None
    assert resolve(rootfs, "/host") is None
    assert resolve(rootfs, "/loop") is None
    assert resolve(rootfs, "/abs") == rootfs / "etc/passwd"
    assert resolve(rootfs, "/../../bin/sh") == rootfs / "usr/bin/sh"
