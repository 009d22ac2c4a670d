"""Whoever has written sees it, whatever stands between him and the primary."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from shop.problems import Problem
from tests.shop.running import Running, running
from workbench.lab.servers import Postgres, Valkey

pytestmark = pytest.mark.slow
THING = {"name": "A thing", "description": "-", "category": "things", "price_cents": 1, "stock": 1}


async def names(shop: Running, headers: Any) -> list[str]:
    answer = await shop.client.get("/products", headers=headers)
    return [item["name"] for item in answer.json()["items"]]


async def add(shop: Running) -> dict[str, str]:
    """Add a product; what its answer tells the client to carry."""
    answer = await shop.post("/staff/products", await shop.customer(is_staff=True), json=THING)
    assert answer.status_code == 201
    shop.client.cookies.clear()  # the header alone says who has written
    return {name: value for name, value in answer.headers.items() if name == "x-read-after"}


def test_where_there_is_a_cache_and_no_replica_the_cache_is_left_out(
    database_url: str, tmp_path: Path, valkey: Valkey
) -> None:
    for port in valkey.ports:  # what another test has left there
        Redis(port=port).flushall()

    async def test() -> None:
        async with running(database_url, tmp_path, CACHE_NODES=valkey.nodes) as shop:
            assert await names(shop, {}) == []
            await asyncio.sleep(0.1)
            carried = await add(shop)
            assert await names(shop, carried) == ["A thing"]
            assert await names(shop, {}) == []  # others see it when the list is made again

    asyncio.run(test())


def test_who_cannot_be_told_how_far_the_primary_is_is_answered_by_the_primary(
    tmp_path: Path, database_url: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool may be full in the very moment after a write."""
    replica = Postgres(tmp_path / "replica", copy_of=postgres)
    replica.sql("select pg_wal_replay_pause()")

    async def full() -> None:
        raise Problem(503, "database-unavailable", "-")

    async def test() -> None:
        url = replica.url(database_url.rpartition("/")[2], user="shop_app")
        async with running(database_url, tmp_path, REPLICA_URLS=url) as shop:
            monkeypatch.setattr(shop.shop.database, "position", full)
            carried = await add(shop)
            assert await names(shop, {}) == []
            assert await names(shop, carried) == ["A thing"]

    try:
        asyncio.run(test())
    finally:
        replica.stop()
