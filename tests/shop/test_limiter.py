"""Counting clients: exactly, by all processes together, and never at the price of the shop itself."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

import pytest

from shop.limiter import Allowance, Limiter
from tests.shop.storing import cached, loop_time, opened
from workbench.lab.servers import Valkey

pytestmark = pytest.mark.slow


async def at_once(*limiters: Limiter, key: str, takes: int = 200, limit: int = 50) -> list[Allowance]:
    """Many takes at the same time, early in a minute of their own, by turns from each limiter."""
    turns = (limiters[number % len(limiters)] for number in range(takes))
    taken = await asyncio.gather(*(limiter.take(key, limit, 3600, shared=True) for limiter in turns))
    return [allowance for allowance in taken if allowance is not None]


def check(taken: list[Allowance], limit: int = 50) -> None:
    allowed = [allowance for allowance in taken if allowance.allowed]
    assert len(allowed) == limit
    assert sorted(allowance.remaining for allowance in allowed) == list(range(limit))
    assert all(allowance.remaining == 0 for allowance in taken if not allowance.allowed)
    assert all(0 < allowance.reset_seconds <= 3600 for allowance in taken)


@pytest.mark.usefixtures("patient")
def test_200_parallel_takes_from_two_processes_are_counted_exactly_in_the_cache(
    database_url: str, valkey: Valkey
) -> None:
    async def test() -> None:
        async with opened(database_url) as database, cached(valkey.nodes) as one, cached(valkey.nodes) as other:
            limiters = Limiter(one, database), Limiter(other, database)
            check(await at_once(*limiters, key=f"cache:{time.time()}"))
            assert await database.read("select * from rate_limits") == []

    asyncio.run(test())


def test_200_parallel_takes_from_two_processes_are_counted_exactly_in_the_database(database_url: str) -> None:
    async def test() -> None:
        async with opened(database_url) as first, opened(database_url) as second, cached() as nothing:
            check(await at_once(Limiter(nothing, first), Limiter(nothing, second), key="client"))
            (row,) = await first.read("select key, used from rate_limits")
            assert row == {"key": "client:3600", "used": 200}

    asyncio.run(test())


def test_without_a_cache_only_what_is_to_be_shared_is_counted(database_url: str) -> None:
    async def test() -> None:
        async with opened(database_url) as database, cached() as nothing:
            taken = [await Limiter(nothing, database).take("client", 2, 60, shared=False) for _ in range(5)]
            assert taken == [None] * 5
            assert await database.read("select * from rate_limits") == []

    asyncio.run(test())


def test_clients_and_windows_are_counted_apart(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000_005.0
    monkeypatch.setattr(time, "time", lambda: now)

    async def test() -> None:
        nonlocal now
        async with opened(database_url) as database, cached() as nothing:
            limiter = Limiter(nothing, database)

            async def take(key: str, seconds: int = 60) -> Allowance:
                allowance = await limiter.take(key, 1, seconds, shared=True)
                assert allowance is not None
                return allowance

            assert [(await take("a")).allowed, (await take("a")).allowed, (await take("b")).allowed] == [
                True,
                False,
                True,
            ]
            assert (await take("a", 3600)).allowed
            reset = (await take("a")).reset_seconds
            now += reset - 1
            assert not (await take("a")).allowed
            now += 1
            assert (await take("a")).allowed

    asyncio.run(test())


@pytest.mark.parametrize("store", ["cache", "database"])
def test_who_cannot_count_lets_everybody_in(database_url: str, tmp_path: Path, store: str) -> None:
    async def test() -> None:
        nodes = ""
        if store == "cache":
            cluster = Valkey(tmp_path / "dead")
            nodes = cluster.nodes
            cluster.stop(signal.SIGKILL)
        async with opened(database_url) as database, cached(nodes) as cache, loop_time() as now:
            if store == "database":
                await database.close()
            began = now()
            taken = [await Limiter(cache, database).take("client", 1, 60, shared=True) for _ in range(20)]
            assert now() - began < 2
            assert taken == [None] * 20

    asyncio.run(test())
