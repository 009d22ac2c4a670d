"""Servers that hang: their connections stay, and nobody answers on them. And replicas that have not come as far."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from shop import database as module
from shop.problems import Problem
from shop.relay import conninfo
from shop.settings import load
from tests.shop.running import refused
from tests.shop.storing import NewPostgres, loop_time, opened
from workbench.lab.servers import Postgres

pytestmark = pytest.mark.slow
WHO = "select inet_server_port() as port"


@pytest.fixture(scope="module")
def pair(new_postgres: NewPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Postgres]]:
    folder = tmp_path_factory.mktemp("pair")
    primary = new_postgres(folder / "primary")
    replica = Postgres(folder / "replica", copy_of=primary)
    yield primary, replica
    replica.stop()
    primary.stop()


@contextmanager
def hanging(server: Postgres) -> Iterator[None]:
    """All processes of a server stopped in the middle of what they do."""
    first = int((server.data / "postmaster.pid").read_text().splitlines()[0])
    others = subprocess.run(["ps", "-o", "pid=", "--ppid", str(first)], check=True, capture_output=True, text=True)
    processes = [first, *map(int, others.stdout.split())]
    try:
        for number in processes:
            os.kill(number, signal.SIGSTOP)
        yield
    finally:
        for number in processes:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGCONT)


def test_a_replica_that_hangs_costs_one_visitor_a_while_and_nobody_an_answer(
    pair: tuple[Postgres, Postgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 1.0)
    primary, replica = pair

    async def test() -> None:
        async with opened(primary.url("postgres"), replica.url("postgres")) as database, loop_time() as now:
            assert await database.read(WHO) == [{"port": replica.port}]
            with hanging(replica):
                began = now()
                assert await database.read(WHO) == [{"port": primary.port}]
                assert now() - began < 2
                assert await database.read(WHO) == [{"port": primary.port}]
                assert now() - began < 2.5

    asyncio.run(test())


def test_a_primary_that_hangs_is_trouble_that_is_told_and_that_passes(
    pair: tuple[Postgres, Postgres], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 1.0)
    monkeypatch.setattr(module, "WRITE_SECONDS", 1.0)
    primary, _ = pair

    async def test() -> None:
        async with (
            opened(primary.url("postgres"), DATABASE_POOL_MIN="2", DATABASE_POOL_TIMEOUT_MS="500") as database,
            loop_time() as now,
        ):

            async def write() -> None:
                async with database.write() as connection:
                    await connection.execute("create table if not exists notes (id int)")

            await write()
            with hanging(primary):
                began = now()
                reading, writing = database.read_primary("select 1"), write()
                await asyncio.gather(*(refused(it, 503, "database-unavailable") for it in (reading, writing)))
                assert now() - began < 3
            async with asyncio.timeout(10):
                while True:
                    with suppress(Problem):
                        await write()
                        break

    asyncio.run(test())


def test_what_a_replica_does_not_know_yet_is_asked_of_the_primary(pair: tuple[Postgres, Postgres]) -> None:
    """New code runs as soon as the primary has the migration."""
    primary, replica = pair

    async def test() -> None:
        async with opened(primary.url("postgres"), replica.url("postgres")) as database:
            replica.sql("select pg_wal_replay_pause()")
            primary.sql("create table later (id int); insert into later values (1)")
            assert await database.read("select id from later") == [{"id": 1}]
            assert await database.read(WHO) == [{"port": replica.port}]
            with pytest.raises(psycopg.errors.UndefinedTable):
                await database.read("select id from never")

    asyncio.run(test())


def test_the_relay_and_the_commands_notice_a_server_that_is_gone_as_the_shop_does() -> None:
    primary = load({"DATABASE_URL": "postgresql://shop_app:a%20word@db.example.com/shop"}).primary
    given = conninfo_to_dict(conninfo(primary))
    assert given["application_name"] == "shop-beside"
    assert given["password"] == "a word"
    assert {name: int(str(given[name])) for name in module.NETWORK} == module.NETWORK
