"""One key, one effect: at the same time, again later, with another body, and after a crash in the middle."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from shop.database import Connection, Database
from shop.idempotency import Answer, Effect, once
from shop.problems import Problem
from tests.shop.running import refused
from tests.shop.storing import opened

pytestmark = pytest.mark.slow
COUNT = "insert into rate_limits (key, window_start, used) values ('effects', 0, 1) on conflict (key, window_start) "
COUNT += "do update set used = rate_limits.used + 1 returning used"


def effect(seconds: float = 0) -> Effect:
    """Counts how often it had an effect, and says so."""

    async def run(connection: Connection) -> Answer:
        rows = await (await connection.execute(COUNT.encode())).fetchall()
        await asyncio.sleep(seconds)
        return Answer(201, b"effect %d" % rows[0]["used"])

    return run


async def do(database: Database, key: str = "k", body: bytes = b"body", scope: str = "s", seconds: float = 0) -> bytes:
    answer, _ = await once(database, scope=scope, key=key, request=body, effect=effect(seconds))
    return answer.body


async def effects(database: Database) -> int:
    return sum(row["used"] for row in await database.read("select used from rate_limits"))


def test_100_at_once_have_one_effect_and_the_others_wait_or_are_told_the_same(database_url: str) -> None:
    async def test() -> None:
        limits = {"DATABASE_POOL_MAX": "20", "DATABASE_POOL_TIMEOUT_MS": "10000"}
        async with opened(database_url, **limits) as one, opened(database_url, **limits) as other:
            asking = (do(database, seconds=0.3) for database in [one, other] * 50)
            answers = await asyncio.gather(*asking, return_exceptions=True)
            kinds = Counter(
                (answer.status, answer.code) if isinstance(answer, Problem) else answer for answer in answers
            )
            print(kinds)
            assert await effects(one) == 1
            assert set(kinds) <= {b"effect 1", (409, "request-in-flight")}
            assert kinds[b"effect 1"] >= 1
            assert kinds[409, "request-in-flight"] >= 1
            assert await do(other) == b"effect 1"

    asyncio.run(test())


def test_the_same_request_again_is_given_the_same_answer_and_said_to_be_a_replay(database_url: str) -> None:
    async def test() -> None:
        async with opened(database_url) as database:
            request = {"scope": "s", "key": "k", "request": b"body", "effect": effect()}
            assert await once(database, **request) == (Answer(201, b"effect 1"), False)  # type: ignore[arg-type]
            assert await once(database, **request) == (Answer(201, b"effect 1"), True)  # type: ignore[arg-type]

    asyncio.run(test())


def test_another_request_under_the_same_key_is_refused_and_the_first_one_still_known(database_url: str) -> None:
    async def test() -> None:
        async with opened(database_url) as database:
            await do(database)
            await refused(do(database, body=b"another"), 422, "idempotency-key-reused")
            assert await do(database) == b"effect 1"
            assert await effects(database) == 1

    asyncio.run(test())


def test_a_key_belongs_to_its_scope(database_url: str) -> None:
    async def test() -> None:
        async with opened(database_url) as database:
            assert [await do(database, scope="one"), await do(database, scope="other", body=b"x")] == [
                b"effect 1",
                b"effect 2",
            ]

    asyncio.run(test())


@pytest.mark.parametrize("how", ["an error", "a refusal", "a visitor who leaves", "a connection that breaks"])
def test_a_crash_in_the_middle_leaves_nothing_behind(database_url: str, how: str) -> None:
    async def crash(connection: Connection) -> Answer:
        await connection.execute(COUNT.encode())
        if how == "a connection that breaks":
            await connection.execute("select pg_terminate_backend(pg_backend_pid())")
        elif how == "a visitor who leaves":
            await asyncio.sleep(60)
        raise ValueError if how == "an error" else Problem(409, "sold-out", "Nothing left.")

    async def test() -> None:
        async with opened(database_url) as database:
            doing = asyncio.create_task(once(database, scope="s", key="k", request=b"body", effect=crash))
            await asyncio.wait({doing}, timeout=0.3)
            doing.cancel()
            (error,) = await asyncio.gather(doing, return_exceptions=True)
            assert isinstance(error, BaseException)
            assert await effects(database) == 0
            assert await database.read("select * from idempotency_keys") == []
            assert await do(database) == b"effect 1"

    asyncio.run(test())


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "tab\t", "schlüssel", "\x7f"])
def test_a_key_that_is_none_is_refused_before_anything_happens(database_url: str, key: str) -> None:
    async def test() -> None:
        async with opened(database_url) as database:
            await refused(do(database, key=key), 400, "idempotency-key-invalid")
            assert await effects(database) == 0

    asyncio.run(test())


@pytest.mark.parametrize("key", ["x", "x" * 255, "550e8400-e29b-41d4-a716-446655440000", " ~!\"'"])
def test_whatever_can_be_printed_is_a_key(database_url: str, key: str) -> None:
    async def test() -> None:
        async with opened(database_url) as database:
            assert [await do(database, key=key), await do(database, key=key)] == [b"effect 1"] * 2

    asyncio.run(test())
