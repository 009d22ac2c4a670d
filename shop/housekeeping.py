"""Takes out what nobody needs any more, on one host at a time."""

from __future__ import annotations

from shop.database import Database

LOCK = 20260102
# In parts, so that no statement takes long enough to be stopped and no lock is held for long.
AT_ONCE = 5000
PART = "delete from {table} where ctid = any(array(select ctid from {table} where {expired} limit {at_once}))"
# A user's cart stays. A visitor's goes when his session ends, which itself is kept a day longer to find the cart by.
EXPIRED = {
    "cart_lines": "cart in (select cart from sessions where user_id is null and expires_at < now())",
    "sessions": "expires_at < now() - interval '1 day'",
    "idempotency_keys": "created_at < now() - interval '1 day'",
    "outbox": "sent_at < now() - interval '7 days'",
    "rate_limits": "window_start < extract(epoch from now()) - 3600",
}


async def clean(database: Database) -> None:
    """All of it, unless another host is at it."""
    for table, expired in EXPIRED.items():
        while await _part(database, PART.format(table=table, expired=expired, at_once=AT_ONCE)) == AT_ONCE:
            pass


async def _part(database: Database, statement: str) -> int:
    async with database.write() as connection:
        (row,) = await (await connection.execute("select pg_try_advisory_xact_lock(%s) as mine", (LOCK,))).fetchall()
        return (await connection.execute(statement.encode())).rowcount if row["mine"] else 0
