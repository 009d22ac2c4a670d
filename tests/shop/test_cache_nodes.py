"""The cache when some or all of its nodes are not what they were: others keep answering, and new ones are found."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from shop.cache import Cache
from tests.shop.storing import cached, until
from workbench.lab.servers import LOOPBACK, Valkey

pytestmark = pytest.mark.slow
VISITORS = 20


@asynccontextmanager
async def endpoint(cluster: list[Valkey]) -> AsyncIterator[int]:
    """A port that leads to a node of the last cluster in the list, whichever that is at the time."""

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while some := await reader.read(65536):
                writer.write(some)
        writer.close()

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(LOOPBACK, cluster[-1].ports[0])
        except OSError:
            writer.close()
            return
        await asyncio.gather(pour(reader, back), pour(there, writer))

    server = await asyncio.start_server(lead, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def value(_: bool) -> bytes:
    return b"value"


async def share_of_hits(cache: Cache, seconds: float) -> float:
    """What of the lookups of many at once the cache answers."""
    asked, before, end = 0, cache.gauges()["CacheHits"], asyncio.get_running_loop().time() + seconds

    async def visit() -> None:
        nonlocal asked
        while asyncio.get_running_loop().time() < end:
            assert await cache.get_or_load(f"key:{random.randrange(300)}", value, ttl=60) == b"value"
            asked += 1
            await asyncio.sleep(0.01)

    await asyncio.gather(*(visit() for _ in range(VISITORS)))
    return (cache.gauges()["CacheHits"] - before) / asked


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL], ids=["hangs", "is gone"])
def test_while_one_node_hangs_or_is_gone_the_others_answer_all_that_is_theirs(
    own_valkey: Valkey, how: signal.Signals
) -> None:
    async def the_others_answer(cache: Cache) -> bool:
        share = await share_of_hits(cache, 0.5)
        return share > 0.6 and cache.gauges()["CacheBreakerOpen"] == 1

    async def test() -> None:
        async with cached(own_valkey.nodes) as cache:
            await share_of_hits(cache, 1)
            own_valkey._processes[own_valkey.ports[1]]._process.send_signal(how)
            await until(lambda: the_others_answer(cache))

    asyncio.run(test())


def test_nodes_that_were_all_replaced_are_found_behind_the_endpoint(own_valkey: Valkey, tmp_path: Path) -> None:
    clusters = [own_valkey]

    async def hit(cache: Cache) -> bool:
        return await share_of_hits(cache, 0.2) > 0

    async def test() -> None:
        async with endpoint(clusters) as port, cached(f"{LOOPBACK}:{port}") as cache:
            await until(lambda: hit(cache))
            own_valkey.stop(signal.SIGKILL)
            assert await share_of_hits(cache, 1) == 0
            clusters.append(await asyncio.to_thread(Valkey, tmp_path / "others"))
            await until(lambda: hit(cache))

    try:
        asyncio.run(test())
    finally:
        for cluster in clusters[1:]:
            cluster.stop(signal.SIGKILL)
