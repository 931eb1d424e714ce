"""The routes and rules of QoS policies and their limits; the rules' names are Neutron's."""

from __future__ import annotations

from nova_lite.api.network import qos_policies, qos_rules
from nova_lite.api.network.collections import QUERY
from nova_lite.api.network.crud import crud
from nova_lite.api.network.tags import Tagged
from nova_lite.api.routes import Route
from nova_lite.db.models import QosPolicy

_LIMITS = "/v2.0/qos/policies/{policy_id}/bandwidth_limit_rules"
_LIMIT = f"{_LIMITS}/{{rule_id}}"
_ALIAS = "/v2.0/qos/alias-bandwidth-limit-rules/{rule_id}"
_TYPES = "/v2.0/qos/rule-types"
_NAME = "policy_bandwidth_limit_rule"
_ALIAS_NAME = "alias_bandwidth_limit_rule"

ROUTES = (
    *crud("policy", qos_policies, "qos/policies"),
    Route("GET", _LIMITS, qos_rules.index, f"get_{_NAME}", query=QUERY),
    Route(
        "POST",
        _LIMITS,
        qos_rules.create,
        f"create_{_NAME}",
        late=True,
        status=201,
        body=qos_rules.CREATE,
        query=QUERY,
    ),
    Route("GET", _LIMIT, qos_rules.show, f"get_{_NAME}", query=QUERY),
    Route("PUT", _LIMIT, qos_rules.update, f"update_{_NAME}", late=True, body=qos_rules.UPDATE, query=QUERY),
    Route("DELETE", _LIMIT, qos_rules.delete, f"delete_{_NAME}", late=True, status=204, query=QUERY),
    Route("GET", _ALIAS, qos_rules.show_alias, f"get_{_ALIAS_NAME}", query=QUERY),
    Route(
        "PUT",
        _ALIAS,
        qos_rules.update_alias,
        f"update_{_ALIAS_NAME}",
        late=True,
        body=qos_rules.ALIAS_UPDATE,
        query=QUERY,
    ),
    Route("DELETE", _ALIAS, qos_rules.delete_alias, f"delete_{_ALIAS_NAME}", late=True, status=204, query=QUERY),
    Route("GET", _TYPES, qos_rules.rule_types, "get_rule_type", query=QUERY),
    Route("GET", f"{_TYPES}/{{rule_type}}", qos_rules.show_rule_type, "get_rule_type", query=QUERY),
)

TAGGED = (
    Tagged("qos/policies", "policy", QosPolicy, qos_policies.owner_of),
    # Where Neutron itself has them.
    Tagged("policies", "policy", QosPolicy, qos_policies.owner_of),
)
