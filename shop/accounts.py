"""Who somebody is: signing up, in and out, sessions, and the devices that are told about orders."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import msgspec
from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from shop.carts import MOST_LINES
from shop.contracts import Credentials, Device, NewDevice, NewUser, Person, check, known_id, missing
from shop.creating import Made, create
from shop.ports import Shop
from shop.problems import Problem

if TYPE_CHECKING:
    from shop.database import Connection

Result = TypeVar("Result")
SESSION_DAYS = 30
MOST_DEVICES = 10
ATTEMPTS_A_MINUTE = 10
# 19 MiB and about 20 ms a password: a bulkhead, so that people who sign in cannot take memory and CPU from all others.
HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
AT_ONCE, MOST_WAITING = 2, 50
THREADS = ThreadPoolExecutor(AT_ONCE, "passwords")
# For an e-mail that nobody has: a look at it takes as long as at a real one.
NOBODY = HASHER.hash(secrets.token_hex())
waiting = 0
BEARER = {"WWW-Authenticate": "Bearer"}


@dataclass(frozen=True)
class User:
    """Somebody who has signed in."""

    id: UUID
    email: str
    name: str
    is_staff: bool
    cart: UUID


@dataclass(frozen=True)
class Session:
    """A visitor who has come back; `cart` is the user's own once he has signed in."""

    user: User | None
    cart: UUID


async def sign_up(shop: Shop, *, email: str, name: str, password: str, key: str, address: str = "") -> Person:
    new = check(NewUser, {"email": email, "name": name, "password": password})
    await _limit(shop, "sign-up", address)
    # A salt that follows from the request, so that asked again the hash is the same: what is remembered of the
    # request then is no easier to guess a password from than the hash itself.
    salt = hmac.digest(shop.secret, f"{key} {new.email.lower()}".encode(), "sha256")[:16]
    new.password = await _in_thread(lambda: HASHER.hash(new.password, salt=salt))

    async def make(connection: Connection) -> Made[Person]:
        added = await connection.execute(
            "insert into users (email, name, password_hash) values (%(email)s, %(name)s, %(password)s) "
            "on conflict (lower(email)) do nothing returning id, email, name, is_staff",
            msgspec.structs.asdict(new),
        )
        row = await added.fetchone()
        if row is None:
            raise Problem(409, "email-taken", "Somebody has signed up with this e-mail address already.")
        return Made(Person(**row))

    # Strangers share no account to keep their keys apart, but each has an address of his own.
    return await create(shop, Person, make, scope=f"users:{new.email.lower()}", key=key, request=new)


async def sign_in(shop: Shop, *, email: str, password: str, token: str | None = None, address: str = "") -> str:
    """A new token, and what was in the cart of the old one. CP: the primary only."""
    given = check(Credentials, {"email": email, "password": password})
    await _limit(shop, "sign-in", address)
    await _limit(shop, "sign-in", hashlib.sha256(given.email.lower().encode()).hexdigest()[:32])
    rows = await shop.database.read_primary(
        "select id, cart, password_hash from users where lower(email) = lower(%s)", (given.email,)
    )
    password_hash = rows[0]["password_hash"] if rows else NOBODY
    if not await _in_thread(lambda: _matches(password_hash, given.password)) or not rows:
        raise Problem(401, "wrong-credentials", "No user has this e-mail address and password.", headers=BEARER)
    (user,) = rows
    fresh = secrets.token_urlsafe(32)
    async with shop.database.write() as connection:
        old = await connection.execute(
            "delete from sessions where token_hash = %s and user_id is null returning cart", (_hash(token or ""),)
        )
        for row in await old.fetchall():
            await _merge(connection, row["cart"], user["cart"])
        await _remember(connection, fresh, user["id"], user["cart"])
    return fresh


async def start_session(shop: Shop) -> str:
    """The token of a visitor whom we do not know, for his cart."""
    token = secrets.token_urlsafe(32)
    async with shop.database.write() as connection:
        await _remember(connection, token)
    return token


async def session(shop: Shop, token: str) -> Session | None:
    """CP: asked of the primary, so that who has signed out is out."""
    rows = await shop.database.read_primary(
        "select s.cart as session_cart, u.id, u.email, u.name, u.is_staff, u.cart "
        "from sessions s left join users u on u.id = s.user_id where s.token_hash = %s and s.expires_at > now()",
        (_hash(token),),
    )
    if not rows:
        return None
    cart = rows[0].pop("session_cart")
    return Session(User(**rows[0]) if rows[0]["id"] else None, cart)


async def sign_out(shop: Shop, token: str) -> None:
    async with shop.database.write() as connection:
        await connection.execute("delete from sessions where token_hash = %s", (_hash(token),))


async def add_device(shop: Shop, user: User, *, endpoint: str, key: str) -> Device:
    new = check(NewDevice, {"endpoint": endpoint})

    async def make(connection: Connection) -> Made[Device]:
        await connection.execute("select 1 from users where id = %s for update", (user.id,))  # one at a time
        added = await connection.execute(
            "insert into devices (user_id, endpoint) select %(user)s, %(endpoint)s "
            "where (select count(*) from devices where user_id = %(user)s and endpoint <> %(endpoint)s) < %(most)s "
            "on conflict (user_id, endpoint) do update set endpoint = excluded.endpoint returning id, endpoint",
            {"user": user.id, "endpoint": new.endpoint, "most": MOST_DEVICES},
        )
        row = await added.fetchone()
        if row is None:
            raise Problem(409, "too-many-devices", f"{MOST_DEVICES} devices are told already. Remove one first.")
        return Made(Device(**row))

    return await create(shop, Device, make, scope=f"devices:{user.id}", key=key, request=new)


async def devices(shop: Shop, user: User, after: str | None = None) -> list[Device]:
    sql = "select id, endpoint from devices where user_id = %s order by created_at, id"
    return [Device(**row) for row in await shop.database.read(sql, (user.id,), after)]


async def remove_device(shop: Shop, user: User, device_id: str | UUID) -> None:
    async with shop.database.write() as connection:
        removed = await connection.execute(
            "delete from devices where id = %s and user_id = %s", (known_id(device_id, "device"), user.id)
        )
        if removed.rowcount == 0:
            raise missing("device")


async def _merge(connection: Connection, old: UUID, cart: UUID) -> None:
    """As much as a cart holds; the rest is left behind."""
    await connection.execute(
        "insert into cart_lines (cart, product_id, quantity) "
        "select %(cart)s, product_id, quantity from cart_lines where cart = %(old)s order by product_id "
        "limit (select greatest(0, %(most)s - count(*)) from cart_lines where cart = %(cart)s) "
        "on conflict (cart, product_id) do update set quantity = least(99, cart_lines.quantity + excluded.quantity)",
        {"cart": cart, "old": old, "most": MOST_LINES},
    )
    await connection.execute("delete from cart_lines where cart = %s", (old,))


async def _remember(connection: Connection, token: str, user: UUID | None = None, cart: UUID | None = None) -> None:
    await connection.execute(
        "insert into sessions (token_hash, user_id, cart, expires_at) "
        "values (%s, %s, coalesce(%s, gen_random_uuid()), now() + make_interval(days => %s))",
        (_hash(token), user, cart, SESSION_DAYS),
    )


async def _limit(shop: Shop, action: str, whom: str) -> None:
    if not whom:
        return
    allowance = await shop.limiter.take(f"{action}:{whom}", ATTEMPTS_A_MINUTE, 60, shared=True)
    if allowance and not allowance.allowed:
        wait = {"Retry-After": str(max(1, allowance.reset_seconds))}
        raise Problem(429, "too-many-attempts", "Too many attempts. Please wait a minute.", headers=wait)


async def _in_thread(work: Callable[[], Result]) -> Result:
    global waiting
    if waiting >= MOST_WAITING:
        raise Problem(429, "busy", "Too many people are signing in. Please try again.", headers={"Retry-After": "2"})
    waiting += 1
    try:
        return await asyncio.get_running_loop().run_in_executor(THREADS, work)
    finally:
        waiting -= 1


def _matches(password_hash: str, password: str) -> bool:
    try:
        return HASHER.verify(password_hash, password)
    except (Argon2Error, InvalidHashError):
        return False


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
