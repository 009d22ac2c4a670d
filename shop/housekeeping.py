"""Takes out what nobody needs any more, on one host at a time."""

from __future__ import annotations

from shop.database import Database

LOCK = 20260102
# What, and how long it is kept.
STATEMENTS = (
    "delete from cart_lines using sessions where sessions.expires_at < now() and cart_lines.cart = sessions.cart",
    "delete from sessions where expires_at < now()",
    "delete from idempotency_keys where created_at < now() - interval '1 day'",
    "delete from outbox where sent_at < now() - interval '7 days'",
    "delete from rate_limits where window_start < extract(epoch from now()) - 3600",
)


async def clean(database: Database) -> None:
    """All of it, or nothing when another host is at it."""
    async with database.write() as connection:
        (row,) = await (await connection.execute("select pg_try_advisory_xact_lock(%s) as mine", (LOCK,))).fetchall()
        if row["mine"]:
            for statement in STATEMENTS:
                await connection.execute(statement.encode())
