"""Routers, floating IPs, groups and policies on each database, with everybody asking at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from nova_lite import conf as configuration
from nova_lite.db.models import (
    FixedIp,
    FloatingIp,
    Port,
    PortSecurityGroup,
    QosPolicy,
    Router,
    RouterHost,
    SecurityGroup,
    SecurityGroupRule,
)
from nova_lite.errors import Conflict, NotFound
from nova_lite.network import (
    dhcp_ports,
    floating_ips,
    networks,
    ports,
    qos_policies,
    router_hosts,
    router_interfaces,
    routers,
    security_group_rules,
    security_groups,
    subnets,
)
from nova_lite.network.floating_routes import WantedTarget
from nova_lite.network.router_gateways import WantedGateway
from nova_lite.network.security_rule_forms import RuleForm

MAC = "fa:16:3e"


@pytest.fixture(scope="module")
def conf() -> Any:
    return configuration.load([], {})


def network(store, cidr, **values):
    made = networks.create(store, networks.NewNetwork("project", "net", **values)).network.id
    subnet = subnets.create(store, subnets.NewSubnet(made, cidr), None)
    return made, subnet.subnet.id if hasattr(subnet, "subnet") else subnet.id


def router(store, conf, external=None, **values):
    gateway = None if external is None else WantedGateway(external)
    new = routers.NewRouter("project", gateway=gateway, **values)
    return routers.create(store, conf, [new], None)[0].router.id


def at_once(work, arguments, workers=6):
    """Do *work* with each argument at once; return what each returned, None where it was refused."""

    def tried(argument):
        try:
            return work(argument)
        except (Conflict, NotFound):
            return None

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(tried, arguments))


def count(store, model, *conditions):
    with store.read() as session:
        return session.scalar(select(func.count()).select_from(model).where(*conditions))


def test_the_same_rule_is_added_once(store, conf):
    group = security_groups.create(store, conf, [security_groups.NewGroup("project", "web")])[0].group.id
    new = security_group_rules.NewRule(group, RuleForm("ingress", protocol="tcp", port_min=22, port_max=22))
    made = at_once(lambda _: security_group_rules.create(store, conf, [new], None), range(10))
    assert sum(each is not None for each in made) == 1
    assert count(store, SecurityGroupRule, SecurityGroupRule.group_id == group) == 3


def test_no_port_is_left_in_a_group_that_went(store, conf):
    network_id, _ = network(store, "10.0.0.0/24")
    groups = security_groups.create(store, conf, [security_groups.NewGroup("project", f"g{i}") for i in range(6)])
    identifiers = [shown.group.id for shown in groups]

    def join(group_id):
        return ports.create(store, ports.NewPort(network_id, "project", security_groups=(group_id,)), None, MAC)

    def go(group_id):
        security_groups.delete(store, group_id, is_admin=False)
        return True

    with ThreadPoolExecutor(2) as pool:
        joined = pool.submit(at_once, join, identifiers, 3)
        gone = pool.submit(at_once, go, identifiers, 3)
        done = list(zip(joined.result(), gone.result(), strict=True))
    assert all((port is None) == bool(went) or went is None for port, went in done)
    with store.read() as session:
        left = set(session.scalars(select(PortSecurityGroup.group_id)))
        assert left <= set(session.scalars(select(SecurityGroup.id)))


def test_quotas_hold_when_all_ask(store):
    conf = configuration.load([], {"network_quota.router": 5, "network_quota.floatingip": 4})
    external, _ = network(store, "203.0.113.0/24", external=True)
    made = at_once(lambda _: router(store, conf), range(12), 8)
    assert sum(each is not None for each in made) == 5 == count(store, Router)
    new = floating_ips.NewFloatingIp("project", external)
    taken = at_once(lambda _: floating_ips.create(store, conf, [new], None), range(12), 8)
    assert sum(each is not None for each in taken) == 4 == count(store, FloatingIp)


def test_a_subnet_is_joined_once(store, conf):
    _, subnet_id = network(store, "10.0.0.0/24")
    names = [router(store, conf) for _ in range(5)]
    joined = at_once(lambda each: router_interfaces.add_subnet(store, each, subnet_id, None), names)
    assert sum(each is not None for each in joined) == 1
    assert count(store, Port, Port.device_owner == "network:router_interface") == 1


def behind_a_router(store, conf):
    external, _ = network(store, "203.0.113.0/24", external=True)
    inner, subnet_id = network(store, "10.0.0.0/24")
    router_id = router(store, conf, external)
    router_interfaces.add_subnet(store, router_id, subnet_id, None)
    port_id = ports.create(store, ports.NewPort(inner, "project"), None, MAC).port.id
    return external, router_id, subnet_id, port_id


def test_a_ports_address_has_one_floating_ip(store, conf):
    external, _, _, port_id = behind_a_router(store, conf)
    new = floating_ips.NewFloatingIp("project", external, target=WantedTarget(port_id))
    made = at_once(lambda _: floating_ips.create(store, conf, [new], None), range(8))
    assert sum(each is not None for each in made) == 1 == count(store, FloatingIp)
    # Who lost has left nothing: the gateway's address and the winner's are all that is held outside.
    assert count(store, Port, Port.network_id == external) == 2


def test_a_floating_ip_never_leads_over_a_leg_that_is_gone(store, conf):
    external, router_id, subnet_id, port_id = behind_a_router(store, conf)
    new = floating_ips.NewFloatingIp("project", external)
    made = floating_ips.create(store, conf, [new], None)[0][0].floating.id
    for _ in range(4):

        def lead():
            return floating_ips.change(store, made, {}, None, sets_target=True, target=WantedTarget(port_id))

        def leave():
            return router_interfaces.remove(store, router_id, None, subnet_id)

        at_once(lambda work: work(), [lead, leave], 2)
        leads = count(store, FloatingIp, FloatingIp.router_id == router_id)
        legs = count(store, Port, Port.device_id == router_id, Port.device_owner == "network:router_interface")
        assert legs == 1 or not leads
        if leads:
            floating_ips.change(store, made, {}, None, sets_target=True, target=None)
        if not legs:
            router_interfaces.add_subnet(store, router_id, subnet_id, None)


def test_each_host_gets_one_way_out_and_gives_it_back(store, conf):
    external, router_id, _, _ = behind_a_router(store, conf)

    def ensure(host):
        return store.transact(lambda session: router_hosts.ensure(session, router_id, host))

    hosts = [f"h{index % 3}" for index in range(9)]
    found = dict(zip(hosts, at_once(ensure, hosts), strict=True))
    assert len(set(found.values())) == 3 == count(store, RouterHost)
    with store.read() as session:
        own = session.scalar(select(Router.gateway_port_id).where(Router.id == router_id))
    assert own in found.values()
    first = next(host for host, port_id in found.items() if port_id == own)
    store.transact(lambda session: router_hosts.release(session, router_id, first))
    assert ensure("h9") == own
    store.transact(lambda session: router_hosts.release(session, router_id, "h9"))
    store.transact(lambda session: router_hosts.release(session, router_id, "h9"))
    routers.change(store, router_id, routers.Change({}, sets_gateway=True), None)
    assert count(store, RouterHost) == 0 == count(store, Port, Port.network_id == external)
    assert ensure("h1") is None


def test_two_hosts_make_one_dhcp_port(store, conf):
    network_id, _ = network(store, "10.0.0.0/24")

    def ensure(_):
        return store.transact(lambda session: dhcp_ports.ensure_dhcp_port(session, network_id))

    (port_id,) = set(at_once(ensure, range(6)))
    subnets.create(store, subnets.NewSubnet(network_id, "10.0.1.0/24"), None)
    assert set(at_once(ensure, range(6))) == {port_id}
    assert count(store, FixedIp, FixedIp.port_id == port_id) == 2


def test_one_default_policy_and_none_that_is_used_goes(store):
    new = qos_policies.NewPolicy("project", is_default=True)
    made = [each for each in at_once(lambda _: qos_policies.create(store, [new]), range(6)) if each]
    assert len(made) == 1 == count(store, QosPolicy)
    policy_id = made[0][0].policy.id
    qos_policies.change(store, policy_id, {"is_default": False})

    def use():
        return networks.create(store, networks.NewNetwork("project", qos_policy_id=policy_id))

    def go():
        qos_policies.delete(store, policy_id)
        return True

    used, gone = at_once(lambda work: work(), [use, go], 2)
    assert (used is None) != (gone is None)
