"""Ports of the shop opened on real servers, and commands to those servers that a test needs in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from shop.cache import Cache
from shop.database import Database
from shop.settings import load
from workbench.lab.servers import Postgres

NewPostgres = Callable[[Path], Postgres]
TURN = 0.01


@asynccontextmanager
async def opened(url: str, *replicas: str, **variables: str) -> AsyncIterator[Database]:
    database = await Database.connect(load({"DATABASE_URL": url, "REPLICA_URLS": ",".join(replicas), **variables}))
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def cached(nodes: str = "") -> AsyncIterator[Cache]:
    """A cache, or what stands for it where there is none."""
    cache = await Cache.connect(load({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "CACHE_NODES": nodes}))
    try:
        yield cache
    finally:
        await cache.close()


@asynccontextmanager
async def loop_time() -> AsyncIterator[Callable[[], float]]:
    """Seconds as this event loop had them. Where a busy machine lets it stand still, its clock stands still, too: what
    takes longer by it than it may has waited for something else."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(TURN)
            turns += 1

    counting = asyncio.create_task(count())
    try:
        yield lambda: turns * TURN
    finally:
        counting.cancel()


async def until(true: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """Wait for what is bound to become true."""
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.02)
