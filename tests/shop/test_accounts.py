"""Signing up, in and out, on a real database."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shop import accounts, carts
from shop.problems import Problem
from tests.shop.running import Running, refused, running

pytestmark = pytest.mark.slow

EMAIL, PASSWORD = "ann@example.com", "correct horse battery"


async def sign_up(shop: Running, **changes: str) -> Any:
    given = {"email": EMAIL, "name": "Ann", "password": PASSWORD, "key": "k1", **changes}
    return await accounts.sign_up(shop.shop, **given)


def test_who_signs_up_can_sign_in_and_out(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            person = await sign_up(shop)
            token = await accounts.sign_in(shop.shop, email=EMAIL.upper(), password=PASSWORD)
            session = await accounts.session(shop.shop, token)
            assert session is not None
            assert session.user is not None
            assert (session.user.id, session.user.name, session.user.is_staff) == (person.id, "Ann", False)
            await accounts.sign_out(shop.shop, token)
            assert await accounts.session(shop.shop, token) is None

    asyncio.run(test())


def test_neither_a_password_nor_a_token_is_in_the_database(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            await sign_up(shop)
            token = await accounts.sign_in(shop.shop, email=EMAIL, password=PASSWORD)
            kept = ""
            for table in ("users", "sessions", "idempotency_keys"):
                kept += str(await shop.sql(f"select t::text, to_jsonb(t) from {table} t"))
            (stored,) = await shop.sql("select body from idempotency_keys")
            assert "$argon2id$" in kept
            assert EMAIL in kept
            for secret in (PASSWORD, token):
                assert secret not in kept
                assert secret.encode().hex() not in kept
                assert secret.encode() not in bytes(stored["body"])

    asyncio.run(test())


def test_the_same_sign_up_again_makes_nobody_new(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            assert await sign_up(shop) == await sign_up(shop)
            for change in ({"name": "Anne"}, {"password": "another password"}):
                await refused(sign_up(shop, **change), 422, "idempotency-key-reused")
            await refused(sign_up(shop, email=EMAIL.title(), key="k2"), 409, "email-taken")
            assert [row["name"] for row in await shop.sql("select name from users")] == ["Ann"]
            stranger = await sign_up(shop, email="bob@example.com", name="Bob")
            assert stranger.name == "Bob", "the same key, by chance, is another's"

    asyncio.run(test())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "ann"),
        ("email", "ann@example"),
        ("email", "ann@example.com\n"),
        ("email", "ann@example.com\r\nBcc: all@example.com"),
        ("email", "ann @example.com"),
        ("email", "ann,bob@example.com"),
        ("email", f"{'a' * 65}@example.com"),
        ("email", f"a@{'a' * 250}.com"),
        ("email", "änn@example.com"),
        ("name", ""),
        ("name", "Ann\x00"),
        ("name", "Ann\nBcc: all@example.com"),
        ("name", "Ann\n"),
        ("name", "a" * 201),
        ("password", "short"),
        ("password", "p" * 201),
        ("password", "with a \x00 in it"),
    ],
)
def test_what_cannot_be_kept_or_mailed_is_refused_by_name(field: str, value: str) -> None:
    given = {"email": EMAIL, "name": "Ann", "password": PASSWORD, field: value}
    with pytest.raises(Problem) as problem:
        asyncio.run(accounts.sign_up(None, key="k", **given))  # type: ignore[arg-type]
    assert (problem.value.status, problem.value.code) == (400, "invalid-request")
    assert f"$.{field}" in problem.value.detail


def test_a_cart_comes_along_into_the_users_own(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            cup, bowl = await shop.product(name="Cup"), await shop.product(name="Bowl")
            await sign_up(shop)
            first = await accounts.session(shop.shop, await accounts.sign_in(shop.shop, email=EMAIL, password=PASSWORD))
            assert first is not None
            await carts.put(shop.shop, first.cart, cup.id, 60)

            visitor = await accounts.start_session(shop.shop)
            before = await accounts.session(shop.shop, visitor)
            assert before is not None
            assert before.user is None
            for product, quantity in ((cup, 60), (bowl, 2)):
                await carts.put(shop.shop, before.cart, product.id, quantity)
            token = await accounts.sign_in(shop.shop, email=EMAIL, password=PASSWORD, token=visitor)

            after = await accounts.session(shop.shop, token)
            assert after is not None
            assert after.cart == first.cart
            lines = (await carts.contents(shop.shop, after.cart)).lines
            assert {line.name: line.quantity for line in lines} == {"Cup": 99, "Bowl": 2}
            assert await accounts.session(shop.shop, visitor) is None
            assert (await carts.contents(shop.shop, before.cart)).lines == []

    asyncio.run(test())


def test_signing_in_as_somebody_else_takes_no_cart_along(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            other, cup = await shop.customer(), await shop.product()
            await shop.fill(other, cup)
            await sign_up(shop)
            token = await accounts.sign_in(shop.shop, email=EMAIL, password=PASSWORD, token=other.token)
            session = await accounts.session(shop.shop, token)
            assert session is not None
            assert (await carts.contents(shop.shop, session.cart)).lines == []
            assert len((await carts.contents(shop.shop, other.user.cart)).lines) == 1

    asyncio.run(test())


def test_an_expired_session_is_none(database_url: str, tmp_path: Path) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            token = await accounts.start_session(shop.shop)
            await shop.sql("update sessions set expires_at = now() - interval '1 second'")
            assert await accounts.session(shop.shop, token) is None

    asyncio.run(test())


def test_an_unknown_email_costs_as_much_as_a_wrong_password(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    really = accounts._matches

    def count(password_hash: str, password: str) -> bool:
        verified.append(password_hash)
        return really(password_hash, password)

    monkeypatch.setattr(accounts, "_matches", count)

    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            await sign_up(shop)
            for email in (EMAIL, "nobody@example.com"):
                problem = await refused(
                    accounts.sign_in(shop.shop, email=email, password="not this one"), 401, "wrong-credentials"
                )
                assert problem.detail == "No user has this e-mail address and password."

    asyncio.run(test())
    real, nobody = verified
    assert real != nobody
    assert real.rsplit("$", 2)[0] == nobody.rsplit("$", 2)[0]  # the same work for both


@pytest.mark.parametrize("whom", ["email", "address"])
def test_guessing_is_slowed_down(database_url: str, tmp_path: Path, whom: str) -> None:
    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            for number in range(accounts.ATTEMPTS_A_MINUTE + 1):
                email = EMAIL if whom == "email" else f"{number}@example.com"
                address = "192.0.2.1" if whom == "address" else f"192.0.2.{number}"
                guess = accounts.sign_in(shop.shop, email=email, password="a guess", address=address)
                if number < accounts.ATTEMPTS_A_MINUTE:
                    await refused(guess, 401, "wrong-credentials")
                else:
                    problem = await refused(guess, 429, "too-many-attempts")
                    assert int(problem.headers["Retry-After"]) > 0

    asyncio.run(test())


def test_a_crowd_that_signs_in_is_asked_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "MOST_WAITING", 3)

    async def test() -> list[object]:
        hashing = (accounts._in_thread(lambda: accounts.HASHER.hash(PASSWORD)) for _ in range(5))
        return list(await asyncio.gather(*hashing, return_exceptions=True))

    outcomes = asyncio.run(test())
    assert [type(outcome) for outcome in outcomes] == [str, str, str, Problem, Problem]
    assert accounts.waiting == 0


def test_devices_are_the_users_own_and_not_too_many(database_url: str, tmp_path: Path) -> None:
    def endpoint(number: int) -> str:
        return f"arn:aws:sns:us-east-1:000000000000:endpoint/APNS/shop/{number}"

    async def test() -> None:
        async with running(database_url, tmp_path) as shop:
            one, other = await shop.customer(), await shop.customer()
            added = [
                await accounts.add_device(shop.shop, one.user, endpoint=endpoint(number), key=str(number))
                for number in range(accounts.MOST_DEVICES)
            ]
            await refused(
                accounts.add_device(shop.shop, one.user, endpoint=endpoint(99), key="k"), 409, "too-many-devices"
            )
            again = await accounts.add_device(shop.shop, one.user, endpoint=endpoint(0), key="another key")
            assert again == added[0]
            assert await accounts.devices(shop.shop, one.user) == added
            assert await accounts.devices(shop.shop, other.user) == []
            await refused(accounts.remove_device(shop.shop, other.user, added[0].id), 404, "no-such-device")
            await accounts.remove_device(shop.shop, one.user, str(added[0].id))
            assert await accounts.devices(shop.shop, one.user) == added[1:]

    asyncio.run(test())
