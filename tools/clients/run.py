#!/usr/bin/env python3
"""Run the clients' own functional tests, unchanged, against an embedded cloud with the fake driver.

Usage: ``.venv/bin/python tools/clients/run.py [--work DIRECTORY] [--chosen PATTERN] [SUITE ...]``. The clients come from PyPI, into a
virtual environment of their own in DIRECTORY (a temporary one, unless it is named; a second run then needs no download). Prints JSON: of
each suite how many tests passed and were skipped, and the names of those that failed. What each of them said is in
``DIRECTORY/SUITE.out``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent / "bench"))

import embedded
from suites import RUNNERS, SUITES, Suite

DEMO_PASSWORD = "demo-secret-1"
# Suites look for states on the way every second, so that an action must last a moment.
CONFIGURATION = "latency = 0.4\n[network]\nphysical_networks = public:\n"


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; default: all of them")
    parser.add_argument("--work", type=Path, help="keep clients and outputs in this directory")
    parser.add_argument("--chosen", help="run these tests only: a regular expression")
    asked = parser.parse_args()
    unknown = sorted(set(asked.suites) - set(SUITES))
    if unknown:
        parser.error(f"unknown suite: {', '.join(unknown)}")
    with contextlib.ExitStack() as stack:
        work = asked.work or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nova-lite-clients-")))
        prepare(work)
        print(json.dumps({name: run(work, name, asked.chosen) for name in asked.suites or SUITES}, indent=1))


def prepare(work: Path) -> None:
    """Have the clients and their sources."""
    work.mkdir(parents=True, exist_ok=True)
    pip = [str(work / "venv/bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    pinned = [f"{suite.package}=={suite.version}" for suite in SUITES.values()]
    if not (work / "venv").exists():
        subprocess.run([sys.executable, "-m", "venv", str(work / "venv")], check=True)
        subprocess.run([*pip, "install", "--upgrade", *RUNNERS, *pinned], check=True)
    for suite, requirement in zip(SUITES.values(), pinned, strict=True):
        if not source(work, suite).is_dir():
            fetch = [*pip, "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"]
            subprocess.run([*fetch, "--dest", str(work), requirement], check=True)
            shutil.unpack_archive(source(work, suite).with_name(f"{source(work, suite).name}.tar.gz"), work)


def source(work: Path, suite: Suite) -> Path:
    """Return the folder that a suite's source distribution is unpacked to."""
    return work / f"{suite.package.replace('-', '_')}-{suite.version}"


def run(work: Path, name: str, chosen: str | None) -> dict[str, Any]:
    """Run one suite against a cloud of its own."""
    suite = SUITES[name]
    place = source(work, suite)
    programs = work / "venv/bin"
    with embedded.Embedded(CONFIGURATION) as own:
        write_clouds(place / "clouds.yaml", own.environment)
        environment = {key: text for key, text in os.environ.items() if not key.startswith("OS_")} | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "TOX_ENV_DIR": str(work / "venv"),
            "OS_TEST_TIMEOUT": "600",
            "no_proxy": "127.0.0.1",
            **suite.environment,
        }
        seed = [str(programs / "python"), str(Path(__file__).with_name("seed.py")), DEMO_PASSWORD]
        subprocess.run(seed, cwd=place, env=environment, check=True, timeout=300)
        command = [str(programs / "python"), "-m", "stestr", "--test-path", f"./{suite.tests}", "run"]
        command += ["--concurrency", str(suite.workers), chosen or suite.chosen]
        with (work / f"{name}.out").open("wb") as out:
            subprocess.run(command, cwd=place, env=environment, stdout=out, stderr=out, check=False)
    return {"version": suite.version} | summary((work / f"{name}.out").read_text(errors="replace"))


def write_clouds(path: Path, admin: dict[str, str]) -> None:
    """Write the ``clouds.yaml`` that the suites read in the directory that they run in."""
    people = {
        "devstack": ("demo", DEMO_PASSWORD, "demo"),
        "devstack-alt": ("alt_demo", DEMO_PASSWORD, "alt_demo"),
        **dict.fromkeys(
            ("devstack-admin", "devstack-system-admin", "functional_admin"),
            (admin["OS_USERNAME"], admin["OS_PASSWORD"], admin["OS_PROJECT_NAME"]),
        ),
    }
    clouds = {}
    for name, (user, password, project) in people.items():
        auth = {"auth_url": admin["OS_AUTH_URL"], "username": user, "password": password, "project_name": project}
        clouds[name] = {"auth": auth | {"user_domain_id": "default", "project_domain_id": "default"}}
    path.touch(0o600)
    path.write_text(json.dumps({"clouds": clouds}))  # which is YAML, too


def summary(text: str) -> dict[str, Any]:
    """Count what ``stestr`` says of each test."""
    ends = re.findall(r"^\{\d+\} (.+?)(?: \[[\d.]+s\])? \.\.\. (ok|FAILED|SKIPPED)", text, re.MULTILINE)
    counts = {word: sum(end == word for _, end in ends) for word in ("ok", "FAILED", "SKIPPED")}
    failed = sorted(test for test, end in ends if end == "FAILED")
    return {"passed": counts["ok"], "failed": counts["FAILED"], "skipped": counts["SKIPPED"], "failures": failed}


if __name__ == "__main__":
    main()
