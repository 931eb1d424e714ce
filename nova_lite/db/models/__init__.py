"""Every table, one file a domain. Importing this package fills ``Base.metadata``."""

from nova_lite.db.models.base import Base
from nova_lite.db.models.compute import Allocation, Flavor, FlavorAccess, Host, Keypair, Migration, Server, Service
from nova_lite.db.models.groupings import Aggregate, AggregateHost, ServerGroup, ServerGroupMember
from nova_lite.db.models.idempotency import IdempotencyKey
from nova_lite.db.models.identity import Assignment, Domain, LoginFailure, Project, Revocation, Role, User
from nova_lite.db.models.image import Image
from nova_lite.db.models.network import FixedIp, Network, Port, Subnet
from nova_lite.db.models.operations import Operation
from nova_lite.db.models.quotas import QuotaLimit, QuotaUsage

__all__ = [
    "Aggregate",
    "AggregateHost",
    "Allocation",
    "Assignment",
    "Base",
    "Domain",
    "FixedIp",
    "Flavor",
    "FlavorAccess",
    "Host",
    "IdempotencyKey",
    "Image",
    "Keypair",
    "LoginFailure",
    "Migration",
    "Network",
    "Operation",
    "Port",
    "Project",
    "QuotaLimit",
    "QuotaUsage",
    "Revocation",
    "Role",
    "Server",
    "ServerGroup",
    "ServerGroupMember",
    "Service",
    "Subnet",
    "User",
]
