"""A catalogue to try things with: the same products every time, as many as wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from psycopg import Connection

# Category: what the first thing costs in cents (each one after it costs more), ten things, and what they are made of.
CATEGORIES = {
    "Kitchen": (900, "Mug,Bowl,Plate,Spoon Rest,Pepper Mill,Teapot,Cutting Board,Salad Bowl,Cake Stand,Kettle"),
    "Garden": (700, "Trowel,Plant Pot,Seed Box,Bird Feeder,Watering Can,Planter,Lantern,Trellis,Bird Bath,Bench"),
    "Desk": (300, "Ruler,Pencil Cup,Bookmark,Paper Tray,Pen Box,Bookend,Photo Frame,Clock,Letter Rack,Lamp"),
    "Bags": (1200, "Pouch,Tote,Lunch Bag,Belt Bag,Wash Bag,Satchel,Backpack,Messenger Bag,Holdall,Weekender"),
    "Bedroom": (1500, "Eye Mask,Pillowcase,Slippers,Cushion,Throw,Bed Runner,Curtain,Blanket,Duvet Cover,Quilt"),
    "Outdoors": (800, "Cap,Bandana,Dry Bag,Hat,Picnic Rug,Camp Stool,Rain Poncho,Hammock,Sleeping Bag,Tent"),
    "Toys": (600, "Spinning Top,Rattle,Train,Puzzle,Stacking Tower,Sailing Boat,Wheeled Duck,Rocket,Castle,Doll House"),
    "Bath": (400, "Soap Dish,Tumbler,Tray,Toothbrush Cup,Jar,Towel Rail,Shelf,Mirror,Laundry Box,Stool"),
}  # fmt: skip
MATERIALS = {
    "Kitchen": "Oak,Stoneware,Enamel,Glass,Walnut,Porcelain,Copper",
    "Garden": "Zinc,Cedar,Terracotta,Iron,Teak,Copper,Larch",
    "Desk": "Oak,Brass,Cork,Walnut,Steel,Ash,Leather",
    "Bags": "Canvas,Leather,Felt,Waxed Cotton,Denim,Linen,Hemp",
    "Bedroom": "Linen,Wool,Cotton,Silk,Velvet,Flannel,Cashmere",
    "Outdoors": "Canvas,Ripstop,Wool,Waxed Cotton,Fleece,Nylon,Hemp",
    "Toys": "Beech,Maple,Cork,Lime Wood,Birch,Bamboo,Cherry",
    "Bath": "Marble,Bamboo,Brass,Stoneware,Teak,Glass,Steel",
}
STYLES = "Everyday,Little,Classic,Nordic,Striped,Coastal,Quiet,Sunday,Simple,Handmade,Midnight,Meadow,Rustic"
REMARKS = (
    "made to be used for a long time",
    "finished by hand",
    "more beautiful with every year",
    "light, and hard to break",
    "from a small workshop",
)
TURNS = 10 * 7 * 13  # things, materials and styles: no common factor, so every combination comes before one comes again


def products(first: int, last: int) -> Iterator[tuple[str, str, str, int, int]]:
    """Name, description, category, price and stock of these numbers; neighbours differ, and no name comes twice."""
    names = list(CATEGORIES)
    for number in range(first, last):
        turn, kind = divmod(number, len(names))
        category = names[kind]
        price, things = CATEGORIES[category]
        thing, material = things.split(",")[turn % 10], MATERIALS[category].split(",")[turn % 7]
        style = STYLES.split(",")[(turn + 5 * kind) % 13]
        series = f" No. {turn // TURNS + 1}" if turn >= TURNS else ""
        text = f"{thing} in {material.lower()}, {REMARKS[turn % len(REMARKS)]}."
        cents = price + turn % 10 * price // 2 + turn % 7 * 100 + 95
        yield f"{style} {material} {thing}{series}", text, category, cents, 20 + number * 37 % 180


def fill(connection: Connection[Any], wanted: int) -> int:
    """Add products until there are as many, and what finds them; how many were added."""
    from jobs import search

    with connection.transaction(), connection.cursor() as cursor:
        # Two at once would both begin at the same number.
        cursor.execute("select pg_advisory_xact_lock(20260105)")
        (have,) = cursor.execute("select count(*) from products").fetchone() or (0,)
        with cursor.copy("copy products (name, description, category, price_cents, stock) from stdin") as rows:
            for product in products(have, wanted):
                rows.write_row(product)
        missing = "select id from products p where not exists (select from product_search where product_id = p.id)"
        ids = cursor.execute(missing).fetchall()
        cursor.executemany(search.UPSERT, [{"product_id": product_id} for (product_id,) in ids])
    return max(0, wanted - int(have))
