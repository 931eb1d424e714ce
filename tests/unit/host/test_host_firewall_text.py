"""From a state to nft's words, and from one ruleset to the next: pure."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

from nova_lite.host.network_state import GroupSpec, HostState, NetworkSpec, PortSpec, RuleSpec, SubnetSpec
from nova_lite.host.networks.firewall import groups, judging, values
from nova_lite.host.networks.firewall.numbering import HIGHEST, Numbering
from nova_lite.host.networks.firewall.ruleset import INET, Chain, Elements, Name, Ruleset, difference
from nova_lite.host.networks.firewall.wanted import Compiler, Numbers
from nova_lite.host.ports import HostError

ID = "6f1c2a0e-0000-4000-8000-000000000001"
EVIL = ["\n", "1.2.3.4 } accept", "10.0.0.0/33", "fe80::1%x", '"; flush ruleset; "', "", "10.0.0.1\x00"]


def a_rule(**what: object) -> RuleSpec:
    return RuleSpec(ID, **{"direction": "ingress", "version": 4, **what})  # type: ignore[arg-type]


def plain(**what: object) -> str:
    return groups.plain_text(a_rule(**what)).removesuffix(f' comment "{ID}"')


def said(**what: object) -> list[str]:
    return [text.removesuffix(f' comment "{ID}"') for text in groups.rule_texts(a_rule(**what))]


def test_rules_about_packets_in_nft_words() -> None:
    assert plain() == "meta nfproto ipv4 accept"
    assert plain(protocol=6, port_min=22, port_max=22) == "meta nfproto ipv4 meta l4proto 6 th dport 22 accept"
    assert plain(protocol=17, port_min=1, port_max=9) == "meta nfproto ipv4 meta l4proto 17 th dport 1-9 accept"
    assert plain(remote_cidr="10.0.0.0/8") == "meta nfproto ipv4 ip saddr 10.0.0.0/8 accept"
    assert plain(remote_cidr="0.0.0.0/0") == "meta nfproto ipv4 accept"
    assert plain(direction="egress", version=6, remote_cidr="2001:db8::/32").startswith("meta nfproto ipv6 ip6 daddr 2")
    assert plain(remote_group_id=ID) == f"meta nfproto ipv4 ip saddr @members4-{ID} accept"
    assert plain(version=6, remote_address_group_id=ID) == f"meta nfproto ipv6 ip6 saddr @addresses6-{ID} accept"
    assert (
        plain(protocol=1, port_min=8, port_max=0) == "meta nfproto ipv4 meta l4proto 1 icmp type 8 icmp code 0 accept"
    )
    assert plain(version=6, protocol=1, port_min=128) == "meta nfproto ipv6 meta l4proto 58 icmpv6 type 128 accept"


def test_rules_about_connections_in_nft_words() -> None:
    assert said() == ["meta nfproto ipv4 goto passed-in"]
    web = {"protocol": 6, "port_min": 80, "port_max": 80}
    assert said(**web) == ["meta nfproto ipv4 ct original protocol 6 ct reply proto-src 80 goto passed-in"]
    assert said(direction="egress", **web) == [
        "meta nfproto ipv4 ct original protocol 6 ct original proto-dst 80 goto passed-out"
    ]
    assert said(protocol=1, port_min=8, port_max=0) == [
        "meta nfproto ipv4 ct original protocol 1 ct original proto-dst 2048 goto passed-in"
    ]
    assert said(protocol=1, port_min=8)[0].split(" ")[-3] == "2048-2303"


def test_what_conntrack_leaves_alone_is_judged_by_itself() -> None:
    assert (
        len(said(version=6)) == len(said(version=6, protocol=6)) == len(said(version=6, protocol=58, port_min=128)) == 1
    )
    assert said(version=6, remote_cidr="fe80::/10")[1:] == [
        "meta nfproto ipv6 ct state untracked ip6 saddr fe80::/10 accept"
    ]
    assert said(version=6, protocol=1, port_min=133)[1:] == [
        "meta nfproto ipv6 ct state untracked meta l4proto 58 icmpv6 type 133 accept"
    ]
    assert said(protocol=132, port_min=5, port_max=5)[1:] == [
        "meta nfproto ipv4 ct direction original meta l4proto 132 th dport 5 goto passed-in"
    ]


def test_the_generation_is_of_the_rules_alone() -> None:
    """The same rules have the same number, in whatever order and process; a bit of each end stays free."""
    one, two = Name(INET, "one"), Name(INET, "two")
    a, b = Chain(("accept",)), Chain(("drop",))
    first = judging.generation({"p": "x", "q": "y"}, {one: a, two: b}, {})
    assert first == judging.generation({"q": "y", "p": "x"}, {two: b, one: a}, {}) and first & 3 == 0
    others = [
        judging.generation({"p": "y", "q": "x"}, {one: a, two: b}, {}),
        judging.generation({"p": "x", "q": "y"}, {one: b, two: b}, {}),
        judging.generation({"p": "x", "q": "y"}, {one: a, two: b}, {one: Elements("set", "t", {"1": ""})}),
    ]
    assert len({first, *others}) == 4


@pytest.mark.parametrize(
    "bad",
    [
        {"version": 5},
        {"direction": "both"},
        {"protocol": 256},
        {"protocol": 6, "port_min": 9, "port_max": 1},
        {"protocol": 6, "port_min": 70_000},
        {"remote_cidr": "2001:db8::/32"},
        {"remote_group_id": "x"},
        {"protocol": 1, "port_min": 256},
        *({"remote_cidr": evil} for evil in EVIL),
    ],
)
def test_rules_with_values_that_are_none(bad: dict[str, object]) -> None:
    with pytest.raises(HostError):
        said(**bad)
    if bad.get("protocol") != 1:
        with pytest.raises(HostError):
            plain(**bad)


@pytest.mark.parametrize("evil", [*EVIL, "01:00:5e:00:00:01", "fa:16:3e:00:00", "FA-16-3E-00-00-01"])
def test_macs_that_are_none(evil: str) -> None:
    with pytest.raises(HostError):
        values.mac(evil)


def test_link_local_addresses_by_eui_64() -> None:
    assert str(values.link_local("fa:16:3e:00:07:05").network_address) == "fe80::f816:3eff:fe00:705"


def test_ranges_are_joined() -> None:
    found = values.collapsed([values.cidr(c) for c in ("10.0.0.1", "10.0.0.0/24", "::1", "10.0.1.0/24")], 4)
    assert found == ["10.0.0.0/23"]


def test_numbers_stay_and_come_again_late() -> None:
    numbers: Numbering[str] = Numbering({"a": 1, "b": 2})
    assert numbers.give(["a", "b", "c"]) == {"a": 1, "b": 2, "c": 3}
    assert numbers.give(["a", "d"]) == {"a": 1, "d": 4}
    last: Numbering[str] = Numbering({"a": 1, "z": HIGHEST})
    assert last.give(["a", "new"]) == {"a": 1, "new": 2}


def a_state() -> HostState:
    subnet = SubnetSpec(str(uuid.uuid4()), "10.0.0.0/24", "10.0.0.1", True, ())
    network = NetworkSpec(str(uuid.uuid4()), 7, 1450, (subnet,))
    group = GroupSpec(str(uuid.uuid4()), (RuleSpec(str(uuid.uuid4()), "egress", 4),))
    port = PortSpec(
        str(uuid.uuid4()), str(uuid.uuid4()), network.network_id, "fa:16:3e:00:00:01", "a",
        ((subnet.subnet_id, "10.0.0.5"),), "tap", group_ids=(group.group_id,),
    )  # fmt: skip
    return HostState({network.network_id: network}, {port.port_id: port}, {}, {group.group_id: group})


def compiled(state: HostState, compiler: Compiler | None = None) -> Ruleset:
    numbers = Numbers({port: i + 1 for i, port in enumerate(state.ports)}, {7: 1})
    made = (compiler or Compiler()).ruleset(state, numbers)
    assert made.troubles == ()
    return made.ruleset


def test_what_is_kept_from_the_last_time_is_what_would_be_made_anew() -> None:
    compiler = Compiler()
    state = a_state()
    (port,) = state.ports.values()
    changes = [
        state,
        replace(state, ports={port.port_id: replace(port, pairs=(("", "10.9.0.0/16"),))}),
        replace(state, groups={}),
        replace(state, groups={k: replace(v, stateful=False) for k, v in state.groups.items()}),
        replace(state, ports={port.port_id: replace(port, secured=False)}),
        replace(state, ports={}),
        state,
    ]
    for each in changes:
        assert compiled(each, compiler) == compiled(each)
    assert len({compiled(each).fingerprint for each in changes}) == len(changes) - 1


def test_the_difference_names_only_what_differs() -> None:
    one, two = Name(INET, "one"), Name(INET, "two")
    members = Name(INET, "members")
    old = Ruleset(
        {one: Chain(("accept",)), two: Chain(("drop",))}, {members: Elements("set", "type x;", {"1": "", "2": ""})}
    )
    new = Ruleset(
        {one: Chain(("accept",)), two: Chain(("accept",))}, {members: Elements("set", "type x;", {"2": "", "3": ""})}
    )
    lines = difference(old, new).splitlines()
    assert lines[:4] == [
        f"flush chain {INET} two",
        f"add rule {INET} two accept",
        f"delete element {INET} members {{ 1 }}",
        f"add element {INET} members {{ 3 }}",
    ]
    assert all("version-" in line for line in lines[4:])
    assert difference(new, new) == ""


def test_what_refers_goes_before_what_it_refers_to() -> None:
    state = a_state()
    full, empty = compiled(state), compiled(replace(state, ports={}, groups={}))
    lines = difference(full, empty).splitlines()
    first_delete = next(i for i, line in enumerate(lines) if line.startswith("delete chain"))
    assert all(i < first_delete for i, line in enumerate(lines) if line.startswith(("delete element", "flush")))
    lines = difference(empty, full).splitlines()
    declared = max(i for i, line in enumerate(lines) if line.startswith("add chain") and "version" not in line)
    assert all(i > declared for i, line in enumerate(lines) if line.startswith(("add rule", "add element")))


def test_one_bad_port_or_group_does_not_keep_the_others_out() -> None:
    state = a_state()
    (port,) = state.ports.values()
    (group,) = state.groups.values()
    bad_port = replace(port, port_id=str(uuid.uuid4()), mac="x")
    bad_group = GroupSpec(str(uuid.uuid4()), (RuleSpec(ID, "ingress", 4, remote_cidr="y"),))
    whole = replace(
        state,
        ports={port.port_id: replace(port, group_ids=(group.group_id, bad_group.group_id)), bad_port.port_id: bad_port},
        groups={**state.groups, bad_group.group_id: bad_group},
    )
    made = Compiler().ruleset(whole, Numbers({p: i + 1 for i, p in enumerate(whole.ports)}, {7: 1}))
    assert len(made.troubles) == 2
    text = repr(made.ruleset)
    assert f"port-in-{port.port_id}" in text
    assert f"port-in-{bad_port.port_id}" not in text
    assert f"jump group-in-{bad_group.group_id}" not in text
