"""The primary and its replicas, on real servers: who answers, who is left out, and what visitors are told."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shop import aws
from shop import database as module
from shop.database import Database, parse
from shop.problems import Problem
from shop.settings import load
from tests.shop.running import refused
from tests.shop.storing import NewPostgres, loop_time, opened, until
from workbench.lab.servers import LOOPBACK, Postgres, free_port

pytestmark = pytest.mark.slow
CRASH = signal.SIGQUIT  # of all its processes: those that serve connections outlive a parent that is killed
WHO = "select inet_server_port() as port"


@pytest.fixture
def alone(new_postgres: NewPostgres, tmp_path: Path) -> Iterator[Postgres]:
    """A server that a test may stop."""
    server = new_postgres(tmp_path / "alone")
    yield server
    server.stop()


@pytest.fixture
def pair(alone: Postgres, tmp_path: Path) -> Iterator[tuple[Postgres, Postgres]]:
    """A primary and its streaming replica, with an empty table."""
    alone.sql("create table notes (id serial, text text)")
    replica = Postgres(tmp_path / "replica", copy_of=alone)
    yield alone, replica
    replica.stop()


async def port(database: Database, after: str | None = None) -> int:
    (row,) = await database.read(WHO, after=after)
    return int(row["port"])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0/0", 0),
        ("0/3000060", 0x3000060),
        ("1/0", 1 << 32),
        ("A/FF", (10 << 32) + 255),
        (None, 0),
        ("", 0),
        ("/", 0),
        ("12345", 0),
        ("x/1", 0),
        ("1/x", 0),
        ("1/2/3", 0),
    ],
)
def test_a_position_is_a_number_and_what_is_none_stands_before_everything(text: str | None, number: int) -> None:
    assert parse(text) == number


def test_positions_are_compared_as_numbers_and_not_as_texts() -> None:
    assert parse("10/0") > parse("9/FFFFFFFF")
    assert parse("0/10000000") > parse("0/F000000")


def test_a_transaction_commits_at_its_end_and_leaves_nothing_when_it_fails(database_url: str) -> None:
    async def test() -> None:
        async with opened(database_url) as database:
            await count(database, "kept", {"used": 1})
            with pytest.raises(KeyError):
                await count(database, "lost", {})
            assert await database.read("select key from rate_limits") == [{"key": "kept"}]
            assert await database.position() is None

    async def count(database: Database, key: str, facts: dict[str, int]) -> None:
        async with database.write() as connection:
            await connection.execute("insert into rate_limits (key, window_start, used) values (%s, 0, 0)", (key,))
            await connection.execute("update rate_limits set used = %s", (facts["used"],))

    asyncio.run(test())


def test_every_connection_has_its_limits_and_its_name(database_url: str) -> None:
    async def test() -> None:
        async with opened(database_url, SHOP_NAME="trial") as database:
            names = ("application_name", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
            (row,) = await database.read_primary(
                "select " + ", ".join(f"current_setting('{name}') as {name}" for name in names)
            )
            assert list(row.values()) == ["shop-trial", "5s", "3s", "8s"]
            async with database.write() as connection:
                with socket.socket(fileno=os.dup(connection.fileno())) as line:
                    assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
                    assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

    asyncio.run(test())


def test_a_statement_that_takes_too_long_is_stopped_and_the_visitor_may_come_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPTIONS", module.OPTIONS.replace("statement_timeout=5s", "statement_timeout=1s"))

    async def test() -> None:
        async with opened(database_url) as database, loop_time() as now:
            problem = await refused(database.read("select pg_sleep(60)"), 503, "database-unavailable")
            assert problem.headers == {"Retry-After": "5"}
            assert now() < 2.5
            assert await database.read("select 1 as one") == [{"one": 1}]

    asyncio.run(test())


def test_a_full_pool_lets_visitors_wait_for_a_moment_and_shows_it(database_url: str) -> None:
    async def test() -> None:
        limits = {"DATABASE_POOL_MAX": "2", "DATABASE_POOL_TIMEOUT_MS": "200"}
        async with opened(database_url, **limits) as database, database.write(), database.write():
            gauges = database.gauges()
            assert (gauges["PoolMin"], gauges["PoolMax"], gauges["PoolSize"], gauges["PoolUsed"]) == (1, 2, 2, 2)
            third = asyncio.create_task(database.read_primary("select 1"))
            await asyncio.sleep(0.05)
            assert database.gauges()["PoolWaiting"] == 1
            await refused(third, 503, "database-unavailable")
            assert database.gauges()["PoolTimeouts"] == 1

    asyncio.run(test())


def test_a_primary_that_takes_no_writes_for_a_moment_is_trouble_that_passes(database_url: str) -> None:
    async def write(database: Database) -> None:
        async with database.write() as connection:
            await connection.execute("set transaction read only")
            await connection.execute("delete from rate_limits")

    async def test() -> None:
        async with opened(database_url) as database:
            await refused(write(database), 503, "database-unavailable")

    asyncio.run(test())


def test_a_mistake_in_a_statement_is_no_trouble_with_the_database(database_url: str) -> None:
    async def test() -> None:
        async with opened(database_url) as database:
            with pytest.raises(Exception, match='relation "nothing" does not exist'):
                await database.read("select * from nothing")

    asyncio.run(test())


def test_without_a_primary_nothing_opens() -> None:
    nowhere = {"DATABASE_URL": f"postgresql://a@{LOOPBACK}:{free_port()}/b", "DATABASE_POOL_TIMEOUT_MS": "300"}

    async def test() -> None:
        for smallest in ("0", "1"):
            settings = load({**nowhere, "DATABASE_POOL_MIN": smallest})
            async with loop_time() as now:
                await refused(Database.connect(settings), 503, "database-unavailable")
                assert now() < 4

    asyncio.run(test())


def test_a_primary_that_restarts_breaks_no_write_afterwards(alone: Postgres) -> None:
    """All idle connections are broken then; nobody is to find out by a write that fails."""
    alone.sql("create table notes (id serial)")

    async def write(database: Database) -> None:
        async with database.write() as connection:
            await connection.execute("insert into notes default values")

    async def test() -> None:
        async with opened(alone.url("postgres"), DATABASE_POOL_MIN="8") as database:
            await asyncio.gather(*(write(database) for _ in range(20)))
            alone.stop(signal.SIGINT)
            await asyncio.to_thread(alone.start)
            await asyncio.gather(*(write(database) for _ in range(20)))
            (row,) = await database.read_primary("select count(*) as notes from notes")
            assert row["notes"] == 40

    asyncio.run(test())


def test_a_primary_that_was_away_for_long_is_used_again_within_seconds(alone: Postgres) -> None:
    async def answers(database: Database) -> bool:
        try:
            return bool(await database.read_primary("select 1"))
        except Problem:
            return False

    async def test() -> None:
        limits = {"DATABASE_POOL_MIN": "4", "DATABASE_POOL_TIMEOUT_MS": "200"}
        async with opened(alone.url("postgres"), **limits) as database, loop_time() as now:
            alone.stop(CRASH)
            began = now()
            while now() < began + 8:  # pauses that double each time would be eight seconds long by now
                assert not await answers(database)
            await asyncio.to_thread(alone.start)
            began = now()
            await until(lambda: answers(database))
            assert now() - began < 4

    asyncio.run(test())


def test_reads_go_to_the_replica_and_to_the_primary_until_it_has_replayed_the_own_write(
    pair: tuple[Postgres, Postgres],
) -> None:
    primary, replica = pair

    async def test() -> None:
        async with opened(primary.url("postgres"), replica.url("postgres")) as database:
            assert await port(database) == replica.port
            replica.sql("select pg_wal_replay_pause()")
            async with database.write() as connection:
                await connection.execute("insert into notes (text) values ('mine')")
            after = await database.position()
            assert await port(database, after) == primary.port
            assert await port(database) == replica.port
            assert await port(database, "not a position") == replica.port
            assert await database.read("select text from notes", after=after) == [{"text": "mine"}]
            assert await database.read("select text from notes") == []
            replica.sql("select pg_wal_replay_resume()")
            await until(lambda: arrived(database, after))
            gauges = database.gauges()
            assert gauges["ReplicaReads"] >= 5
            assert gauges["ReplicaBehind"] >= 2
            assert gauges["ReplicaFallbacks"] == 0

    async def arrived(database: Database, after: str | None) -> bool:
        return await port(database, after) == replica.port

    asyncio.run(test())


def test_a_replica_is_asked_how_far_it_is_only_when_a_visitor_needs_more(pair: tuple[Postgres, Postgres]) -> None:
    primary, replica = pair

    async def test() -> None:
        async with opened(primary.url("postgres"), replica.url("postgres"), DATABASE_POOL_MAX="1") as database:
            after = await database.position()
            await until(lambda: there(database, after))
            replica.sql("select pg_wal_replay_pause()")
            (kept,) = (known for one in database._replicas for known in one._replayed.values())
            primary.sql("insert into notes (text) values ('more')")
            for _ in range(3):
                assert await port(database, after) == replica.port
            assert [known for one in database._replicas for known in one._replayed.values()] == [kept]
            replica.sql("select pg_wal_replay_resume()")

    async def there(database: Database, after: str | None) -> bool:
        return await port(database, after) == replica.port

    asyncio.run(test())


def test_a_replica_that_dies_costs_no_visitor_an_answer_and_is_used_again_when_it_is_back(
    pair: tuple[Postgres, Postgres],
) -> None:
    primary, replica = pair

    async def back(database: Database) -> bool:
        return await port(database) == replica.port

    async def test() -> None:
        urls = primary.url("postgres"), replica.url("postgres")
        async with opened(*urls, DATABASE_POOL_MIN="4") as database, loop_time() as now:
            assert await port(database) == replica.port
            replica.stop(CRASH)
            began = now()
            assert await asyncio.gather(*(port(database) for _ in range(50))) == [primary.port] * 50
            assert now() - began < 3
            assert database.gauges()["ReplicaFallbacks"] >= 1
            began = now()
            for _ in range(200):  # the breaker is open now: nobody waits for it
                await port(database)
            assert now() - began < 2
            await asyncio.to_thread(replica.start)
            await until(lambda: back(database))

    asyncio.run(test())


def test_reads_take_turns_among_replicas_and_leave_out_the_dead(
    tmp_path: Path, pair: tuple[Postgres, Postgres]
) -> None:
    primary, first = pair
    second = Postgres(tmp_path / "second", copy_of=primary)
    urls = [server.url("postgres") for server in (primary, first, second)]

    async def test() -> None:
        async with opened(*urls) as database:
            ports = [await port(database) for _ in range(10)]
            assert ports.count(first.port) == ports.count(second.port) == 5
            second.stop(CRASH)
            await asyncio.gather(*(port(database) for _ in range(4)))
            assert {await port(database) for _ in range(10)} == {first.port}

    try:
        asyncio.run(test())
    finally:
        second.stop()


def test_a_replica_that_was_promoted_counts_its_own_log(pair: tuple[Postgres, Postgres]) -> None:
    replica = pair[1]

    async def test() -> None:
        replica.sql("select pg_promote()")
        replica.sql("insert into notes (text) select 'on the new one' from generate_series(1, 100)")
        async with opened(replica.url("postgres"), replica.url("postgres")) as database:
            assert await port(database, await database.position()) == replica.port
            assert database.gauges()["ReplicaReads"] == 1
            replica.stop()
            await asyncio.to_thread(replica.start)  # from now on it has never replayed anything: null
            assert replica.sql("select pg_last_wal_replay_lsn() is null") == "t"
            await until(lambda: served(database))

    async def served(database: Database) -> bool:
        before = database.gauges()["ReplicaReads"]
        try:
            await database.read(WHO, after=await database.position())
        except Problem:
            return False
        return database.gauges()["ReplicaReads"] > before

    asyncio.run(test())


def test_with_iam_every_new_connection_logs_in_with_a_token_of_its_own(
    alone: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server asks for a password, and takes the one that stands in place of a token."""
    alone.sql("create role shop_app login password 'token for shop_app'; create database shop")
    (alone.data / "pg_hba.conf").write_text("host shop shop_app all scram-sha-256\nhost all postgres all trust\n")
    alone.sql("select pg_reload_conf()")
    asked: list[tuple[str, int, str]] = []

    def token(host: str, port: int, user: str) -> str:
        asked.append((host, port, user))
        return f"token for {user}"

    monkeypatch.setattr(aws, "database_token", token)
    variables = {
        "DATABASE_ACTIVE": "managed",
        "DATABASE_MANAGED_ENDPOINT": LOOPBACK,
        "DATABASE_MANAGED_PORT": str(alone.port),
        "DATABASE_AUTH": "iam",
    }
    settings = load(variables)
    assert settings.primary.sslmode == "require"  # the server here has no certificate
    object.__setattr__(settings.primary, "sslmode", "disable")

    async def test() -> None:
        database = await Database.connect(settings)
        try:
            async with database.write(), database.write():
                assert len(asked) == 2
        finally:
            await database.close()

    asyncio.run(test())
    assert set(asked) == {(LOOPBACK, alone.port, "shop_app")}


def test_a_database_token_is_signed_here_and_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    aws.client.cache_clear()
    try:
        token = aws.database_token("db.example.com", 5432, "shop_app")
        assert token.startswith("db.example.com:5432/?Action=connect&DBUser=shop_app&")
        assert "X-Amz-Expires=900" in token
        assert "%2Feu-central-1%2Frds-db%2Faws4_request" in token
        began = time.process_time()
        for _ in range(20):
            aws.database_token("db.example.com", 5432, "shop_app")
        assert (time.process_time() - began) / 20 < 0.05
    finally:
        aws.client.cache_clear()
