"""The search index: what a word finds, which version stays, and how the function reaches the database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from unittest.mock import patch
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import scalar_row

from jobs.events import encode, happened
from jobs.search import UPSERT
from tests.lambdas.world import Calls, World, world
from workbench.lab.servers import Postgres, free_port


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
    query = "plainto_tsquery('words', %s)"
    return database.execute(
        f"select product_id from product_search where document @@ {query} "
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
    database.execute("insert into product_search values (%s, 7, to_tsvector('words', 'future'))", (product,))
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


@contextmanager
def search_world(database_url: str) -> Iterator[World]:
    with world("search_index", DATABASE_URL=database_url) as job:
        yield job
        job.module.forget()


def changed(job: World, product: int | str) -> str:
    """The event of a changed product in the queue; the body of the message."""
    event = happened("product.changed", product_id=product)
    job.send(event)
    return encode(event)


def test_each_product_in_the_queue_is_found(database_url: str, database: psycopg.Connection[Any]) -> None:
    with search_world(database_url) as job:
        products = [add(database, f"Lamp {number}") for number in range(12)]
        for product in [*products, *products[::-1]]:
            changed(job, product)
        job.work()
        assert found(database, "lamp") == products
        assert job.dead_letters() == []


def test_a_product_that_was_never_there_is_done(database_url: str) -> None:
    with search_world(database_url) as job:
        changed(job, 10**15)
        job.work()
        assert job.dead_letters() == []


def test_an_id_that_is_no_number_is_set_aside_and_holds_nobody_up(
    database_url: str, database: psycopg.Connection[Any]
) -> None:
    with search_world(database_url) as job:
        body, product = changed(job, "5f6b8a52-0000-4000-8000-000000000000"), add(database, "Lamp")
        changed(job, product)
        job.work()
        assert job.dead_letters() == [(body, "product_id is not a number")]
        assert found(database, "lamp") == [product]


def test_one_connection_serves_all_invocations(database_url: str, database: psycopg.Connection[Any]) -> None:
    with search_world(database_url) as job:
        opened = set()
        for number in range(3):
            changed(job, add(database, f"Lamp {number}"))
            job.work()
            opened.add(job.module.connection().info.backend_pid)
        assert len(opened) == 1


def test_a_connection_that_broke_while_it_was_idle_costs_no_attempt(
    database_url: str, database: psycopg.Connection[Any], postgres: Postgres
) -> None:
    with search_world(database_url) as job:
        job.module.connection()
        postgres.sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'search_index'")
        product = add(database, "Lamp")
        changed(job, product)
        job.work()
        assert found(database, "lamp") == [product]
        assert job.invocations == 1


def test_an_old_connection_is_given_up_so_that_another_active_database_is_noticed(database_url: str) -> None:
    with search_world(database_url) as job:
        first = job.module.connection()
        with patch.object(job.module.time, "monotonic", return_value=job.module._until + 1):
            second = job.module.connection()
        assert first.closed
        assert not second.closed


def test_while_the_database_is_away_events_wait_and_are_given_up_in_the_end() -> None:
    with search_world(f"postgresql://shop_app@127.0.0.1:{free_port()}/shop") as job:
        body = changed(job, 7)
        job.work()
        assert job.dead_letters() == [(body, None)]
        assert job.invocations == 5


def test_an_event_waits_for_the_database_to_come_back(database_url: str, database: psycopg.Connection[Any]) -> None:
    with search_world(database_url) as job:
        product, connect, attempts = add(database, "Lamp"), psycopg.connect, []

        def away_twice(*where: Any, **how: Any) -> Any:
            attempts.append(where)
            if len(attempts) <= 2:
                raise psycopg.OperationalError("away")
            return connect(*where, **how)

        with patch.object(psycopg, "connect", away_twice):
            changed(job, product)
            job.work()
        assert found(database, "lamp") == [product]
        assert len(attempts) == job.invocations == 3


def test_the_active_database_is_found_by_its_parameters_with_a_token_for_it() -> None:
    with world("search_index", DATABASE_PARAMETERS="/trial/database") as job:
        for name, value in {
            "active": "managed",
            "host/endpoint": "10.0.0.1",
            "host/port": "5433",
            "managed/endpoint": "db.example.com",
            "managed/port": "5434",
            "managed/secret": "arn:of:the:master",
            **{f"managed/replicas/{number}": f"r{number}.example.com" for number in range(1, 8)},
        }.items():
            job.client("ssm").put_parameter(Name=f"/trial/database/{name}", Value=value, Type="String")
        where = conninfo_to_dict(job.module.address())
        token = urlsplit(f"https://{where.pop('password')}")
        assert where == {
            "host": "db.example.com",
            "port": "5434",
            "user": "shop_app",
            "dbname": "shop",
            "sslmode": "require",
        }
        assert token.netloc == "db.example.com:5434"
        assert (parse_qs(token.query)["Action"], parse_qs(token.query)["DBUser"]) == (["connect"], ["shop_app"])
        assert parse_qs(token.query)["X-Amz-Expires"] == ["900"]
        # Whatever moves the pointer is seen at the next connection.
        job.client("ssm").put_parameter(Name="/trial/database/active", Value="host", Type="String", Overwrite=True)
        assert conninfo_to_dict(job.module.address())["host"] == "10.0.0.1"


@contextmanager
def counted(calls: Calls) -> Iterator[None]:
    """Statements leave the process too."""
    execute = psycopg.Connection.execute

    def call(connection: psycopg.Connection[Any], statement: Any, *rest: Any, **more: Any) -> Any:
        calls.pass_point("before execute")
        answer = execute(connection, statement, *rest, **more)
        calls.pass_point("after execute")
        return answer

    with patch.object(psycopg.Connection, "execute", call):
        yield


def test_a_crash_at_any_moment_costs_only_time(database_url: str, database: psycopg.Connection[Any]) -> None:
    def index_one(name: str, calls: Calls) -> None:
        product = add(database, name)
        with search_world(database_url) as job, counted(calls):
            changed(job, product)
            job.work(calls)
            assert job.dead_letters() == []
        assert found(database, name) == [product]

    index_one("undisturbed", undisturbed := Calls())
    assert undisturbed.points == ["before execute", "after execute"]
    for moment in range(len(undisturbed.points)):
        index_one(f"killed{moment}", killed := Calls(kill=moment))
        assert len(killed.points) > len(undisturbed.points)
