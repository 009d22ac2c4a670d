"""How much one client may ask in a while, counted by all hosts together."""

from __future__ import annotations

import time
from dataclasses import dataclass

from shop.cache import Cache
from shop.database import Database
from shop.problems import Problem

COUNT = """
insert into rate_limits (key, window_start, used) values (%(key)s, %(window)s, 1)
on conflict (key, window_start) do update set used = rate_limits.used + 1 returning used
"""


@dataclass(frozen=True)
class Allowance:
    """What a client has used and has left, and in how many seconds counting begins again."""

    limit: int
    used: int
    remaining: int
    reset_seconds: int
    allowed: bool


class Limiter:
    """Fixed windows in the cache. Without a cache only what is worth a row is counted: writes, in the database.

    Whoever cannot count lets everybody in: a limit protects the shop, and must not close it.
    """

    def __init__(self, cache: Cache, database: Database) -> None:
        self._cache, self._database = cache, database

    async def take(self, key: str, limit: int, seconds: int, *, shared: bool) -> Allowance | None:
        """One more of `limit`; None where nobody counts."""
        now = time.time()
        window = int(now // seconds)
        used: int | None = None
        if self._cache.exists:
            used = await self._cache.counter(f"limit:{key}:{seconds}:{window}", seconds)
        elif shared:
            used = await self._in_database(f"{key}:{seconds}", window * seconds)
        reset = max(1, int((window + 1) * seconds - now))
        return None if used is None else Allowance(limit, used, max(0, limit - used), reset, used <= limit)

    async def _in_database(self, key: str, window: int) -> int | None:
        try:
            async with self._database.write() as connection:
                row = await (await connection.execute(COUNT, {"key": key, "window": window})).fetchone()
        except Problem:
            return None
        return int(row["used"]) if row else None
