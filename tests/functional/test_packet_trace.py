"""A packet's way by the API: what the host is asked, and what of the answer who may see."""

from __future__ import annotations

from typing import Any

import pytest
from compute_cloud import ADMIN, OTHER, ask, boot, build, seed
from sqlalchemy import select, update

from nova_lite.agent.packet_trace import PacketTrace
from nova_lite.db.models import FixedIp, Port

HOP = {"where": "nl-x", "what": "security groups in: rule r of group g lets it pass", "verdict": "passes"}
LAST = {"where": "guest", "what": "it comes", "verdict": "arrives", "rule_id": None, "port_id": None}


@pytest.fixture
def door(compute_door: Any) -> Any:
    seed(compute_door)
    hops = [{**HOP, "rule_id": "r", "port_id": "p"}, LAST]
    compute_door.agents.answers["trace_packet"] = {"hops": hops, "onward": None}
    return compute_door


@pytest.fixture
def path(door: Any) -> str:
    identifier = boot(door).json["server"]["id"]
    build(door, identifier)
    return f"/servers/{identifier}/nova-lite-trace"


def test_who_sees_what(door: Any, path: str) -> None:
    seen = ask(door, "GET", f"{path}?address=10.0.0.9&port=80", token=ADMIN).json["trace"]
    assert (seen["verdict"], seen["address"]) == ("arrives", "10.0.0.9")
    assert seen["hops"][0]["rule_id"] == "r" and seen["hops"][0]["host"]
    hidden = ask(door, "GET", f"{path}?address=10.0.0.9&port=80").json["trace"]["hops"]
    assert hidden[0]["what"] == "another project's security groups pass it"
    assert (hidden[0]["rule_id"], hidden[0]["port_id"], hidden[0]["host"]) == (None, None, None)
    assert ask(door, "GET", f"{path}?address=10.0.0.9", token=OTHER).status_int == 404


def test_what_the_host_is_asked(door: Any, path: str) -> None:
    assert set(PacketTrace(None).answers()) == {"trace_packet", "trace_arrival"}  # type: ignore[arg-type]
    asked: list[dict[str, Any]] = []

    def answer(**arguments: Any) -> dict[str, Any]:
        asked.append(arguments)
        return {"hops": [LAST], "onward": None}

    door.agents.answers["trace_packet"] = answer
    for query, protocol, port in (
        ("address=10.0.0.9", 1, None),
        ("address=2001:db8:0::9", 58, None),
        ("address=10.0.0.9&port=53&protocol=UDP", 17, 53),
        ("address=10.0.0.9&port=53", 6, 53),
        ("address=10.0.0.9&protocol=47", 47, None),
    ):
        assert ask(door, "GET", f"{path}?{query}").status_int == 200
        assert (asked[-1]["protocol"], asked[-1]["port"]) == (protocol, port), query


def test_what_goes_on_is_asked_of_the_other_host(door: Any, path: str) -> None:
    other = boot(door).json["server"]["id"]
    build(door, other)
    with door.store.read() as session:
        row = session.execute(
            select(Port.network_id, FixedIp.address)
            .join(FixedIp, FixedIp.port_id == Port.id)
            .where(Port.device_id == other)
        ).first()
    network_id, address = row

    def bind(session: Any) -> None:
        session.execute(update(Port).where(Port.device_id == other).values(host="host2"))

    door.store.transact(bind)
    onward = {"network_id": network_id, "source": "10.0.0.5", "destination": address}
    door.agents.answers["trace_packet"] = {"hops": [{**LAST, "verdict": "goes on"}], "onward": onward}
    asked: list[dict[str, Any]] = []

    def answer(**arguments: Any) -> dict[str, Any]:
        asked.append(arguments)
        return {"hops": [LAST], "onward": None}

    door.agents.answers["trace_arrival"] = answer
    seen = ask(door, "GET", f"{path}?address={address}&port=80", token=ADMIN).json["trace"]
    assert [hop["host"] for hop in seen["hops"]] == ["host1", "host2"]
    assert seen["verdict"] == "arrives"
    assert asked == [{**onward, "protocol": 6, "port": 80}]
    door.agents.answers["trace_packet"]["onward"]["destination"] = "10.0.0.250"
    assert ask(door, "GET", f"{path}?address=10.0.0.250", token=ADMIN).json["trace"]["verdict"] == "dropped"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("port=80", "address"),
        ("address=x", "address"),
        ("address=fe80::1%25eth0", "address"),
        ("address=10.0.0.9&port=0", "port"),
        ("address=10.0.0.9&port=65536", "port"),
        ("address=10.0.0.9&port=x", "port"),
        ("address=10.0.0.9&protocol=tcp", "port"),
        ("address=10.0.0.9&protocol=icmp&port=1", "port"),
        ("address=10.0.0.9&protocol=256", "protocol"),
        ("address=10.0.0.9&protocol=foo", "protocol"),
        ("address=10.0.0.9&more=1", "more"),
    ],
)
def test_bad_input_names_its_field(door: Any, path: str, query: str, field: str) -> None:
    answer = ask(door, "GET", f"{path}?{query}")
    assert answer.status_int == 400
    assert field in answer.json["badRequest"]["message"]


def test_a_server_without_a_host(door: Any) -> None:
    identifier = boot(door).json["server"]["id"]
    assert ask(door, "GET", f"/servers/{identifier}/nova-lite-trace?address=10.0.0.9").status_int == 409
