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


async def until(true: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """Wait for what is bound to become true."""
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.02)
