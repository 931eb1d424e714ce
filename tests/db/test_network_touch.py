"""Which hosts a change of networks touches, and default groups that are made once, on each database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select

from nova_lite.db.models import (
    HostNetworkState,
    Port,
    PortSecurityGroup,
    Router,
    RouterHost,
    SecurityGroup,
    SecurityGroupRule,
)
from nova_lite.db.types import new_id
from nova_lite.network import networks, security_groups, security_rule_forms, touch

MADE = {"status": "ACTIVE", "project_id": "project"}


def network(store, **values):
    return networks.create(store, networks.NewNetwork("project", **values)).network.id


def port(store, network_id, host=None, number=[0], **values):  # noqa: B006 (counts on)
    number[0] += 1
    row = Port(
        id=new_id(), network_id=network_id, host=host, mac_address=f"fa:16:3e:00:00:{number[0]:02x}", **MADE, **values
    )
    store.transact(lambda session: session.add(row))
    return row.id


def wanted(store):
    with store.read() as session:
        return dict(session.execute(select(HostNetworkState.host, HostNetworkState.wanted)).all())


def touched(store, what, *arguments):
    return store.transact(lambda session: what(session, *arguments))


def test_wanted_grows_with_each_touch_whoever_asks_at_once(store):
    def many(index):
        return touched(store, touch.hosts, ["b", "a", "a"] if index % 2 else ["a", "c"])

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(many, range(24)))
    assert answers[1] == ["a", "b"] and touched(store, touch.hosts, []) == []
    assert wanted(store) == {"a": 24, "b": 12, "c": 12}


def test_a_network_touches_its_hosts_and_those_behind_its_routers(store):
    one, two, out, far = (network(store) for _ in range(4))
    router, other = Router(id=new_id(), project_id="project", external_network_id=out), new_id()
    store.transact(lambda session: session.add(router))
    for network_id in (one, two):
        port(store, network_id, device_id=router.id, device_owner=touch.INTERFACE)
    port(store, far, device_id=other, device_owner=touch.INTERFACE)
    in_one, in_two = port(store, one, "h1"), port(store, two, "h2")
    port(store, far, "h3")
    port(store, one)
    leg = port(store, out, device_id=router.id, device_owner="network:router_gateway")
    store.transact(lambda session: session.add(RouterHost(router_id=router.id, host="h2", port_id=leg)))
    assert touched(store, touch.touch_network, one) == ["h1", "h2"]
    assert touched(store, touch.touch_network, out) == ["h2"]
    assert touched(store, touch.touch_network, far) == ["h3"]
    assert touched(store, touch.touch_router, router.id) == ["h1", "h2"]
    assert touched(store, touch.touch_own, in_one) == ["h1"]
    assert touched(store, touch.touch_ports, in_two) == ["h1", "h2"]
    assert touched(store, touch.touch_ports) == []
    assert wanted(store) == {"h1": 4, "h2": 4, "h3": 1}


def test_a_group_touches_its_members_and_whoever_names_it(store):
    network_id, other_network = network(store), network(store)
    mine = store.transact(lambda session: security_groups.ensure_default(session, "project"))
    naming = new_id()

    def make(session):
        session.add(SecurityGroup(id=naming, project_id="project", name="web"))
        session.flush()
        rule = security_rule_forms.RuleForm("ingress", remote_group_id=mine)
        security_rule_forms.add(session, naming, "project", [rule])

    store.transact(make)
    member, namer, _ = port(store, network_id, "h1"), port(store, other_network, "h2"), port(store, network_id, "h3")
    for port_id, group_id in ((member, mine), (namer, naming)):
        store.transact(
            lambda session, a=port_id, b=group_id: session.add(PortSecurityGroup(port_id=a, group_id=b)),
        )
    assert touched(store, touch.touch_rules, mine) == ["h1"]
    assert touched(store, touch.touch_group, mine) == ["h1", "h2"]
    assert touched(store, touch.touch_group, naming) == ["h2"]
    # h3 has a port of the same network.
    assert touched(store, touch.touch_ports, member) == ["h1", "h2", "h3"]


def test_a_default_group_is_made_once_with_upstreams_rules(store):
    def make(_):
        return store.transact(lambda session: security_groups.ensure_default(session, "project"))

    with ThreadPoolExecutor(8) as pool:
        (group_id,) = set(pool.map(make, range(16)))
    with store.read() as session:
        assert session.scalar(select(func.count()).select_from(SecurityGroup)) == 1
        rows = session.scalars(select(SecurityGroupRule).where(SecurityGroupRule.group_id == group_id)).all()
    assert sorted((row.direction, row.ethertype, row.remote_group_id) for row in rows) == [
        ("egress", "IPv4", None),
        ("egress", "IPv6", None),
        ("ingress", "IPv4", group_id),
        ("ingress", "IPv6", group_id),
    ]
    assert make(0) == group_id
