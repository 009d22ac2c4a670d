"""The vocabulary of a stage: what a system can consist of, and how big each part is.

A part says *what*, never *how*: the building blocks turn it into AWS resources. `None` in a stage means
that the stage has no such part.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

# Requests from one address in five minutes; a person clicking hard stays below 300.
VISITOR_LIMIT = 2_000


@dataclass(frozen=True)
class SingleServer:
    """One host. At stage 1 it runs PostgreSQL too, on a data volume that outlives it."""

    instance_type: str
    data_volume_gib: int


@dataclass(frozen=True)
class Fleet:
    """Interchangeable hosts behind a load balancer, as many as the load asks for."""

    instance_type: str
    minimum: int
    maximum: int
    cpu_target_percent: int = 50  # leaves room for a lost zone: two of three zones carry it at 75 %
    requests_per_target: int = 1_000  # a minute; whichever target is hit first adds hosts


@dataclass(frozen=True)
class Postgres:
    """A managed PostgreSQL: one primary, its standby, and copies that answer reads."""

    instance_type: str
    storage_gib: int
    storage_limit_gib: int
    multi_az: bool = True
    read_replicas: int = 0


@dataclass(frozen=True)
class Cache:
    """An in-memory cluster: keys are spread over shards, each shard has its own replicas."""

    node_type: str
    shards: int
    replicas_per_shard: int


@dataclass(frozen=True)
class Cdn:
    """Edge locations that answer for static files and shield the load balancer."""

    price_class: str
    requests_per_five_minutes: int = VISITOR_LIMIT


@dataclass(frozen=True)
class Job:
    """One piece of work that a request no longer waits for."""

    name: str
    events: tuple[str, ...]
    timeout_seconds: int
    memory_mib: int
    concurrency: int
    reads_database: bool = False


@dataclass(frozen=True)
class Workers:
    """The jobs done in the background: one queue and one function each, fed by one topic."""

    jobs: tuple[Job, ...]


@dataclass(frozen=True)
class Stage:
    """One way to run the shop: which parts, how big, and why one would come here and leave again."""

    number: int
    name: str
    carries: str
    why: str
    breaks_next: str
    server: SingleServer | None = None
    database: Postgres | None = None
    fleet: Fleet | None = None
    cache: Cache | None = None
    cdn: Cdn | None = None
    workers: Workers | None = None


class Egress(StrEnum):
    """How hosts without a public address reach AWS and the internet."""

    NAT = "nat"
    NAT_PER_ZONE = "nat-per-zone"
    ENDPOINTS = "endpoints"


@dataclass(frozen=True)
class Protection:
    """How hard it is to lose something. Resolved once from the environment's profile, handed to every block."""

    deletion_protection: bool  # the API refuses to delete while this is on
    keep_data: bool  # what a template no longer holds is kept (or snapshotted), not deleted
    backup_days: int
    log_days: int
    reserve_concurrency: bool  # functions keep their share of the account's quota; a new account has none to give
    time_to_live_days: int | None = None  # from the creation of a stack; after that a scheduled teardown deletes it
    limit_roles: bool = False  # no role can do more than a boundary allows, whatever its own policy says
