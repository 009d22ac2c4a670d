"""Answers kept for a while, so that most reads never reach the database; without it everything works, only slower."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shop import aws
from shop.breaker import Breaker
from shop.settings import CacheNodes, Settings

Load = Callable[[bool], Awaitable[bytes]]

# What a lookup may take before the database is asked instead, and what one node may take of that.
BUDGET, PATIENCE = 0.25, 0.1
# Questions of a process at the same time, so connections to a node; the others wait, within their budget.
AT_ONCE = 32
# After a write nobody may put an old row in, for as long as a replica may lag; who reads longer than that keeps it out.
TOMBSTONE, TOMBSTONE_SECONDS = b"", 5
SLOWEST_FILL = TOMBSTONE_SECONDS - 2 * BUDGET
RETRY_SECONDS = 1.0
# Entries made together must not end together.
JITTER = 0.2
COUNT = """
local used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return used
"""


class Cache:
    """Cache-aside. Keys are read by everybody, filled by whoever missed, and forgotten by whoever wrote."""

    def __init__(self, nodes: CacheNodes | None, region: str) -> None:
        self._client: Any = _client(nodes, region) if nodes is not None else None
        self._endpoint = list(nodes.nodes) if nodes is not None else []
        self._places = asyncio.Semaphore(AT_ONCE)
        self._breakers: dict[str, Breaker] = defaultdict(Breaker)  # by node: a dead one does not take others along
        self._flights: dict[str, asyncio.Task[bytes]] = {}
        self._beside: set[asyncio.Task[Any]] = set()
        self._owed: set[str] = set()
        self._hits = self._misses = self._failures = 0

    @classmethod
    async def connect(cls, settings: Settings) -> Cache:
        """Nobody is asked yet: a cache that is down must not keep the shop from opening."""
        return cls(settings.cache, settings.region)

    async def close(self) -> None:
        for task in (tasks := [*self._flights.values(), *self._beside]):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.aclose()

    @property
    def exists(self) -> bool:
        return self._client is not None

    async def get_or_load(self, key: str, load: Load, *, ttl: float, after: str | None = None) -> bytes:
        """The value of a key, from here or from `load(fresh)`; many who ask at once are one question.

        Who carries `after`, a write of his own, is not given what others have read before it.
        """
        if self._client is None or after is not None:
            return await load(False)
        flight = self._flights.get(key)
        if flight is None:
            flight = asyncio.create_task(self._look_up(key, load, ttl))
            self._flights[key] = flight
            flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)  # the others still wait when the first one leaves

    async def forget(self, *keys: str) -> None:
        """After a write: from now on the primary answers, and what was read before the write's end is not kept.

        A cache that does not answer is told later, for as long as this process lives; entries end by themselves, too.
        """
        if self._client is None:
            return
        for key in keys:
            self._flights.pop(key, None)
        before = bool(self._owed)
        self._owed.update(keys)
        await asyncio.gather(*map(self._bury, keys))
        if self._owed and not before:
            self._do_beside(self._bury_the_rest())

    async def counter(self, key: str, seconds: int) -> int | None:
        """One more of `key`, counted by all hosts together; None when nobody can count."""
        answered, used = await self._ask(key, "EVAL", COUNT, 1, key, seconds)
        return int(used) if answered else None

    def gauges(self) -> dict[str, float]:
        return {
            "CacheHits": self._hits,
            "CacheMisses": self._misses,
            "CacheFailures": self._failures,
            "CacheOwed": len(self._owed),
            "CacheBreakerOpen": int(any(breaker.is_open for breaker in self._breakers.values())),
        }

    async def _look_up(self, key: str, load: Load, ttl: float) -> bytes:
        began = time.monotonic()
        answered, kept = await self._ask(key, "GET", key)
        if kept == TOMBSTONE or key in self._owed:
            return await load(True)
        if kept is not None:
            self._hits += 1
            return bytes(kept)
        self._misses += 1
        value = await load(False)
        if answered and time.monotonic() - began < SLOWEST_FILL:
            # Nobody waits for this; NX, so that a tombstone set meanwhile stays.
            milliseconds = int(1000 * ttl * random.uniform(1 - JITTER, 1 + JITTER))
            self._do_beside(self._ask(key, "SET", key, value, "PX", max(1, milliseconds), "NX"))
        return value

    async def _bury(self, key: str) -> bool:
        answered, _ = await self._ask(key, "SET", key, TOMBSTONE, "EX", TOMBSTONE_SECONDS)
        if answered:
            self._owed.discard(key)
        return answered

    async def _bury_the_rest(self) -> None:
        while self._owed:
            await asyncio.sleep(RETRY_SECONDS)
            for key in tuple(self._owed):
                await self._bury(key)

    def _do_beside(self, doing: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(doing)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

    def _landed(self, key: str, flight: asyncio.Task[bytes]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # those who waited have it; without them nobody asks

    async def _ask(self, key: str, *command: Any) -> tuple[bool, Any]:
        """Whether the cache answered within its budget, and what."""
        if self._client is None:
            return False, None
        breaker = self._breakers[self._node(key)]
        if not breaker.lets_through():
            return False, None
        reached = False
        try:
            async with asyncio.timeout(BUDGET), self._places:
                reached = True
                # Does nothing while its nodes are known; when none of them is left, the endpoint knows the new ones.
                await self._client.initialize(additional_startup_nodes_info=self._endpoint)
                answer = await self._client.execute_command(*command)
        except Exception:  # nodes that die make the client raise nearly anything; for a cache no visitor sees an error
            self._failures += 1
            if reached:  # who only waited for a place says nothing about the node
                breaker.bad()
            return False, None
        breaker.good()
        return True, answer

    def _node(self, key: str) -> str:
        """Who holds a key, as far as that is known."""
        holders = self._client.nodes_manager.slots_cache.get(self._client.keyslot(key))
        return str(holders[0].name) if holders else ""


def _client(nodes: CacheNodes, region: str) -> Any:
    login: dict[str, Any] = {}
    if nodes.auth == "iam":
        login = {"credential_provider": aws.CacheLogin(nodes.cluster_name, nodes.user, region)}
    elif nodes.auth == "password":
        login = {"username": nodes.user or None, "password": nodes.password}
    return RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in nodes.nodes],
        ssl=nodes.tls,
        protocol=2,  # with fewer words before the first question than 3
        driver_info=None,
        max_connections=2 * AT_ONCE,  # never reached: one that breaks is replaced before it is gone
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 1),  # once, for a connection that was lost
        reinitialize_steps=0,  # a slot that has moved is followed by itself; the others keep their connections
        require_full_coverage=False,
        **login,
    )
