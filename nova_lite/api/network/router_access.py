"""The rules of routers and floating IPs; the names are Neutron's."""

from __future__ import annotations

from nova_lite.api.network.tag_policies import tag_rules
from nova_lite.api.policy import ADMIN, MANAGER, MEMBER, READER, rule

_ROUTERS, _ROUTER = "/routers", "/routers/{id}"
_IPS, _IP = "/floatingips", "/floatingips/{id}"
_WAYS = (("create_router", ("POST", _ROUTERS)), ("update_router", ("PUT", _ROUTER)))

RULES = (
    rule("get_router", READER, "See routers.", ("GET", _ROUTERS), ("GET", _ROUTER)),
    rule("get_router:distributed", ADMIN, "See whether a router is distributed.", ("GET", _ROUTER)),
    rule("get_router:ha", ADMIN, "See whether a router is highly available.", ("GET", _ROUTER)),
    rule("create_router", MEMBER, "Make a router.", ("POST", _ROUTERS)),
    rule("create_router:owner", ADMIN, "Make a router for another project.", ("POST", _ROUTERS)),
    rule("update_router", MEMBER, "Change a router.", ("PUT", _ROUTER)),
    rule("delete_router", MEMBER, "Delete a router.", ("DELETE", _ROUTER)),
    *(
        rule(f"{name}:{member}", ADMIN, f"Say whether a router is {what}.", operation)
        for name, operation in _WAYS
        for member, what in (("distributed", "distributed"), ("ha", "highly available"))
    ),
    *(
        rule(f"{name}:external_gateway_info{member}", check, f"Give a router a way out{what}.", operation)
        for name, operation in _WAYS
        for member, check, what in (
            ("", MEMBER, ""),
            (":enable_snat", ADMIN, ", and say whether it translates addresses"),
            (":external_fixed_ips", ADMIN, " by addresses that are chosen"),
        )
    ),
    *(
        rule(name, MEMBER, f"{what}.", ("PUT", f"{_ROUTER}/{name}"))
        for name, what in (
            ("add_router_interface", "Join a network to a router"),
            ("remove_router_interface", "Let a network of a router go"),
            ("add_extraroutes", "Add routes to a router"),
            ("remove_extraroutes", "Remove routes of a router"),
        )
    ),
    rule("get_floatingip", READER, "See floating IPs.", ("GET", _IPS), ("GET", _IP)),
    rule("create_floatingip", MEMBER, "Take a floating IP.", ("POST", _IPS)),
    rule("create_floatingip:owner", ADMIN, "Take a floating IP for another project.", ("POST", _IPS)),
    rule("create_floatingip:floating_ip_address", MANAGER, "Take a floating IP that is named.", ("POST", _IPS)),
    rule("update_floatingip", MEMBER, "Let a floating IP lead elsewhere.", ("PUT", _IP)),
    rule("delete_floatingip", MEMBER, "Give a floating IP back.", ("DELETE", _IP)),
    *tag_rules("routers", "router"),
    *tag_rules("floatingips", "floatingip"),
)
