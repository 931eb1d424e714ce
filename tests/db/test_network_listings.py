"""Every filter and sort of routers, floating IPs, groups, rules and policies means the same on each database."""

from __future__ import annotations

from nova_lite import conf as configuration
from nova_lite.db.models import RbacPolicy
from nova_lite.db.types import new_id
from nova_lite.network import (
    address_groups,
    floating_ips,
    networks,
    qos_policies,
    qos_rules,
    routers,
    security_group_rules,
    security_groups,
    subnets,
)
from nova_lite.network.queries import Listing
from nova_lite.network.security_rule_forms import canonical


def mine(**filters):
    return Listing("project", filters)


def lend(store, object_type, object_id):
    row = {
        "object_type": object_type,
        "object_id": object_id,
        "action": "access_as_shared",
        "target_project": "project",
    }
    store.transact(lambda session: session.add(RbacPolicy(id=new_id(), project_id="other", **row)))


def test_groups_and_rules(store):
    conf = configuration.load([], {})
    news = [
        security_groups.NewGroup("project", "a", stateful=False, tags=("red",)),
        security_groups.NewGroup("other", "lent"),
        security_groups.NewGroup("other", "hidden"),
    ]
    own, lent, hidden = (shown.group.id for shown in security_groups.create(store, conf, news))
    lend(store, "security_group", lent)

    def names(listing, *conditions):
        return [shown.group.name for shown in security_groups.find(store, listing, *conditions)]

    assert sorted(names(mine())) == ["a", "default", "lent"]
    assert names(mine(stateful=[False])) == ["a"]
    assert names(Listing("project", tags={"tags": ["red"]})) == ["a"]
    assert names(mine(), security_groups.lent_to("project", shared=True)) == ["lent"]
    assert sorted(names(mine(), security_groups.lent_to("project", shared=False))) == ["a", "default"]
    assert names(Listing("project", sort=[("name", True)], limit=1)) == ["lent"]
    assert len(names(Listing(None))) == 5
    form = canonical({"direction": "ingress", "protocol": "tcp", "port_range_min": 1, "port_range_max": 2})
    made, _ = security_group_rules.create(store, conf, [security_group_rules.NewRule(own, form)], "project")

    def rules(listing, *conditions):
        return [shown.rule.id for shown in security_group_rules.find(store, listing, *conditions)]

    assert rules(mine(protocol=["tcp"])) == [made[0].rule.id]
    assert rules(mine(port_min=[1], port_max=[2], direction=["ingress"])) == [made[0].rule.id]
    assert len(rules(mine(group_id=[lent]))) == 2 and rules(mine(group_id=[hidden])) == []
    assert len(rules(mine(), security_group_rules.in_default(yes=True))) == 4
    assert len(rules(mine(), security_group_rules.in_default(yes=False))) == 5
    for name in ("id", "protocol", "port_min", "remote_ip_prefix", "description"):
        whole = rules(Listing("project", sort=[(name, False), ("id", False)]))
        first = rules(Listing("project", sort=[(name, False), ("id", False)], limit=2))
        rest = rules(Listing("project", sort=[(name, False), ("id", False)], marker=first[-1]))
        assert first + rest == whole and len(whole) == 9, name


def test_address_groups_and_policies(store):
    own, lent = address_groups.create(
        store,
        [
            address_groups.NewAddressGroup("project", "own", addresses=("10.0.0.0/8",)),
            address_groups.NewAddressGroup("other", "lent"),
        ],
    )
    lend(store, "address_group", lent.group.id)
    found = address_groups.find(store, mine())
    assert {(shown.group.name, shown.shared) for shown in found} == {("own", False), ("lent", True)}
    assert address_groups.find(store, mine(name=["own"]))[0].group.addresses == ["10.0.0.0/8"]
    assert own.group.revision == 0
    news = [
        qos_policies.NewPolicy("project", "own", is_default=True),
        qos_policies.NewPolicy("other", "all", shared=True),
    ]
    made = qos_policies.create(store, [*news, qos_policies.NewPolicy("other", "hidden")])
    qos_rules.create(store, made[0].policy.id, {"direction": "ingress", "max_kbps": 1, "max_burst_kbps": 0})
    shown = {each.policy.name: each for each in qos_policies.find(store, mine())}
    assert set(shown) == {"own", "all"} and len(shown["own"].rules) == 1
    assert [each.policy.name for each in qos_policies.find(store, mine(is_default=[True]))] == ["own"]
    assert [each.policy.name for each in qos_policies.find(store, mine(shared=[True]))] == ["all"]


def test_routers_and_floating_ips(store):
    conf = configuration.load([], {})
    external = networks.create(store, networks.NewNetwork("other", external=True)).network.id
    subnets.create(store, subnets.NewSubnet(external, "203.0.113.0/24"), None)
    news = [routers.NewRouter("project", "a", admin_state_up=False), routers.NewRouter("project", "b")]
    routers.create(store, conf, [*news, routers.NewRouter("other", "c")], None)
    assert [shown.router.name for shown in routers.find(store, mine(admin_state_up=[True]))] == ["b"]
    assert [shown.router.name for shown in routers.find(store, Listing(None, sort=[("name", True)]))] == ["c", "b", "a"]
    new = floating_ips.NewFloatingIp("project", external)
    made, hosts = floating_ips.create(store, conf, [new, new], "project")
    assert hosts == [] and len({shown.floating.address for shown in made}) == 2
    assert len(floating_ips.find(store, mine(), floating_ips.leads_somewhere(yes=False))) == 2
    assert floating_ips.find(store, mine(), floating_ips.leads_somewhere(yes=True)) == []
    by_address = floating_ips.find(store, mine(address=[made[0].floating.address]))
    assert [shown.floating.id for shown in by_address] == [made[0].floating.id]
