"""Kill clouds by the thousand and look at what is left: ``python tools/chaos/run.py --kills 1000``.

Prints JSON; the exit code is 1 when any seed failed. ``--seed N --clouds 1`` repeats a trial that failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PATHS = [str(HERE), str(HERE.parents[1]), str(HERE.parents[1] / "tests")]
sys.path[:0] = PATHS
# The server that processes are forked from starts with these.
os.environ["PYTHONPATH"] = os.pathsep.join([*PATHS, os.environ.get("PYTHONPATH", "")])

import template  # noqa: E402
from servers import Servers  # noqa: E402
from trial import Report, Trial  # noqa: E402


def main() -> int:
    """Run the trials and print what became of them."""
    asked = _arguments()
    first = asked.seed or random.SystemRandom().randrange(1, 1 << 30)
    clouds = asked.clouds or max(1, round(asked.kills / asked.kills_per_cloud))
    began = time.monotonic()
    home = Path(tempfile.mkdtemp(prefix="nova-lite-chaos-"))
    made = home / "template"
    made.mkdir()
    template.make(made)

    lent = Servers(asked.database, asked.transport)
    one_migrates = threading.Lock()

    def run(seed: int) -> Report:
        directory = home / str(seed)
        directory.mkdir()
        with lent.lend(directory) as has_servers:
            if has_servers:
                with one_migrates:  # alembic's context is the process's
                    template.make(directory)
            else:
                shutil.copytree(made, directory, ignore=shutil.ignore_patterns("log"), dirs_exist_ok=True)
            report = Trial(seed, asked.kills_per_cloud, directory, asked.faulty).run()
        if report.is_good() and not asked.keep:
            shutil.rmtree(directory, ignore_errors=True)
        elif directory.is_dir():
            (directory / "verdict.json").write_text(json.dumps(report.summary(), indent=2))
        print(
            f"seed {seed}: {'good' if report.is_good() else 'BAD'}, {report.kills.total()} kills, {report.shape}, "
            f"{'deaths alone' if report.strict else 'faults too'}, {report.seconds} s, at rest after {report.settled_s} s",
            file=sys.stderr,
            flush=True,
        )
        return report

    at_once = min(asked.side_by_side, len(asked.transport) or asked.side_by_side)
    with ThreadPoolExecutor(at_once) as pool:
        reports = list(pool.map(run, range(first, first + clouds)))
    shutil.rmtree(made)
    bad = [report for report in reports if not report.is_good()]
    if bad or asked.keep:
        print(f"what is left to look at is in {home}", file=sys.stderr)
    else:
        shutil.rmtree(home, ignore_errors=True)
    json.dump(lent.describe() | _summary(reports, time.monotonic() - began), sys.stdout, indent=2)
    print()
    return 1 if bad else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill clouds with the fake driver and look at what is left.")
    parser.add_argument("--kills", type=int, default=1000, help="how many kills in all; default: 1000")
    parser.add_argument("--kills-per-cloud", type=int, default=25, metavar="N", help="default: 25")
    parser.add_argument("--clouds", type=int, help="how many clouds, instead of as many as the kills take")
    parser.add_argument("--side-by-side", type=int, default=2, metavar="N", help="clouds at a time; default: 2")
    parser.add_argument("--seed", type=int, help="of the first cloud, counted up for each; default: by chance")
    faulty = parser.add_mutually_exclusive_group()
    faulty.add_argument(
        "--faults",
        dest="faulty",
        action="store_true",
        default=None,
        help="let database, bus and hypervisor fail in each cloud; default: in half of them",
    )
    faulty.add_argument("--no-faults", dest="faulty", action="store_false", help="kill only")
    parser.add_argument(
        "--database", metavar="URL", help="of a PostgreSQL or MariaDB account that may make databases; default: SQLite"
    )
    parser.add_argument(
        "--transport",
        metavar="URL",
        action="append",
        default=[],
        help="of a RabbitMQ virtual host, once for each cloud that is to be killed at a time; default: none",
    )
    parser.add_argument("--keep", action="store_true", help="keep the directories of good clouds too")
    return parser.parse_args()


def _summary(reports: list[Report], seconds: float) -> dict[str, Any]:
    def total(name: str) -> dict[str, int]:
        counts: Counter[Any] = Counter()
        for report in reports:
            counts.update(getattr(report, name))
        return {str(key): counts[key] for key in sorted(counts, key=str)}

    def size(name: str) -> int:
        return sum(len(getattr(report.verdict, name)) for report in reports)

    bad = [report for report in reports if not report.is_good()]
    return {
        "kills": sum(report.kills.total() for report in reports),
        "stuck": size("stuck"),
        "left_over": size("left_over"),
        "doubled_boots": size("doubled_boots"),
        "unexpected": size("unexpected"),
        "failed_seeds": [report.seed for report in bad],
        "clouds": len(reports),
        "clouds_with_faults": sum(not report.strict for report in reports),
        "seconds": round(seconds, 1),
        "longest_until_at_rest_s": max(report.settled_s for report in reports),
        "requests": total("asked"),
        "answers": total("answers"),
        "kills_by_victim_and_point": total("kills"),
        "deaths": total("deaths"),
        "failures": [report.summary() for report in bad],
    }


if __name__ == "__main__":
    sys.exit(main())
