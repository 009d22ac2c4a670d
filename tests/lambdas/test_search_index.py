"""The search index: what a word finds, which version stays, and how the function reaches the database."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from typing import Any

import psycopg
import pytest
from psycopg.rows import scalar_row

from jobs.search import UPSERT


@pytest.fixture
def database(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True, row_factory=scalar_row) as connection:
        yield connection


def add(database: psycopg.Connection[Any], name: str, category: str = "", description: str = "") -> int:
    row: Any = database.execute(
        "insert into products (name, category, description, price_cents, stock) values (%s, %s, %s, 1, 1) returning id",
        (name, category, description),
    ).fetchone()
    return int(row)


def change(database: psycopg.Connection[Any], product: int, name: str) -> None:
    database.execute("update products set name = %s, version = version + 1 where id = %s", (name, product))


def index(database: psycopg.Connection[Any], product: int) -> None:
    database.execute(UPSERT, {"product_id": product})


def found(database: psycopg.Connection[Any], words: str) -> list[int]:
    """The products that have these words, best first."""
    query = "plainto_tsquery('simple', %s)"
    return database.execute(
        f"select product_id from product_search where document @@ {query} "  # type: ignore[arg-type]
        f"order by ts_rank(document, {query}) desc, product_id",
        (words, words),
    ).fetchall()


def indexed_version(database: psycopg.Connection[Any], product: int) -> int | None:
    return database.execute("select version from product_search where product_id = %s", (product,)).fetchone()


def test_a_word_is_found_in_name_category_and_description_in_this_order(database: psycopg.Connection[Any]) -> None:
    in_description = add(database, "Mug", "Kitchen", "as blue as a lamp")
    in_category = add(database, "Bulb", "Lamp", "bright")
    in_name = add(database, "Lamp", "Light", "bright")
    for product in (in_description, in_category, in_name):
        index(database, product)
    assert found(database, "lamp") == [in_name, in_category, in_description]
    assert found(database, "sofa") == []


@pytest.mark.parametrize("word", ["the", "Łódź", "łódź", "日本語", "naïve", "r2d2"])
def test_no_word_of_any_language_is_dropped(database: psycopg.Connection[Any], word: str) -> None:
    product = add(database, f"With {word} inside")
    index(database, product)
    assert found(database, word) == [product]


def test_a_repetition_changes_nothing(database: psycopg.Connection[Any]) -> None:
    product = add(database, "Lamp")
    index(database, product)
    before = database.execute("select xmin::text from product_search").fetchall()
    index(database, product)
    assert database.execute("select xmin::text from product_search").fetchall() == before


def test_a_change_is_found_and_what_it_replaced_is_not(database: psycopg.Connection[Any]) -> None:
    product = add(database, "Lamp")
    index(database, product)
    change(database, product, "Lantern")
    index(database, product)
    assert (found(database, "lantern"), found(database, "lamp")) == ([product], [])
    assert indexed_version(database, product) == 2


def test_an_older_version_never_replaces_a_newer_one(database: psycopg.Connection[Any]) -> None:
    product = add(database, "Lamp")
    database.execute("insert into product_search values (%s, 7, to_tsvector('simple', 'future'))", (product,))
    index(database, product)
    assert indexed_version(database, product) == 7
    assert found(database, "future") == [product]


def test_a_product_that_is_gone_takes_its_row_along_and_stays_away(database: psycopg.Connection[Any]) -> None:
    product = add(database, "Lamp")
    index(database, product)
    with psycopg.connect(database.info.dsn, autocommit=True) as other:
        other.execute("delete from products where id = %s", (product,))
    index(database, product)
    assert found(database, "lamp") == []


def test_who_waits_for_an_older_version_replaces_it(database_url: str, database: psycopg.Connection[Any]) -> None:
    product = add(database, "Lamp")
    with psycopg.connect(database_url) as older, psycopg.connect(database_url) as newer:
        index(older, product)
        change(database, product, "Lantern")
        waiting = Thread(target=index, args=(newer, product))
        waiting.start()
        while not database.execute("select 1 from pg_locks where not granted").fetchone():
            assert waiting.is_alive()
        older.commit()
        waiting.join()
        newer.commit()
    assert indexed_version(database, product) == 2
