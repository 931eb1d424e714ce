"""Every table, one file a domain. Importing this package fills ``Base.metadata``."""

from nova_lite.db.models.base import Base
from nova_lite.db.models.compute import Allocation, Flavor, FlavorAccess, Host, Keypair, Migration, Server, Service
from nova_lite.db.models.identity import Assignment, Domain, LoginFailure, Project, Revocation, Role, User
from nova_lite.db.models.image import Image
from nova_lite.db.models.network import FixedIp, Network, Port, Subnet
from nova_lite.db.models.operations import Operation

__all__ = [
    "Allocation",
    "Assignment",
    "Base",
    "Domain",
    "FixedIp",
    "Flavor",
    "FlavorAccess",
    "Host",
    "Image",
    "Keypair",
    "LoginFailure",
    "Migration",
    "Network",
    "Operation",
    "Port",
    "Project",
    "Revocation",
    "Role",
    "Server",
    "Service",
    "Subnet",
    "User",
]
