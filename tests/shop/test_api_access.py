"""Who may do what: every kind of visitor at every verb of every resource, those of others above all."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from shop import accounts, api, orders
from tests.shop.running import PICTURE, Customer, Running, leave_aws_alone, running

pytestmark = pytest.mark.slow

PRODUCT = {"name": "Cup", "description": "A cup.", "category": "cups", "price_cents": 250}
ENDPOINT = "arn:aws:sns:us-east-1:000000000000:endpoint/APNS/shop/1"
NEW_USER = {"email": "ann@example.com", "name": "Ann", "password": "correct horse battery"}

# What each gets: nobody, a visitor who has not signed in, another customer, the owner, staff.
OPEN, VISITORS, USERS = (200, 200, 200, 200, 200), (401, 200, 200, 200, 200), (401, 401, 200, 200, 200)
OWNER, STAFF = (401, 401, 404, 200, 404), (401, 401, 403, 403, 200)

# What is sent to each verb of each path, and who may send it. Whoever adds a route says here who may use it.
MATRIX: dict[tuple[str, str], tuple[tuple[int, ...], Any]] = {
    ("GET", "/products"): (OPEN, None),
    ("GET", "/products/{product_id}"): (OPEN, None),
    ("GET", "/search"): (OPEN, None),
    ("GET", "/categories"): (OPEN, None),
    ("POST", "/users"): (OPEN, NEW_USER),
    ("POST", "/sessions"): (OPEN, {name: NEW_USER[name] for name in ("email", "password")}),
    ("DELETE", "/sessions/current"): (VISITORS, None),
    ("GET", "/me"): (USERS, None),
    ("GET", "/cart"): (VISITORS, None),
    ("PUT", "/cart/lines/{product_id}"): (VISITORS, {"quantity": 1}),
    ("DELETE", "/cart/lines/{product_id}"): (VISITORS, None),
    ("POST", "/orders"): (USERS, {}),
    ("GET", "/orders"): (USERS, None),
    ("GET", "/orders/{order_id}"): (OWNER, None),
    ("GET", "/orders/{order_id}/invoice"): (OWNER, None),
    ("POST", "/devices"): (USERS, {"endpoint": ENDPOINT}),
    ("GET", "/devices"): (USERS, None),
    ("DELETE", "/devices/{device_id}"): (OWNER, None),
    ("POST", "/staff/products"): (STAFF, PRODUCT),
    ("PATCH", "/staff/products/{product_id}"): (STAFF, {"name": "Mug"}),
    ("POST", "/staff/products/{product_id}/images"): (STAFF, PICTURE),
    ("POST", "/staff/orders/{order_id}/shipment"): (STAFF, None),
}
WHO = ("nobody", "visitor", "other", "owner", "staff")


@pytest.fixture(autouse=True)
def no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_aws_alone(monkeypatch)


class Scene(NamedTuple):
    """Somebody who owns things, and everybody who might want them."""

    headers: dict[str, dict[str, str]]
    owner: Customer
    ids: dict[str, str]


async def scene(shop: Running) -> Scene:
    owner, other, staff = await shop.customer(name="Olga"), await shop.customer(), await shop.customer(is_staff=True)
    product = await shop.product()
    for buyer in (owner, other, staff):
        await shop.fill(buyer, product)
    placed = await orders.place(shop.shop, owner.user, key="k")
    device = await accounts.add_device(shop.shop, owner.user, endpoint=ENDPOINT, key="k")
    for buyer in (owner, other, staff):
        await shop.fill(buyer, product)
    await shop.sql(
        "insert into users (email, name, password_hash) values (%s, 'Ann', %s)",
        (NEW_USER["email"], accounts.HASHER.hash(NEW_USER["password"])),
    )
    headers = {
        "nobody": {},
        "visitor": {"Authorization": f"Bearer {await accounts.start_session(shop.shop)}"},
        "other": other.headers,
        "owner": owner.headers,
        "staff": staff.headers,
    }
    return Scene(
        headers, owner, {"product_id": str(product.id), "order_id": str(placed.id), "device_id": str(device.id)}
    )


def test_every_route_says_who_may_use_it() -> None:
    assert set(MATRIX) == {(about.method, about.path) for about in api.OPERATIONS}


@pytest.mark.parametrize("operation", MATRIX, ids=" ".join)
def test_everybody_gets_what_is_his_and_nothing_else(
    database_url: str, tmp_path: Path, operation: tuple[str, str]
) -> None:
    method, path = operation
    expected, sent = MATRIX[operation]

    async def ask(shop: Running, at: Scene, who: str) -> int:
        body: dict[str, Any] = {"content": sent} if isinstance(sent, bytes) else {"json": sent}
        if path == "/users":
            body["json"] = {**NEW_USER, "email": f"{who}@example.com"}
        headers = {**at.headers[who], "Idempotency-Key": str(uuid4())}
        if isinstance(sent, bytes):
            headers["Content-Type"] = "image/png"
        url = path.format(**at.ids) + ("?q=cup" if path == "/search" else "")
        answer = await shop.client.request(method, url, headers=headers, **body)
        if answer.status_code >= 400:
            for secret in (at.owner.user.email, at.owner.user.name, at.ids["order_id"], at.ids["device_id"]):
                assert secret not in answer.text
        return answer.status_code

    async def test() -> dict[str, int]:
        async with running(database_url, tmp_path) as shop:
            at = await scene(shop)
            found = {who: await ask(shop, at, who) for who in ("nobody", "visitor", "other", "staff")}
            assert await shop.sql("select 1 from devices where user_id = %s", (at.owner.user.id,))
            return {**found, "owner": await ask(shop, at, "owner")}

    found = asyncio.run(test())
    assert {who: 200 if found[who] < 300 else found[who] for who in WHO} == dict(zip(WHO, expected, strict=True))


def test_nobody_reads_or_changes_the_cart_of_another(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            at = await scene(shop)
            line = f"/cart/lines/{at.ids['product_id']}"
            before = (await shop.client.get("/cart", headers=at.owner.headers)).json()
            for who in ("visitor", "other", "staff"):
                await shop.client.put(line, json={"quantity": 50}, headers=at.headers[who])
                await shop.client.delete(line, headers=at.headers[who])
                await shop.post("/orders", None, {})
            assert (await shop.client.get("/cart", headers=at.owner.headers)).json() == before

    asyncio.run(test())
