"""What has had its time goes, what is needed stays, and one host at a time sees to that."""

from __future__ import annotations

import asyncio

import pytest

from shop import housekeeping
from tests.shop.storing import opened
from workbench.lab.servers import Postgres

pytestmark = pytest.mark.slow
ROWS = """
insert into users (id, email, name, password_hash, cart) values
    (md5('user')::uuid, 'a@example.com', 'A', '-', md5('of a user')::uuid);
insert into products (id, name, description, category, price_cents, stock) values (1, '', '', '', 1, 1);
insert into cart_lines (cart, product_id, quantity) select md5(name)::uuid, 1, 1
    from unnest(array['of a user', 'of a visitor', 'of a visitor who has gone']) name;
insert into sessions (token_hash, user_id, cart, expires_at) values
    ('user, gone', md5('user')::uuid, md5('of a user')::uuid, now() - interval '2 days'),
    ('visitor, gone', null, md5('of a visitor who has gone')::uuid, now() - interval '2 days'),
    ('visitor', null, md5('of a visitor')::uuid, now() + interval '1 minute');
insert into idempotency_keys (scope, key, fingerprint, status, body, created_at) values
    ('s', 'old', '', 201, '', now() - interval '25 hours'), ('s', 'new', '', 201, '', now() - interval '23 hours');
insert into outbox (event, sent_at) values
    ('"old"', now() - interval '8 days'), ('"new"', now() - interval '6 days'), ('"waiting"', null);
insert into rate_limits (key, window_start, used) values
    ('old', extract(epoch from now()) - 3700, 1), ('new', extract(epoch from now()) - 60, 1);
"""
LEFT = """
select 'cart ' || (cart = md5('of a user')::uuid) from cart_lines union all select convert_from(token_hash, 'utf8')
from sessions union all select key from idempotency_keys union all select event::text from outbox union all
select 'limit ' || key from rate_limits order by 1
"""
AFTERWARDS = ['"new"', '"waiting"', "cart false", "cart true", "limit new", "new", "visitor"]


@pytest.mark.parametrize("at_once", [5000, 1])
def test_what_has_had_its_time_goes_and_a_cart_of_a_user_stays(
    database_url: str, postgres: Postgres, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(housekeeping, "AT_ONCE", at_once)
    name = database_url.rpartition("/")[2]
    postgres.sql(ROWS, database=name)

    async def test() -> None:
        async with opened(database_url) as database:
            await housekeeping.clean(database)
            await housekeeping.clean(database)

    asyncio.run(test())
    assert sorted(postgres.sql(LEFT, database=name).splitlines()) == sorted(AFTERWARDS)


def test_while_one_host_cleans_another_does_nothing(database_url: str, postgres: Postgres) -> None:
    name = database_url.rpartition("/")[2]
    postgres.sql(ROWS, database=name)
    before = postgres.sql(LEFT, database=name)

    async def test() -> None:
        async with opened(database_url) as database, database.write() as busy:
            await busy.execute("select pg_advisory_xact_lock(%s)", (housekeeping.LOCK,))
            await housekeeping.clean(database)
            assert postgres.sql(LEFT, database=name) == before

    asyncio.run(test())


def test_two_weeks_of_a_busy_shop_go_within_the_time_of_a_statement(database_url: str, postgres: Postgres) -> None:
    name = database_url.rpartition("/")[2]
    postgres.sql(
        "insert into rate_limits select 'client ' || n, 0, 1 from generate_series(1, 100000) n; "
        "insert into outbox (event, sent_at) select '{}', now() - interval '10 days' from generate_series(1, 50000)",
        database=name,
    )

    async def test() -> None:
        async with opened(database_url) as database:
            await housekeeping.clean(database)
            (row,) = await database.read("select (select count(*) from rate_limits) + (select count(*) from outbox) n")
            assert row["n"] == 0

    asyncio.run(test())
