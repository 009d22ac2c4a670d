"""Every resource type that the local CloudFormation can make, and what it cannot keep of them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from workbench.sandbox.kinds.access import ACCESS
from workbench.sandbox.kinds.compute import COMPUTE
from workbench.sandbox.kinds.data import DATA
from workbench.sandbox.kinds.edge import EDGE
from workbench.sandbox.kinds.kind import Kind
from workbench.sandbox.kinds.network import NETWORK
from workbench.sandbox.kinds.work import WORK

KINDS: Mapping[str, Kind] = MappingProxyType(
    dict(sorted({**NETWORK, **COMPUTE, **ACCESS, **DATA, **EDGE, **WORK}.items()))
)

# Type -> property -> why: what is accepted and forgotten, because moto has no place for it.
FORGOTTEN: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {type_: forgotten for type_, kind in KINDS.items() if (forgotten := getattr(kind, "forgets", None))}
)

# Type -> why: what is remembered as it was wanted, while nothing acts on it.
ONLY_KEPT: Mapping[str, str] = MappingProxyType(
    {type_: reason for type_, kind in KINDS.items() if (reason := getattr(kind, "reason", None))}
)
