"""Every resource type that the local CloudFormation can make, and what it cannot keep of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from workbench.sandbox.kinds.access import ACCESS
from workbench.sandbox.kinds.backups import BACKUPS
from workbench.sandbox.kinds.balancers import BALANCERS
from workbench.sandbox.kinds.caches import CACHES
from workbench.sandbox.kinds.databases import DATABASES
from workbench.sandbox.kinds.edge import EDGE
from workbench.sandbox.kinds.events import EVENTS
from workbench.sandbox.kinds.functions import FUNCTIONS
from workbench.sandbox.kinds.hosts import HOSTS
from workbench.sandbox.kinds.kind import Kind
from workbench.sandbox.kinds.mail import MAIL
from workbench.sandbox.kinds.messages import MESSAGES
from workbench.sandbox.kinds.network import NETWORK
from workbench.sandbox.kinds.operations import OPERATIONS
from workbench.sandbox.kinds.secrets import SECRETS
from workbench.sandbox.kinds.security_groups import SECURITY_GROUPS
from workbench.sandbox.kinds.storage import STORAGE

_SERVICES = (
    {**NETWORK, **SECURITY_GROUPS, **HOSTS, **BALANCERS, **EDGE}
    | {**ACCESS, **SECRETS, **OPERATIONS}
    | {**DATABASES, **CACHES, **STORAGE, **BACKUPS}
    | {**FUNCTIONS, **MESSAGES, **EVENTS, **MAIL}
)
KINDS: Mapping[str, Kind] = MappingProxyType(dict(sorted(_SERVICES.items())))

# Type -> property -> why: what is accepted and forgotten, because moto has no place for it.
FORGOTTEN: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {type_: forgotten for type_, kind in KINDS.items() if (forgotten := getattr(kind, "forgets", None))}
)

# Type -> why: what is remembered as it was wanted, while nothing acts on it.
ONLY_KEPT: Mapping[str, str] = MappingProxyType(
    {type_: reason for type_, kind in KINDS.items() if (reason := getattr(kind, "reason", None))}
)
