"""diff() against random hosts: what it may never decide, whatever is observed."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nova_lite.agent.reconcile import Do, Wanted, diff
from nova_lite.compute.transitions import PowerState, VmState
from nova_lite.virt.driver import Observed

ids = st.sampled_from([f"s{number}" for number in range(8)])
observed_one = st.builds(
    Observed,
    server_id=st.one_of(st.none(), ids),
    name=st.text("xyz", min_size=1, max_size=3),
    power=st.sampled_from(PowerState),
    kind=st.just("vm"),
)
observations = st.one_of(
    st.none(), st.lists(observed_one, max_size=8, unique_by=lambda guest: guest.server_id or guest.name)
)
wanted_one = st.builds(
    Wanted,
    server_id=ids,
    vm_state=st.sampled_from([state.value for state in VmState if state is not VmState.DELETED]),
    task_state=st.sampled_from([None, None, None, "stopping", "deleting"]),
    power_state=st.sampled_from([int(state) for state in PowerState]),
    generation=st.integers(0, 3),
    busy=st.booleans(),
    deleted=st.booleans(),
    elsewhere=st.booleans(),
    built=st.booleans(),
    claimed=st.booleans(),
)
rows = st.lists(wanted_one, max_size=8, unique_by=lambda row: row.server_id)


@given(observations, rows, st.sets(ids), st.sets(ids))
def test_what_is_never_decided(
    observed: list[Observed] | None, wanted: list[Wanted], untaken: set[str], resume: set[str]
) -> None:
    decisions = diff(observed, wanted, untaken=untaken, resume=resume)
    by_id = {row.server_id: row for row in wanted}
    seen = {guest.server_id for guest in observed or ()}
    touched = [decision.wanted.server_id for decision in decisions if decision.wanted is not None]
    assert len(touched) == len(set(touched)), "one decision for one server"
    for decision in decisions:
        row = decision.wanted
        if row is None:
            assert decision.do is Do.REPORT
            continue
        assert not row.busy, "an operation is under way"
        if decision.do is Do.REMOVE:
            assert by_id[row.server_id].deleted and row.server_id in seen
        if decision.do is Do.CLEAR:
            assert row.vm_state == "error" and not row.built and not row.elsewhere and observed is not None
        if decision.do is Do.STOP:
            assert row.vm_state in ("shelved", "soft-delete") and row.server_id in seen
        if decision.do is Do.LOST:
            assert observed is not None and row.server_id not in seen
        if decision.do is Do.RECOVER:
            assert row.server_id in untaken
        if decision.do is Do.RESTART:
            assert row.server_id in resume
        if row.elsewhere and not row.deleted:
            assert decision.do is Do.REPORT
    if observed is None:
        assert all(
            decision.do is Do.SHOW and decision.power is PowerState.NOSTATE and decision.vm_state is None
            for decision in decisions
        ), "what can't be seen is unknown, and nothing else"


@given(observations, rows)
def test_it_comes_to_rest(observed: list[Observed] | None, wanted: list[Wanted]) -> None:
    """What was decided and done leaves nothing to decide, but reports and what a power that is unknown hides."""
    after: list[Wanted] = []
    guests = list(observed) if observed is not None else None
    decided = {
        decision.wanted.server_id: decision for decision in diff(observed, wanted) if decision.wanted is not None
    }
    for row in wanted:
        decision = decided.get(row.server_id)
        changes: dict[str, object] = {}
        if decision is not None and decision.do is Do.SHOW:
            if decision.vm_state is not None:
                changes["vm_state"] = decision.vm_state.value
            if decision.power is not None:
                changes["power_state"] = int(decision.power)
        elif decision is not None and decision.do is Do.LOST:
            changes = {"vm_state": "error", "power_state": 0}
        elif decision is not None and decision.do is Do.STRANDED:
            changes = {"vm_state": "error", "task_state": None}
        elif decision is not None and decision.do is Do.STOP and guests is not None:
            guests = [
                replace(guest, power=PowerState.SHUTDOWN) if guest.server_id == row.server_id else guest
                for guest in guests
            ]
            changes = {"power_state": int(PowerState.SHUTDOWN)}
        elif decision is not None and decision.do in (Do.REMOVE, Do.CLEAR) and guests is not None:
            changes = {"claimed": False, "power_state": 0}
            guests = [guest for guest in guests if guest.server_id != row.server_id]
        after.append(Wanted(**({name: getattr(row, name) for name in row.__dataclass_fields__} | changes)))  # type: ignore[arg-type]
    # What is in ERROR by now, and was never built, is cleared by the next look.
    lost = {key for key, decision in decided.items() if decision.do in (Do.STRANDED, Do.LOST)}
    twice = [decision for decision in diff(guests, after) if decision.do not in (Do.REPORT, Do.SHOW)]
    assert all(
        decision.do is Do.CLEAR and decision.wanted is not None and decision.wanted.server_id in lost
        for decision in twice
    )
    stranded = {key for key, decision in decided.items() if decision.do is Do.STRANDED}
    shown = [
        decision
        for decision in diff(guests, after)
        if decision.do is Do.SHOW and decision.wanted is not None and decision.wanted.server_id not in stranded
    ]
    assert not shown


def test_the_table_of_what_is_shown() -> None:
    def decide(state: str, power: PowerState) -> str | None:
        row = Wanted("s", state, None, int(PowerState.RUNNING), 0)
        (decision,) = diff([Observed("s", "s", power, "vm")], [row]) or (None,)
        return None if decision is None or decision.vm_state is None else decision.vm_state.value

    assert decide("active", PowerState.SHUTDOWN) == "stopped"
    assert decide("active", PowerState.CRASHED) == "stopped"
    assert decide("active", PowerState.PAUSED) == "paused"
    assert decide("active", PowerState.RUNNING) is None
    assert decide("stopped", PowerState.RUNNING) == "active"
    assert decide("error", PowerState.SHUTDOWN) is None
