"""The same request again gets the same answer and has no second effect."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from shop.database import Connection, Database
from shop.problems import Problem

LONGEST_KEY = 255


@dataclass(frozen=True)
class Answer:
    """What is kept of an answer."""

    status: int
    body: bytes


Effect = Callable[[Connection], Awaitable[Answer]]


async def once(database: Database, *, scope: str, key: str, request: bytes, effect: Effect) -> tuple[Answer, bool]:
    """Run `effect` unless `key` has been used in this scope: then the answer of that time, and True.

    The key commits with the effect or not at all, so a crash leaves nothing that would have to be cleaned up.
    """
    if not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        wanted = f"An idempotency key has 1 to {LONGEST_KEY} printable ASCII characters."
        raise Problem(400, "idempotency-key-invalid", wanted)
    fingerprint = hashlib.sha256(request).digest()
    async with database.write() as connection:
        lock = "select pg_try_advisory_xact_lock(hashtextextended(%s, 0)) as mine"
        (row,) = await (await connection.execute(lock, (f"{scope}\n{key}",))).fetchall()
        if not row["mine"]:
            later = {"Retry-After": "1"}
            raise Problem(409, "request-in-flight", "The same request is being worked on.", headers=later)
        known = "select fingerprint, status, body from idempotency_keys where scope = %s and key = %s"
        before = await (await connection.execute(known, (scope, key))).fetchone()
        if before is not None:
            if bytes(before["fingerprint"]) != fingerprint:
                raise Problem(422, "idempotency-key-reused", "This idempotency key was used for another request.")
            return Answer(before["status"], bytes(before["body"])), True
        answer = await effect(connection)
        await connection.execute(
            "insert into idempotency_keys (scope, key, fingerprint, status, body) values (%s, %s, %s, %s, %s)",
            (scope, key, fingerprint, answer.status, answer.body),
        )
        return answer, False
