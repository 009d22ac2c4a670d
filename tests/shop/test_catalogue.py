"""Lists, searches and products, and what staff change about them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from shop import catalogue, orders
from shop.contracts import Page, Product
from tests.shop.running import PICTURE, Running, refused, running
from workbench.lab.servers import Valkey

pytestmark = pytest.mark.slow


async def whole(listing: Callable[..., Awaitable[Page[Product]]], *about: Any, **more: Any) -> list[int]:
    """The ids of a list, followed to its end."""
    page = await listing(*about, **more)
    ids = [product.id for product in page.items]
    while page.next is not None:
        page = await listing(*about, cursor=page.next, **more)
        assert page.items
        ids += [product.id for product in page.items]
    return ids


def test_pages_together_are_the_whole_list_without_repetitions(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            made = [await shop.product(name=f"Cup {n}", category=("cups", "Bowls & {co}")[n % 2]) for n in range(11)]
            ids = [product.id for product in made]
            for limit in (1, 4, 11, 12):
                assert await whole(catalogue.page, shop.shop, limit=limit) == ids
                for parity, category in enumerate(("cups", "Bowls & {co}")):
                    found = await whole(catalogue.page, shop.shop, category=category, limit=limit)
                    assert found == ids[parity::2]
            assert (await catalogue.page(shop.shop, category="none")).items == []
            assert [(each.name, each.products) for each in await catalogue.categories(shop.shop)] == [
                ("Bowls & {co}", 5),
                ("cups", 6),
            ]

    asyncio.run(test())


def test_a_cursor_is_good_for_its_own_list_only(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            for _ in range(3):
                await shop.product()
            cursor = (await catalogue.page(shop.shop, category="cups", limit=1)).next
            assert cursor is not None
            await refused(catalogue.page(shop.shop, cursor=cursor), 400, "bad-cursor")
            await refused(catalogue.search(shop.shop, "cup", cursor=cursor), 400, "bad-cursor")

    asyncio.run(test())


def test_a_search_finds_the_best_first_and_each_once(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            plain = [await shop.product(name="Tray", category="green things") for _ in range(7)]
            best = await shop.product(name="Green cup")
            await shop.product(name="Red cup")
            wanted = [best.id, *(product.id for product in plain)]
            for limit in (1, 3, 8):
                assert await whole(catalogue.search, shop.shop, "GREEN", limit=limit) == wanted
            assert (await catalogue.search(shop.shop, "green -tray")).items == [best]
            assert (await catalogue.search(shop.shop, '"things green"')).items == []

    asyncio.run(test())


@pytest.mark.parametrize("query", ["mug", "mugs", "Mug", "the striped mug", "stripes mug", "łódź", '"striped mugs"'])
def test_a_word_is_found_in_whatever_form_it_is_written(database_url: str, tmp_path: Path, query: str) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            mug = await shop.product(name="The Striped Mug of Łódź")
            mugs = await shop.product(name="The Two Striped Mugs of Łódź")
            await shop.product(name="Tray", category="trays")
            assert {found.id for found in (await catalogue.search(shop.shop, query)).items} == {mug.id, mugs.id}

    asyncio.run(test())


@pytest.mark.parametrize("query", ["'", '"', "\\", "& | ! ( ) :*", "%", "cup:*", "-", "or", "\U0001f600", "a" * 200])
def test_any_question_has_an_answer(database_url: str, tmp_path: Path, query: str) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            assert (await catalogue.search(shop.shop, query)).next is None

    asyncio.run(test())


@pytest.mark.parametrize(
    "product_id", ["0", "-1", "01", "1.0", "", "x", "1\n", "²", "\u0661", str(2**63), "9" * 5000, "1"]
)
def test_a_product_that_cannot_be_there_is_not_found(database_url: str, tmp_path: Path, product_id: str) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            await refused(catalogue.product(shop.shop, product_id), 404, "no-such-product")

    asyncio.run(test())


async def everywhere(shop: Running, product: Product) -> list[Any]:
    """A product as all that is read shows it."""
    (listed,) = (await catalogue.page(shop.shop)).items
    return [await catalogue.product(shop.shop, product.id), listed]


def test_a_change_shows_at_once_and_leaves_the_rest(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            product = await shop.product(name="Cup", stock=5)
            changed = await shop.change(product, name="Mug", stock_change=-5)
            assert (changed.name, changed.stock, changed.version) == ("Mug", 0, product.version + 1)
            assert (changed.description, changed.price_cents) == (product.description, product.price_cents)
            assert await everywhere(shop, product) == [changed, changed]
            assert [found.id for found in (await catalogue.search(shop.shop, "mug")).items] == [product.id]

    asyncio.run(test())


@pytest.mark.parametrize("change", [-6, 999_996])
def test_a_stock_that_cannot_be_is_refused(database_url: str, tmp_path: Path, change: int) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            product = await shop.product(stock=5)
            await refused(shop.change(product, name="Mug", stock_change=change), 409, "impossible-stock")
            assert await catalogue.product(shop.shop, product.id) == product
            unknown = msgspec.structs.replace(product, id=product.id + 1)
            await refused(shop.change(unknown, stock_change=1), 404, "no-such-product")

    asyncio.run(test())


@pytest.mark.parametrize("how", ["changed", "bought"])
def test_what_happens_to_a_product_shows_at_once_through_the_cache(
    database_url: str, tmp_path: Path, valkey: Valkey, how: str
) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path, CACHE_NODES=valkey.nodes) as shop:
            product, buyer = await shop.product(stock=5), await shop.customer()
            await shop.fill(buyer, product)
            # Adding it has left a mark that keeps old rows out for a while.
            key = catalogue.cache_key(product.id)
            await shop.shop.cache._ask(key, "DEL", key)
            assert await catalogue.product(shop.shop, product.id) == product
            await asyncio.sleep(0.1)  # nobody waits for the cache to be filled
            await shop.sql("update products set name = 'Behind our back'")
            assert await catalogue.product(shop.shop, product.id) == product  # so it does come from the cache
            if how == "changed":
                await shop.change(product, stock_change=-1)
            else:
                await orders.place(shop.shop, buyer.user, key="k")
            shown = await catalogue.product(shop.shop, product.id)
            assert (shown.name, shown.stock) == ("Behind our back", 4)

    asyncio.run(test())


def test_a_picture_is_kept_once_and_made_small(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            staff, product = await shop.customer(is_staff=True), await shop.product()
            images = [
                await catalogue.attach_image(shop.shop, product.id, PICTURE, staff=staff.user, key=key)
                for key in ("one", "one", "two")
            ]
            assert len(set(images)) == 1
            assert (await catalogue.product(shop.shop, product.id)).image == images[0].id
            assert await shop.shop.files.get(f"images/{images[0].id}") == PICTURE
            for size in ("small", "medium"):
                small = await shop.shop.files.get(f"thumbnails/{images[0].id}/{size}.webp")
                assert small is not None
                assert small[8:12] == b"WEBP"

    asyncio.run(test())


def test_what_is_no_picture_is_refused(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            staff, product = await shop.customer(is_staff=True), await shop.product()
            for data in (b"", b"<svg/>", b"GIF", b"%PDF-1.7"):
                attaching = catalogue.attach_image(shop.shop, product.id, data, staff=staff.user, key=str(uuid4()))
                await refused(attaching, 400, "bad-image")
            attaching = catalogue.attach_image(shop.shop, product.id + 1, PICTURE, staff=staff.user, key="k")
            await refused(attaching, 404, "no-such-product")
            assert not (tmp_path / "files" / "images").exists()

    asyncio.run(test())


def test_what_another_release_has_put_into_the_cache_counts_as_a_miss(
    database_url: str, tmp_path: Path, valkey: Valkey
) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path, CACHE_NODES=valkey.nodes) as shop:
            product = await shop.product()
            key = catalogue.cache_key(product.id)
            await shop.shop.cache._ask(key, "SET", key, b'{"id": 1, "title": "Of another shape"}')
            assert await catalogue.product(shop.shop, product.id) == product

    asyncio.run(test())
