"""The pages that a person clicks through. Whatever is sent to us goes to paths that the edge passes on."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute

from jobs import thumbnails
from jobs.events import Refused
from shop import accounts, carts, catalogue, orders
from shop.contracts import MOST_PIECES, Cart, Page, Product, PutLine, check
from shop.front import COOKIE, Visit, go_to, keep, local_path, page
from shop.problems import Problem

NO_PICTURE = Path(__file__).parent / "static" / "no-picture.svg"
# Somebody else chose the bytes; opened alone, they may do nothing.
PICTURE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; sandbox"}
PRICE = re.compile(r"[0-9]{1,6}(\.[0-9]{1,2})?")
FOR_EVER, FOR_NOW = "public, max-age=31536000, immutable", "public, max-age=5"
MAILS = "select kind, recipient, subject, body, created_at from mails where user_id = %s order by id desc limit 100"
TO_SHIP = (
    f"select {orders.COLUMNS}, u.email as customer from orders o join users u on u.id = o.user_id "
    "where o.status = 'placed' order by o.placed_at limit 50"
)
PICTURED = "select id, category, image from products where id = any(%s)"
SEEN = "cart_seen"  # changes with each look at the cart


async def everything(visit: Visit) -> Response:
    return await _catalogue(visit, "Everything in the shop", intro="Useful things that last.")


async def category(visit: Visit) -> Response:
    name = visit.request.path_params["name"]
    return await _catalogue(visit, name, category=name)


async def search(visit: Visit) -> Response:
    query = visit.asked("q").strip()[:200]
    return await _catalogue(visit, f"Search for “{query}”", query=query) if query else go_to("/")


async def product(visit: Visit) -> Response:
    """The edge gives the same copy to everybody, so nothing here depends on who asks."""
    found = await catalogue.product(visit.shop, _id(visit), visit.state.after)
    return visit.draw("product.html", title=found.name, shared=True, product=found)


async def image(visit: Visit) -> Response:
    """A thumbnail; until there is one the picture itself, and without that something in its place."""
    name, size, files = visit.request.path_params["id"], visit.request.path_params["size"], visit.shop.files
    if size not in thumbnails.SIZES:
        raise Problem(404, "no-such-size", "There is no picture of this size.")
    small = await files.get(f"thumbnails/{name}/{size}.webp")
    data = small or await files.get(f"images/{name}") or b""
    try:
        kind = thumbnails.kind(data)
    except Refused:
        return FileResponse(NO_PICTURE, headers={**PICTURE, "Cache-Control": FOR_NOW})
    return Response(data, headers={**PICTURE, "Cache-Control": FOR_EVER if small else FOR_NOW}, media_type=kind)


async def cart(visit: Visit) -> Response:
    inside = await carts.contents(visit.shop, visit.session.cart) if visit.session else Cart([], 0)
    answer = visit.draw("cart.html", title="Your cart", cart=inside, most=MOST_PIECES)
    return keep(visit, answer, secrets.token_hex(8), SEEN) if visit.session else answer


async def put_in_cart(visit: Visit) -> Response:
    """Whoever has no session gets one now and not before, so that pages stay the same for all who only look.

    For the same reason the form of a product has no key. Until somebody has seen his cart, the same again is the same
    click; after that, as he comes back, it is meant.
    """
    product_id, more, quantity = visit.text("product_id"), visit.text("more"), visit.text("quantity")
    wanted = 0 if not more and quantity == "0" else check(PutLine, {"quantity": more or quantity}).quantity
    once = f"{wanted} {visit.request.cookies.get(SEEN, '')}"[:99].replace("\0", "") if more else ""
    answer = go_to(_destination(visit, "/cart"))
    if visit.session is None:
        token = await accounts.start_session(visit.shop)
        visit.session = await accounts.session(visit.shop, token)
        keep(visit, answer, token)
    assert visit.session is not None
    if wanted:
        await carts.put(visit.shop, visit.session.cart, product_id, wanted, once=once)
    else:
        await carts.remove(visit.shop, visit.session.cart, product_id)
    return answer


async def checkout(visit: Visit) -> Response:
    inside = await carts.contents(visit.shop, visit.user.cart)
    shown = {line.product_id: _cents(visit, f"price-{line.product_id}") for line in inside.lines}
    return visit.draw("checkout.html", title="Check your order", cart=inside, shown=shown)


async def place_order(visit: Visit) -> Response:
    """At the total that was shown, or not at all."""
    key, total = visit.text("key"), _cents(visit, "total_cents")
    placed = await orders.place(visit.shop, visit.user, key=key, trace=visit.state.trace, total_cents=total)
    return go_to(f"/orders/{placed.id}")


async def history(visit: Visit) -> Response:
    listed = await orders.history(visit.shop, visit.user, cursor=visit.asked("cursor"), after=visit.state.after)
    return visit.draw("orders.html", title="Your orders", page=listed, following=_following(visit, listed.next))


async def order(visit: Visit) -> Response:
    found = await orders.order(visit.shop, visit.user, _id(visit), visit.state.after)
    bought = [line.product_id for line in found.lines]
    looks = {row["id"]: row for row in await visit.shop.database.read(PICTURED, (bought,), visit.state.after)}
    return visit.draw("order.html", title=f"Order {str(found.id)[:8]}", order=found, looks=looks)


async def invoice(visit: Visit) -> Response:
    pdf = await orders.invoice(visit.shop, visit.user, _id(visit), visit.state.after)
    return Response(pdf, headers={"Cache-Control": "no-store"}, media_type="application/pdf")


async def mail(visit: Visit) -> Response:
    mails = await visit.shop.database.read_primary(MAILS, (visit.user.id,))
    return visit.draw("mail.html", title="Mail", mails=mails, sender=visit.shop.settings.mail_from)


async def sign_up(visit: Visit) -> Response:
    return visit.draw("sign_up.html", title="Make an account", following=_destination(visit))


async def make_account(visit: Visit) -> Response:
    await accounts.sign_up(visit.shop, name=visit.text("name"), key=visit.text("key"), **_credentials(visit))
    return await enter(visit)


async def sign_in(visit: Visit) -> Response:
    if visit.session and visit.session.user and not visit.refused:
        return go_to(_destination(visit, "/orders"))
    return visit.draw("sign_in.html", title="Sign in", following=_destination(visit))


async def enter(visit: Visit) -> Response:
    """With a new token, so that nobody has known it before."""
    token = await accounts.sign_in(visit.shop, token=visit.token, **_credentials(visit))
    return keep(visit, go_to(_destination(visit)), token)


async def sign_out(visit: Visit) -> Response:
    await accounts.sign_out(visit.shop, visit.token)
    answer = go_to("/")
    answer.delete_cookie(COOKIE)
    return answer


async def staff(visit: Visit) -> Response:
    find = visit.asked("q").strip()[:200]
    listed = await _products(visit, query=find)
    waiting = await visit.shop.database.read_primary(TO_SHIP, ())
    following = _following(visit, listed.next)
    return visit.draw("staff.html", title="Staff", orders=waiting, find=find, page=listed, following=following)


async def ship(visit: Visit) -> Response:
    await orders.ship(visit.shop, visit.user, _id(visit), key=visit.text("key"), trace=visit.state.trace)
    return go_to("/staff?done=shipped")


async def new_product(visit: Visit) -> Response:
    return visit.draw("staff_product.html", title="A new product", product=None)


async def add_product(visit: Visit) -> Response:
    about = _about(visit, "key", "name", "category", "description", "stock")
    added = await catalogue.add_product(visit.shop, visit.user, trace=visit.state.trace, **about)
    return go_to(f"/staff/products/{added.id}?done=added")


async def known_product(visit: Visit) -> Response:
    found = await catalogue.product(visit.shop, _id(visit), visit.state.after)
    return visit.draw("staff_product.html", title=found.name, product=found)


async def change_product(visit: Visit) -> Response:
    about = _about(visit, "key", "name", "category", "description", "stock_change")
    changed = await catalogue.change_product(visit.shop, visit.user, _id(visit), trace=visit.state.trace, **about)
    return go_to(f"/staff/products/{changed.id}?done=saved")


async def attach_picture(visit: Visit) -> Response:
    file = (await visit.request.form()).get("file")
    data = await file.read() if isinstance(file, UploadFile) else b""
    key = visit.text("key")
    await catalogue.attach_image(visit.shop, _id(visit), data, staff=visit.user, key=key, trace=visit.state.trace)
    return go_to(f"/staff/products/{_id(visit)}?done=pictured")


routes: list[BaseRoute] = [
    page("/", everything),
    page("/categories/{name:path}", category),
    page("/search", search),
    page("/products/{id}", product, who="all alike"),
    page("/images/{id:uuid}/{size}", image, who="all alike"),
    page("/cart", cart, submit=put_in_cart),
    page("/checkout", checkout, submit=place_order, who="user"),
    page("/orders", history, who="user"),
    page("/orders/{id}", order, who="user"),
    page("/orders/{id}/invoice.pdf", invoice, who="user"),
    page("/mail", mail, who="user"),
    page("/sign-up", sign_up, submit=make_account),
    page("/sign-in", sign_in, submit=enter),
    page("/sign-out", submit=sign_out),
    page("/staff", staff, who="staff"),
    page("/staff/orders/{id}/shipment", submit=ship, who="staff"),
    page("/staff/products/new", new_product, submit=add_product, who="staff"),
    page("/staff/products/{id}", known_product, submit=change_product, who="staff"),
    page("/staff/products/{id}/picture", known_product, submit=attach_picture, who="staff"),
]


async def _catalogue(visit: Visit, title: str, *, intro: str = "", category: str = "", query: str = "") -> Response:
    listed = await _products(visit, category=category, query=query)
    return visit.draw(
        "catalogue.html",
        title=title,
        intro=intro,
        category=category,
        categories=[] if query else await catalogue.categories(visit.shop, visit.state.after),
        query=query,
        page=listed,
        following=_following(visit, listed.next),
        continued=bool(visit.asked("cursor")),
    )


async def _products(visit: Visit, *, category: str = "", query: str = "") -> Page[Product]:
    cursor = visit.asked("cursor")
    if query:
        return await catalogue.search(visit.shop, query, cursor=cursor, after=visit.state.after)
    return await catalogue.page(visit.shop, category=category, cursor=cursor, after=visit.state.after)


def _following(visit: Visit, cursor: str | None) -> str | None:
    """Where a list goes on, for the same question."""
    asked = {"q": visit.asked("q")} if visit.asked("q") else {}
    return f"{visit.path}?{urlencode({**asked, 'cursor': cursor})}" if cursor else None


def _id(visit: Visit) -> str:
    found: str = visit.request.path_params["id"]
    return found


def _credentials(visit: Visit) -> dict[str, str]:
    password = visit.typed.get("password", "")  # to the last space
    return {"email": visit.text("email"), "password": password, "address": visit.state.address}


def _destination(visit: Visit, otherwise: str = "/") -> str:
    """Where somebody was going."""
    return local_path(visit.typed.get("next") or visit.asked("next") or otherwise)


def _cents(visit: Visit, name: str) -> int:
    """An amount that the form has carried; -1 for what is none."""
    given = visit.text(name)
    return int(given) if re.fullmatch(r"[0-9]{1,15}", given) else -1


def _about(visit: Visit, *names: str) -> dict[str, Any]:
    """What the form says, with a product's price in cents."""
    price = visit.text("price").removeprefix("$")
    if not PRICE.fullmatch(price):
        raise Problem(400, "invalid-request", "not a price - at `$.price`")
    return {**{name: visit.text(name) for name in names}, "price_cents": round(float(price) * 100)}
