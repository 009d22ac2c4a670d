"""The API over HTTP, as a client meets it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from shop import api
from tests.shop.running import PICTURE, running

pytestmark = pytest.mark.slow

NEW_USER = {"email": "ann@example.com", "name": "Ann", "password": "correct horse battery"}
KEY = {"Idempotency-Key": "k"}


def problem(answer: httpx.Response) -> tuple[int, str]:
    """What a problem document says, once its form is right."""
    told = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(told) == {"type", "title", "status", "code", "detail"}
    assert told["status"] == answer.status_code
    return answer.status_code, told["code"]


def test_a_customer_finds_buys_and_reads_about_it(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            product = await shop.product(name="Green cup")
            client = shop.client
            assert (await client.post("/users", json=NEW_USER, headers=KEY)).status_code == 201
            credentials = {name: NEW_USER[name] for name in ("email", "password")}
            token = (await client.post("/sessions", json=credentials)).json()["token"]
            client.headers["Authorization"] = f"Bearer {token}"
            assert (await client.get("/me")).json()["name"] == "Ann"
            (found,) = (await client.get("/search", params={"q": "green"})).json()["items"]
            assert found["id"] == product.id
            cart = (await client.put(f"/cart/lines/{found['id']}", json={"quantity": 2})).json()
            assert cart == (await client.get("/cart")).json()
            assert cart["total_cents"] == 500
            bought = await client.post("/orders", json={"total_cents": 500}, headers=KEY)
            assert bought.status_code == 201
            order = bought.json()
            assert (await client.get("/orders")).json() == {"items": [order], "next": None}
            assert (await client.get(f"/orders/{order['id']}")).json() == order
            invoice = await client.get(f"/orders/{order['id']}/invoice")
            assert (invoice.headers["content-type"], invoice.content[:5]) == ("application/pdf", b"%PDF-")
            assert (await client.delete("/sessions/current")).status_code == 204
            assert problem(await client.get("/me")) == (401, "sign-in-needed")

    asyncio.run(test())


def test_staff_sell_something_new(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            staff = await shop.customer(is_staff=True)
            about = {"name": "Cup", "description": "A cup.", "category": "cups", "price_cents": 250, "stock": 3}
            added = (await shop.post("/staff/products", staff, about)).json()
            path = f"/staff/products/{added['id']}"
            changed = (await shop.client.patch(path, json={"price_cents": 300}, headers=staff.headers)).json()
            assert changed == {**added, "price_cents": 300, "version": 2}
            pictured = await shop.client.post(
                f"{path}/images",
                content=PICTURE,
                headers={**staff.headers, **KEY, "Content-Type": "image/png"},
            )
            assert pictured.status_code == 201
            shown = (await shop.client.get(f"/products/{added['id']}")).json()
            assert (shown["image"], shown["price_cents"]) == (pictured.json()["id"], 300)
            assert (await shop.client.get("/categories")).json()["items"] == [{"name": "cups", "products": 1}]

    asyncio.run(test())


def test_stock_comes_in_once_however_often_staff_send_it(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            staff, product = await shop.customer(is_staff=True), await shop.product(stock=10)

            async def send(key: dict[str, str], **change: Any) -> httpx.Response:
                path = f"/staff/products/{product.id}"
                return await shop.client.patch(path, json=change, headers={**staff.headers, **key})

            assert problem(await send({}, stock_change=5)) == (400, "idempotency-key-missing")
            first, again = await send(KEY, stock_change=5), await send(KEY, stock_change=5)
            assert first.json() == again.json() == {**first.json(), "stock": 15}
            assert problem(await send(KEY, stock_change=6)) == (422, "idempotency-key-reused")
            assert (await send({}, name="Mug")).json()["stock"] == 15

    asyncio.run(test())


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "truncated"),
        (b"{", "truncated"),
        (b"[]", "array"),
        (b"null", "null"),
        (b'{"quantity": "3"}', "$.quantity"),
        (b'{"quantity": 3.5}', "$.quantity"),
        (b'{"quantity": true}', "$.quantity"),
        (b'{"quantity": 0}', "$.quantity"),
        (b'{"quantity": 100}', "$.quantity"),
        (b'{"quantity": 1e400}', "$.quantity"),
        (b'{"quantity": 99999999999999999999999999999999}', "$.quantity"),
        (b"{}", "`quantity`"),
        (b'{"quantity": 3, "price_cents": 1}', "`price_cents`"),
        (b'{"quantity": 3} {}', "malformed"),
        (b'\xff{"quantity": 3}', "malformed"),
        (b'{"\xff": 3}', "utf-8"),
        (b"[" * 60_000, "recursion"),
        (b'{"a":' * 10_000, "recursion"),
    ],
)
def test_a_bad_body_is_refused_and_told_why(database_url: str, tmp_path: Path, body: bytes, named: str) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            customer = await shop.customer()
            headers = {**customer.headers, "Content-Type": "application/json"}
            answer = await shop.client.put("/cart/lines/1", content=body, headers=headers)
            assert problem(answer) == (400, "invalid-request")
            assert named in answer.json()["detail"]

    asyncio.run(test())


UNKEEPABLE = ["a\x00b", "\x00", "\\ud800", "\\udfff\\ud800"]


@pytest.mark.parametrize("text", UNKEEPABLE)
def test_what_the_database_cannot_keep_is_refused_everywhere(database_url: str, tmp_path: Path, text: str) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            staff = await shop.customer(is_staff=True)
            headers = {**staff.headers, **KEY, "Content-Type": "application/json"}
            in_json = json.dumps("x")[:-1] + (text if "\\" in text else json.dumps(text)[1:-1]) + '"'
            good: dict[str, dict[str, Any]] = {
                "/staff/products": {"name": "Cup", "description": "A cup.", "category": "cups", "price_cents": 250},
                "/users": NEW_USER,
                "/sessions": {"email": "ann@example.com", "password": "correct horse"},
                "/devices": {"endpoint": "arn:aws:sns:us-east-1:000000000000:endpoint/APNS/shop/1"},
            }
            for path, body in good.items():
                for field in (name for name, value in body.items() if isinstance(value, str)):
                    whole = json.dumps({**body, field: "REPLACED"}).replace('"REPLACED"', in_json)
                    answer = await shop.client.post(path, content=whole, headers=headers)
                    assert problem(answer) == (400, "invalid-request"), (path, field)
            in_url = "%ED%A0%80" if "\\" in text else text.replace("\x00", "%00")
            for path in (f"/search?q={in_url}", f"/products?category={in_url}", f"/orders?cursor={in_url}"):
                answer = await shop.client.get(path, headers=headers)
                # Bytes that are no text are replaced when a URL is read, as everywhere.
                replaced = "\\" in text and "cursor" not in path
                assert answer.status_code == (200 if replaced else 400), path
            for path in (f"/products/{in_url}", f"/orders/{in_url}", f"/orders/{in_url}/invoice"):
                assert (await shop.client.get(path, headers=headers)).status_code == 404

    asyncio.run(test())


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 400),
        ("limit=101", 400),
        ("limit=x", 400),
        ("limit=1.5", 400),
        ("limit=", 400),
        ("limit=99999999999999999999", 400),
        (f"limit={'9' * 5000}", 400),
        ("limit=1&limit=1", 400),
        ("limits=1", 400),
        ("cursor=x", 400),
        ("cursor=%0A", 400),
        ("category=%0A", 400),
        (f"category={'a' * 61}", 400),
        ("category=&cursor=", 200),
        ("limit=100", 200),
    ],
)
def test_a_query_is_as_strict_as_a_body(database_url: str, tmp_path: Path, query: str, status: int) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            answer = await shop.client.get(f"/products?{query}")
            assert answer.status_code == status
            if status == 400:
                assert problem(answer)[1] in ("invalid-request", "bad-cursor")

    asyncio.run(test())


@pytest.mark.parametrize("number", ["0", "-1", "007", "1e3", "9223372036854775808", "9" * 400, "1%20", "x"])
def test_an_id_that_nothing_can_have_is_not_found(database_url: str, tmp_path: Path, number: str) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            staff = await shop.customer(is_staff=True)
            answers = [
                await shop.client.get(f"/products/{number}"),
                await shop.client.put(f"/cart/lines/{number}", json={"quantity": 1}, headers=staff.headers),
                await shop.client.delete(f"/cart/lines/{number}", headers=staff.headers),
                await shop.client.patch(f"/staff/products/{number}", json={}, headers=staff.headers),
            ]
            assert [problem(answer) for answer in answers] == [(404, "no-such-product")] * 4

    asyncio.run(test())


def test_each_mistake_has_its_own_answer(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            customer = await shop.customer()
            ask = shop.client.request
            text = {**customer.headers, **KEY, "Content-Type": "text/plain"}
            assert problem(await ask("GET", "/nothing")) == (404, "not-found")
            assert problem(await ask("GET", "/orders")) == (401, "sign-in-needed")
            assert problem(await ask("POST", "/orders", headers=text, content="{}")) == (415, "unsupported-content")
            no_key = await ask("POST", "/orders", headers=customer.headers, json={})
            assert problem(no_key) == (400, "idempotency-key-missing")
            assert problem(await shop.post("/orders", customer, {}, key="k" * 256)) == (400, "idempotency-key-invalid")
            assert problem(await shop.post("/orders", customer, {})) == (409, "cart-empty")
            denied = await ask("GET", "/me", headers={"Authorization": "Bearer made-up"})
            assert problem(denied) == (401, "sign-in-needed")
            assert denied.headers["www-authenticate"] == "Bearer"
            other_verb = await ask("POST", "/products/1")
            assert problem(other_verb) == (405, "method-not-allowed")
            assert set(other_verb.headers["allow"].split(", ")) == {"GET", "HEAD"}
            lines = await ask("GET", "/cart/lines/1")
            assert set(lines.headers["allow"].split(", ")) == {"PUT", "DELETE"}

    asyncio.run(test())


def test_a_cookie_lets_nobody_in(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            customer = await shop.customer()
            answer = await shop.client.get("/me", headers={"Cookie": f"session={customer.token}"})
            assert problem(answer) == (401, "sign-in-needed")
            for kind in ("bearer", "BEARER"):
                answer = await shop.client.get("/me", headers={"Authorization": f"{kind} {customer.token}"})
                assert answer.status_code == 200
            answer = await shop.client.get("/me", headers={"Authorization": f"Basic {customer.token}"})
            assert problem(answer) == (401, "sign-in-needed")

    asyncio.run(test())


def test_a_hundred_of_the_same_request_at_once_make_one_order(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path, DATABASE_POOL_TIMEOUT_MS="20000") as shop:
            customer, product = await shop.customer(), await shop.product()
            await shop.fill(customer, product, quantity=2)
            asking = (shop.post("/orders", customer, {"total_cents": 500}, key="one") for _ in range(100))
            answers = await asyncio.gather(*asking)
            assert {answer.status_code for answer in answers} <= {201, 409}
            assert {problem(answer)[1] for answer in answers if answer.status_code == 409} <= {"request-in-flight"}
            made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
            assert len(made) == 1
            again = await shop.post("/orders", customer, {"total_cents": 500}, key="one")
            assert (again.status_code, again.json()["id"]) == (201, *made)
            for other in ({}, {"total_cents": 501}):
                answer = await shop.post("/orders", customer, other, key="one")
                assert problem(answer) == (422, "idempotency-key-reused")
            (facts,) = await shop.sql(
                "select (select stock from products) as stock, (select count(*) from orders) as orders, "
                "(select count(*) from mails where kind = 'mail') as mails"
            )
            assert facts == {"stock": 98, "orders": 1, "mails": 1}

    asyncio.run(test())


@pytest.mark.parametrize("path", ["/users", "/devices", "/staff/products"])
def test_whatever_is_created_is_created_once(database_url: str, tmp_path: Path, path: str) -> None:
    bodies: dict[str, tuple[dict[str, Any], str]] = {
        "/users": (NEW_USER, "name"),
        "/devices": ({"endpoint": "arn:aws:sns:us-east-1:000000000000:endpoint/APNS/shop/1"}, "endpoint"),
        "/staff/products": (
            {"name": "Cup", "description": "A cup.", "category": "cups", "price_cents": 250},
            "description",
        ),
    }
    body, changeable = bodies[path]

    async def test() -> None:
        async with running(database_url, tmp_path, DATABASE_POOL_TIMEOUT_MS="20000") as shop:
            staff = await shop.customer(is_staff=True)
            answers = await asyncio.gather(*(shop.post(path, staff, body, key="one") for _ in range(10)))
            assert Counter(answer.status_code for answer in answers).keys() <= {201, 409, 429}
            assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
            other = await shop.post(path, staff, {**body, changeable: f"{body[changeable]}x"}, key="one")
            assert other.status_code in (422, 429)

    asyncio.run(test())


def test_only_the_catalogue_may_be_kept_by_others(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            customer, product = await shop.customer(), await shop.product()
            for path in ("/products", f"/products/{product.id}"):
                answer = await shop.client.get(path)
                assert answer.headers["cache-control"] == api.SHARED
                assert answer.headers.get("set-cookie") is None
            for path in ("/search?q=cup", "/categories", "/cart", "/orders", "/me", "/devices", "/products/0"):
                answer = await shop.client.get(path, headers=customer.headers)
                assert answer.headers["cache-control"] == "no-store", path

    asyncio.run(test())


def test_the_description_is_complete_and_always_the_same(database_url: str, tmp_path: Path) -> None:
    async def test() -> bytes:
        async with running(database_url, tmp_path) as shop:
            return (await shop.client.get("/openapi.json")).content

    served = asyncio.run(test())
    assert served == api.document() == api.document()
    described = json.loads(served)
    assert described["openapi"] == "3.1.0"
    listed = {(verb.upper(), path) for path, verbs in described["paths"].items() for verb in verbs}
    assert listed == {(about.method, about.path) for about in api.OPERATIONS}
    operations = [verb for verbs in described["paths"].values() for verb in verbs.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"] for each in operations)
    assert "\\Z" not in served.decode()
