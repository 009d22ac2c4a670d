"""What is for sale. AP: a replica or the cache may answer, a little late, so that the shop stays open to look at."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar
from uuid import NAMESPACE_URL, uuid4, uuid5

import msgspec

from jobs import thumbnails
from jobs.events import Refused, happened
from shop import cursors
from shop.accounts import User
from shop.contracts import (
    Category,
    Continued,
    Image,
    Listing,
    NewProduct,
    Page,
    Product,
    ProductChange,
    Question,
    check,
    known_product,
    missing,
)
from shop.creating import Made, create
from shop.ports import Shop
from shop.problems import Problem

if TYPE_CHECKING:
    from shop.cache import Load
    from shop.database import Connection

Kept = TypeVar("Kept")

PRODUCT_SECONDS, LIST_SECONDS = 300.0, 30.0
COLUMNS = "p.id, p.name, p.description, p.category, p.price_cents, p.stock, p.image, p.version"
ONE = f"select {COLUMNS} from products p where p.id = %(id)s"
ALL = f"select {COLUMNS} from products p where p.id > %(id)s order by p.id limit %(rows)s"
# A query of its own, so that PostgreSQL always finds its way by the index.
OF_CATEGORY = (
    f"select {COLUMNS} from products p where p.category = %(category)s and p.id > %(id)s order by p.id limit %(rows)s"
)
CATEGORIES = "select category as name, count(*) as products from products group by category order by category"
FOUND = (
    f"select {COLUMNS}, found.rank from (select product_id, ts_rank(document, words)::float8 as rank "
    "from product_search, websearch_to_tsquery('words', %(q)s) words where document @@ words) found "
    "join products p on p.id = found.product_id "
    "where (-found.rank, p.id) > (-%(rank)s::float8, %(id)s) order by found.rank desc, p.id limit %(rows)s"
)
ABOVE_ALL_RANKS = 1e9


async def page(
    shop: Shop, *, category: str | None = None, cursor: str | None = None, limit: int = 24, after: str | None = None
) -> Page[Product]:
    """Products by id, all or those of a category."""
    asked = check(Listing, {"category": category or "", "cursor": cursor or "", "limit": limit})
    sql = OF_CATEGORY if asked.category else ALL
    values = {"category": asked.category}
    return await _list(shop, f"products:{asked.category}", sql, values, asked, {"id": 0}, after)


async def search(
    shop: Shop, query: str, *, cursor: str | None = None, limit: int = 24, after: str | None = None
) -> Page[Product]:
    """Products by how well they match; what is equally good, by id."""
    asked = check(Question, {"q": query, "cursor": cursor or "", "limit": limit})
    begin = {"rank": ABOVE_ALL_RANKS, "id": 0}
    return await _list(shop, f"search:{asked.q}", FOUND, {"q": asked.q}, asked, begin, after)


async def categories(shop: Shop, after: str | None = None) -> list[Category]:
    async def load(fresh: bool) -> bytes:
        return msgspec.json.encode(await _rows(shop, CATEGORIES, {}, fresh, after))

    return await _cached(shop, "categories", list[Category], load, LIST_SECONDS, after)


async def product(shop: Shop, product_id: int | str, after: str | None = None) -> Product:
    """One product; problem 404 if it is not there."""
    number = known_product(product_id)

    async def load(fresh: bool) -> bytes:
        rows = await _rows(shop, ONE, {"id": number}, fresh, after)
        if not rows:
            raise missing("product")
        return msgspec.json.encode(rows[0])

    return await _cached(shop, cache_key(number), Product, load, PRODUCT_SECONDS, after)


async def add_product(shop: Shop, staff: User, *, key: str, trace: str = "", **given: Any) -> Product:
    """With the fields of a new product, from JSON or from a form."""
    new = check(NewProduct, given)

    async def make(connection: Connection) -> Made[Product]:
        added = await connection.execute(
            "insert into products as p (name, description, category, price_cents, stock) "
            f"values (%(name)s, %(description)s, %(category)s, %(price_cents)s, %(stock)s) returning {COLUMNS}",
            msgspec.structs.asdict(new),
        )
        return _changed(await added.fetchone(), trace)

    return await create(shop, Product, make, scope=f"products:{staff.id}", key=key, request=new)


async def change_product(
    shop: Shop, staff: User, product_id: int | str, *, key: str | None = None, trace: str = "", **given: Any
) -> Product:
    """What is given becomes so, the rest stays; the primary decides whether the stock allows it."""
    fields = dict.fromkeys(ProductChange.__struct_fields__) | msgspec.to_builtins(check(ProductChange, given))
    values = fields | {"id": known_product(product_id)}

    async def make(connection: Connection) -> Made[Product]:
        changed = await connection.execute(
            "update products p set name = coalesce(%(name)s, name), category = coalesce(%(category)s, category), "
            "description = coalesce(%(description)s, description), "
            "price_cents = coalesce(%(price_cents)s, price_cents), "
            "stock = stock + coalesce(%(stock_change)s, 0), version = version + 1 "
            "where id = %(id)s and stock + coalesce(%(stock_change)s, 0) between 0 and 1000000 "
            f"returning {COLUMNS}",
            values,
        )
        row = await changed.fetchone()
        if row is None:
            there = await connection.execute("select 1 from products where id = %(id)s", values)
            if await there.fetchone() is None:
                raise missing("product")
            raise Problem(409, "impossible-stock", "The stock would be less than nothing, or more than a million.")
        return _changed(row, trace)

    key = uuid4().hex if key is None else key  # all but the stock would be the same if it were done twice
    return await create(shop, Product, make, scope=f"changes:{staff.id}", key=key, request=values)


async def attach_image(
    shop: Shop, product_id: int | str, data: bytes, *, staff: User, key: str, trace: str = ""
) -> Image:
    """Give a product its picture. The same picture has the same id, and so never lies there twice."""
    try:
        kind = thumbnails.kind(data)
    except Refused as refused:
        raise Problem(400, "bad-image", f"This picture cannot be taken: {refused}.") from None
    number = known_product(product_id)
    if not await shop.database.read_primary("select 1 from products where id = %s", (number,)):
        raise missing("product")
    image = Image(uuid5(NAMESPACE_URL, f"{number}/{hashlib.sha256(data).hexdigest()}"))
    # Before the row that names it: nobody is ever sent to a picture that is not there.
    await shop.files.put(f"images/{image.id}", data, kind)

    async def make(connection: Connection) -> Made[Image]:
        changed = await connection.execute(
            "update products set image = %s, version = version + 1 where id = %s", (image.id, number)
        )
        if changed.rowcount == 0:
            raise missing("product")
        event = happened("image.uploaded", trace=trace, product_id=number, image_id=image.id)
        return Made(image, event, stale=[cache_key(number)])

    return await create(shop, Image, make, scope=f"images:{staff.id}", key=key, request=[number, image])


def cache_key(product_id: int) -> str:
    return f"product:{product_id}"


def _changed(row: dict[str, Any] | None, trace: str) -> Made[Product]:
    changed = msgspec.convert(row, Product)
    event = happened("product.changed", trace=trace, product_id=changed.id)
    return Made(changed, event, stale=[cache_key(changed.id)])


async def _list(
    shop: Shop,
    listing: str,
    sql: LiteralString,
    values: dict[str, Any],
    asked: Continued,
    begin: dict[str, float],
    after: str | None,
) -> Page[Product]:
    """Goes on where a cursor says, or begins; first pages are what most people look at, and so these are cached."""
    start = cursors.unseal(shop.secret, listing, asked.cursor) if asked.cursor else begin.values()
    wanted = {**values, **dict(zip(begin, start, strict=True)), "rows": asked.limit + 1}

    async def load(fresh: bool) -> bytes:
        rows = await _rows(shop, sql, wanted, fresh, after)
        last = rows[asked.limit - 1] if len(rows) > asked.limit else None
        goes_on = cursors.seal(shop.secret, listing, *(last[column] for column in begin)) if last else None
        return msgspec.json.encode({"items": rows[: asked.limit], "next": goes_on})

    if asked.cursor:
        return msgspec.json.decode(await load(False), type=Page[Product])
    return await _cached(shop, f"{listing}:{asked.limit}", Page[Product], load, LIST_SECONDS, after)


async def _cached(shop: Shop, key: str, kind: type[Kept], load: Load, ttl: float, after: str | None) -> Kept:
    """Through the cache. During a deployment another release may have put it there in another shape: that is a miss."""
    found = await shop.cache.get_or_load(key, load, ttl=ttl, after=after)
    try:
        return msgspec.json.decode(found, type=kind)
    except msgspec.ValidationError:
        return msgspec.json.decode(await load(True), type=kind)


async def _rows(shop: Shop, sql: LiteralString, values: Any, fresh: bool, after: str | None) -> list[dict[str, Any]]:
    if fresh:
        return await shop.database.read_primary(sql, values)
    return await shop.database.read(sql, values, after)
