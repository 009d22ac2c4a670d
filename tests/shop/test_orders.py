"""Buying on a real database: nothing is sold twice, nothing is done twice, nobody sees what others bought."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from shop import carts, catalogue, orders
from shop.problems import Problem
from tests.shop.running import Customer, refused, running

pytestmark = pytest.mark.slow


def test_an_order_is_what_was_in_the_cart_at_the_price_of_that_day(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            buyer = await shop.customer()
            cup, bowl = await shop.product(name="Cup", cents=250), await shop.product(name="Bowl", cents=1000)
            await shop.fill(buyer, bowl)
            await shop.fill(buyer, cup, quantity=3)
            placed = await orders.place(shop.shop, buyer.user, key="k", total_cents=1750)
            assert (placed.total_cents, placed.status) == (1750, "placed")
            assert [(line.name, line.quantity, line.price_cents) for line in placed.lines] == [
                ("Cup", 3, 250),
                ("Bowl", 1, 1000),
            ]
            assert (await catalogue.product(shop.shop, cup.id)).stock == 97
            assert (await carts.contents(shop.shop, buyer.user.cart)).lines == []
            await shop.change(cup, name="Mug", price_cents=9)
            assert await orders.order(shop.shop, buyer.user, placed.id) == placed

    asyncio.run(test())


def test_the_same_key_again_does_nothing_again(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            buyer, cup = await shop.customer(), await shop.product()
            await shop.fill(buyer, cup)
            placed = await orders.place(shop.shop, buyer.user, key="k")
            mails = await shop.sql("select * from mails")
            assert [mail["kind"] for mail in mails] == ["mail", "notification"]
            await shop.fill(buyer, cup)
            assert await orders.place(shop.shop, buyer.user, key="k") == placed
            await refused(orders.place(shop.shop, buyer.user, key="k", total_cents=1), 422, "idempotency-key-reused")
            assert await shop.sql("select * from mails") == mails
            assert (await catalogue.product(shop.shop, cup.id)).stock == 99
            assert len((await carts.contents(shop.shop, buyer.user.cart)).lines) == 1
            # The key is this buyer's: another one may have thought of the same.
            await refused(orders.place(shop.shop, (await shop.customer()).user, key="k"), 409, "cart-empty")

    asyncio.run(test())


def test_an_order_that_cannot_be_leaves_no_trace(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            buyer = await shop.customer()
            cup, rare = await shop.product(), await shop.product(name="Rare bowl", stock=1)
            await refused(orders.place(shop.shop, buyer.user, key="k"), 409, "cart-empty")
            await shop.fill(buyer, cup)
            await shop.fill(buyer, rare, quantity=2)
            problem = await refused(orders.place(shop.shop, buyer.user, key="k"), 409, "out-of-stock")
            assert problem.detail == "Rare bowl: only 1 left."
            await shop.fill(buyer, rare, quantity=1)
            problem = await refused(orders.place(shop.shop, buyer.user, key="k", total_cents=1), 409, "price-changed")
            assert "500" in problem.detail
            assert [row["stock"] for row in await shop.sql("select stock from products order by id")] == [100, 1]
            assert (
                await shop.sql("select 1 from orders union all select 1 from idempotency_keys where scope ~ 'orders'")
                == []
            )
            assert len((await carts.contents(shop.shop, buyer.user.cart)).lines) == 2
            # What was refused may be tried again with the same key.
            assert (await orders.place(shop.shop, buyer.user, key="k", total_cents=500)).total_cents == 500

    asyncio.run(test())


def test_orders_invoices_and_shipments_belong_to_somebody(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            buyer, other, staff = await shop.customer(), await shop.customer(), await shop.customer(is_staff=True)
            await shop.fill(buyer, await shop.product())
            placed = await orders.place(shop.shop, buyer.user, key="k")
            assert (await orders.invoice(shop.shop, buyer.user, placed.id)).startswith(b"%PDF-")
            for stranger in (other, staff):
                await refused(orders.order(shop.shop, stranger.user, placed.id), 404, "no-such-order")
                await refused(orders.invoice(shop.shop, stranger.user, placed.id), 404, "no-such-order")
                assert (await orders.history(shop.shop, stranger.user)).items == []
            for unknown in ("", "x", "0" * 36, str(placed.id).upper(), f"{{{placed.id}}}", str(buyer.user.id)):
                await refused(orders.order(shop.shop, buyer.user, unknown), 404, "no-such-order")

            shipped = await orders.ship(shop.shop, staff.user, placed.id, key="s")
            assert shipped.status == "shipped"
            assert await orders.ship(shop.shop, staff.user, placed.id, key="s") == shipped
            await refused(orders.ship(shop.shop, staff.user, placed.id, key="another"), 409, "already-shipped")
            assert await orders.order(shop.shop, buyer.user, placed.id) == shipped
            kinds = Counter(row["kind"] for row in await shop.sql("select kind from mails"))
            assert kinds == {"mail": 1, "notification": 2}

    asyncio.run(test())


def test_the_history_is_whole_and_the_newest_first(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            buyer = await shop.customer()
            await shop.sql(
                "insert into orders (user_id, total_cents, placed_at) "
                "select %s, n, now() - make_interval(mins => n / 3) from generate_series(1, 20) n",
                (buyer.user.id,),
            )
            await shop.sql("insert into order_lines select o.id, p.id, 'x', 1, 1 from orders o, products p")
            product = await shop.product()
            await shop.sql("insert into order_lines select id, %s, 'x', 1, 1 from orders", (product.id,))
            seen, cursor = [], None
            while True:
                page = await orders.history(shop.shop, buyer.user, cursor=cursor, limit=3)
                seen += page.items
                cursor = page.next
                if cursor is None:
                    break
            assert len({each.id for each in seen}) == 20
            assert seen == sorted(seen, key=lambda each: (each.placed_at, each.id), reverse=True)

    asyncio.run(test())


def test_a_thousand_buyers_of_a_hundred_pieces_buy_a_hundred(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path, DATABASE_POOL_MAX="16", DATABASE_POOL_TIMEOUT_MS="20000") as shop:
            product = await shop.product(stock=100)
            await shop.sql(
                "insert into users (email, name, password_hash) "
                "select n || '@example.com', 'Buyer ' || n, '-' from generate_series(1, 1000) n"
            )
            await shop.sql(
                "insert into sessions (token_hash, user_id, cart, expires_at) select sha256(convert_to(name, 'UTF8')), "
                "id, cart, now() + interval '1 day' from users where password_hash = '-' and name like 'Buyer%%'"
            )
            await shop.sql(
                "insert into cart_lines (cart, product_id, quantity) "
                "select cart, %s, 1 from users where name like 'Buyer%%'",
                (product.id,),
            )
            gate = asyncio.Semaphore(100)

            async def buy(number: int) -> str:
                headers = {"Authorization": f"Bearer Buyer {number}", "Idempotency-Key": str(number)}
                async with gate:
                    answer = await shop.client.post("/orders", json={"total_cents": 250}, headers=headers)
                return f"{answer.status_code} {answer.json().get('code', '')}".strip()

            outcomes = Counter(await asyncio.gather(*(buy(number) for number in range(1, 1001))))
            assert outcomes == {"201": 100, "409 out-of-stock": 900}
            (facts,) = await shop.sql(
                "select (select stock from products) as stock, (select count(*) from orders) as orders, "
                "(select sum(quantity) from order_lines) as sold, "
                "(select count(distinct user_id) from mails where kind = 'mail') as mails"
            )
            assert facts == {"stock": 0, "orders": 100, "sold": 100, "mails": 100}

    asyncio.run(test())


def test_carts_filled_in_opposite_orders_do_not_wait_for_each_other(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path, DATABASE_POOL_TIMEOUT_MS="20000") as shop:
            products = [await shop.product(stock=1000) for _ in range(4)]
            buyers: list[Customer] = []
            for number in range(40):
                buyers.append(await shop.customer())
                await shop.fill(buyers[-1], *(products if number % 2 else reversed(products)))
            buying = (orders.place(shop.shop, buyer.user, key="k") for buyer in buyers)
            outcomes = await asyncio.gather(*buying, return_exceptions=True)
            assert [each for each in outcomes if isinstance(each, Problem | Exception)] == []
            assert [row["stock"] for row in await shop.sql("select stock from products")] == [960] * 4

    asyncio.run(test())


def test_a_cart_and_its_lines_have_limits(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carts, "MOST_LINES", 2)

    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            buyer, (a, b, c) = await shop.customer(), [await shop.product() for _ in range(3)]
            await shop.fill(buyer, a, b)
            await shop.fill(buyer, b, quantity=99)
            await refused(carts.put(shop.shop, buyer.user.cart, c.id, 1), 409, "cart-full")
            await refused(carts.put(shop.shop, buyer.user.cart, c.id + 1, 1), 404, "no-such-product")
            for quantity in (0, 100, -1, 2**40):
                await refused(carts.put(shop.shop, buyer.user.cart, a.id, quantity), 400, "invalid-request")
            await carts.remove(shop.shop, buyer.user.cart, a.id)
            await carts.remove(shop.shop, buyer.user.cart, a.id)
            lines = (await carts.contents(shop.shop, buyer.user.cart)).lines
            assert [(line.product_id, line.quantity) for line in lines] == [(b.id, 99)]

    asyncio.run(test())
