"""The cache on real nodes: what it spares the database, and what its absence costs."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from redis import Redis
from redis.cluster import RedisCluster

from shop import aws
from shop.breaker import Breaker
from shop.cache import AT_ONCE, BUDGET, SLOWEST_FILL, TOMBSTONE, TOMBSTONE_SECONDS, Cache
from shop.database import Database
from shop.settings import CacheNodes
from tests.shop.storing import TURN, NewPostgres, cached, loop_time, opened, until
from workbench.lab.servers import LOOPBACK, Postgres, Valkey, free_port

pytestmark = pytest.mark.slow
# What a busy laptop may add to the budget, by the clock of the event loop, before a test complains.
SLACK = 0.2


@pytest.fixture
def raw(valkey: Valkey) -> Iterator[Any]:
    """The same cluster, seen from outside, and empty."""
    client: Any = RedisCluster(host=LOOPBACK, port=valkey.ports[0])
    client.flushall(target_nodes=RedisCluster.PRIMARIES)
    yield client
    client.close()


class Source:
    """What stands for the database: a value, how long it takes, and how it was asked."""

    def __init__(self, value: bytes = b"value", seconds: float = 0) -> None:
        self.value, self.seconds = value, seconds
        self.asked: list[bool] = []

    async def __call__(self, fresh: bool) -> bytes:
        self.asked.append(fresh)
        value = self.value
        await asyncio.sleep(self.seconds)
        return value

    async def was_asked(self) -> bool:
        return bool(self.asked)


async def get(cache: Cache, source: Source, key: str = "key", ttl: float = 60) -> bytes:
    return await cache.get_or_load(key, source, ttl=ttl)


async def nothing_owed(cache: Cache) -> bool:
    return cache.gauges()["CacheOwed"] == 0


async def kept(raw: Any, key: str = "key") -> bytes | None:
    """What the cache holds, once what is being filled in has arrived; nothing, if that takes longer than a second."""
    for _ in range(10):
        await asyncio.sleep(0.1)
        if (found := await asyncio.to_thread(raw.get, key)) is not None:
            return bytes(found)
    return None


@pytest.mark.usefixtures("patient")
def test_a_value_is_loaded_once_and_then_comes_from_the_cache(valkey: Valkey, raw: Any) -> None:
    async def test() -> None:
        source = Source()
        async with cached(valkey.nodes) as cache, cached(valkey.nodes) as another:
            assert [await get(cache, source), await kept(raw), await get(cache, source)] == [b"value"] * 3
            assert await get(another, source) == b"value"
            assert source.asked == [False]
            gauges = cache.gauges()
            assert (gauges["CacheHits"], gauges["CacheMisses"], gauges["CacheFailures"]) == (1, 1, 0)

    asyncio.run(test())


def test_without_nodes_everything_is_simply_loaded() -> None:
    async def test() -> None:
        source = Source()
        async with cached() as cache:
            assert not cache.exists
            assert [await get(cache, source), await get(cache, source)] == [b"value"] * 2
            await cache.forget("key")
            assert await cache.counter("key", 60) is None
            assert source.asked == [False, False]

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_entries_made_together_do_not_end_together(valkey: Valkey, raw: Any) -> None:
    async def test() -> None:
        async with cached(valkey.nodes) as cache:
            await asyncio.gather(*(get(cache, Source(), f"key:{n}", 100) for n in range(100)))
            await asyncio.sleep(0.2)
        left = [raw.pttl(f"key:{n}") / 1000 for n in range(100)]
        assert 75 < min(left) < 90
        assert 110 < max(left) < 125
        assert len({round(seconds) for seconds in left}) > 20

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_200_who_miss_at_once_are_one_question_of_each_process(valkey: Valkey, raw: Any) -> None:
    async def test() -> None:
        here, there, together = Source(), Source(), asyncio.Barrier(2)

        def ask(cache: Cache, source: Source) -> Awaitable[bytes]:
            async def load(fresh: bool) -> bytes:
                value = await source(fresh)
                await together.wait()  # nobody fills in what the other process has not missed yet
                return value

            return cache.get_or_load("key", load, ttl=60)

        async with cached(valkey.nodes) as one, cached(valkey.nodes) as other:
            asking = [ask(one, here) for _ in range(200)] + [ask(other, there) for _ in range(200)]
            async with asyncio.timeout(30):
                assert await asyncio.gather(*asking) == [b"value"] * 400
            assert (len(here.asked), len(there.asked)) == (1, 1)
            assert await kept(raw) == b"value"

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_those_who_wait_are_answered_when_the_first_one_leaves(valkey: Valkey, raw: Any) -> None:
    async def test() -> None:
        source = Source(seconds=0.2)
        async with cached(valkey.nodes) as cache:
            first, *others = (asyncio.create_task(get(cache, source)) for _ in range(10))
            await asyncio.sleep(0.05)
            first.cancel()
            assert await asyncio.gather(*others) == [b"value"] * 9
            assert first.cancelled()
            assert source.asked == [False]
            assert await kept(raw) == b"value"

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_an_error_reaches_all_who_wait_and_is_not_kept(valkey: Valkey, raw: Any) -> None:
    async def broken(fresh: bool) -> bytes:
        await asyncio.sleep(0.05)
        raise LookupError(fresh)

    async def test() -> None:
        async with cached(valkey.nodes) as cache:
            asking = [cache.get_or_load("key", broken, ttl=60) for _ in range(5)]
            answers = await asyncio.gather(*asking, return_exceptions=True)
            assert [type(answer) for answer in answers] == [LookupError] * 5
            assert await kept(raw) is None
            assert await get(cache, Source()) == b"value"

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_who_carries_a_write_of_his_own_is_given_nothing_that_others_read_before(valkey: Valkey, raw: Any) -> None:
    async def test() -> None:
        source = Source(b"old")
        async with cached(valkey.nodes) as cache:
            await get(cache, source)
            assert await kept(raw) == b"old"
            source.value = b"new"
            assert await cache.get_or_load("key", source, ttl=60, after="0/1") == b"new"
            assert await kept(raw) == b"old"

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_after_a_write_the_primary_answers_until_the_tombstone_is_gone(valkey: Valkey, raw: Any) -> None:
    async def test() -> None:
        source = Source(b"old")
        async with cached(valkey.nodes) as writer, cached(valkey.nodes) as reader:
            await get(reader, source)
            source.value = b"new"
            await writer.forget("key", "another")
            await until(lambda: nothing_owed(writer))  # at once, except on a machine that is very busy
            assert await kept(raw) == TOMBSTONE
            assert 0 < raw.pttl("key") <= 1000 * TOMBSTONE_SECONDS
            assert [await get(reader, source), await get(reader, source)] == [b"new"] * 2
            assert source.asked == [False, True, True]
            raw.delete("key")
            assert await get(reader, source) == b"new"
            assert source.asked[-1] is False
            assert await kept(raw) == b"new"

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_a_reader_who_began_before_the_write_fills_nothing_in(valkey: Valkey, raw: Any) -> None:
    async def test() -> None:
        source = Source(b"old", seconds=0.3)
        async with cached(valkey.nodes) as writer, cached(valkey.nodes) as reader:
            reading = asyncio.create_task(get(reader, source))
            await until(source.was_asked)
            source.value = b"new"
            await writer.forget("key")
            assert await reading == b"old"  # he asked before the write
            await until(lambda: nothing_owed(writer))
            assert await kept(raw) == TOMBSTONE
            assert await get(reader, source) == b"new"

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_in_the_process_of_the_writer_nobody_joins_a_question_from_before_the_write(valkey: Valkey, raw: Any) -> None:
    async def test() -> None:
        source = Source(b"old", seconds=0.3)
        async with cached(valkey.nodes) as cache:
            reading = asyncio.create_task(get(cache, source))
            await until(source.was_asked)
            source.value = b"new"
            await cache.forget("key")
            assert await get(cache, source) == b"new"
            assert await reading == b"old"
            await until(lambda: nothing_owed(cache))
            assert await kept(raw) == TOMBSTONE

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_a_reader_slower_than_a_tombstone_keeps_what_he_has_read_to_himself(
    valkey: Valkey, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, seconds in {"TOMBSTONE_SECONDS": TOMBSTONE_SECONDS, "SLOWEST_FILL": SLOWEST_FILL}.items():
        monkeypatch.setattr(f"shop.cache.{limit}", seconds - TOMBSTONE_SECONDS + 1)

    async def test() -> None:
        source = Source(b"old", seconds=1.5)
        async with cached(valkey.nodes) as writer, cached(valkey.nodes) as reader:
            reading = asyncio.create_task(get(reader, source))
            await asyncio.sleep(0.1)
            await writer.forget("key")
            assert await reading == b"old"
            assert await kept(raw) is None  # the tombstone has ended before

    asyncio.run(test())


@dataclass
class History:
    """Reads of rows that are changed meanwhile, from two processes, through a cache, from a replica that is late."""

    database: Database
    raced: int = 0
    asked: int = 0
    wrong: list[str] = field(default_factory=list)

    async def of(self, number: int, writer: Cache, other: Cache) -> None:
        """One row: read by some while it is changed once, and for longer than the replica is late."""
        begin, seen = time.monotonic(), list[float]()

        async def load(fresh: bool) -> bytes:
            sql = "select version from facts where id = %s"
            (row,) = await (self.database.read_primary if fresh else self.database.read)(sql, (number,))
            self.raced += bool(seen) and row["version"] == 0
            return str(row["version"]).encode()

        async def read(cache: Cache) -> None:
            await asyncio.sleep(random.uniform(0, 0.04))
            while time.monotonic() < begin + 0.4:
                # In another process one may still join a question that was asked before the write.
                known = bool(seen) and (cache is writer or time.monotonic() > seen[0] + 0.1)
                value = await cache.get_or_load(f"fact:{number}", load, ttl=60)
                self.asked += 1
                if known and value != b"1":
                    self.wrong.append(f"row {number}, {time.monotonic() - seen[0]:.3f} s after the write")
                await asyncio.sleep(random.uniform(0, 0.02))

        async def write() -> None:
            await asyncio.sleep(random.uniform(0.01, 0.04))
            async with self.database.write() as connection:
                await connection.execute("update facts set version = 1 where id = %s", (number,))
            await writer.forget(f"fact:{number}")
            seen.append(time.monotonic())

        await asyncio.gather(write(), *(read(cache) for cache in (writer, other) for _ in range(2)))


@pytest.fixture(scope="module")
def late(new_postgres: NewPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Postgres]]:
    folder = tmp_path_factory.mktemp("late")
    primary = new_postgres(folder / "primary")
    replica = Postgres(folder / "replica", copy_of=primary)
    replica.sql("alter system set recovery_min_apply_delay = '200ms'")
    replica.sql("select pg_reload_conf()")
    yield primary, replica
    replica.stop()
    primary.stop()


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("forgetting", ["by a tombstone", "by deletion alone"])
def test_a_row_that_a_late_replica_still_has_is_never_served_after_the_write(
    late: tuple[Postgres, Postgres], valkey: Valkey, raw: Any, monkeypatch: pytest.MonkeyPatch, forgetting: str
) -> None:
    """The control only deletes the key: then readers fill in what the replica still has."""
    assert raw is not None
    if forgetting == "by deletion alone":

        async def delete(self: Cache, key: str) -> bool:
            self._owed.discard(key)
            return (await self._ask(key, "DEL", key))[0]

        monkeypatch.setattr(Cache, "_bury", delete)
    primary, replica = late
    primary.sql("drop table if exists facts; create table facts (id int primary key, version int default 0)")
    primary.sql("insert into facts (id) select generate_series(1, 200)")
    written = primary.sql("select pg_current_wal_lsn()")

    async def test() -> History:
        await until(lambda: asyncio.to_thread(replica.sql, f"select 1 where pg_last_wal_replay_lsn() >= '{written}'"))
        urls = primary.url("postgres"), replica.url("postgres")
        async with opened(*urls) as database, cached(valkey.nodes) as one, cached(valkey.nodes) as other:
            history = History(database)
            for first in range(1, 200, 20):
                await asyncio.gather(*(history.of(number, one, other) for number in range(first, first + 20)))
            assert one.gauges()["CacheFailures"] == other.gauges()["CacheFailures"] == 0
            return history

    history = asyncio.run(test())
    print(f"{forgetting}: {len(history.wrong)} of {history.asked} wrong, {history.raced} old rows read after a write")
    if forgetting == "by a tombstone":
        assert history.raced > 0
        assert history.wrong == []
    else:
        assert len(history.wrong) > 100


def test_a_cache_that_dies_under_load_costs_time_and_no_errors_and_comes_back(own_valkey: Valkey) -> None:
    slowest: dict[str, float] = {}
    answers: dict[str, int] = {}

    async def test() -> None:
        phase, done = "well", asyncio.Event()

        async def visit(cache: Cache, visitor: int) -> None:
            while not done.is_set():
                key = f"key:{random.randrange(500)}"
                here, began = phase, now()
                assert await get(cache, Source(key.encode()), key) == key.encode()
                slowest[here] = max(slowest.get(here, 0), now() - began)
                answers[here] = answers.get(here, 0) + 1
                if visitor == 0:
                    await cache.forget(key)
                await asyncio.sleep(0.005)

        async def lasts(seconds: float) -> None:
            end = now() + seconds
            while now() < end:
                await asyncio.sleep(TURN)

        async with cached(own_valkey.nodes) as cache, loop_time() as now:
            visits = [asyncio.create_task(visit(cache, visitor)) for visitor in range(20)]
            await lasts(1)
            own_valkey.stop(signal.SIGKILL)
            phase = "dead"
            await lasts(3)
            assert cache.gauges()["CacheBreakerOpen"] == 1
            for port in own_valkey.ports:
                own_valkey.start(port)
            await until(lambda: hit(cache))
            phase = "back"
            await lasts(1)
            done.set()
            await asyncio.gather(*visits)  # no visitor has seen an error
            assert cache.gauges()["CacheBreakerOpen"] == 0

    asyncio.run(test())
    print(slowest, answers)
    assert min(answers.values()) > 500
    assert max(slowest.values()) < BUDGET + SLACK


async def hit(cache: Cache) -> bool:
    before = cache.gauges()["CacheHits"]
    await get(cache, Source(), "back")
    await asyncio.sleep(0.02)
    return cache.gauges()["CacheHits"] > before


def test_a_cache_that_is_down_from_the_start_is_used_as_soon_as_it_is_there(own_valkey: Valkey) -> None:
    own_valkey.stop(signal.SIGKILL)

    async def test() -> None:
        async with cached(own_valkey.nodes) as cache, loop_time() as now:
            for _ in range(50):
                assert await get(cache, Source()) == b"value"
            assert now() < 3 * BUDGET + SLACK
            for port in own_valkey.ports:
                own_valkey.start(port)
            await until(lambda: hit(cache))

    asyncio.run(test())


@asynccontextmanager
async def silence() -> AsyncIterator[int]:
    """A port that takes connections and never says a word."""
    open_lines: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: open_lines.append(writer), LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    for line in open_lines:
        line.close()
    server.close()


def test_a_cache_that_says_nothing_never_adds_more_than_the_budget(valkey: Valkey) -> None:
    async def test() -> None:
        async with silence() as port, cached(f"{LOOPBACK}:{port}") as cache, loop_time() as now:
            for _ in range(4):
                began = now()
                assert await asyncio.gather(*(get(cache, Source(), f"k{n}") for n in range(100))) == [b"value"] * 100
                assert now() - began < BUDGET + SLACK
            began = now()
            await cache.forget("key")
            assert await cache.counter("key", 60) is None
            assert now() - began < 2 * BUDGET + SLACK

    assert valkey.ports  # the same fixture as the others, so that this test runs where they do
    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_a_connection_that_the_server_ends_is_no_failure(valkey: Valkey, raw: Any) -> None:
    """Managed caches end every connection after twelve hours."""

    async def test() -> None:
        async with cached(valkey.nodes) as cache:
            for _ in range(3):
                await asyncio.gather(*(get(cache, Source(), f"key:{n}") for n in range(60)))
                await asyncio.sleep(0.1)
                for port in valkey.ports:
                    with Redis(host=LOOPBACK, port=port) as node:
                        node.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert await get(cache, Source(b"another"), "key:1") == b"value"
            assert cache.gauges()["CacheFailures"] == 0

    assert raw is not None
    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_a_visitor_who_leaves_in_the_middle_never_mixes_up_the_answers_of_others(valkey: Valkey, raw: Any) -> None:
    """A reply that nobody reads any more must not be taken for the answer to the next question."""
    assert raw is not None

    async def test() -> None:
        async with cached(valkey.nodes) as cache:

            async def visit() -> None:
                for _ in range(150):
                    key = f"key:{random.randrange(50)}"
                    assert await cache._ask(key, "SET", key, key) in ((True, True), (True, b"OK"), (False, None))
                    _, value = await cache._ask(key, "GET", key)
                    assert value in (key.encode(), None)

            async def impatient() -> None:
                for _ in range(300):
                    key = f"key:{random.randrange(50)}"
                    asking = asyncio.create_task(cache._ask(key, "GET", key))
                    await asyncio.sleep(random.uniform(0, 0.002))
                    asking.cancel()
                    await asyncio.gather(asking, return_exceptions=True)

            await asyncio.gather(*(visit() for _ in range(10)), *(impatient() for _ in range(10)))
            assert cache.gauges()["CacheFailures"] == 0

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_many_at_once_share_few_connections(valkey: Valkey, raw: Any) -> None:
    def connections() -> int:
        counts = []
        for port in valkey.ports:
            with Redis(host=LOOPBACK, port=port, decode_responses=True) as node:
                counts.append(int(node.info("clients")["connected_clients"]))
        return max(counts)

    async def test() -> None:
        before = connections()
        async with cached(valkey.nodes) as cache:
            for _ in range(5):
                await asyncio.gather(*(get(cache, Source(), f"key:{n}") for n in range(1000)))
            assert connections() - before <= AT_ONCE + 2
            # Whoever waited too long for a place did without, and nobody blames the nodes for that.
            assert cache.gauges()["CacheBreakerOpen"] == 0

    assert raw is not None
    asyncio.run(test())


def test_what_could_not_be_forgotten_is_forgotten_as_soon_as_the_cache_answers_again(own_valkey: Valkey) -> None:
    """The nodes only hang, so they still hold what they held before the write."""

    def all_nodes(signal_number: signal.Signals) -> None:
        for process in own_valkey._processes.values():
            process._process.send_signal(signal_number)

    async def test() -> None:
        source = Source(b"old")
        async with cached(own_valkey.nodes) as writer, cached(own_valkey.nodes) as reader:
            await get(reader, source)
            await asyncio.sleep(0.1)
            all_nodes(signal.SIGSTOP)
            source.value = b"new"
            await writer.forget("key")
            assert writer.gauges()["CacheOwed"] == 1
            assert await get(writer, source) == b"new"
            assert source.asked[-1] is True
            all_nodes(signal.SIGCONT)
            await until(lambda: nothing_owed(writer))
            assert await get(reader, source) == b"new"

    asyncio.run(test())


@pytest.mark.usefixtures("patient")
def test_counting_is_exact_and_ends_with_its_window(valkey: Valkey, raw: Any) -> None:
    async def test() -> None:
        async with cached(valkey.nodes) as one, cached(valkey.nodes) as other:
            counts = await asyncio.gather(*(cache.counter("c", 60) for cache in (one, other) for _ in range(100)))
            assert sorted(count or 0 for count in counts) == list(range(1, 201))
            assert 0 < raw.ttl("c") <= 60

    asyncio.run(test())


@pytest.fixture
def guarded(own_valkey: Valkey) -> Iterator[Valkey]:
    """A cluster that lets in `shop-app` with a password, and nobody else."""
    with ExitStack() as stack:
        nodes = [stack.enter_context(Redis(host=LOOPBACK, port=port)) for port in own_valkey.ports]
        for node in nodes:
            node.execute_command("ACL", "SETUSER", "shop-app", "on", ">secret", "~*", "+@all")
            node.execute_command("ACL", "SETUSER", "default", "off")
        yield own_valkey
        for node in nodes:
            node.execute_command("ACL", "SETUSER", "default", "on")


def test_the_cache_lets_in_who_has_the_password_or_a_token(guarded: Valkey, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = tuple((LOOPBACK, port) for port in guarded.ports)
    monkeypatch.setattr(aws.CacheLogin, "_sign", lambda _: "secret")

    async def counted(login: CacheNodes) -> int | None:
        cache = Cache(login, "eu-central-1")
        try:
            return await cache.counter("key", 60)
        finally:
            await cache.close()

    async def test() -> None:
        assert await counted(CacheNodes(nodes, "password", "shop-app", "secret")) == 1
        assert await counted(CacheNodes(nodes, "iam", "shop-app", cluster_name="shop")) == 2
        assert await counted(CacheNodes(nodes, "password", "shop-app", "wrong")) is None
        assert await counted(CacheNodes(nodes)) is None

    asyncio.run(test())


def test_a_token_for_the_cache_is_signed_for_its_cluster_and_kept_for_ten_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    login = aws.CacheLogin("shop-cache", "shop-app", "eu-central-1")
    user, token = asyncio.run(login.get_credentials_async())
    assert user == "shop-app"
    assert token.startswith("shop-cache/?Action=connect&User=shop-app&")
    assert "X-Amz-Expires=900" in token
    assert "%2Feu-central-1%2Felasticache%2Faws4_request" in token
    monkeypatch.setattr(aws.CacheLogin, "_sign", lambda _: "a newer one")
    assert login.get_credentials() == ("shop-app", token)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + aws.KEPT_SECONDS + 1)
    assert login.get_credentials() == ("shop-app", "a newer one")


def test_a_breaker_opens_after_failures_in_a_row_and_then_lets_one_through_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    breaker = Breaker(failures=2, seconds=5)
    breaker.bad()
    breaker.good()
    breaker.bad()
    assert (breaker.is_open, breaker.lets_through()) == (False, True)
    breaker.bad()
    assert (breaker.is_open, breaker.lets_through()) == (True, False)
    now += 5
    assert [breaker.lets_through() for _ in range(3)] == [True, False, False]
    breaker.bad()
    now += 4.9
    assert not breaker.lets_through()
    now += 0.1
    assert breaker.lets_through()
    breaker.good()
    assert [breaker.lets_through() for _ in range(3)] == [True] * 3


def test_nothing_listens_is_no_reason_to_wait() -> None:
    async def test() -> None:
        async with cached(f"{LOOPBACK}:{free_port()}") as cache, loop_time() as now:
            assert await get(cache, Source()) == b"value"
            assert now() < BUDGET + SLACK

    asyncio.run(test())
