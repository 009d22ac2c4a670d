"""Histories of visitors who read what they have just written, while the replica comes and goes behind the primary."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from shop.database import Database
from tests.shop.storing import NewPostgres, opened
from workbench.lab.servers import Postgres

pytestmark = pytest.mark.slow
VISITORS, READS = 20, 500


@pytest.fixture(scope="module")
def lagging(new_postgres: NewPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Postgres]]:
    """A primary and a replica that applies every commit 20 ms late."""
    folder = tmp_path_factory.mktemp("lagging")
    primary = new_postgres(folder / "primary")
    primary.sql("create table notes (visitor int primary key, version int not null)")
    primary.sql(f"insert into notes select generate_series(1, {VISITORS}), 0")
    replica = Postgres(folder / "replica", copy_of=primary)
    replica.sql("alter system set recovery_min_apply_delay = '20ms'")
    replica.sql("select pg_reload_conf()")
    yield primary, replica
    replica.stop()
    primary.stop()


@contextmanager
def stumbling(replica: Postgres) -> Iterator[None]:
    """Now and then the replica stands still, as under a long query or a slow disk."""
    done = threading.Event()

    def stumble() -> None:
        while not done.wait(random.uniform(0.1, 0.3)):
            replica.sql("select pg_wal_replay_pause()")
            done.wait(random.uniform(0.1, 0.3))
            replica.sql("select pg_wal_replay_resume()")

    thread = threading.Thread(target=stumble)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@dataclass
class Outcome:
    """What visitors got to see, and who answered them."""

    reads: int = 0
    violations: int = 0
    from_replica: float = 0
    behind: float = 0


async def history(database: Database, visitor: int, outcome: Outcome, *, carry: bool) -> None:
    """One visitor: writes, reads, reads, writes ... and never wants to see less than he has written."""
    after: str | None = None
    version = reads = 0
    while reads < READS:
        async with database.write() as connection:
            rows = await connection.execute(
                "update notes set version = version + 1 where visitor = %s returning version", (visitor,)
            )
            version = (await rows.fetchall())[0]["version"]
        after = await database.position()
        for _ in range(min(random.randint(1, 10), READS - reads)):
            sql = "select version from notes where visitor = %s"
            (row,) = await database.read(sql, (visitor,), after if carry else None)
            outcome.violations += row["version"] < version
            reads += 1
            await asyncio.sleep(random.choice((0, 0, 0.002, 0.03)))
    outcome.reads += reads


async def all_histories(primary: Postgres, replica: Postgres, *, carry: bool) -> Outcome:
    outcome = Outcome()
    with stumbling(replica):
        async with opened(primary.url("postgres"), replica.url("postgres")) as database:
            await asyncio.gather(
                *(history(database, visitor, outcome, carry=carry) for visitor in range(1, VISITORS + 1))
            )
            gauges = database.gauges()
            assert gauges["ReplicaFallbacks"] == 0
    outcome.from_replica, outcome.behind = gauges["ReplicaReads"], gauges["ReplicaBehind"]
    print(f"carried={carry}: {outcome}")
    return outcome


def test_10000_reads_after_writes_through_a_lagging_replica_never_miss_the_own_write(
    lagging: tuple[Postgres, Postgres],
) -> None:
    outcome = asyncio.run(all_histories(*lagging, carry=True))
    assert (outcome.reads, outcome.violations) == (10_000, 0)
    # Not because the primary answered everything.
    assert outcome.from_replica > 500
    assert outcome.from_replica + outcome.behind == outcome.reads


def test_the_same_visitors_miss_their_writes_when_nobody_carries_the_position(
    lagging: tuple[Postgres, Postgres],
) -> None:
    """The control: the histories above would notice."""
    outcome = asyncio.run(all_histories(*lagging, carry=False))
    assert outcome.reads == outcome.from_replica == 10_000
    assert outcome.violations > 100
