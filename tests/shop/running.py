"""The shop in this process on a real database, with people and products that tests put there."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.applications import Starlette

from shop import app, aws, carts, catalogue
from shop.accounts import User
from shop.contracts import Product
from shop.ports import Shop
from shop.problems import Problem
from shop.settings import load

# Two pixels by two.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000002000000020802000000fdd49a730000001649444154789c63fccfc0c0c0c0c0c4c0c0c0c0c0"
    "00000d1d01036ac29be90000000049454e44ae426082"
)


@dataclass(frozen=True)
class Customer:
    """Somebody who has signed in, and the headers that he sends."""

    user: User
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass(frozen=True)
class Running:
    """A shop that is open, and a client of its API."""

    shop: Shop
    client: httpx.AsyncClient

    async def sql(self, text: Any, values: Any = ()) -> list[dict[str, Any]]:
        async with self.shop.database.write() as connection:
            done = await connection.execute(text, values)
            return await done.fetchall() if done.description else []

    async def customer(self, *, is_staff: bool = False, name: str = "A customer") -> Customer:
        """Put there by SQL, as hashing passwords takes its time."""
        token = secrets.token_urlsafe(32)
        (row,) = await self.sql(
            "insert into users (email, name, password_hash, is_staff) values (%s, %s, '-', %s) "
            "returning id, email, name, is_staff, cart",
            (f"{uuid4()}@example.com", name, is_staff),
        )
        await self.sql(
            "insert into sessions (token_hash, user_id, cart, expires_at) "
            "values (%s, %s, %s, now() + interval '1 day')",
            (hashlib.sha256(token.encode()).digest(), row["id"], row["cart"]),
        )
        return Customer(User(**row), token)

    async def product(
        self, *, name: str = "A cup", stock: int = 100, cents: int = 250, category: str = "cups"
    ) -> Product:
        staff = await self.customer(is_staff=True)
        return await catalogue.add_product(
            self.shop,
            staff.user,
            key=str(uuid4()),
            name=name,
            description=f"{name}, described.",
            category=category,
            price_cents=cents,
            stock=stock,
        )

    async def change(self, product: Product, **about: Any) -> Product:
        staff = await self.customer(is_staff=True)
        return await catalogue.change_product(self.shop, staff.user, product.id, key=str(uuid4()), **about)

    async def fill(self, customer: Customer, *products: Product, quantity: int = 1) -> None:
        for product in products:
            await carts.put(self.shop, customer.user.cart, product.id, quantity)

    async def post(
        self, path: str, customer: Customer | None = None, json: Any = None, key: str = "", **more: Any
    ) -> httpx.Response:
        headers = {"Idempotency-Key": key or str(uuid4()), **(customer.headers if customer else {})}
        return await self.client.post(path, headers=headers, json=json, **more)


def application(database_url: str, folder: Path, **variables: str) -> Starlette:
    return app.create(load({"DATABASE_URL": database_url, "FILES_FOLDER": str(folder / "files"), **variables}))


@asynccontextmanager
async def running(database_url: str, folder: Path, **variables: str) -> AsyncIterator[Running]:
    starlette = application(database_url, folder, **variables)
    async with starlette.router.lifespan_context(starlette):
        transport = httpx.ASGITransport(starlette)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test/api/v1") as client:
            yield Running(starlette.state.shop, client)


async def refused(doing: Awaitable[object], status: int, code: str) -> Problem:
    """The problem that it has to end with."""
    with pytest.raises(Problem) as raised:
        await doing
    assert (raised.value.status, raised.value.code) == (status, code), raised.value.detail
    return raised.value


def leave_aws_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices that nobody has are told by nobody: that job fails, and the request does not."""

    def client(service: str) -> object:
        raise ConnectionError(f"{service} is not asked here")

    monkeypatch.setattr(aws, "client", client)
