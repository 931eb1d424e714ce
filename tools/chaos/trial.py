"""One cloud that is killed again and again, by chance that its seed decides; then it is judged."""

from __future__ import annotations

import random
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import options
from death import POINTS, Strike
from faults import NONE, Chances
from free_port import free_port
from sqlalchemy import select
from user import User
from verdict import Court, Verdict
from victims import CLOUD, PARTS, Victim

from nova_lite.db import migrate
from nova_lite.db.models import Host, Server
from nova_lite.virt.fake import FakeDriver

SETTLED_S = 60.0
"""Within this, after the last kill, nothing may be under way any more."""
PATIENCE_S = 1.5
"""How long a process that is to kill itself at a point is given to come by there; then it is killed."""


@dataclass
class Report:
    """What became of one trial."""

    seed: int
    shape: str
    strict: bool
    kills: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    """Where processes died by themselves: victim, point, and action and step or driver call."""
    asked: Counter[str] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    verdict: Verdict = field(default_factory=Verdict)
    error: str = ""
    seconds: float = 0.0
    settled_s: float = 0.0

    def is_good(self) -> bool:
        """Tell whether nothing went wrong."""
        return not self.error and self.verdict.is_good()

    def summary(self) -> dict[str, Any]:
        """Return what a reader of a failure wants."""
        return {"seed": self.seed, "shape": self.shape, "strict": self.strict, "error": self.error} | asdict(
            self.verdict
        )


class Trial:
    """The cloud in *directory* (:func:`template.make` made it). *faulty*: let other things go wrong too (None: by chance)."""

    def __init__(self, seed: int, kills: int, directory: Path, faulty: bool | None) -> None:
        self._chance = random.Random(seed)
        self._kills = kills
        self._directory = directory
        roles = CLOUD if self._chance.random() < 0.4 else PARTS
        drawn = self._chance.random() < 0.5
        self._chances = _chances(self._chance) if (drawn if faulty is None else faulty) else NONE
        port = free_port()
        self._victims = {role: Victim(role, directory, port) for role in roles}
        self.report = Report(seed, "+".join(roles), self._chances is NONE)
        self._conf = options.load(directory, port)
        self._store = migrate.open_store(self._conf)
        self._driver = FakeDriver.from_conf(options.load(directory, port, **{"fake.latency_jitter": 0.0}))
        self._user = User(port, self._store, self._driver, random.Random(seed + 1))
        strict = self.report.strict
        self._court = Court(self._conf, self._store, self._driver, self._user, strict=strict)

    def run(self) -> Report:
        """Kill, settle, judge; leaves no process behind."""
        began = time.monotonic()
        try:
            self._start_dead(NONE)
            self._await_host()
            self._user.login()
            self._kill_all(NONE)
            self._user.start()
            for _ in range(self._kills):
                self._strike()
            self._judge()
        except Exception as error:
            self.report.error = repr(error)
        finally:
            self._user.stop()
            for victim in self._victims.values():
                victim.kill()
            self._store.close()
            self._note()
            self.report.seconds = round(time.monotonic() - began, 1)
        return self.report

    def _start_dead(self, chances: Chances) -> None:
        for victim in self._victims.values():
            if not victim.is_alive():
                victim.kill()
                victim.start(chances, self._chance.getrandbits(32))

    def _kill_all(self, chances: Chances) -> None:
        for victim in self._victims.values():
            victim.kill()
        self._start_dead(chances)

    def _strike(self) -> None:
        self._start_dead(self._chances)
        strike = _draw(self._chance, tuple(self._victims))
        victim = self._victims[strike.victim]
        if strike.point == "time":
            time.sleep(strike.delay)
            by_itself = False
        else:
            victim.arm(strike)
            by_itself = victim.await_death(PATIENCE_S)
        victim.kill()
        self.report.kills[f"{strike.victim} {strike.point if by_itself else 'time'}"] += 1

    def _judge(self) -> None:
        """Let the cloud come to rest without faults and look at it; delete everything and look again."""
        self._kill_all(NONE)
        self._user.stop()
        self._settle()
        verdict = self.report.verdict
        verdict.unexpected += self._lasting()
        verdict.unexpected += self._court.expectations()
        verdict.doubled_boots += self._court.doubled()
        for server_id in self._alive():
            self._user.delete(server_id)
        self._settle()
        verdict.left_over += self._lasting(emptied=True)

    def _settle(self) -> None:
        began = time.monotonic()
        while found := self._court.unfinished():
            if time.monotonic() - began > SETTLED_S:
                self.report.verdict.stuck += found
                break
            time.sleep(0.05)
        self.report.settled_s = max(self.report.settled_s, round(time.monotonic() - began, 1))

    def _lasting(self, *, emptied: bool = False) -> list[str]:
        """Return what is wrong and stays so: the agent compares every second."""
        look = self._court.left_over if emptied else self._court.differences
        deadline = time.monotonic() + 6
        while True:
            found = list(look())
            if not found or time.monotonic() > deadline:
                return found
            time.sleep(0.1)

    def _await_host(self) -> None:
        """Wait for the agent's first report: before it, nothing can be placed."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            with self._store.read() as session:
                if session.get(Host, self._conf.host) is not None:
                    return
            time.sleep(0.05)
        raise RuntimeError("the agent has not reported")

    def _alive(self) -> list[str]:
        with self._store.read() as session:
            return list(session.scalars(select(Server.id).where(Server.deleted.is_(False))))

    def _note(self) -> None:
        self.report.asked, self.report.answers = self._user.asked, self._user.answers
        deaths = self._directory / "deaths"
        self.report.deaths = Counter(deaths.read_text().splitlines() if deaths.exists() else [])


def _draw(chance: random.Random, victims: tuple[str, ...]) -> Strike:
    # The agent does most of the work, so most is to be learnt from its deaths.
    victim = chance.choice((*victims, "agent") if "agent" in victims else victims)
    point = "time" if chance.random() < 0.35 else chance.choice(POINTS[victim])
    return Strike(victim, point, chance.randint(1, 10), chance.uniform(0.02, 0.8))


def _chances(chance: random.Random) -> Chances:
    def some(most: float) -> float:
        return chance.uniform(0, most) if chance.random() < 0.6 else 0.0

    return Chances(
        refused=some(0.05),
        lost=some(0.05),
        unsent=some(0.2),
        dropped=some(0.4),
        doubled=some(0.4),
        failed=some(0.1),
        hung=some(0.1),
        dies=some(0.5),
    )
