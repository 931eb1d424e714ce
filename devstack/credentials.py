#!/usr/bin/env python3
"""Write openrc, openrc-demo and clouds.yaml, each readable by root alone.

usage: credentials.py DIRECTORY ENDPOINT PASSWORDS

PASSWORDS is a file of KEY=value lines with ADMIN_PASSWORD and DEMO_PASSWORD. Only the standard library is used.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

REGION = "RegionOne"


def read_passwords(path: Path) -> dict[str, str]:
    """Return the KEY=value lines of *path* as a dictionary."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def openrc(endpoint: str, user: str, password: str) -> str:
    """Return shell text that sets what OpenStack's clients read from the environment."""
    values = {
        "OS_AUTH_URL": f"{endpoint}/identity/v3",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_USERNAME": user,
        "OS_PASSWORD": password,
        "OS_PROJECT_NAME": user,
        "OS_USER_DOMAIN_ID": "default",
        "OS_PROJECT_DOMAIN_ID": "default",
        "OS_REGION_NAME": REGION,
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def clouds(endpoint: str, accounts: dict[str, tuple[str, str]]) -> str:
    """Return clouds.yaml for *accounts*, cloud name -> (user, password). JSON is YAML, so its strings are quoted."""
    lines = ["clouds:"]
    for cloud, (user, password) in accounts.items():
        lines += [
            f"  {cloud}:",
            "    auth:",
            f"      auth_url: {json.dumps(endpoint + '/identity/v3')}",
            f"      username: {json.dumps(user)}",
            f"      password: {json.dumps(password)}",
            f"      project_name: {json.dumps(user)}",
            "      user_domain_id: default",
            "      project_domain_id: default",
            f"    region_name: {REGION}",
            "    identity_api_version: 3",
        ]
    return "\n".join(lines) + "\n"


def write_private(path: Path, text: str) -> None:
    """Replace *path* by *text* in one step; at no moment can another user read it."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
        stream.write(text)
    new.replace(path)


def main() -> None:
    """Write the three files."""
    directory, endpoint, passwords = Path(sys.argv[1]), sys.argv[2], read_passwords(Path(sys.argv[3]))
    admin, demo = passwords["ADMIN_PASSWORD"], passwords["DEMO_PASSWORD"]
    write_private(directory / "openrc", openrc(endpoint, "admin", admin))
    write_private(directory / "openrc-demo", openrc(endpoint, "demo", demo))
    accounts = {"nova-lite": ("admin", admin), "nova-lite-demo": ("demo", demo)}
    write_private(directory / "clouds.yaml", clouds(endpoint, accounts))


if __name__ == "__main__":
    main()
