"""A sample of what ``tools/chaos/run.py`` does by the thousand: kill clouds, let things fail, look at what is left.

``NOVA_LITE_CHAOS_KILLS`` sets the number of kills of each test, ``NOVA_LITE_CHAOS_SEED`` the first cloud's seed (``random``: any).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools/chaos/run.py"
KILLS = os.environ.get("NOVA_LITE_CHAOS_KILLS", "50")
SEED = os.environ.get("NOVA_LITE_CHAOS_SEED", "1000")
"""The same in each run, so that a run that fails says something of the change before it rather than of its luck."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("faults", ["--no-faults", "--faults"])
def test_nothing_is_stuck_left_over_or_done_twice(faults: str) -> None:
    line = [sys.executable, str(TOOL), "--kills", KILLS, faults, *(["--seed", SEED] if SEED != "random" else [])]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=590)
    assert done.stdout, done.stderr[-4000:]
    found = json.loads(done.stdout)
    assert done.returncode == 0 and not found["failed_seeds"], json.dumps(found["failures"], indent=2) + done.stderr
    assert found["kills"] >= int(KILLS)
    assert (found["stuck"], found["left_over"], found["doubled_boots"], found["unexpected"]) == (0, 0, 0, 0)
    assert found["requests"]["create"] > 10
