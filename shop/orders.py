"""Buying, and what was bought. CP: stock and orders change on the primary only, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from jobs.events import happened
from shop import cursors
from shop.accounts import User
from shop.catalogue import cache_key
from shop.contracts import Continued, NewOrder, Order, Page, check, known_id, missing
from shop.creating import Made, create
from shop.ports import Shop
from shop.problems import Problem

if TYPE_CHECKING:
    from shop.database import Connection

COLUMNS = (
    "o.id, o.status, o.total_cents, o.placed_at, (select json_agg(json_build_object('product_id', l.product_id, "
    "'name', l.name, 'price_cents', l.price_cents, 'quantity', l.quantity) order by l.product_id) "
    "from order_lines l where l.order_id = o.id) as lines"
)
ORDERS = f"select {COLUMNS} from orders o "


async def place(shop: Shop, user: User, *, key: str, trace: str = "", total_cents: int | UnsetType = UNSET) -> Order:
    """Buy what is in the cart; with a total, only at that price. The same key again is the same order."""
    asked = check(NewOrder, {} if total_cents is UNSET else {"total_cents": total_cents})

    async def make(connection: Connection) -> Made[Order]:
        placed = await _place(connection, user, asked)
        event = happened("order.placed", trace=trace, order_id=placed.id)
        stale = [cache_key(line.product_id) for line in placed.lines]  # their stock has changed
        return Made(placed, event, await _document(connection, placed, user.id), stale)

    return await create(shop, Order, make, scope=f"orders:{user.id}", key=key, request=asked)


async def history(
    shop: Shop, user: User, *, cursor: str | None = None, limit: int = 24, after: str | None = None
) -> Page[Order]:
    """The newest first. AP but for his own writes: a replica that has seen them may answer."""
    asked = check(Continued, {"cursor": cursor or "", "limit": limit})
    listing = f"orders:{user.id}"
    start = cursors.unseal(shop.secret, listing, asked.cursor) if asked.cursor else ("infinity", str(user.id))
    rows = await shop.database.read(
        ORDERS + "where o.user_id = %s and (o.placed_at, o.id) < (%s::timestamptz, %s::uuid) "
        "order by o.placed_at desc, o.id desc limit %s",
        (user.id, *start, asked.limit + 1),
        after,
    )
    last = rows[asked.limit - 1] if len(rows) > asked.limit else None
    goes_on = cursors.seal(shop.secret, listing, last["placed_at"], last["id"]) if last else None
    return msgspec.convert({"items": rows[: asked.limit], "next": goes_on}, Page[Order])


async def order(shop: Shop, user: User, order_id: str | UUID, after: str | None = None) -> Order:
    """His own only: another's is as good as none."""
    values = (known_id(order_id, "order"), user.id)
    rows = await shop.database.read(ORDERS + "where o.id = %s and o.user_id = %s", values, after)
    if not rows:
        raise missing("order")
    return msgspec.convert(rows[0], Order)


async def ship(shop: Shop, staff: User, order_id: str | UUID, *, key: str, trace: str = "") -> Order:
    """Anybody's order, once."""
    wanted = known_id(order_id, "order")

    async def make(connection: Connection) -> Made[Order]:
        found = await connection.execute("select user_id, status from orders where id = %s for update", (wanted,))
        row = await found.fetchone()
        if row is None:
            raise missing("order")
        if row["status"] != "placed":
            raise Problem(409, "already-shipped", "This order is on its way already.")
        await connection.execute("update orders set status = 'shipped' where id = %s", (wanted,))
        shipped = await _read(connection, wanted)
        event = happened("order.shipped", trace=trace, order_id=wanted)
        return Made(shipped, event, await _document(connection, shipped, row["user_id"]))

    return await create(shop, Order, make, scope=f"shipments:{staff.id}", key=key, request=wanted)


async def invoice(shop: Shop, user: User, order_id: str | UUID, after: str | None = None) -> bytes:
    """The PDF of an order of his. Where workers write it, it comes a little later than the order."""
    found = await order(shop, user, order_id, after)
    pdf = await shop.files.get(f"invoices/{found.id}.pdf")
    if pdf is None:
        later = {"Retry-After": "5"}
        raise Problem(404, "no-invoice-yet", "The invoice is being written. Please try again.", headers=later)
    return pdf


async def _place(connection: Connection, user: User, asked: NewOrder) -> Order:
    """Everybody takes products in the same order, so that two who buy the same things never wait for each other."""
    found = await connection.execute(
        "select product_id, quantity from cart_lines where cart = %s order by product_id for update", (user.cart,)
    )
    lines = []
    for wanted in await found.fetchall():
        taken = await connection.execute(
            "update products set stock = stock - %(quantity)s where id = %(product_id)s and stock >= %(quantity)s "
            "returning name, price_cents",
            wanted,
        )
        row = await taken.fetchone()
        if row is None:
            raise await _out_of_stock(connection, wanted["product_id"])
        lines.append({**wanted, **row})
    if not lines:
        raise Problem(409, "cart-empty", "There is nothing in the cart.")
    total = sum(line["price_cents"] * line["quantity"] for line in lines)
    if asked.total_cents not in (UNSET, total):
        raise Problem(409, "price-changed", f"Prices have changed: all of it is {total} cents now.")
    added = await connection.execute(
        "insert into orders (user_id, total_cents) values (%s, %s) returning id", (user.id, total)
    )
    row = await added.fetchone()
    assert row is not None
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "insert into order_lines (order_id, product_id, name, price_cents, quantity) "
            "values (%(order_id)s, %(product_id)s, %(name)s, %(price_cents)s, %(quantity)s)",
            [{**line, "order_id": row["id"]} for line in lines],
        )
    bought = [line["product_id"] for line in lines]  # what he has put in meanwhile stays
    await connection.execute("delete from cart_lines where cart = %s and product_id = any(%s)", (user.cart, bought))
    return await _read(connection, row["id"])


async def _out_of_stock(connection: Connection, product_id: int) -> Problem:
    found = await connection.execute("select name, stock from products where id = %s", (product_id,))
    row = await found.fetchone() or {"name": "It", "stock": 0}
    left = f"only {row['stock']} left" if row["stock"] else "out of stock"
    return Problem(409, "out-of-stock", f"{row['name']}: {left}.")


async def _read(connection: Connection, order_id: UUID) -> Order:
    found = await connection.execute(ORDERS + "where o.id = %s", (order_id,))
    return msgspec.convert(await found.fetchone(), Order)


async def _document(connection: Connection, order: Order, user_id: UUID) -> dict[str, Any]:
    """The facts that jobs need, as they were in this transaction."""
    found = await connection.execute(
        "select u.id::text, u.name, u.email, array(select d.endpoint from devices d where d.user_id = u.id "
        "order by d.created_at, d.id) as devices from users u where u.id = %s",
        (user_id,),
    )
    customer = await found.fetchone() or {}
    devices = customer.pop("devices", [])
    about: dict[str, Any] = msgspec.to_builtins(order)
    del about["status"]
    return {"order": about, "customer": customer, "devices": devices}
