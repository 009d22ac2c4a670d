"""The product: five stages, each written as its change from the one before.

A stage restates in full every part that it changes, so that the entry is the review diff. Sizes are where a
stage starts; an environment overrides them under `[sizes]`.
"""

from __future__ import annotations

from dataclasses import replace

from blueprint.parts import Cache, Cdn, Fleet, Job, Postgres, SingleServer, Stage, Workers

# 4 GiB of memory: PostgreSQL wants 1 GiB of shared buffers beside four application processes.
# 50 GiB: gp3 gives 3,000 IOPS at any size, and a volume can grow while it is in use, but never shrink.
MONOLITH = Stage(
    number=1,
    name="monolith",
    carries="~100 concurrent users",
    why="The simplest and cheapest thing that works.",
    breaks_next="Application and database fight for one CPU and one memory; a spike kills both.",
    server=SingleServer(instance_type="t4g.medium", data_volume_gib=50),
)

# 100 GiB at every stage from here on: RDS can grow storage but never shrink it, so a stage below must not ask
# for less. It grows alone up to the limit.
MANAGED_DATABASE = replace(
    MONOLITH,
    number=2,
    name="managed-database",
    carries="~1K concurrent users",
    why="Backups, failover and storage growth become AWS's work; host and database are resized apart.",
    breaks_next="There is one application host: when it dies, everything is down.",
    database=Postgres(instance_type="t4g.medium", storage_gib=100, storage_limit_gib=1000),
)

# Two hosts are the fewest that survive a zone; six times t4g.medium is where CPU credits stop being cheap.
LOAD_BALANCED = replace(
    MANAGED_DATABASE,
    number=3,
    name="load-balanced",
    carries="~10K concurrent users",
    why="Losing a host or a zone no longer takes the site down, and hosts follow the load.",
    breaks_next="Every request reaches the database; at about 10,000 requests a second it is the limit.",
    server=None,
    fleet=Fleet(instance_type="t4g.medium", minimum=2, maximum=6),
    database=Postgres(instance_type="t4g.medium", storage_gib=100, storage_limit_gib=1000, read_replicas=1),
)

# Steady load has used up burst credits by now, so hosts and database leave the t family.
# Three shards of one primary and one replica: 3 x 3 GiB hold the hot set, and losing a node loses no shard.
CACHED = replace(
    LOAD_BALANCED,
    number=4,
    name="cached",
    carries="~100K concurrent users",
    why="The cache takes 80-90 % of the reads and the edge takes the static files.",
    breaks_next="Work is done inside the request: a confirmation e-mail adds 2 s to a checkout.",
    fleet=Fleet(instance_type="m7g.large", minimum=3, maximum=12),
    database=Postgres(instance_type="m7g.large", storage_gib=100, storage_limit_gib=1000, read_replicas=2),
    cache=Cache(node_type="cache.t4g.medium", shards=3, replicas_per_shard=1),
    cdn=Cdn(price_class="PriceClass_100"),
)

# Concurrency is what the slowest thing behind a job can take: SES starts at 14 mails a second, image work is CPU,
# and the search index must leave database connections to the hosts.
ASYNCHRONOUS = replace(
    CACHED,
    number=5,
    name="asynchronous",
    carries="~1M concurrent users",
    why="A checkout answers at once; mail, invoices, images and the rest follow within minutes.",
    breaks_next="Nothing in this kit: from here the shape of the system depends on what it does.",
    fleet=Fleet(instance_type="m7g.large", minimum=3, maximum=24),
    workers=Workers(
        jobs=(
            Job("confirmation_email", ("order.placed",), timeout_seconds=30, memory_mib=256, concurrency=10),
            Job("invoice", ("order.placed",), timeout_seconds=60, memory_mib=512, concurrency=10),
            Job("image_resize", ("image.uploaded",), timeout_seconds=60, memory_mib=1769, concurrency=10),
            Job(
                "analytics",
                ("order.placed", "product.changed", "product.viewed"),
                timeout_seconds=30,
                memory_mib=256,
                concurrency=5,
            ),
            Job(
                "search_index",
                ("product.changed",),
                timeout_seconds=30,
                memory_mib=256,
                concurrency=5,
                reads_database=True,
            ),
            Job("notification", ("order.placed", "order.shipped"), timeout_seconds=30, memory_mib=256, concurrency=10),
        )
    ),
)

STAGES: tuple[Stage, ...] = (MONOLITH, MANAGED_DATABASE, LOAD_BALANCED, CACHED, ASYNCHRONOUS)


def find(wanted: int | str) -> Stage:
    """The stage with this number or name; raises KeyError when there is none."""
    for stage in STAGES:
        if str(wanted) in (str(stage.number), stage.name):
            return stage
    raise KeyError(wanted)
