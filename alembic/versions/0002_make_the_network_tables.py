"""Make the tables of routers, floating IPs, security groups, QoS, subnet pools and what else the Network API has.

Revision: 0002
"""

from __future__ import annotations

import sqlalchemy as sa

from alembic import op
from nova_lite.db import types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# Names compare byte by byte, as on SQLite and PostgreSQL. Each statement can be repeated, as MariaDB can't roll it back.
_MARIADB = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_nopad_bin"}
_TABLE = {f"{dialect}_{key}": value for dialect in ("mysql", "mariadb") for key, value in _MARIADB.items()}


def _add(table: str, column: sa.Column[object]) -> None:
    """Add a column that is not there yet: SQLite knows no IF NOT EXISTS for columns."""
    if column.name not in {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}:
        op.add_column(table, column)


def upgrade() -> None:
    op.create_table(
        "address_groups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("addresses", types.Json, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.Column("updated_at", types.Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_groups")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index("ix_address_groups_project", "address_groups", ["project_id"], unique=False, if_not_exists=True)
    op.create_table(
        "auto_topologies",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_auto_topologies")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_table(
        "host_network_states",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("wanted", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_host_network_states")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_table(
        "network_tags",
        sa.Column("resource_id", sa.String(length=36), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "tag", name=op.f("pk_network_tags")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index("ix_network_tags_tag", "network_tags", ["tag"], unique=False, if_not_exists=True)
    op.create_table(
        "qos_policies",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.Column("updated_at", types.Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qos_policies")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index("ix_qos_policies_project", "qos_policies", ["project_id"], unique=False, if_not_exists=True)
    op.create_table(
        "rbac_policies",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("object_type", sa.String(length=32), nullable=False),
        sa.Column("object_id", sa.String(length=36), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("target_project", sa.String(length=64), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.Column("updated_at", types.Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rbac_policies")),
        sa.UniqueConstraint(
            "object_id", "action", "target_project", name=op.f("uq_rbac_policies_object_id_action_target_project")
        ),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_table(
        "security_groups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("stateful", sa.Boolean(), nullable=False),
        sa.Column("default_of", sa.String(length=64), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.Column("updated_at", types.Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_groups")),
        sa.UniqueConstraint("default_of", name=op.f("uq_security_groups_default_of")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index("ix_security_groups_project", "security_groups", ["project_id"], unique=False, if_not_exists=True)
    op.create_table(
        "subnet_pools",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("ip_version", sa.Integer(), nullable=False),
        sa.Column("prefixes", types.Json, nullable=False),
        sa.Column("default_prefixlen", sa.Integer(), nullable=False),
        sa.Column("min_prefixlen", sa.Integer(), nullable=False),
        sa.Column("max_prefixlen", sa.Integer(), nullable=False),
        sa.Column("default_quota", sa.Integer(), nullable=True),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.Column("updated_at", types.Moment, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subnet_pools")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index("ix_subnet_pools_project", "subnet_pools", ["project_id"], unique=False, if_not_exists=True)
    op.create_table(
        "qos_rules",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("policy_id", sa.String(length=36), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("max_kbps", sa.Integer(), nullable=False),
        sa.Column("max_burst_kbps", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["policy_id"], ["qos_policies.id"], name=op.f("fk_qos_rules_policy_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_qos_rules")),
        sa.UniqueConstraint("policy_id", "direction", name=op.f("uq_qos_rules_policy_id_direction")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_table(
        "routers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("external_network_id", sa.String(length=36), nullable=True),
        sa.Column("gateway_port_id", sa.String(length=36), nullable=True),
        sa.Column("enable_snat", sa.Boolean(), nullable=False),
        sa.Column("routes", types.Json, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.Column("updated_at", types.Moment, nullable=True),
        sa.ForeignKeyConstraint(["external_network_id"], ["networks.id"], name=op.f("fk_routers_external_network_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routers")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index("ix_routers_project", "routers", ["project_id"], unique=False, if_not_exists=True)
    op.create_table(
        "security_group_rules",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("group_id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("direction", sa.String(length=8), nullable=False),
        sa.Column("ethertype", sa.String(length=4), nullable=False),
        sa.Column("protocol", sa.String(length=40), nullable=True),
        sa.Column("port_min", sa.Integer(), nullable=True),
        sa.Column("port_max", sa.Integer(), nullable=True),
        sa.Column("remote_ip_prefix", sa.String(length=64), nullable=True),
        sa.Column("remote_group_id", sa.String(length=36), nullable=True),
        sa.Column("remote_address_group_id", sa.String(length=36), nullable=True),
        sa.Column("same", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.Column("updated_at", types.Moment, nullable=True),
        sa.ForeignKeyConstraint(["group_id"], ["security_groups.id"], name=op.f("fk_security_group_rules_group_id")),
        sa.ForeignKeyConstraint(
            ["remote_address_group_id"],
            ["address_groups.id"],
            name=op.f("fk_security_group_rules_remote_address_group_id"),
        ),
        sa.ForeignKeyConstraint(
            ["remote_group_id"], ["security_groups.id"], name=op.f("fk_security_group_rules_remote_group_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_group_rules")),
        sa.UniqueConstraint("group_id", "same", name=op.f("uq_security_group_rules_group_id_same")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index(
        "ix_security_group_rules_project", "security_group_rules", ["project_id"], unique=False, if_not_exists=True
    )
    op.create_index(
        "ix_security_group_rules_remote", "security_group_rules", ["remote_group_id"], unique=False, if_not_exists=True
    )
    op.create_table(
        "floating_ips",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("floating_network_id", sa.String(length=36), nullable=False),
        sa.Column("floating_port_id", sa.String(length=36), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=True),
        sa.Column("fixed_address", sa.String(length=64), nullable=True),
        sa.Column("router_id", sa.String(length=36), nullable=True),
        sa.Column("dns_name", sa.String(length=255), nullable=False),
        sa.Column("dns_domain", sa.String(length=255), nullable=False),
        sa.Column("qos_policy_id", sa.String(length=36), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at", types.Moment, nullable=False),
        sa.Column("updated_at", types.Moment, nullable=True),
        sa.ForeignKeyConstraint(
            ["floating_network_id"], ["networks.id"], name=op.f("fk_floating_ips_floating_network_id")
        ),
        sa.ForeignKeyConstraint(["floating_port_id"], ["ports.id"], name=op.f("fk_floating_ips_floating_port_id")),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name=op.f("fk_floating_ips_port_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_floating_ips")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index("ix_floating_ips_project", "floating_ips", ["project_id"], unique=False, if_not_exists=True)
    op.create_index("ix_floating_ips_router", "floating_ips", ["router_id"], unique=False, if_not_exists=True)
    op.create_index(
        "ix_floating_ips_target", "floating_ips", ["port_id", "fixed_address"], unique=True, if_not_exists=True
    )
    op.create_table(
        "port_security_groups",
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.Column("group_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["security_groups.id"], name=op.f("fk_port_security_groups_group_id")),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name=op.f("fk_port_security_groups_port_id")),
        sa.PrimaryKeyConstraint("port_id", "group_id", name=op.f("pk_port_security_groups")),
        if_not_exists=True,
        **_TABLE,
    )
    op.create_index(
        "ix_port_security_groups_group", "port_security_groups", ["group_id"], unique=False, if_not_exists=True
    )
    op.create_table(
        "router_hosts",
        sa.Column("router_id", sa.String(length=36), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name=op.f("fk_router_hosts_port_id")),
        sa.ForeignKeyConstraint(["router_id"], ["routers.id"], name=op.f("fk_router_hosts_router_id")),
        sa.PrimaryKeyConstraint("router_id", "host", name=op.f("pk_router_hosts")),
        sa.UniqueConstraint("port_id", name=op.f("uq_router_hosts_port_id")),
        if_not_exists=True,
        **_TABLE,
    )
    _add("networks", sa.Column("physical_network", sa.String(length=64), nullable=True))
    _add("networks", sa.Column("vlan", sa.Integer(), nullable=True))
    _add("networks", sa.Column("segment_key", sa.String(length=80), nullable=True))
    _add("networks", sa.Column("dns_domain", sa.String(length=255), nullable=False, server_default=""))
    _add("networks", sa.Column("port_security_enabled", sa.Boolean(), nullable=False, server_default=sa.true()))
    _add("networks", sa.Column("is_default", sa.Boolean(), nullable=False, server_default=sa.false()))
    _add("networks", sa.Column("qos_policy_id", sa.String(length=36), nullable=True))
    op.create_index("ix_networks_segment_key", "networks", ["segment_key"], unique=True, if_not_exists=True)
    _add("ports", sa.Column("dns_name", sa.String(length=255), nullable=False, server_default=""))
    _add("ports", sa.Column("port_security_enabled", sa.Boolean(), nullable=False, server_default=sa.true()))
    _add("ports", sa.Column("allowed_address_pairs", types.Json, nullable=False, server_default="[]"))
    _add("ports", sa.Column("extra_dhcp_opts", types.Json, nullable=False, server_default="[]"))
    _add("ports", sa.Column("qos_policy_id", sa.String(length=36), nullable=True))
    _add("ports", sa.Column("vnic_type", sa.String(length=32), nullable=False, server_default="normal"))
    _add("ports", sa.Column("binding_profile", types.Json, nullable=False, server_default="{}"))
    _add("ports", sa.Column("nic_tag", sa.String(length=60), nullable=True))
    _add("subnets", sa.Column("ipv6_address_mode", sa.String(length=16), nullable=True))
    _add("subnets", sa.Column("ipv6_ra_mode", sa.String(length=16), nullable=True))
    _add("subnets", sa.Column("subnetpool_id", sa.String(length=36), nullable=True))
    op.create_index("ix_subnets_pool", "subnets", ["subnetpool_id"], unique=False, if_not_exists=True)


def downgrade() -> None:
    op.drop_index("ix_subnets_pool", table_name="subnets")
    op.drop_column("subnets", "subnetpool_id")
    op.drop_column("subnets", "ipv6_ra_mode")
    op.drop_column("subnets", "ipv6_address_mode")
    op.drop_column("ports", "nic_tag")
    op.drop_column("ports", "binding_profile")
    op.drop_column("ports", "vnic_type")
    op.drop_column("ports", "qos_policy_id")
    op.drop_column("ports", "extra_dhcp_opts")
    op.drop_column("ports", "allowed_address_pairs")
    op.drop_column("ports", "port_security_enabled")
    op.drop_column("ports", "dns_name")
    op.drop_index("ix_networks_segment_key", table_name="networks")
    op.drop_column("networks", "qos_policy_id")
    op.drop_column("networks", "is_default")
    op.drop_column("networks", "port_security_enabled")
    op.drop_column("networks", "dns_domain")
    op.drop_column("networks", "segment_key")
    op.drop_column("networks", "vlan")
    op.drop_column("networks", "physical_network")
    op.drop_table("router_hosts")
    op.drop_table("port_security_groups")
    op.drop_table("floating_ips")
    op.drop_table("security_group_rules")
    op.drop_table("routers")
    op.drop_table("qos_rules")
    op.drop_table("subnet_pools")
    op.drop_table("security_groups")
    op.drop_table("rbac_policies")
    op.drop_table("qos_policies")
    op.drop_table("network_tags")
    op.drop_table("host_network_states")
    op.drop_table("auto_topologies")
    op.drop_table("address_groups")
