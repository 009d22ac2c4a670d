"""PostgreSQL: one primary that is always right, and replicas that answer reads as far as they have come.

Stock, orders, carts and accounts are read and written on the primary only: rather no answer than a wrong one (CP).
Lists, searches and product pages may come from a replica or a cache, a little late (AP).
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from shop import aws
from shop.breaker import Breaker
from shop.problems import Problem
from shop.settings import Server, Settings

Parameters = Sequence[Any] | Mapping[str, Any] | None
Connection = AsyncConnection[DictRow]

# PostgreSQL itself gives up before the visitor does; a lock is waited for shorter than a statement may run.
OPTIONS = "-c statement_timeout=5s -c lock_timeout=3s -c idle_in_transaction_session_timeout=8s"
# Longer than PostgreSQL lets a statement or a pause take: who says nothing for so long never will.
READ_SECONDS, WRITE_SECONDS = 6.0, 10.0
# A server that vanished without a word is noticed within seconds, not when the kernel has lost all hope.
NETWORK = {
    "connect_timeout": 2,
    "tcp_user_timeout": 5000,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
}
# After a while of trying the pool begins anew with short pauses, so that it is back soon after a failover.
RECONNECT_SECONDS = 3.0
# A replica has to be quick: the primary can answer too.
REPLICA_SECONDS = 0.5
# A replica that was promoted replays nothing any more; its own log goes on from there.
REPLAYED = (
    "select (case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end)::text position"
)
# The last one: a primary that is being handed over takes no writes for a moment.
NO_ANSWER = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    PoolTimeout,
    PoolClosed,
    TooManyRequests,
    psycopg.errors.ReadOnlySqlTransaction,
)


class Database:
    """Every process has its own pools; how large they may become together is said in docs/shop.md."""

    def __init__(self, settings: Settings) -> None:
        self._primary = _pool(settings.primary, settings)
        self._replicas = [Replica(_pool(server, settings)) for server in settings.replicas]
        self._timeout = settings.pool_timeout
        self._turn = count()
        self._from_replica = self._behind = self._fallbacks = 0

    @classmethod
    async def connect(cls, settings: Settings) -> Database:
        """Open, with a primary that answers. Replicas may come later."""
        database = cls(settings)
        try:
            with trouble():
                await database._primary.open(wait=True, timeout=max(settings.pool_timeout, 2.0))
            await database.read_primary("select 1")
        except Problem:
            await database.close()
            raise
        for replica in database._replicas:
            await replica.pool.open()
        return database

    async def close(self) -> None:
        for pool in (self._primary, *(replica.pool for replica in self._replicas)):
            await pool.close(timeout=1)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        """One transaction on the primary, committed at the end unless something is raised."""
        with trouble():
            async with self._primary.connection() as connection:
                with hang_up_after(WRITE_SECONDS, connection):
                    async with connection.transaction():
                        yield connection

    async def read(self, sql: str, parameters: Parameters = None, after: str | None = None) -> list[DictRow]:
        """From a replica that has come as far as `after`, the visitor's own last write; else from the primary."""
        wanted = parse(after)
        replica = self._choose()
        if replica is not None:
            try:
                rows = await replica.read(sql, parameters, wanted)
            except psycopg.errors.QueryCanceled:  # too slow everywhere: the primary must not suffer from it as well
                raise _unavailable() from None
            except (*NO_ANSWER, psycopg.ProgrammingError):  # the latter where it has not replayed a migration yet
                self._fallbacks += 1
            else:
                if rows is not None:
                    self._from_replica += 1
                    return rows
                self._behind += 1
        return await self.read_primary(sql, parameters)

    async def read_primary(self, sql: str, parameters: Parameters = None) -> list[DictRow]:
        """From the primary, in what it has committed by now."""
        with trouble():
            async with self._primary.connection() as connection:
                return await fetch(connection, sql, parameters)

    async def position(self) -> str | None:
        """How far the primary's log goes: whoever has just written carries it. None where there is no replica."""
        if not self._replicas:
            return None
        (row,) = await self.read_primary("select pg_current_wal_lsn()::text as position")
        return str(row["position"])

    def gauges(self) -> dict[str, float]:
        """What the pools do right now, and where reads went since the start."""
        statistics = self._primary.get_stats()
        size, free = statistics.get("pool_size", 0), statistics.get("pool_available", 0)
        return {
            "PoolMin": self._primary.min_size,
            "PoolMax": self._primary.max_size,
            "PoolSize": size,
            "PoolUsed": size - free,
            "PoolWaiting": statistics.get("requests_waiting", 0),
            "PoolTimeouts": statistics.get("requests_errors", 0),
            "ReplicaReads": self._from_replica,
            "ReplicaBehind": self._behind,
            "ReplicaFallbacks": self._fallbacks,
        }

    def _choose(self) -> Replica | None:
        """One after the other, leaving out those that do not answer."""
        if not self._replicas:
            return None
        first = next(self._turn)
        order = (self._replicas[(first + step) % len(self._replicas)] for step in range(len(self._replicas)))
        return next((replica for replica in order if replica.breaker.lets_through()), None)


class Replica:
    """A copy, and how far it is known to have come.

    That is known of a connection and not of a name, under which another server may answer later.
    """

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self.pool, self.breaker = pool, Breaker(failures=1)
        self._replayed = WeakKeyDictionary[Connection, int]()

    async def read(self, sql: str, parameters: Parameters, wanted: int) -> list[DictRow] | None:
        """None when it has not come far enough."""
        try:
            async with self.pool.connection(timeout=REPLICA_SECONDS) as connection:
                if wanted > self._replayed.get(connection, 0):
                    (row,) = await fetch(connection, REPLAYED, None)
                    self._replayed[connection] = parse(row["position"])
                there = wanted <= self._replayed.get(connection, 0)
                rows = await fetch(connection, sql, parameters) if there else None
        except psycopg.errors.QueryCanceled:
            raise
        except NO_ANSWER:
            self.breaker.bad()
            raise
        self.breaker.good()
        return rows


def parse(position: object) -> int:
    """A position in the log as a number; what is none stands before everything."""
    high, slash, low = str(position or "").partition("/")
    try:
        return (int(high, 16) << 32) + int(low, 16) if slash else 0
    except ValueError:
        return 0


async def fetch(connection: Connection, sql: str, parameters: Parameters) -> list[DictRow]:
    with hang_up_after(READ_SECONDS, connection):
        return await (await connection.execute(sql.encode(), parameters)).fetchall()


@contextmanager
def hang_up_after(seconds: float, connection: Connection) -> Iterator[None]:
    """A server that hangs keeps its connections and answers nothing, so this end of them is closed."""

    def hang_up() -> None:
        with suppress(OSError, psycopg.OperationalError), socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(seconds, hang_up)
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def trouble() -> Iterator[None]:
    """A database that does not answer is a problem that passes, and the visitor is told when to come again."""
    try:
        yield
    except NO_ANSWER as error:
        raise _unavailable() from error


def _unavailable() -> Problem:
    later = {"Retry-After": "5"}
    return Problem(503, "database-unavailable", "The database does not answer. Please try again soon.", headers=later)


def login(server: Server) -> dict[str, Any]:
    """How to reach a server, in the words of libpq; a token is signed anew each time, as it is good for 15 minutes."""
    password = aws.database_token(server.host, server.port, server.user) if server.auth == "iam" else server.password
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "dbname": server.name,
        "password": password or None,
        "sslmode": server.sslmode,
        **NETWORK,
    }


async def still_there(connection: Connection) -> None:
    """An idle server says nothing unless it says goodbye; so nobody has to be asked before each use."""
    waiting = select.poll()
    waiting.register(connection.fileno(), select.POLLIN)
    if waiting.poll(0):
        await AsyncConnectionPool.check_connection(connection)


def _pool(server: Server, settings: Settings) -> AsyncConnectionPool[Connection]:
    async def connect() -> dict[str, Any]:
        return {
            **await asyncio.to_thread(login, server),
            "application_name": f"shop-{settings.name}",
            "options": OPTIONS,
            "autocommit": True,  # a single read needs no transaction around it
            "row_factory": dict_row,
        }

    return AsyncConnectionPool(
        "",
        connection_class=AsyncConnection[DictRow],
        kwargs=connect,
        check=still_there,
        min_size=settings.pool_min,
        max_size=settings.pool_max,
        timeout=settings.pool_timeout,
        max_waiting=20 * settings.pool_max,
        reconnect_timeout=RECONNECT_SECONDS,
        open=False,
    )
