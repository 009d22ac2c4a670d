"""The JSON API, version 1. Who asks is known by a session token in the Authorization header, never by a cookie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from shop import accounts, carts, catalogue, contracts, openapi, orders
from shop.accounts import BEARER, Session
from shop.contracts import Cart, Category, Device, Image, Order, Page, Person, Product, ProductChange, Token
from shop.openapi import JSON, PICTURES, Operation
from shop.ports import Shop
from shop.problems import Problem

# The edge keeps a product this long; browsers and programs ask each time.
SHARED = "public, max-age=0, s-maxage=30"


@dataclass(frozen=True)
class Call:
    """A request as far as it has been understood: `given` is its query or its body, `id` the one in its path."""

    shop: Shop
    user: Any  # a User wherever only users are let in
    cart: Any
    given: Any
    key: Any  # a text wherever it is needed
    id: str
    token: str
    after: str | None
    trace: str
    address: str


Handler = Callable[[Call], Awaitable[Any]]
OPERATIONS: list[Operation] = []


def operation(method: str, path: str, answer: Any, **about: Any) -> Callable[[Handler], Handler]:
    """What is done at a verb of a path; the function's name and docstring are what clients read about it."""

    def add(handler: Handler) -> Handler:
        OPERATIONS.append(Operation(method, path, answer, handler, **about))
        return handler

    return add


@operation("GET", "/products", Page[Product], query=contracts.Listing, shared=True)
async def list_products(call: Call) -> Page[Product]:
    """Products by id, all or those of a category."""
    return await catalogue.page(call.shop, after=call.after, **call.given)


@operation("GET", "/products/{product_id}", Product, shared=True)
async def show_product(call: Call) -> Product:
    """One product."""
    return await catalogue.product(call.shop, call.id, call.after)


@operation("GET", "/search", Page[Product], query=contracts.Question)
async def search_products(call: Call) -> Page[Product]:
    """Products by the words that they are described with, the best first."""
    return await catalogue.search(call.shop, call.given.pop("q"), after=call.after, **call.given)


@operation("GET", "/categories", Page[Category])
async def list_categories(call: Call) -> Page[Category]:
    """Categories, and how many products each has."""
    return Page(await catalogue.categories(call.shop, call.after))


@operation("POST", "/users", Person, body=contracts.NewUser, creates=True)
async def sign_up(call: Call) -> Person:
    """Become a customer."""
    return await accounts.sign_up(call.shop, key=call.key, address=call.address, **call.given)


@operation("POST", "/sessions", Token, body=contracts.Credentials)
async def sign_in(call: Call) -> Token:
    """Get a token; what a visitor had in his cart comes along if he sends his token."""
    return Token(await accounts.sign_in(call.shop, token=call.token, address=call.address, **call.given))


@operation("DELETE", "/sessions/current", None, who="visitor")
async def sign_out(call: Call) -> None:
    """End this session: its token opens nothing any more."""
    await accounts.sign_out(call.shop, call.token)


@operation("GET", "/me", Person, who="user")
async def show_me(call: Call) -> Person:
    """Who has signed in."""
    return Person(call.user.id, call.user.email, call.user.name, call.user.is_staff)


@operation("GET", "/cart", Cart, who="visitor")
async def show_cart(call: Call) -> Cart:
    """What is in the cart, at today's prices."""
    return await carts.contents(call.shop, call.cart)


@operation("PUT", "/cart/lines/{product_id}", Cart, who="visitor", body=contracts.PutLine)
async def put_line(call: Call) -> Cart:
    """So many pieces of a product, however many there were."""
    await carts.put(call.shop, call.cart, call.id, **call.given)
    return await carts.contents(call.shop, call.cart)


@operation("DELETE", "/cart/lines/{product_id}", Cart, who="visitor")
async def remove_line(call: Call) -> Cart:
    """None of a product any more."""
    await carts.remove(call.shop, call.cart, call.id)
    return await carts.contents(call.shop, call.cart)


@operation("POST", "/orders", Order, who="user", body=contracts.NewOrder, creates=True)
async def place_order(call: Call) -> Order:
    """Buy what is in the cart; with a total, only at that price."""
    return await orders.place(call.shop, call.user, key=call.key, trace=call.trace, **call.given)


@operation("GET", "/orders", Page[Order], who="user", query=contracts.Continued)
async def list_orders(call: Call) -> Page[Order]:
    """The user's own orders, the newest first."""
    return await orders.history(call.shop, call.user, after=call.after, **call.given)


@operation("GET", "/orders/{order_id}", Order, who="user")
async def show_order(call: Call) -> Order:
    """One of the user's own orders."""
    return await orders.order(call.shop, call.user, call.id, call.after)


@operation("GET", "/orders/{order_id}/invoice", "application/pdf", who="user")
async def show_invoice(call: Call) -> bytes:
    """The invoice of one of the user's own orders."""
    return await orders.invoice(call.shop, call.user, call.id, call.after)


@operation("POST", "/devices", Device, who="user", body=contracts.NewDevice, creates=True)
async def add_device(call: Call) -> Device:
    """Tell a device about the user's orders."""
    return await accounts.add_device(call.shop, call.user, key=call.key, **call.given)


@operation("GET", "/devices", Page[Device], who="user")
async def list_devices(call: Call) -> Page[Device]:
    """The devices that are told about the user's orders."""
    return Page(await accounts.devices(call.shop, call.user, call.after))


@operation("DELETE", "/devices/{device_id}", None, who="user")
async def remove_device(call: Call) -> None:
    """Tell a device nothing any more."""
    await accounts.remove_device(call.shop, call.user, call.id)


@operation("POST", "/staff/products", Product, who="staff", body=contracts.NewProduct, creates=True)
async def add_product(call: Call) -> Product:
    """Sell something new."""
    return await catalogue.add_product(call.shop, call.user, key=call.key, trace=call.trace, **call.given)


@operation("PATCH", "/staff/products/{product_id}", Product, who="staff", body=ProductChange, adds="stock_change")
async def change_product(call: Call) -> Product:
    """Change what is given, and leave the rest."""
    return await catalogue.change_product(call.shop, call.user, call.id, key=call.key, trace=call.trace, **call.given)


@operation("POST", "/staff/products/{product_id}/images", Image, who="staff", body="picture", creates=True)
async def attach_image(call: Call) -> Image:
    """Give a product its picture."""
    return await catalogue.attach_image(call.shop, call.id, call.given, staff=call.user, key=call.key, trace=call.trace)


@operation("POST", "/staff/orders/{order_id}/shipment", Order, who="staff", creates=True)
async def ship_order(call: Call) -> Order:
    """Note that an order has left the house."""
    return await orders.ship(call.shop, call.user, call.id, key=call.key, trace=call.trace)


def document() -> bytes:
    """The API's description in OpenAPI, the same bytes each time."""
    return openapi.document(OPERATIONS)


async def _answer(request: Request, about: Operation) -> Response:
    """Who asks is looked at before what he sent: a stranger does not learn what would have been right."""
    shop: Shop = request.app.state.shop
    token = _token(request)
    session = await accounts.session(shop, token) if token and about.who != "anyone" else None
    _let_in(about, session)
    given = await _body(request, about) if about.body else _query(request, about)
    call = Call(
        shop,
        user=session and session.user,
        cart=session and session.cart,
        given=given,
        key=_key(request, about.creates or (about.adds != "" and about.adds in given)),
        id="".join(request.path_params.values()),
        token=token,
        after=request.state.after,
        trace=request.state.trace,
        address=request.state.address,
    )
    found = await about.do(call)
    headers = {"Cache-Control": SHARED} if about.shared else None
    if about.answer is None or isinstance(found, bytes):
        return Response(found, about.status, headers, about.answer)
    return Response(msgspec.json.encode(found), about.status, headers, JSON)


def _let_in(about: Operation, session: Session | None) -> None:
    if about.who == "anyone":
        return
    if session is None or (session.user is None and about.who != "visitor"):
        raise Problem(401, "sign-in-needed", "Sign in first, and send the token of the session.", headers=BEARER)
    if about.who == "staff" and not (session.user and session.user.is_staff):
        raise Problem(403, "staff-only", "This is for staff only.")


def _token(request: Request) -> str:
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _key(request: Request, needed: bool) -> str | None:
    key: str | None = request.headers.get("idempotency-key")
    if key is None and needed:
        wanted = "Send an Idempotency-Key, new for each thing to do, so that another try does not do it twice."
        raise Problem(400, "idempotency-key-missing", wanted)
    return key


def _query(request: Request, about: Operation) -> Any:
    if about.query is None:
        return None
    given = request.query_params.multi_items()
    values = dict(given)
    if len(values) < len(given):
        raise Problem(400, "invalid-request", "A parameter is given more than once.")
    return msgspec.to_builtins(contracts.check(about.query, values))


async def _body(request: Request, about: Operation) -> Any:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    allowed = PICTURES if about.body == "picture" else (JSON,)
    if given not in allowed:
        raise Problem(415, "unsupported-content", f"Send it as {' or '.join(allowed)}.")
    content = await request.body()
    if about.body == "picture":
        return content
    try:
        return msgspec.to_builtins(msgspec.convert(DECODER.decode(content), about.body))
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        raise contracts.invalid(error) from None


def _number(literal: str) -> float:
    """To JSON Schema, 2.0 is a whole number."""
    number = float(literal)
    return int(number) if number.is_integer() else number


DECODER = msgspec.json.Decoder(float_hook=_number)


def _route(path: str) -> Route:
    """All verbs of a path, so that the answer to any other verb names them."""
    verbs = {about.method: about for about in OPERATIONS if about.path == path}

    async def endpoint(request: Request) -> Response:
        return await _answer(request, verbs["GET" if request.method == "HEAD" else request.method])

    return Route(path, endpoint, methods=list(verbs), name=path)


async def _describe(_: Request) -> Response:
    return Response(document(), headers={"Cache-Control": "public, max-age=300"}, media_type=JSON)


routes: list[BaseRoute] = [
    *map(_route, dict.fromkeys(about.path for about in OPERATIONS)),
    Route("/openapi.json", _describe),
]
