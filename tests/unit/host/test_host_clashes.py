"""Ports and routers whose devices would be called the same: one of them is refused, and it is always the same one."""

from __future__ import annotations

from dataclasses import replace

from nova_lite.host.network_state import GatewayLeg, HostState, PortSpec, QosSpec, RouterLeg, RouterSpec
from nova_lite.host.networks.clashes import told_apart

FIRST = "12345678-9ab0-4000-8000-000000000001"
ALIKE = "12345678-9abf-4000-8000-000000000002"
IN_TEN_DIGITS = "12345678-9aff-4000-8000-000000000003"
OTHER = "22345678-9ab0-4000-8000-000000000004"


def a_port(port_id: str, **more: object) -> PortSpec:
    return PortSpec(port_id, OTHER, OTHER, "fa:16:3e:00:00:01", "h", (), "tap", **more)  # type: ignore[arg-type]


def a_router(router_id: str, *legs: str, gateway: str | None = None) -> RouterSpec:
    made = tuple(RouterLeg(leg, OTHER, "fa:16:3e:00:00:01", ()) for leg in legs)
    return RouterSpec(router_id, made, GatewayLeg(gateway, OTHER, "fa:16:3e:00:00:02", (), ()) if gateway else None)


def of(*things: PortSpec | RouterSpec) -> HostState:
    return HostState(
        ports={each.port_id: each for each in things if isinstance(each, PortSpec)},
        routers={each.router_id: each for each in things if isinstance(each, RouterSpec)},
    )


def test_what_is_told_apart_stays_as_it_is() -> None:
    state = of(a_port(FIRST), a_port(IN_TEN_DIGITS), a_router(FIRST, OTHER), a_router(ALIKE, FIRST, gateway=FIRST))
    assert told_apart(state, None) == (state, {}), "whole ids of routers, twelve characters of ports, ten of legs"


def test_who_came_later_is_refused() -> None:
    both = of(a_port(FIRST), a_port(ALIKE))
    left, refused = told_apart(both, of(a_port(ALIKE)))
    assert set(left.ports) == {ALIKE} and set(refused) == {FIRST}
    assert "nl-12345678-9ab" in refused[FIRST] and ALIKE in refused[FIRST]
    # Nobody knows who came first: always the same.
    assert set(told_apart(both, None)[1]) == set(told_apart(both, of())[1]) == {ALIKE}
    assert told_apart(of(a_port(FIRST)), left) == (of(a_port(FIRST)), {}), "the other has gone"


def test_limits_have_devices_too() -> None:
    limited = [replace(a_port(each), qos=QosSpec(egress_kbps=1)) for each in (FIRST, IN_TEN_DIGITS)]
    assert set(told_apart(of(*limited), None)[1]) == {IN_TEN_DIGITS}
    assert not told_apart(of(limited[0], a_port(IN_TEN_DIGITS)), None)[1]


def test_legs_of_routers() -> None:
    state = of(a_router(FIRST, FIRST, gateway=OTHER), a_router(ALIKE, ALIKE), a_router(OTHER, OTHER))
    left, refused = told_apart(state, None)
    assert set(refused) == {ALIKE} and set(left.routers) == {FIRST, OTHER}
    gateways = of(a_router(FIRST, gateway=FIRST), a_router(ALIKE, gateway=IN_TEN_DIGITS))
    assert set(told_apart(gateways, None)[1]) == {ALIKE}
    assert "itself" in told_apart(of(a_router(OTHER, FIRST, ALIKE)), None)[1][OTHER]
