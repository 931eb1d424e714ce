"""Whatever is seen: the doctor answers, leaves busy servers alone, and calls nothing safe that it does not know."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from nova_lite.compute.transitions import PowerState, VmState
from nova_lite.doctor.cures import _CURES
from nova_lite.doctor.diagnosis import diagnose
from nova_lite.doctor.facts import ClaimFact, Facts, HostFact, HostSight, PortFact, ServerFact
from nova_lite.virt.driver import Observed

IDS = tuple(f"{digit * 8}-{digit * 4}-4{digit * 3}-8{digit * 3}-{digit * 12}" for digit in "abcde")
HOSTS = ("h1", "h2")
identifiers = st.sampled_from(IDS)
sizes = st.tuples(st.integers(0, 4), st.integers(0, 64), st.integers(0, 4))


@st.composite
def looks(draw: st.DrawFn) -> Facts:
    servers = {
        server_id: ServerFact(
            server_id,
            draw(st.sampled_from(VmState)).value,
            draw(st.sampled_from((None, "deleting", "spawning"))),
            draw(st.sampled_from((None, *HOSTS))),
            draw(sizes),
            draw(st.integers(0, 3)),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for server_id in draw(st.sets(identifiers))
    }
    guests = [
        Observed(server_id, "guest", draw(st.sampled_from(PowerState)), "vm")
        for server_id in draw(st.sets(identifiers))
    ]
    return Facts(
        moment=1e6,
        servers=servers,
        deleted=frozenset(draw(st.sets(identifiers)) - servers.keys()),
        hosts=tuple(HostFact(name, draw(sizes), draw(st.integers(0, 4))) for name in HOSTS),
        claims={key: ClaimFact(draw(st.sampled_from(HOSTS)), draw(sizes)) for key in draw(st.sets(identifiers))},
        ports=tuple(
            PortFact(f"{number}2345678-1234", draw(identifiers), "compute:nova", "h1", 17, "m", ("10.0.0.1",))
            for number in range(draw(st.integers(0, 3)))
        ),
        networks=frozenset({17}),
        sight=HostSight("h1", tuple(guests), frozenset(draw(st.sets(identifiers))), {"nl-02345678-123": False}),
    )


@given(looks())
def test_only_what_is_known_is_safe(facts: Facts) -> None:
    found = diagnose(facts)
    assert len(set(found)) == len(found)
    busy = {row.server_id for row in facts.servers.values() if row.busy}
    for row in found:
        assert not row.safe or row.kind in _CURES
        assert row.object_id not in busy
        if row.safe and row.kind in ("guest-left-over", "directory-left-over"):
            assert row.object_id in facts.deleted


@given(looks())
def test_sums_that_are_right_are_never_found(facts: Facts) -> None:
    hosts = []
    for name in HOSTS:
        held = [claim.sizes for claim in facts.claims.values() if claim.host == name]
        used = (sum(s[0] for s in held), sum(s[1] for s in held), sum(s[2] for s in held))
        hosts.append(HostFact(name, used, len(held)))
    assert "claim-sum" not in {row.kind for row in diagnose(replace(facts, hosts=tuple(hosts)))}
