"""What somebody means to buy. CP: the primary only, as the next step is to pay for it."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import asdict

from shop.contracts import MOST_PIECES, Cart, CartLine, PutLine, check, known_product, missing
from shop.ports import Shop
from shop.problems import Problem

MOST_LINES = 100


async def contents(shop: Shop, cart: UUID) -> Cart:
    """At today's prices, in the order in which things were put in."""
    rows = await shop.database.read_primary(
        "select l.product_id, p.name, p.price_cents, l.quantity, p.stock, p.category, p.image "
        "from cart_lines l join products p on p.id = l.product_id where l.cart = %s order by l.added_at, p.id",
        (cart,),
    )
    lines = [CartLine(**row) for row in rows]
    return Cart(lines, sum(line.price_cents * line.quantity for line in lines))


async def put(shop: Shop, cart: UUID, product_id: int | str, quantity: int, *, once: str = "") -> None:
    """So many of it, however many there were before; or so many more, up to the most, `once` for each such text."""
    number, asked = known_product(product_id), check(PutLine, {"quantity": quantity})
    async with shop.database.write() as connection:
        done = await connection.execute(
            "insert into cart_lines as l (cart, product_id, quantity, added_once) "
            "select %(cart)s, id, %(quantity)s, nullif(%(once)s, '') from products where id = %(id)s "
            "and (select count(*) from cart_lines where cart = %(cart)s and product_id <> %(id)s) < %(lines)s "
            "on conflict (cart, product_id) do update set added_once = excluded.added_once, quantity = "
            "case when excluded.added_once is null then excluded.quantity "
            "when excluded.added_once = l.added_once then l.quantity "
            "else least(%(pieces)s, l.quantity + excluded.quantity) end",
            {"cart": cart, "id": number, "once": once, **asdict(asked), "lines": MOST_LINES, "pieces": MOST_PIECES},
        )
        if done.rowcount == 0:
            there = await connection.execute("select 1 from products where id = %s", (number,))
            if await there.fetchone() is None:
                raise missing("product")
            raise Problem(409, "cart-full", f"A cart holds {MOST_LINES} different products at most.")


async def remove(shop: Shop, cart: UUID, product_id: int | str) -> None:
    """Gone, whether or not it was there."""
    async with shop.database.write() as connection:
        await connection.execute(
            "delete from cart_lines where cart = %s and product_id = %s", (cart, known_product(product_id))
        )
