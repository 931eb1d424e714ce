"""The rules of QoS policies and their limits; the names are Neutron's."""

from __future__ import annotations

from nova_lite.api.network.tag_policies import tag_rules
from nova_lite.api.policy import ADMIN, ANYBODY, MANAGER, READER, rule

_POLICIES, _POLICY = "/qos/policies", "/qos/policies/{id}"
_LIMITS = "/qos/policies/{policy_id}/bandwidth_limit_rules"
_LIMIT, _ALIAS = f"{_LIMITS}/{{rule_id}}", "/qos/alias-bandwidth-limit-rules/{rule_id}"
_NAME, _ALIAS_NAME = "policy_bandwidth_limit_rule", "alias_bandwidth_limit_rule"

RULES = (
    rule("get_policy", READER, "See QoS policies.", ("GET", _POLICIES), ("GET", _POLICY)),
    rule("create_policy", MANAGER, "Make a QoS policy.", ("POST", _POLICIES)),
    rule("create_policy:owner", ADMIN, "Make a QoS policy for another project.", ("POST", _POLICIES)),
    rule("create_policy:shared", ADMIN, "Make a QoS policy for every project.", ("POST", _POLICIES)),
    rule("update_policy", MANAGER, "Change a QoS policy.", ("PUT", _POLICY)),
    rule("update_policy:shared", ADMIN, "Share a QoS policy with every project.", ("PUT", _POLICY)),
    rule("delete_policy", MANAGER, "Delete a QoS policy.", ("DELETE", _POLICY)),
    rule("get_rule_type", ANYBODY, "See the kinds of QoS rules.", ("GET", "/qos/rule-types")),
    rule(f"get_{_NAME}", READER, "See a QoS policy's limits.", ("GET", _LIMITS), ("GET", _LIMIT)),
    rule(f"create_{_NAME}", MANAGER, "Add a limit to a QoS policy.", ("POST", _LIMITS)),
    rule(f"update_{_NAME}", MANAGER, "Change a limit of a QoS policy.", ("PUT", _LIMIT)),
    rule(f"delete_{_NAME}", MANAGER, "Remove a limit of a QoS policy.", ("DELETE", _LIMIT)),
    rule(f"get_{_ALIAS_NAME}", READER, "See a limit by its id alone.", ("GET", _ALIAS)),
    rule(f"update_{_ALIAS_NAME}", MANAGER, "Change a limit by its id alone.", ("PUT", _ALIAS)),
    rule(f"delete_{_ALIAS_NAME}", MANAGER, "Remove a limit by its id alone.", ("DELETE", _ALIAS)),
    *tag_rules("qos/policies", "policy"),
)
