"""What a comparison finds, as data: each aspect fills one part of it, and reports only lay it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Generic, TypeVar

from workbench.cost import Estimate
from workbench.templates import Assembly, Cause, Impact, Key, Lock
from workbench.templates.reading import System

Item = TypeVar("Item")


class Risk(IntEnum):
    """How much attention something needs; the worst one is the verdict."""

    NONE = 0  # nothing changes
    ROUTINE = 1  # added, or changed in place
    NOTICE = 2  # somebody will notice: an interruption, another address, a wider opening, a higher bill
    DANGER = 3  # data, an identity that others rely on, or the deployment itself is at stake


class Kind(StrEnum):
    """What a finding is about. These are the words of `--fail-on`."""

    REPLACE_STATEFUL = "replace-stateful"
    REMOVE_STATEFUL = "remove-stateful"
    REPLACE = "replace"
    MAY_REPLACE = "may-replace"
    INTERRUPT = "interrupt"  # stops or restarts while it is changed
    EXPORT_LOCK = "export-lock"
    ADDRESS = "address"  # the name or address that visitors use
    OPEN_NETWORK = "open-network"
    GRANT = "grant"  # a right that is wide, or that somebody outside gets
    ENCRYPTION = "encryption"
    PROTECTION = "protection"  # deletion protection, backups, policies that keep data
    COST = "cost"
    BUDGET = "budget"
    UNKNOWN_COST = "unknown-cost"
    AVAILABILITY = "availability"
    CAPACITY = "capacity"


@dataclass(frozen=True)
class Finding:
    """One thing a reviewer must know, as a sentence that stands alone."""

    risk: Risk
    kind: Kind
    text: str
    key: Key | None = None  # the resource that it is about


# --- One side ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Grant:
    """One right of one principal: the smallest unit in which permissions are compared."""

    principal: str
    effect: str
    action: str
    resource: str
    condition: str = ""


@dataclass(frozen=True, order=True)
class Opening:
    """Who may open connections to whom, on which ports."""

    source: str
    target: str
    protocol: str
    ports: str
    everybody: bool = False  # the source is the whole internet, or so much of it that it makes no difference


@dataclass(frozen=True, order=True)
class Entrance:
    """A name or address by which visitors reach the system from outside."""

    kind: str  # "address", "load balancer", "CDN", "domain"
    name: str
    key: Key


@dataclass(frozen=True)
class Guard:
    """How one resource that holds something is protected. `None` means that the type has no such setting."""

    key: Key
    name: str
    encrypted: str | None  # "customer key", "AWS key", "no", "unknown"
    protected: bool | None  # the service refuses to delete it
    backup_days: int | None
    removal: str  # what its policy does when the template no longer has it
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Link:
    """One thing that a request needs, with the availability that its provider commits to."""

    name: str
    availability: float | None  # of one copy, between 0 and 1; None where nobody commits to anything
    copies: int  # how many side by side, of which one is enough
    source: str
    key: Key | None = None


@dataclass(frozen=True)
class Path:
    """Everything that one kind of request passes: in series, each link with its copies in parallel."""

    name: str  # "read", "write", "background"
    links: tuple[Link, ...]
    availability: float | None  # None as soon as one link is unknown

    @property
    def downtime_minutes(self) -> float | None:
        """A month of 30 days."""
        return None if self.availability is None else (1 - self.availability) * 30 * 24 * 60


@dataclass(frozen=True)
class Loss:
    """What happens when one thing is lost."""

    of: str  # "a host", "a zone", "a cache shard", "a worker", "the database", "the region"
    effect: str
    rto: str  # how long until it works again
    rpo: str  # how much is lost
    survived: bool  # visitors can go on buying, possibly after a failover of minutes


@dataclass(frozen=True)
class Availability:
    paths: tuple[Path, ...]
    losses: tuple[Loss, ...]


@dataclass(frozen=True)
class Ceiling:
    """One published limit of one resource, and how far a workload goes towards it."""

    name: str  # "connections of the database"
    limit: float | None  # None: nobody publishes it
    unit: str
    used: float | None  # at the peak of the workload; None where that cannot be said
    source: str
    key: Key | None = None

    @property
    def share(self) -> float | None:
        """Used of limit: 1 is full."""
        return None if not self.limit or self.used is None else self.used / self.limit


@dataclass(frozen=True)
class Capacity:
    """Every ceiling, the one that is reached first at the front."""

    ceilings: tuple[Ceiling, ...]

    @property
    def breaks_first(self) -> Ceiling | None:
        known = [ceiling for ceiling in self.ceilings if ceiling.share is not None]
        return max(known, key=lambda ceiling: ceiling.share or 0.0, default=None)


@dataclass(frozen=True, eq=False)
class Facts:
    """Everything that one side says about itself."""

    label: str  # as the user named it: "stage 3", "production.toml at main", "old/cdk.out"
    assembly: Assembly
    system: System
    grants: frozenset[Grant]
    openings: frozenset[Opening]
    entrances: tuple[Entrance, ...]
    guards: Mapping[Key, Guard]
    cost: Estimate
    availability: Availability
    capacity: Capacity


# --- Both sides -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Delta(Generic[Item]):
    """What came and what went, each in order."""

    added: tuple[Item, ...] = ()
    removed: tuple[Item, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)


@dataclass(frozen=True)
class ResourceChange:
    """What happens to one resource, as a person would call it."""

    key: Key
    type: str
    name: str  # its construct path without what CDK adds, or its logical id: "Database/Primary"
    block: str  # the building block that it belongs to: "Database"
    impact: Impact
    causes: tuple[Cause, ...]
    summary: str = ""  # the most telling difference in a few words: "t4g.medium -> m7g.large"
    stateful: str = ""  # what it holds; empty when nothing would be lost with it
    code_only: bool = False  # nothing but another version of the code that it runs


@dataclass(frozen=True)
class CostChange:
    """One component of one resource on both sides; None where it is not there, or has no price."""

    key: Key
    component: str
    before: float | None
    after: float | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sides, and all that differs."""

    before: Facts
    after: Facts
    resources: tuple[ResourceChange, ...]
    locks: tuple[Lock, ...]
    grants: Delta[Grant]
    openings: Delta[Opening]
    entrances: Delta[Entrance]
    costs: tuple[CostChange, ...]
    findings: tuple[Finding, ...]  # the worst first

    @property
    def risk(self) -> Risk:
        return max((finding.risk for finding in self.findings), default=Risk.ROUTINE if self.resources else Risk.NONE)
