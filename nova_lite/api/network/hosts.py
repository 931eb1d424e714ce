"""What the Network API tells of who does the work: agents, availability zones and service providers, to read only."""

from __future__ import annotations

import datetime
from typing import Any

from nova_lite.api.context import Call
from nova_lite.api.network import collections
from nova_lite.api.network.collections import QUERY, truth
from nova_lite.api.routes import Route
from nova_lite.network import agents
from nova_lite.network.agents import Agent

AGENT_TYPE = "nova_lite host agent"
PROVIDERS = ({"service_type": "L3_ROUTER_NAT", "name": "nova_lite", "default": True},)
"""openstacksdk asks here for VPNs before it clears a project (``openstack project cleanup``): there are none."""


def index(call: Call) -> dict[str, Any]:
    """List the agents; who may not see them sees none, as with Neutron."""
    if not call.may("get_agent"):
        return {"agents": []}
    views = [_view(agent) for agent in agents.find(call.store, _down_after(call))]
    asked = call.request.GET
    for name in ("id", "host", "agent_type", "binary", "availability_zone", "topic"):
        if name in asked:
            views = [view for view in views if view[name] in asked.getall(name)]
    for name in ("alive", "admin_state_up"):
        if name in asked:
            views = [view for view in views if view[name] in [truth(text.capitalize()) for text in asked.getall(name)]]
    return collections.page(call, "agents", views)


def show(call: Call) -> dict[str, Any]:
    """Show one agent."""
    return collections.one(call, "agent", _view(agents.get(call.store, call.params["agent_id"], _down_after(call))))


def zones(call: Call) -> dict[str, Any]:
    """List the availability zones of networks and routers: those of the hosts, as each host does both."""
    found = agents.zones(call.store, _down_after(call))
    views = [
        {"name": name, "resource": resource, "state": "available" if alive else "unavailable"}
        for name, alive in sorted(found.items())
        for resource in ("network", "router")
    ]
    asked = call.request.GET
    for name in ("name", "resource", "state"):
        if name in asked:
            views = [view for view in views if view[name] in asked.getall(name)]
    return {"availability_zones": [collections.fields(call, view) for view in views]}


def providers(call: Call) -> dict[str, Any]:
    """List who provides which service: every host the routers, and nobody anything else."""
    views = [dict(provider) for provider in PROVIDERS]
    asked = call.request.GET
    for name in ("service_type", "name"):
        if name in asked:
            views = [view for view in views if view[name] in asked.getall(name)]
    if "default" in asked:
        wanted = [truth(text.capitalize()) for text in asked.getall("default")]
        views = [view for view in views if view["default"] in wanted]
    return {"service_providers": [collections.fields(call, view) for view in views]}


def _down_after(call: Call) -> float:
    return float(call.services.conf.compute.down_after)


def _view(agent: Agent) -> dict[str, Any]:
    host = agent.host
    heard = datetime.datetime.fromtimestamp(host.last_seen, datetime.UTC).strftime("%Y-%m-%d %H:%M:%S")
    created = host.created_at.strftime("%Y-%m-%d %H:%M:%S")
    return {
        "id": host.uuid,
        "agent_type": AGENT_TYPE,
        "binary": "nova-lite-compute",
        "host": host.name,
        "topic": "agent",
        "alive": agent.alive,
        "admin_state_up": host.enabled,
        "availability_zone": host.availability_zone,
        "description": host.disabled_reason,
        "configurations": {"tunnel_ip": host.address, "wanted": agent.wanted, "applied": agent.applied},
        "created_at": created,
        "started_at": created,
        "heartbeat_timestamp": heard,
        "resources_synced": agent.applied >= agent.wanted,
    }


ROUTES = (
    Route("GET", "/v2.0/agents", index, "get_agents", query=QUERY),
    Route("GET", "/v2.0/agents/{agent_id}", show, "get_agent", query=QUERY),
    Route("GET", "/v2.0/availability_zones", zones, "get_availability_zone", query=QUERY),
    Route("GET", "/v2.0/service-providers", providers, "get_service_provider", query=QUERY),
)
