"""Carts that change while something else happens to them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from shop import accounts, carts, orders
from tests.shop.running import Running, running

pytestmark = pytest.mark.slow
WHO = {"email": "somebody@example.com", "password": "correct horse"}
FILL = (
    "insert into products (name, description, category, price_cents, stock) "
    "select 'Thing ' || number, '-', 'things', 1, 9 from generate_series(1, %s) number returning id"
)


def test_what_is_put_in_while_the_order_is_placed_stays_in_the_cart(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            customer = await shop.customer()
            cup, bowl = await shop.product(name="Cup"), await shop.product(name="Bowl")
            await shop.fill(customer, cup)
            async with await psycopg.AsyncConnection.connect(database_url) as somebody:
                await somebody.execute("select 1 from products where id = %s for update", (cup.id,))
                placing = asyncio.create_task(orders.place(shop.shop, customer.user, key=str(uuid4())))
                await asyncio.sleep(0.3)
                await shop.fill(customer, bowl)
                assert not placing.done()
            assert [line.name for line in (await placing).lines] == ["Cup"]
            left = await carts.contents(shop.shop, customer.user.cart)
            assert [line.name for line in left.lines] == ["Bowl"]

    asyncio.run(test())


def test_the_same_addition_at_once_is_one(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            customer, cup = await shop.customer(), await shop.product()

            async def quantity(*additions: tuple[int, str]) -> int:
                puts = (carts.put(shop.shop, customer.user.cart, cup.id, more, once=once) for more, once in additions)
                await asyncio.gather(*puts)
                (line,) = (await carts.contents(shop.shop, customer.user.cart)).lines
                return line.quantity

            assert await quantity(*[(2, "one")] * 5) == 2
            assert await quantity(*[(3, "two")] * 5) == 5
            assert await quantity((98, "three")) == 99
            assert await quantity((4, "")) == 4

    asyncio.run(test())


async def of_visitor(shop: Running, products: list[int]) -> str:
    """The token of a visitor who has put these in his cart."""
    token = await accounts.start_session(shop.shop)
    session = await accounts.session(shop.shop, token)
    assert session is not None
    for number in products:
        await carts.put(shop.shop, session.cart, number, 1)
    return token


def test_signing_in_again_and_again_never_makes_a_cart_larger_than_carts_are(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "MOST_LINES", 5)

    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            await accounts.sign_up(shop.shop, name="Somebody", key="key", **WHO)
            products = [row["id"] for row in await shop.sql(FILL, (9,))]
            sizes = []
            for some in (products[:3], products[3:7], products[7:]):
                token = await accounts.sign_in(shop.shop, token=await of_visitor(shop, some), **WHO)
                session = await accounts.session(shop.shop, token)
                assert session is not None
                sizes.append(len((await carts.contents(shop.shop, session.cart)).lines))
            assert sizes == [3, 5, 5]
            assert await shop.sql("select count(distinct cart) as carts from cart_lines") == [{"carts": 1}]

    asyncio.run(test())


@pytest.mark.parametrize(("there", "asked", "then"), [(0, 2, 2), (3, 1, 4), (98, 5, 99)])
def test_more_of_a_product_comes_on_top_of_what_is_there(
    there: int, asked: int, then: int, database_url: str, tmp_path: Path
) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            customer, cup = await shop.customer(), await shop.product(category="cups")
            if there:
                await shop.fill(customer, cup, quantity=there)
            await carts.put(shop.shop, customer.user.cart, cup.id, asked, once="a click")
            (line,) = (await carts.contents(shop.shop, customer.user.cart)).lines
            assert (line.quantity, line.category) == (then, "cups")

    asyncio.run(test())
