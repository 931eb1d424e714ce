"""``kill -9`` of a cloud in pieces: its API, scheduler and agent, one or more at a time, over RabbitMQ and PostgreSQL, while its guests go through actions.

As :mod:`test_actions_killed`, whose settings it takes. The others go on meanwhile: they hold what the dead one had begun, and its messages.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from test_actions_killed import OPTIONS, seed_of, strike
from test_distributed import distributed

STRIKES = ("agent", "api", "scheduler", "agent", "api and agent", "scheduler and agent", "api and scheduler and agent")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_its_pieces_are_killed(images: Path) -> None:
    with distributed(images, "postgresql", OPTIONS) as (cloud, _):
        strike(cloud, images, seed_of(3), True, STRIKES)
