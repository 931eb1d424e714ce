"""Extra specs: what a flavor asks of hosts and drivers beyond its sizes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from nova_lite.api.compute import access
from nova_lite.api.context import Call
from nova_lite.api.routes import Schema
from nova_lite.compute import flavors
from nova_lite.errors import Invalid, NotFound

_ITEMS: Schema = {
    "type": "object",
    "patternProperties": {r"^[a-zA-Z0-9-_:. ]{1,255}$": {"type": ["string", "number"], "maxLength": 255}},
    "additionalProperties": False,
}
CREATE: Schema = {
    "type": "object",
    "properties": {"extra_specs": _ITEMS},
    "required": ["extra_specs"],
    "additionalProperties": False,
}
UPDATE: Schema = {**_ITEMS, "minProperties": 1, "maxProperties": 1}

_COUNT = r"[1-9]\d*"
_NUMBER = r"\d+"
_TRUTH = r"(?i:true|false|yes|no|on|off|1|0|t|f|y|n)"
_KNOWN: dict[str, str] = {
    "hw:cpu_policy": "dedicated|shared|mixed",
    "hw:cpu_thread_policy": "prefer|isolate|require",
    "hw:cpu_sockets": _COUNT,
    "hw:cpu_cores": _COUNT,
    "hw:cpu_threads": _COUNT,
    "hw:cpu_max_sockets": _COUNT,
    "hw:cpu_max_cores": _COUNT,
    "hw:cpu_max_threads": _COUNT,
    "hw:cpu_realtime": _TRUTH,
    "hw:mem_page_size": r"small|large|any|[1-9]\d*([kKMGT]i?[bB]?)?",
    "hw:numa_nodes": _COUNT,
    "hw:boot_menu": _TRUTH,
    "hw:mem_encryption": _TRUTH,
    "hw:pmu": _TRUTH,
    "hw:serial_port_count": _NUMBER,
    "hw:watchdog_action": "none|pause|poweroff|reset|disabled",
    "hw_rng:allowed": _TRUTH,
    "hw_rng:rate_bytes": _NUMBER,
    "hw_rng:rate_period": _NUMBER,
    "hw_video:ram_max_mb": _NUMBER,
    "os:secure_boot": "disabled|optional|required",
    "nova_lite:live": _TRUTH,
    "nova_lite:restart": "never|on-failure|always",
    "nova_lite:isolation": "process|vm",
    "nova_lite:max_vcpus": _COUNT,
    "nova_lite:max_memory_mb": _COUNT,
}
_QUOTAS = re.compile(
    r"quota:(cpu_(shares|period|quota)|memory_(limit|reservation|shares_(level|share))|"
    r"disk_(read|write|total)_(bytes|iops)_sec|disk_io_(limit|reservation)|"
    r"vif_(inbound|outbound)_(average|peak|burst)|vif_(limit|reservation))(_length|_max|_max_length)?"
)
_CLOSED_NAMESPACES = ("quota:", "hw_rng:", "hw_video:", "nova_lite:")


def check(specs: Mapping[str, str]) -> None:
    """Check the values of the specs that are known, as Nova does since 2.86; other namespaces are free.

    :raises Invalid: a known spec has a value that can't be meant, or its namespace knows no such spec.
    """
    for name, value in specs.items():
        pattern = _KNOWN.get(name)
        if pattern is None and name.startswith("quota:") and _QUOTAS.fullmatch(name):
            pattern = r"-?\d+|low|normal|high|custom" if "level" in name else r"-?\d+"
        if pattern is None:
            if name.startswith(_CLOSED_NAMESPACES):
                raise Invalid(
                    f"Validation failed; extra spec '{name}' does not appear to be a valid extra spec.",
                    "flavor.unknown_spec",
                )
            continue
        if not re.fullmatch(pattern, value):
            raise Invalid(
                f"Validation failed; '{value}' is not a valid value of extra spec '{name}' (it must match {pattern}).",
                "flavor.spec_value",
            )


def index(call: Call) -> dict[str, Any]:
    """List a flavor's extra specs."""
    row = flavors.get(call.store, call.params["flavor_id"], access.scope(call))
    return {"extra_specs": row.extra_specs}


def show(call: Call) -> dict[str, Any]:
    """Show one extra spec."""
    flavor_id, key = call.params["flavor_id"], call.params["key"]
    row = flavors.get(call.store, flavor_id, access.scope(call))
    if key not in row.extra_specs:
        raise _no_key(flavor_id, key)
    return {key: row.extra_specs[key]}


def create(call: Call) -> dict[str, Any]:
    """Add extra specs; those that are there already are overwritten."""
    added = _texts(call, call.body["extra_specs"])
    flavors.change_specs(call.store, call.params["flavor_id"], lambda specs: {**specs, **added})
    return {"extra_specs": call.body["extra_specs"]}


def update(call: Call) -> dict[str, Any]:
    """Set one extra spec."""
    key = call.params["key"]
    if key not in call.body:
        raise Invalid("Request body and URI mismatch", "flavor.spec_mismatch")
    added = _texts(call, call.body)
    flavors.change_specs(call.store, call.params["flavor_id"], lambda specs: {**specs, **added})
    return {key: call.body[key]}


def delete(call: Call) -> None:
    """Remove one extra spec."""
    flavor_id, key = call.params["flavor_id"], call.params["key"]

    def without(specs: dict[str, str]) -> dict[str, str]:
        if key not in specs:
            raise _no_key(flavor_id, key)
        return {name: value for name, value in specs.items() if name != key}

    flavors.change_specs(call.store, flavor_id, without)


def _texts(call: Call, specs: Mapping[str, Any]) -> dict[str, str]:
    texts = {name: str(value) for name, value in specs.items()}
    if call.version.minor >= 86:
        check(texts)
    return texts


def _no_key(flavor_id: str, key: str) -> NotFound:
    return NotFound(f"Flavor {flavor_id} has no extra specs with key {key[:255]}.", "flavor.no_spec")
