"""Every table, one file a domain. Importing this package fills ``Base.metadata``."""

from nova_lite.db.models.base import Base
from nova_lite.db.models.compute import (
    Allocation,
    Flavor,
    FlavorAccess,
    Host,
    Keypair,
    LeftOver,
    Migration,
    Server,
    Service,
)
from nova_lite.db.models.consoles import ConsoleAuthToken
from nova_lite.db.models.groupings import Aggregate, AggregateHost, ServerGroup, ServerGroupMember
from nova_lite.db.models.idempotency import IdempotencyKey
from nova_lite.db.models.identity import Assignment, Domain, LoginFailure, Project, Revocation, Role, User
from nova_lite.db.models.image import Image, RemovedImage
from nova_lite.db.models.network import (
    AutoTopology,
    FixedIp,
    HostNetworkState,
    Network,
    NetworkTag,
    Port,
    RbacPolicy,
    Subnet,
    SubnetPool,
)
from nova_lite.db.models.operations import Operation
from nova_lite.db.models.quotas import QuotaLimit, QuotaUsage
from nova_lite.db.models.routers import FloatingIp, Router, RouterHost
from nova_lite.db.models.security import (
    AddressGroup,
    PortSecurityGroup,
    QosPolicy,
    QosRule,
    SecurityGroup,
    SecurityGroupRule,
)

__all__ = [
    "AddressGroup",
    "Aggregate",
    "AggregateHost",
    "Allocation",
    "Assignment",
    "AutoTopology",
    "Base",
    "ConsoleAuthToken",
    "Domain",
    "FixedIp",
    "Flavor",
    "FlavorAccess",
    "FloatingIp",
    "Host",
    "HostNetworkState",
    "IdempotencyKey",
    "Image",
    "Keypair",
    "LeftOver",
    "LoginFailure",
    "Migration",
    "Network",
    "NetworkTag",
    "Operation",
    "Port",
    "PortSecurityGroup",
    "Project",
    "QosPolicy",
    "QosRule",
    "QuotaLimit",
    "QuotaUsage",
    "RbacPolicy",
    "RemovedImage",
    "Revocation",
    "Role",
    "Router",
    "RouterHost",
    "SecurityGroup",
    "SecurityGroupRule",
    "Server",
    "ServerGroup",
    "ServerGroupMember",
    "Service",
    "Subnet",
    "SubnetPool",
    "User",
]
