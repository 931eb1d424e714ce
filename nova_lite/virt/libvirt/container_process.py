"""What runs in a container: an OCI image's configuration turned into a program, its user, directory and environment.

Everything in an image is hostile: names are looked up without ever leaving its root by a symbolic link.
Format: https://github.com/opencontainers/image-spec/blob/main/config.md
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from nova_lite.virt.driver import DriverError

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAX_LINKS = 40
_MAX_DATABASE = 1 << 20
_MAX_ID = 65_535
_MARKUP = frozenset("<>&")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_SHELL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL = "/bin/sh"
# What the shell is given: how many NAME=value words follow, those, then the program and its arguments.
_EXPORT = 'n=$1; shift; while [ "$n" -gt 0 ]; do export "$1"; shift; n=$((n-1)); done; unset n; exec "$@"'


@dataclass(frozen=True)
class ContainerProcess:
    """A container's first process; ``arguments[0]`` is an absolute path, ``uid`` and ``gid`` are inside ids."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    directory: str = "/"
    uid: int = 0
    gid: int = 0


def from_config(rootfs: Path, config: Mapping[str, object], extra: Mapping[str, str]) -> ContainerProcess:
    """Read an OCI ``config`` object.

    :param rootfs: the image's unpacked root, where programs and users are looked up.
    :param extra: environment of the server's own; stronger than the image's.
    :raises DriverError: nothing to run, no such program or user in the image, or a member of the wrong type.
    """
    arguments = [*_strings(config, "Entrypoint"), *_strings(config, "Cmd")]
    if not arguments:
        raise DriverError("the container image has neither Entrypoint nor Cmd: there is nothing to run")
    environment = {"PATH": DEFAULT_PATH, "TERM": "linux", "container": "libvirt-lxc"}
    for pair in _strings(config, "Env"):
        name, separator, value = pair.partition("=")
        if name and separator:
            environment[name] = value
    environment.update(extra)
    uid, gid, home = _user(rootfs, _string(config, "User"))
    environment.setdefault("HOME", home)
    directory = _string(config, "WorkingDir") or "/"
    if not directory.startswith("/"):
        raise DriverError(f"the container image's WorkingDir {directory!r:.80} is not absolute")
    program = find_program(rootfs, arguments[0], environment["PATH"], directory)
    if program is None:
        raise DriverError(f"the container image has no program {arguments[0]!r:.120}")
    plain, hidden = _split_environment(environment)
    command = (program, *arguments[1:])
    if hidden:
        if find_program(rootfs, _SHELL, "", "/") is None:
            raise DriverError(f"the variable {hidden[0].partition('=')[0]} needs {_SHELL}, which the image has not")
        command = (_SHELL, "-c", _EXPORT, "sh", str(len(hidden)), *hidden, *command)
    for text in (command[0], directory):
        if _MARKUP & set(text):
            raise DriverError(f"the container's path {text!r:.80} has one of the characters < > &")
    return ContainerProcess(command, plain, directory, uid, gid)


def _split_environment(environment: Mapping[str, str]) -> tuple[tuple[tuple[str, str], ...], list[str]]:
    """Return the variables that libvirt may carry, and as NAME=value those that it must not see.

    libvirt 9.0 writes a variable's value into the XML that ``libvirt_lxc`` reads without escaping it, so an image could put
    devices of its choice (a mount of the host's root, say) into its domain. It escapes arguments, so what has
    markup in it goes that way, through the image's shell.

    :raises DriverError: a name that is none, or that a shell can't take although the value needs it.
    """
    plain: list[tuple[str, str]] = []
    hidden: list[str] = []
    for name, value in environment.items():
        if not _NAME.fullmatch(name):
            raise DriverError(f"{name!r:.80} is no name for an environment variable")
        if value and not _MARKUP & set(value):
            plain.append((name, value))
        elif _SHELL_NAME.fullmatch(name):
            hidden.append(f"{name}={value}")
        else:
            raise DriverError(f"the environment variable {name:.80} must be named plainly to have such a value")
    return tuple(plain), hidden


def resolve(rootfs: Path, inner: str) -> Path | None:
    """Return the path on the host of *inner* as a process chrooted to *rootfs* would see it; None: it is not there.

    Links are followed by their text, relative to *rootfs*; ``..`` stops at the root.
    """
    pending = list(reversed(PurePosixPath("/", inner).parts[1:]))
    done: list[str] = []
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            del done[-1:]
            continue
        here = rootfs.joinpath(*done, part)
        try:
            mode = here.lstat().st_mode
        except OSError:
            return None
        if not stat.S_ISLNK(mode):
            done.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return None
        target = PurePosixPath(os.readlink(here))
        parts = target.parts
        if target.is_absolute():
            done, parts = [], parts[1:]
        pending.extend(reversed(parts))
    return rootfs.joinpath(*done)


def find_program(rootfs: Path, name: str, search: str, directory: str) -> str | None:
    """Return the absolute path inside the container of the program *name*, looked up as a shell would; None: none."""
    if "/" in name:
        candidates = [str(PurePosixPath(directory, name))]
    else:
        candidates = [str(PurePosixPath("/", folder, name)) for folder in search.split(":") if folder]
    for candidate in candidates:
        found = resolve(rootfs, candidate)
        if found is not None and found.is_file() and found.stat().st_mode & 0o111:
            return candidate
    return None


def _user(rootfs: Path, user: str) -> tuple[int, int, str]:
    """Turn ``user``, ``uid``, ``user:group`` or ``uid:gid`` into (uid, gid, home)."""
    name, _, group = user.partition(":")
    uid, gid, home = 0, 0, "/root"
    if name:
        row = _find_row(rootfs, "/etc/passwd", name)
        if row is not None and len(row) >= 6:
            uid, gid, home = int(row[2]), int(row[3]), row[5] or "/"
        elif name.isdecimal():
            uid, home = int(name), "/"
        else:
            raise DriverError(f"the container image has no user {name!r:.80}")
    if group:
        row = _find_row(rootfs, "/etc/group", group)
        if row is None and not group.isdecimal():
            raise DriverError(f"the container image has no group {group!r:.80}")
        gid = int(row[2]) if row is not None else int(group)
    if max(uid, gid) > _MAX_ID:
        raise DriverError(f"user and group ids of a container are below {_MAX_ID + 1}")
    return uid, gid, home


def _find_row(rootfs: Path, database: str, key: str) -> list[str] | None:
    path = resolve(rootfs, database)
    if path is None or not path.is_file():
        return None
    with path.open("rb") as file:
        text = file.read(_MAX_DATABASE).decode(errors="replace")
    for line in text.splitlines():
        row = line.split(":")
        if len(row) >= 4 and row[2].isdecimal() and (row[0] == key or (key.isdecimal() and int(row[2]) == int(key))):
            if database.endswith("passwd") and not row[3].isdecimal():
                continue
            return row
    return None


def _strings(config: Mapping[str, object], member: str) -> Sequence[str]:
    value = config.get(member) or []
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise DriverError(f"the container image's {member} is not a list of strings")
    return list(value)


def _string(config: Mapping[str, object], member: str) -> str:
    value = config.get(member) or ""
    if not isinstance(value, str):
        raise DriverError(f"the container image's {member} is not a string")
    return value
